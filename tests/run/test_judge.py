"""The judge: a verdict starts UNKNOWN, the worst wins, and an oracle that breaks says nothing of the host."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from harness import registry
from harness.hosts.inproc import InprocHost
from harness.run import judge as judge_module
from harness.run.judge import FINDINGS_MAX, SLOW_MAX, judge
from harness.run.runner import Runner
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Cause, Finding, Verdict
from harness.wire.histfile import load
from tests.oracles.build import Story
from tests.run.cases import BAD_CASE, ELSEWHERE, GOOD_CASE, NO_BAD_VALUE, RAISES, UNDECIDED
from tests.run.fake import FakeSimulated
from tests.topologies import POWERVM


def history_of(case, mutant: str = "") -> History:
    return Runner(lambda: InprocHost("inproc:", FakeSimulated(mutant=mutant))).perform(case).history


def cut(history: History) -> History:
    return History(history.case_id, history.topology, history.intents, history.records[:-1])


@pytest.mark.parametrize(
    ("oracles", "verdict", "cause"),
    [
        ([NO_BAD_VALUE], Verdict.PASS, None),
        ([], Verdict.UNKNOWN, Cause.VACUOUS),
        ([ELSEWHERE], Verdict.UNKNOWN, Cause.VACUOUS),
        ([NO_BAD_VALUE, UNDECIDED], Verdict.UNKNOWN, Cause.VACUOUS),
        ([NO_BAD_VALUE, RAISES], Verdict.UNKNOWN, Cause.ORACLE_ERROR),
        ([UNDECIDED, RAISES], Verdict.UNKNOWN, Cause.ORACLE_ERROR),
    ],
)
def test_a_good_history_is_worth_what_the_oracles_say(oracles, verdict, cause) -> None:
    judgement = judge(history_of(GOOD_CASE), oracles)
    assert (judgement.verdict, judgement.cause) == (verdict, cause)


def test_fail_dominates_and_has_no_cause() -> None:
    judgement = judge(history_of(BAD_CASE, "bad"), [RAISES, NO_BAD_VALUE, UNDECIDED])
    assert judgement.verdict is Verdict.FAIL
    assert judgement.cause is None
    assert judgement.signatures == ("no_bad_value/bad-value",)


def test_a_cut_off_history_is_never_a_pass() -> None:
    judgement = judge(cut(history_of(GOOD_CASE)), [NO_BAD_VALUE])
    assert (judgement.verdict, judgement.cause) == (Verdict.UNKNOWN, Cause.INDETERMINATE)


def test_what_a_prefix_proves_stays_proven_after_lab_trouble() -> None:
    assert judge(cut(history_of(BAD_CASE, "bad")), [NO_BAD_VALUE], "cable").verdict is Verdict.FAIL


def test_after_a_death_in_the_kernel_only_the_death_counts_and_nothing_passes() -> None:
    story = Story(POWERVM)
    story.open("a0", "c0", "afu0.0s")
    story.begin("a0", "ioctl", fd="c0", request=0x4004_CA01, data="00000000")
    story.log("list_del corruption. prev->next should be c000000028e039e8", 3)
    story.log("Oops: Exception in kernel mode, sig: 5 [#1]", 4)
    oracles = registry.oracles()
    history = load(story.end())
    calls = oracles["blocked_calls_return"]
    assert [finding.kind for finding in calls.judge(history)] == ["ioctl-unanswered"]
    judgement = judge(history, [calls])
    assert (judgement.verdict, judgement.cause) == (Verdict.UNKNOWN, Cause.INDETERMINATE)
    judgement = judge(history, list(oracles.values()))
    assert judgement.verdict is Verdict.FAIL
    assert [s.partition("/")[0] for s in judgement.signatures] == ["kernel_log_is_clean"]


def test_what_the_kernel_traced_before_it_died_counts_even_if_it_was_read_later() -> None:
    story = Story(POWERVM)
    story.attach("a0", "c0", "afu0.0s", 0)
    story.detach("afu0.0", 0)
    story.wait(1)
    again = story.now_us
    story.wait(1)
    story.log("Oops: Exception in kernel mode, sig: 5 [#1]", 4)
    raw = "kworker/0:1-23 [000] ..... 88.001000: cxl_detach: afu0.0 pe=0"
    story.lines += [json.dumps({"t": at, "is": "trace", "raw": raw}) for at in (again, story.now_us + 1)]
    history = load(story.end())
    assert history.death is not None
    kept = history.until_death
    assert kept.records[:-1] == history.records[: history.death.seq]
    assert kept.records[-1] == history.records[history.death.seq + 1]
    assert len(kept.trace("cxl_detach")) == 2


def test_a_host_that_could_not_play_to_the_end_owes_no_answer() -> None:
    story = Story(POWERVM)
    story.open("a0", "c0", "afu0.0s")
    story.begin("a0", "ioctl", fd="c0", request=0x4004_CA01, data="00000000")
    story.lines.append('{"t":90,"is":"end","who":"harness","got":{"error":"the guest died: QEMU has ended"}}')
    history = load(story.cut())
    assert not history.is_complete
    assert list(registry.oracles()["blocked_calls_return"].judge(history)) == []
    found = registry.oracles()["exercised"].judge(history)
    assert "not-played" in {finding.kind for finding in found}


def test_lab_trouble_is_unknown_infra_and_told_in_bounded_words() -> None:
    judgement = judge(history_of(GOOD_CASE), [NO_BAD_VALUE], "the cable " * 1000)
    assert (judgement.verdict, judgement.cause) == (Verdict.UNKNOWN, Cause.INFRA)
    assert len(judgement.findings[0].message) <= 400


def test_an_oracle_that_raises_is_named_with_the_place() -> None:
    (finding,) = judge(history_of(GOOD_CASE), [RAISES]).findings
    assert finding.signature == "raises/raises-ZeroDivisionError"
    assert "cases.py:" in finding.message
    assert finding.verdict is Verdict.UNKNOWN


def test_findings_of_one_oracle_are_bounded_and_the_rest_is_counted() -> None:
    many = Oracle("many", "", lambda _: [Finding("many", "x", "again")] * (FINDINGS_MAX + 7))
    findings = judge(history_of(GOOD_CASE), [many]).findings
    assert len(findings) == FINDINGS_MAX + 1
    assert "7 more" in findings[-1].message


def _loops(_history: History):
    while True:
        try:
            pass
        except Exception:  # noqa: BLE001, S112 - what a careless oracle may do
            continue
    yield  # an oracle is a generator


def _floods(_history: History):
    while True:
        yield Finding("floods", "again", "and again", ())


LOOPS = Oracle("loops", "Never ends", _loops)
FLOODS = Oracle("floods", "Never stops complaining", _floods)


def test_an_oracle_that_loops_for_ever_is_broken_off_named_and_soon_not_asked_any_more(monkeypatch) -> None:
    monkeypatch.setattr(judge_module, "ORACLE_LIMIT_S", 0.05)
    monkeypatch.setattr(judge_module, "_slow", Counter())
    history = history_of(GOOD_CASE)
    for times in range(SLOW_MAX + 1):
        judgement = judge(history, [LOOPS, NO_BAD_VALUE])
        (finding,) = judgement.findings
        assert (finding.signature, finding.cause) == ("loops/takes-too-long", Cause.ORACLE_ERROR)
        assert ("was not asked" in finding.message) == (times == SLOW_MAX)
        assert judgement.verdict is Verdict.UNKNOWN


def test_what_comes_after_an_oracle_that_was_broken_off_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(judge_module, "ORACLE_LIMIT_S", 0.05)
    monkeypatch.setattr(judge_module, "_slow", Counter())
    judge(history_of(GOOD_CASE), [LOOPS])
    until = time.monotonic() + 0.6  # the watchdog looks several times meanwhile
    while time.monotonic() < until:
        pass


def test_an_oracle_that_never_stops_complaining_is_contained() -> None:
    judgement = judge(history_of(GOOD_CASE), [FLOODS])
    assert len(judgement.findings) == FINDINGS_MAX + 1


def test_oracles_are_asked_only_about_what_they_can_judge() -> None:
    """A case about devices is no evidence for what contexts do, and the other way round."""
    oracles = tuple(registry.oracles().values())
    folder = Path(__file__).parents[2] / "fixtures" / "histories"
    of_devices = load((folder / "ok-device_returns-after-a-recovery.jsonl").read_bytes())
    of_cards = load((folder / "ok-phases_in_order-hotplug.jsonl").read_bytes())
    asked = {
        name: set(judge(history, oracles).oracles)
        for name, history in {"devices": of_devices, "cards": of_cards}.items()
    }
    assert "device_returns" in asked["devices"] - asked["cards"]
    assert "contexts_purged" in asked["cards"] - asked["devices"]
    assert {"exercised", "kernel_log_is_clean"} <= asked["devices"] & asked["cards"]
