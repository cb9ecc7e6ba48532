"""Oracle: what went on the garbage list is freed once nobody holds it, before the case is over.

Judged are drivers that trace their garbage list. A context whose descriptors and mappings are gone needs a
reclaim_ctx of its process element after its garbage_add; each reclaim_ctx answers for one garbage_add.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import contexts
from harness.oracles._memo import end_us, has_whole_trace, ms
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding

NAME = "garbage_drained"
_DRAIN_US = 100_000


def judge(history: History) -> Iterator[Finding]:
    """Match garbage_add and reclaim_ctx of each process element."""
    if "garbage_add" not in history.traces or not history.is_complete or not has_whole_trace(history):
        return
    found = contexts(history)
    reclaimed: dict[tuple[str, int], list[int]] = {}
    for record in found.reclaims:
        key = (record.data.get("afu", ""), record.data.get("pe", -1))
        reclaimed.setdefault(key, []).append(record.time_us)
    over_us = end_us(history)
    for tenancy in found.tenancies:
        context = tenancy.context
        for added in tenancy.garbage:
            times = reclaimed.get((tenancy.afu, tenancy.process_element), [])
            after = next((time_us for time_us in times if time_us > added.time_us), None)
            if after is not None:
                times.remove(after)
            elif context and context.release_ended_us + _DRAIN_US < over_us:
                message = (
                    f"{context.name} went on the garbage list at {ms(added.time_us)}, nobody held it after "
                    f"{ms(context.release_ended_us)}, and it was never freed"
                )
                last = context.last_released
                proof = (added.seq, last.invoke.seq) if last else (added.seq,)
                yield Finding(NAME, "never-freed", message, proof)


ORACLE = Oracle(NAME, "What went on the garbage list is freed once nobody holds it", judge)
