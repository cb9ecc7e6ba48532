"""Oracle: the periodic check wakes a CPU no more often than its period says.

For each AFU at most duration / period + 2 samples, and those that a recovery takes: its own two, and for each
context that it detaches the driver's look whether the device can be reached.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._memo import end_us, ms
from harness.oracles._poll import WORKER, samples
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "polling_within_budget"
_NORMAL = 1  # in R4 of READ_ERR_STATE
_SPARE = 2
_LOOKS_OF_A_RECOVERY = 2  # to confirm the error, and to see what the reset has brought
_LOOKS_OF_A_DETACH = 2


def judge(history: History) -> Iterator[Finding]:
    """Count the samples of every AFU."""
    period_us = 1000 * history.topology.poll_period_ms
    if not period_us:
        return
    regular = end_us(history) // period_us + _SPARE
    for afu, found in samples(history).items():
        if len(found) <= regular:
            continue
        recoveries = max(len(history.marked(phase, afu)) for phase in (Phase.QUIESCE, Phase.RESET))
        again = sum(record.data.get("r4") != _NORMAL for record in found)  # what is not NORMAL is read twice
        budget = regular + _LOOKS_OF_A_RECOVERY * recoveries + again
        budget += _LOOKS_OF_A_DETACH * sum(
            r.data.get("afu") == afu and _is_by_worker(r) for r in history.trace("cxl_detach")
        )
        if len(found) > budget:
            message = (
                f"the periodic check of {afu} looked {len(found)} times within {ms(end_us(history))}, "
                f"{budget} are allowed"
            )
            yield Finding(NAME, "too-often", message, tuple(r.seq for r in found[: budget + 1]))


def _is_by_worker(record: Record) -> bool:
    return str(record.data.get("comm", "")).startswith(WORKER)


ORACLE = Oracle(
    NAME, "The periodic check stays within its budget of wake-ups", judge, frozenset({Platform.POWERVM})
)
