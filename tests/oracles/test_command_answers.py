"""A probe that fails is excused as long as the PSL has answers left for process element commands."""

from __future__ import annotations

import pytest

from harness.oracles.availability_returns import ORACLE
from harness.oracles.recovery_confirmed import ORACLE as CONFIRMED
from harness.vocab.event import NEMESIS, PROBE, Fate, Role
from harness.wire.histfile import load
from tests.oracles.build import Story
from tests.topologies import POWERNV

REFUSED = "cxl: Error adding process element to AFU"
LATE = "cxl afu0.0: WARNING: Process Element Command timed out!"
ELSEWHERE = LATE.replace("afu0.0", "afu0.1")


def told(answer: str, times: int) -> Story:
    """The PSL is to answer commands of afu0.0."""
    story = Story(POWERNV)
    details = {"afu": "afu0.0", "command": "add", "answer": answer, "times": times}
    with story.meaning("AnswerCommand", Role.CONTROL, Fate.HARMLESS, ["afu0.0"], **details):
        story.do(NEMESIS, "inject", what="answer_command", **{"with": details})
    story.wait(100)
    return story


@pytest.mark.parametrize(
    ("answer", "times", "said", "is_excused"),
    [
        ("fail", 1, [], True),
        ("fail", 1, [REFUSED], False),
        ("fail", 2, [REFUSED], True),
        ("fail", 1, [LATE], True),
        ("hang", 1, [LATE], False),
        ("hang", 1, [ELSEWHERE], True),
        ("hang", 1, [REFUSED], True),
    ],
)
def test_what_was_not_yet_answered_may_strike_a_probe(
    answer: str, times: int, said: list[str], is_excused: bool
) -> None:
    story = told(answer, times)
    for text in said:
        story.log(text, 3)
    story.wait(100)
    with story.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, (), afu="afu0.0", kind="s", fd="p"):
        story.open(PROBE, "p", "afu0.0s")
        story.fail_ioctl(PROBE, "p", "START_WORK", "EIO")
    kinds = [finding.kind for finding in ORACLE.judge(load(story.end()))]
    assert kinds == ([] if is_excused else ["availability-ioctl"])


def test_a_refused_command_is_no_reason_for_a_recovery() -> None:
    story = told("fail", 1)
    story.eeh_recover("card0")
    assert "needless" in [finding.kind for finding in CONFIRMED.judge(load(story.end()))]
