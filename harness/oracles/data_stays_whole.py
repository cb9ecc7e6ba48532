"""Oracle: what is read through a PCI device is what is there, or the request fails: never anything else.

A request that a frozen device did not complete may wait, fail or be lost. It must not end as if it had been
good: with all Fs, which is what the bus gives then, with a stale buffer, or with another answer's payload.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import ALL_ONES, WRONG, traffic
from harness.oracles._memo import ms
from harness.vocab.history import History
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "data_stays_whole"
_SAID = {ALL_ONES: "all Fs", WRONG: "wrong contents"}


def judge(history: History) -> Iterator[Finding]:
    """Look at every stretch of requests."""
    for device, found in traffic(history).items():
        for item in found:
            for run in item.runs:
                if run.outcome in _SAID and item.operation.end is not None:
                    message = (
                        f"{run.count} requests through {device} succeeded with {_SAID[run.outcome]}, "
                        f"from {ms(run.first_us)} to {ms(run.last_us)}"
                    )
                    proof = (item.operation.invoke.seq, item.operation.end.seq)
                    yield Finding(NAME, run.outcome, message, proof)


ORACLE = Oracle(
    NAME,
    "What is read through a PCI device is what is there, or the request fails",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
