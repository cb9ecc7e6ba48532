"""A budget, such as ``60s``, ``4h`` or ``500cases``: how long a campaign may last, or its cases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from harness.plan.mistakes import wrong
from harness.vocab.errors import Problem, UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|m|h|cases)", re.ASCII)
_ALLOWED = "a number above 0 and its unit: s, m, h or cases, such as 60s, 90m, 4h or 500cases"


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of wall time or a number of cases for the whole campaign; the other one is None."""

    seconds: float | None = None
    cases: int | None = None

    def __str__(self) -> str:
        return f"{self.cases}cases" if self.cases is not None else f"{self.seconds:g}s"


def parse_budget(text: str, where: str = "budget") -> Budget:
    """The budget that `text` says; `where` names its place in messages. Raises UsageError."""
    budget = _read(text)
    if budget is None:
        raise UsageError(Problem(f"{text[:60]!a} is no budget", where, _ALLOWED))
    return budget


def _read(text: str) -> Budget | None:
    match = _FORM.fullmatch(text)
    if not match or float(match[1]) == 0 or (match[2] == "cases" and "." in match[1]):
        return None
    return (
        Budget(cases=int(match[1])) if match[2] == "cases" else Budget(float(match[1]) * _SECONDS[match[2]])
    )


def _field(value: object) -> Budget:
    budget = _read(value) if isinstance(value, str) else None
    if budget is None:
        raise wrong(f"{ascii(value)[:60]} is no budget", _ALLOWED)
    return budget


BudgetText = Annotated[Budget, BeforeValidator(_field)]
"""The type of a budget within a table of a plan."""
