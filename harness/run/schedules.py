"""The interleaving of a performed case written out: a list of decisions that may be taken away one by one."""

from __future__ import annotations

from dataclasses import replace

from harness.run.runner import Performance, Runner
from harness.vocab.case import Case
from harness.vocab.schedule import Schedule, Strategy
from harness.wire.schedulejson import read_schedule


def explicit(runner: Runner, case: Case) -> Case | None:
    """Perform `case` once and return the same case with its decisions listed.

    None when the host says nothing of decisions, because it is not deterministic, or when it was lost. The
    history of what is returned is the same, but for the record of its end.
    """
    performance = runner.perform(case, is_recorded=True)
    if performance.trouble or not performance.history.records:
        return None
    found = read_schedule(
        {
            "strategy": Strategy.DECISIONS.value,
            "decisions": performance.history.records[-1].data.get("decisions"),
        },
        "decisions",
    )
    return replace(case, schedule=found) if isinstance(found, Schedule) else None


def options_of(performance: Performance) -> tuple[int, ...]:
    """How many tasks each decision was among, where the host was asked and says; it may say anything."""
    said = performance.history.records[-1].data.get("options") if performance.history.records else None
    if not isinstance(said, list) or not all(type(number) is int for number in said):
        return ()
    return tuple(said)
