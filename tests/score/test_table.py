"""The figures and the table of a score, from made-up results."""

from __future__ import annotations

from math import inf

import pytest

from harness.score.figures import Figures, figures, median, quantile, ratio
from harness.score.scoring import FULL, Extent, Score
from harness.score.sources import MACHINE, OURS, UNIFORM
from harness.score.table import rows, table

PLATFORMS = {"StaleMmio": ["powernv"], "PurgesTwice": ["powernv"]}
EXTENT = Extent("test", {OURS: 1, UNIFORM: 1}, 100, 10, 5, True)


def race(*kills: tuple[str, int], alarms: tuple[str, ...] = ()) -> dict:
    told = [
        {"mutant": m, "number": n, "seconds": n / 10, "signatures": ["contexts_purged/late"], "case": "{}"}
        for m, n in kills
    ]
    return {"cases": 100, "seconds": 10.0, "kills": told, "false_alarms": list(alarms), "broken": {}}


def trial(word: str, oracle: str = "") -> dict:
    signatures = [f"{oracle}/kind"] if oracle else []
    return {"word": word, "signatures": signatures, "line": 7, "change": "1 -> 2", "cases": 5, "differs": 1}


def minimised(steps: int, signature: str = "contexts_purged/late", executions: int = 30) -> dict:
    return {
        "signature": signature,
        "from": 50,
        "steps": steps,
        "executions": executions,
        "is_one_minimal": True,
        "host_downs": 0,
        "fails_on_healthy": False,
        "case": "{}",
    }


RESULTS = {
    f"race/{OURS}/powernv/1": race(("StaleMmio", 4), ("PurgesTwice", 2)),
    f"race/{UNIFORM}/powernv/1": race(("PurgesTwice", 30)),
    "generated/a": trial("killed", "contexts_purged"),
    "generated/b": trial("survived"),
    "generated/c": trial("survived"),
    "generated/d": trial("broken"),
    "minimised/powernv/StaleMmio": minimised(6),
}


def worked_out(results: dict, equivalent: dict | None = None, shortest: dict | None = None) -> Figures:
    return figures(results, PLATFORMS, equivalent or {}, shortest or {})


def text(results: dict, missing: int = 0, equivalent: dict | None = None) -> str:
    return table(Score(EXTENT, results, missing=missing), worked_out(results, equivalent))


def met(results: dict, words: str, **known: dict) -> bool | None:
    found = rows(Score(EXTENT, results), worked_out(results, **known))
    return next(is_met for row, is_met in found if words in row)


def test_a_survivor_takes_infinitely_many_cases() -> None:
    assert ratio(worked_out(RESULTS), UNIFORM) == (3, inf, 0.0)
    assert quantile([1, 2, inf], 0.5) == 2
    assert quantile([1, inf, inf], 0.5) == inf
    assert median([]) == inf


def test_a_ratio_of_two_that_kill() -> None:
    results = {**RESULTS, f"race/{UNIFORM}/powernv/1": race(("StaleMmio", 40), ("PurgesTwice", 20))}
    assert ratio(worked_out(results), UNIFORM) == (3, 30, 0.1)
    assert met(results, "÷ those of uniform")
    assert ratio(worked_out(results), MACHINE)[1] == inf


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({f"race/{OURS}/powernv/1": race(("StaleMmio", 4))}, "named mutants killed"),
        ({f"race/{OURS}/powernv/1": race(alarms=("freed_once/freed-twice",))}, "healthy simulator"),
        ({"generated/b": trial("survived"), "generated/a": trial("killed")}, "generated mutants"),
        ({"minimised/powernv/StaleMmio": minimised(9, executions=61)}, "executions to minimise"),
        ({"minimised/powernv/StaleMmio": {**minimised(9), "fails_on_healthy": True}}, "fail on the healthy"),
    ],
)
def test_a_target_that_is_missed_is_said_to_be(results: dict, words: str) -> None:
    assert met({**RESULTS, **results}, words) is False


def test_the_shortest_known_is_what_lengths_are_compared_with() -> None:
    known = {"powernv/StaleMmio contexts_purged/late": 5}
    assert worked_out(RESULTS, shortest=known).ratios == [1.2]
    assert worked_out(RESULTS).ratios == [1.0]
    assert met(RESULTS, "shortest known", shortest=known) is False


def test_reviewed_survivors_are_not_counted() -> None:
    found = worked_out(RESULTS, equivalent={"b": "the same by construction"})
    assert found.words == {"killed": 1, "equivalent": 1, "survived": 1, "broken": 1}
    assert [name.partition(",")[0] for name in found.survivors] == ["c"]


def test_kills_are_counted_by_oracle() -> None:
    assert worked_out(RESULTS).oracles["contexts_purged"] == {"named": 2, "generated": 1}


def test_a_partial_table_says_so() -> None:
    assert "Partial" in text(RESULTS, missing=3)
    assert "3 tasks did not end" in text(RESULTS, missing=3)
    assert "Partial" not in text(RESULTS)


def test_survivors_and_trouble_are_listed() -> None:
    results = {
        **RESULTS,
        f"race/{OURS}/powernv/1": race(("StaleMmio", 4)),
        "generated/e": {"failed": "it died"},
    }
    said = text(results)
    assert "PurgesTwice on powernv: 1" in said
    assert "c, line 7: 1 -> 2" in said
    assert "generated/e: it died" in said


def test_the_full_extent_has_the_budgets_of_the_targets() -> None:
    assert FULL.cases == 2000
    assert set(FULL.seeds) >= {OURS, UNIFORM, MACHINE}
