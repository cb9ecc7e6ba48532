"""When a card got the name of another, as the kernel's lines tell."""

from __future__ import annotations

import pytest

from harness.run.judge import judge
from harness.vocab.oracle import Oracle
from harness.vocab.renaming import renamed_at
from harness.vocab.verdict import Cause, Finding, Verdict
from harness.wire.histfile import load
from tests.oracles.build import Story
from tests.topologies import POWERNV

FIRST, SECOND = (card.bdf for card in POWERNV.cards)


def plugged(bdf: str, *afus: str) -> list[str]:
    """What the driver says of a card that it finds."""
    found = [f"cxl-pci {bdf}: Device uses a PSL9", f"cxl-pci {bdf}: switch card to CXL"]
    return [*found, *(f"cxl {afu}: Activating AFU directed mode" for afu in afus)]


@pytest.mark.parametrize(
    ("log", "index"),
    [
        ([], None),
        (plugged(FIRST, "afu0.0", "afu0.1"), None),
        (plugged(SECOND, "afu1.0"), None),
        (plugged(SECOND, "afu0.0"), 2),
        (plugged(SECOND), None),
        (["EEH: hello", *plugged(FIRST, "afu1.0"), *plugged(SECOND, "afu0.0")], 3),
        ([*plugged(FIRST, "afu0.0"), "cxl afu1.0: Activating dedicated process mode"], None),
        (plugged("0042:01:00.0", "afu7.0"), None),
    ],
)
def test_a_name_that_the_topology_gives_to_another_card(log: list[str], index: int | None) -> None:
    assert renamed_at(log, POWERNV) == index


def test_after_it_nothing_is_judged_and_the_run_is_vacuous() -> None:
    story = Story(POWERNV)
    story.open("a0", "c0", "afu0.0s")
    for line in plugged(SECOND, "afu0.0"):
        story.log(line)
    story.open("a0", "c1", "afu0.1s")
    opens = Oracle("opens", "", lambda history: [Finding("opens", "x", "") for _ in history.operations])
    history = load(story.end())
    judgement = judge(history, [opens])
    assert len([f for f in judgement.findings if f.oracle == "opens"]) == 1
    quiet = Oracle("quiet", "", lambda history: [Finding("quiet", "x", "") for _ in history.operations[1:]])
    judgement = judge(history, [quiet])
    assert (judgement.verdict, judgement.cause) == (Verdict.UNKNOWN, Cause.VACUOUS)
    assert [f.kind for f in judgement.findings] == ["cards-renamed"]
