"""The interleaving of a performed case written out: a list of decisions that may be taken away one by one."""

from __future__ import annotations

from dataclasses import replace

from harness.run.runner import Runner
from harness.vocab.case import Case
from harness.vocab.schedule import DECISIONS_MAX, Schedule, Strategy


def explicit(runner: Runner, case: Case) -> Case | None:
    """Perform `case` once and return the same case with its decisions listed.

    None when the host says nothing of decisions, because it is not deterministic, or when it was lost. The
    history of what is returned is the same, but for the record of its end.
    """
    performance = runner.perform(case, is_recorded=True)
    if performance.trouble or not performance.history.records:
        return None
    listed = performance.history.records[-1].data.get("decisions")
    if not isinstance(listed, list) or len(listed) > DECISIONS_MAX:
        return None
    decisions = tuple((int(index), int(choice)) for index, choice in listed)
    return replace(case, schedule=Schedule(Strategy.DECISIONS, decisions=decisions))
