"""A Schedule as saved cases have it, read strictly: whatever is not allowed is a Problem with its place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from harness.vocab.errors import Problem
from harness.vocab.schedule import (
    CHANGES_MAX,
    CHOICE_MAX,
    DECISIONS_MAX,
    INDEX_MAX,
    SEED_MAX,
    Schedule,
    Strategy,
)
from harness.wire.excerpt import excerpt, nearest

_SEED = {"seed": (0, SEED_MAX)}
_NUMBERS: dict[Strategy, dict[str, tuple[int, int]]] = {
    Strategy.RANDOM: _SEED,
    Strategy.PRIORITY: {**_SEED, "changes": (0, CHANGES_MAX), "within": (1, INDEX_MAX)},
    Strategy.DECISIONS: {},
}
_STRATEGIES = {strategy.value: strategy for strategy in Strategy}
_PAIRS_ALLOWED = (
    f"at most {DECISIONS_MAX} pairs [index, choice], the indexes ascending from 0 to {INDEX_MAX}, "
    f"the choices from 1 to {CHOICE_MAX}"
)


def read_schedule(value: Any, where: str) -> Schedule | list[Problem]:
    """The schedule that `value` stands for, or all that is wrong with it; `where` is its place."""
    if type(value) is dict:
        if problems := list(_problems(value, where)):
            return problems
        pairs = tuple((index, choice) for index, choice in value.get("decisions", ()))
        numbers = {name: number for name, number in value.items() if type(number) is int}
        return Schedule(_STRATEGIES[value["strategy"]], **numbers, decisions=pairs)
    if _is_within(value, _SEED["seed"]):
        return Schedule.of_seed(value)
    allowed = f"a seed from 0 to {SEED_MAX}, or an object with a strategy"
    return [Problem(f"{excerpt(value)} is not allowed", where, allowed)]


def _problems(value: dict[str, Any], where: str) -> Iterator[Problem]:
    name = value.get("strategy")
    if type(name) is not str or name not in _STRATEGIES:
        hint = nearest(name, tuple(_STRATEGIES)) if type(name) is str else ""
        yield Problem(f"unknown strategy {excerpt(name)}", f"{where}.strategy", ", ".join(_STRATEGIES), hint)
        return
    strategy = _STRATEGIES[name]
    keys = ("strategy", *_NUMBERS[strategy], *(("decisions",) if strategy is Strategy.DECISIONS else ()))
    for key in value:
        if key not in keys:
            yield Problem(f"unknown key {excerpt(key)}", where, ", ".join(keys), nearest(key, keys))
    for key, (low, high) in _NUMBERS[strategy].items():
        if not _is_within(value.get(key), (low, high)):
            yield Problem(
                f"{excerpt(value.get(key))} is not allowed",
                f"{where}.{key}",
                f"a whole number, {low} to {high}",
            )
    if strategy is Strategy.DECISIONS and not _are_decisions(value.get("decisions")):
        yield Problem(
            f"{excerpt(value.get('decisions'))} are no decisions", f"{where}.decisions", _PAIRS_ALLOWED
        )


def _are_decisions(listed: Any) -> bool:
    return (
        type(listed) is list
        and len(listed) <= DECISIONS_MAX
        and all(
            type(pair) is list
            and len(pair) == 2
            and _is_within(pair[0], (0, INDEX_MAX))
            and _is_within(pair[1], (1, CHOICE_MAX))
            for pair in listed
        )
        and all(one[0] < other[0] for one, other in pairwise(listed))
    )


def _is_within(value: Any, bounds: tuple[int, int]) -> bool:
    return type(value) is int and bounds[0] <= value <= bounds[1]
