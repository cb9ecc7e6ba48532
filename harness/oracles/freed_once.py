"""Oracle: no context is freed twice or while it is in use.

A process element's number is given again as soon as its context is let go, and the memory is freed later, so
a reclaim_ctx does not say which of two contexts it frees. What must hold at every reclaim_ctx is a count: a
process element was freed at most as often as somebody has begun to let go of a context that can have had it.
A context's number is known once it was attached; of others any number is possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.oracles._context import Context, Contexts, contexts
from harness.oracles._memo import ms
from harness.vocab.history import History, Kind, Record
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding

NAME = "freed_once"


def judge(history: History) -> Iterator[Finding]:
    """Count at every reclaim_ctx, as long as it is known whose it is."""
    history = history.until_renaming
    found = contexts(history)
    if not found.reclaims:
        return
    unsure_us = _unsure_opens_us(history)
    known, unknown = _sort(found)
    freed: dict[tuple[str, int], list[Record]] = {}
    for record in found.reclaims:
        afu, number = record.data.get("afu", ""), record.data.get("pe", -1)
        before = freed.setdefault((afu, number), [])
        users = known.get((afu, number), ())
        now_us = record.time_us
        possible = sum(c.release_began_us <= now_us for c in (*users, *unknown.get(afu, ())))
        possible += sum(time_us <= now_us for time_us in unsure_us)
        if len(before) >= possible:
            yield _finding(record, before, users)
        before.append(record)


def _sort(found: Contexts) -> tuple[dict[tuple[str, int], list[Context]], dict[str, list[Context]]]:
    known: dict[tuple[str, int], list[Context]] = {}
    unknown: dict[str, list[Context]] = {}
    for context in found.contexts:
        tenancy = context.tenancy
        if tenancy:
            known.setdefault((context.afu, tenancy.process_element), []).append(context)
        else:
            unknown.setdefault(context.afu, []).append(context)
    return known, unknown


def _unsure_opens_us(history: History) -> list[int]:
    """When opens began of which nobody knows whether they made a context."""
    return [
        operation.began_us
        for operation in history.operations_of("open")
        if operation.end is None or operation.end.kind is Kind.INFO
    ]


def _finding(record: Record, before: Sequence[Record], users: Sequence[Context]) -> Finding:
    what = f"process element {record.data.get('pe')} of {record.data.get('afu')}"
    now_us = record.time_us
    using = [c for c in users if c.opened.began_us <= now_us < c.release_began_us]
    if using:
        context = using[-1]
        is_active = context.detach is None or context.detach.time_us > now_us
        kind = "freed-while-attached" if is_active else "freed-while-open"
        message = f"{what} was freed at {ms(now_us)} while {context.name} was {kind.rpartition('-')[2]}"
        return Finding(NAME, kind, message, (context.opened.invoke.seq, record.seq))
    if before:
        message = f"{what} was freed at {ms(before[-1].time_us)} and again at {ms(now_us)}"
        return Finding(NAME, "freed-twice", message, (before[-1].seq, record.seq))
    return Finding(
        NAME, "freed-while-open", f"{what} was freed at {ms(now_us)} and nobody had let go", (record.seq,)
    )


ORACLE = Oracle(NAME, "No context is freed twice or while it is in use", judge, sees_all=True)
