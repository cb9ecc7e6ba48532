"""``harness score``: a small one from end to end, an interrupted one that goes on, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.score import command
from harness.score.healthy import PIECE, pieces
from harness.score.scoring import score
from harness.vocab.errors import UsageError
from harness.vocab.oracle import Oracle
from harness.vocab.topology import Platform
from harness.vocab.verdict import ExitCode, Finding

SMALL = command.extent(True, ("PurgesTwice", "RecoversOnSuspicion"), 20, -1)


def quiet(*_: object) -> None:
    """Nobody watches."""


def test_a_small_score_is_written_and_passes(tmp_path: Path) -> None:
    done = command.perform(SMALL, tmp_path, 2, quiet)
    assert done.exit_code is ExitCode.PASS, done.text
    assert done.path.read_text() == done.text
    assert "3 of 3 trials" in done.text


def test_an_interrupted_score_says_so_and_goes_on(tmp_path: Path) -> None:
    def interrupt(done: int, *_: object) -> None:
        if done:
            raise KeyboardInterrupt

    first = command.perform(SMALL, tmp_path, 1, interrupt)
    assert first.exit_code is ExitCode.INTERRUPTED
    assert "**Partial**" in first.text
    performed = []
    second = command.perform(SMALL, tmp_path, 1, lambda _d, _of, _s, key: performed.append(key))
    assert second.exit_code is ExitCode.PASS
    assert "Partial" not in second.text
    assert len([key for key in performed if key]) == 3, "four races, of which one had ended"


def test_a_survivor_fails_the_score(tmp_path: Path) -> None:
    one = command.extent(True, ("StaleMmio",), 1, -1)
    found = score(one, tmp_path, 2, quiet)
    for key, result in found.results.items():
        result["kills"] = []
        assert key.startswith("race/")
    assert command._exit_code(found, command.figures_of(found)) is ExitCode.FAIL


def test_cases_on_the_healthy_simulator_alone(tmp_path: Path) -> None:
    done = command.perform(command.extent(False, (), 0, -1, 60), tmp_path, 1, quiet)
    assert done.exit_code is ExitCode.PASS, done.text
    row = next(line for line in done.text.splitlines() if line.startswith("| findings on the healthy"))
    assert "| 0 | 0 | yes | in 60 cases; " in row
    assert " pass" in row


def test_pieces_take_the_platforms_in_turn_and_all_cases() -> None:
    found = pieces(2 * PIECE + 1)
    assert [seed for _, seed, _ in found] == [1, 1, 2]
    assert [platform for platform, _, _ in found] == [*Platform, Platform.POWERNV]
    assert [cases for _, _, cases in found] == [PIECE, PIECE, 1]


def test_a_false_alarm_fails_the_score_and_is_named(tmp_path: Path, monkeypatch) -> None:
    angry = Oracle("angry", "Never content", lambda _: [Finding("angry", "always", "so it is")])
    monkeypatch.setattr(registry, "oracles", lambda: {"angry": angry})
    done = command.perform(command.extent(False, (), 0, -1, 3), tmp_path, 1, quiet)
    assert done.exit_code is ExitCode.FAIL
    assert "- `healthy: angry/always, 3 times`" in done.text


def test_an_unknown_mutant_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NoSuch"):
        score(command.extent(True, ("NoSuch",), 1, -1), tmp_path, 1, quiet)
