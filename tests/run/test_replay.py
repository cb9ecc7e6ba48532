"""Replay: rates with their intervals, what a host lacks, stories, and test files that stand alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.hosts.inproc import InprocHost
from harness.run.pytestfile import pytest_text
from harness.run.replay import lacks, replay, wilson
from harness.run.story import steps, story
from harness.vocab.case import Case, Step, When
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding
from harness.wire import casefile
from harness.wire.casefile import SavedCase
from tests.run.cases import BAD_CASE, GOOD_CASE, LOAD, NO_BAD_VALUE, OPEN, case
from tests.run.fake import FakeSimulated
from tests.topologies import POWERNV, POWERVM

REGRESS = Path(__file__).parents[2] / "fixtures" / "cases" / "regress"


@pytest.mark.parametrize(
    ("hits", "times", "low", "high"),
    [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0), (1, 1000, 0.0002, 0.0056)],
)
def test_wilsons_interval(hits: int, times: int, low: float, high: float) -> None:
    """Known values of the score interval with 95 % confidence."""
    assert wilson(hits, times) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_nothing_performed_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_host_lacks_nothing_of_what_it_has() -> None:
    assert lacks(GOOD_CASE, POWERVM) == []


def test_everything_that_is_lacking_is_said() -> None:
    greedy = Case((OPEN,), GOOD_CASE.platform, needs=frozenset({"kprobes", "moon"}), cards=3)
    said = lacks(greedy, POWERNV)
    assert said == [
        "the platform powervm, this is powernv",
        "3 cards, this has 2",
        "the features moon",
    ]


def test_each_performance_is_told_to_who_watches() -> None:
    told: list[tuple[int, int, str]] = []
    cases = [(Path("bad.json"), SavedCase(BAD_CASE, "")), (Path("good.json"), SavedCase(GOOD_CASE, ""))]
    found = replay(
        lambda: InprocHost("inproc:", FakeSimulated(mutant="bad")),
        cases,
        2,
        [NO_BAD_VALUE],
        lambda done, of, _s, last: told.append((done, of, last)),
    )
    assert [item.failed for item in found] == [2, 0]
    assert told == [(1, 4, "bad: fail"), (2, 4, "bad: fail"), (3, 4, "good: pass"), (4, 4, "good: pass")]


def test_an_interruption_leaves_what_was_performed() -> None:
    asked: list[History] = []

    def interrupted(history: History) -> list[Finding]:
        asked.append(history)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return []

    oracle = Oracle("interrupted", "Somebody presses Ctrl-C", interrupted)
    saved = SavedCase(GOOD_CASE, "")
    items = replay(lambda: InprocHost("inproc:", FakeSimulated()), [(Path("one.json"), saved)], 5, [oracle])
    found = next(items)
    assert (len(found.judgements), found.trouble) == (2, "interrupted")
    with pytest.raises(KeyboardInterrupt):
        next(items)


def test_a_story_has_one_line_a_step_in_the_words_of_its_event() -> None:
    waiting = Step("a0", LOAD.event, When(phase="reset", nth=2, after_ms=3))
    lines = list(steps(case(OPEN, waiting)))
    assert lines == [
        "  0  a0  Open: Open the node of s (master, slave or dedicated) of afu0.0 as c0 (nonblock False)",
        "  1  a0  3 ms after reset is seen the 2. time, "
        "Load: Load SCRATCH through c0.mmio, 1 times, 8 bytes each",
    ]


def test_a_story_ends_with_the_truth_that_is_broken() -> None:
    path = next(iter(sorted(REGRESS.rglob("*.json"))))
    saved = casefile.load(path.read_text(), registry.events(), str(path))
    told = list(story(path, saved))
    assert told[-1].strip().startswith("the truth that is broken: ")
    assert saved.signature in told[-2]


def test_a_case_that_shows_nothing_should_pass() -> None:
    assert "should pass" in list(story(Path("x.json"), casefile.SavedCase(BAD_CASE, "")))[-1]


def test_a_test_file_fails_while_the_bug_is_there_and_passes_elsewhere(tmp_path: Path) -> None:
    path = REGRESS / "powervm" / "purges-twice.json"
    saved = casefile.load(path.read_text(), registry.events(), str(path))
    mutant = "sim://powervm?mutant=PurgesTwice"
    target = tmp_path / "test_bug.py"
    target.write_text(pytest_text(saved, mutant, 2, target.name, "\n".join(story(path, saved))))
    for host, code in ((mutant, 1), ("sim://powervm", 0)):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(target)],
            env={"CAPI_HOST": host, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == code, done.stdout + done.stderr
    assert saved.signature in target.read_text()
