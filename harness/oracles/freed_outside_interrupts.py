"""Oracle: nothing is freed at interrupt level: deallocation is deferred."""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._memo import ms
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding

NAME = "freed_outside_interrupts"


def judge(history: History) -> Iterator[Finding]:
    """Look at the level of every reclaim_ctx."""
    for record in history.trace("reclaim_ctx"):
        if record.data.get("hardirq"):
            what = f"process element {record.data.get('pe')} of {record.data.get('afu')}"
            message = f"{what} was freed at interrupt level at {ms(record.time_us)}"
            yield Finding(NAME, "freed-at-interrupt-level", message, (record.seq,))


ORACLE = Oracle(NAME, "Nothing is freed at interrupt level", judge)
