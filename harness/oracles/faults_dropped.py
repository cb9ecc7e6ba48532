"""Oracle: a page fault of a purged context is dropped: it is never resolved after the detach.

Where the order of records is exact, a purged context gets no answer R (restart) after its cxl_detach. On a
real host the fault handler may have been under way already; it is waited for before afu_release_irqs, so
there only a fault taken after the detach, or an answer after afu_release_irqs, is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import Tenancy, contexts
from harness.oracles._memo import ms
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding

NAME = "faults_dropped"
_RESTART = "R"


def judge(history: History) -> Iterator[Finding]:
    """Look at the fault acknowledgements of every detached process element."""
    is_exact = "deterministic" in history.topology.features
    for tenancy in contexts(history).tenancies:
        if not tenancy.acks or not tenancy.detaches:
            continue
        detach = tenancy.detaches[0]
        for ack in tenancy.acks:
            if ack.time_us <= detach.time_us or _RESTART not in str(ack.data.get("tfc", "")).split("|"):
                continue
            miss = _fault_of(tenancy, ack)
            if is_exact or _is_late(tenancy, ack, miss):
                yield _finding(tenancy, detach, ack, miss)


def _fault_of(tenancy: Tenancy, ack: Record) -> Record | None:
    before = [miss for miss in tenancy.misses if miss.time_us <= ack.time_us]
    return before[-1] if before else None


def _is_late(tenancy: Tenancy, ack: Record, miss: Record | None) -> bool:
    released = [r for r in tenancy.irq_releases if r.time_us >= tenancy.detaches[0].time_us]
    if released and ack.time_us > released[0].time_us:
        return True
    return miss is not None and miss.time_us > tenancy.detaches[0].time_us


def _finding(tenancy: Tenancy, detach: Record, ack: Record, miss: Record | None) -> Finding:
    message = (
        f"process element {tenancy.process_element} of {tenancy.afu} was detached at {ms(detach.time_us)}, "
        f"and a page fault of it was resolved at {ms(ack.time_us)}"
    )
    proof = [detach.seq, ack.seq, *([miss.seq] if miss else [])]
    return Finding(NAME, "resolved-after-detach", message, tuple(sorted(proof)))


ORACLE = Oracle(NAME, "A page fault of a purged context is dropped", judge)
