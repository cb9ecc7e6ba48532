"""Oracle: a purged context fails every later call with EIO, for ever.

Judged are calls that began after the purge, or, on a context that was not attached, after the recovery that
follows a quiesce: it closes those too. A read may still give the events that were pending: at most one
for each AFU interrupt, one fault and one AFU error. A poll tells of such an event or of the error.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import Context, contexts
from harness.oracles._death import closed_from_us
from harness.oracles._memo import ms
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.verdict import Finding

NAME = "purged_contexts_stay_dead"
_PENDING_FAULT_AND_ERROR = 2
_POLLIN, _POLLERR = 1, 8


def judge(history: History) -> Iterator[Finding]:
    """Look at every call on a purged context."""
    quiesced = {mark.subject for mark in history.marked(Phase.QUIESCE)}
    if not quiesced:
        return
    for context in contexts(history).contexts:
        if context.afu not in quiesced:
            continue
        closed_us, purge = closed_from_us(history, context), context.purge
        events = 0
        for call in context.calls:
            if call.began_us <= closed_us or call.end is None:
                continue
            if call.verb == "read" and call.is_ok:
                events += 1
            problem = _problem(context, call, events)
            if problem:
                kind, did = problem
                message = f"{context.name} was closed by {ms(closed_us)}, and {did} at {ms(call.ended_us)}"
                proof = (call.invoke.seq, call.end.seq)
                yield Finding(NAME, kind, message, (purge.seq, *proof) if purge else proof)


def _problem(context: Context, call: Operation, events: int) -> tuple[str, str] | None:
    """What is wrong with a call after the purge: the finding's kind, and what the call did."""
    verb = call.verb
    if verb == "poll":
        is_told = not call.is_ok or int(call.answer.get("revents", 0)) & (_POLLIN | _POLLERR)
        return None if is_told else ("poll-is-silent", "a poll told neither event nor error")
    if verb not in ("ioctl", "mmap", "read"):
        return None
    what = call.args.get("name", verb)
    if call.is_ok:
        if verb == "read" and events <= _events_max(context):
            return None
        return f"{verb}-works", f"{what} succeeded"
    if call.errno and call.errno not in ("EIO", "EINTR"):
        return f"{verb}-not-eio", f"{what} failed with {call.errno}"
    return None


def _events_max(context: Context) -> int:
    irqs = len(context.tenancy.afu_irqs) if context.tenancy else 0
    return irqs + _PENDING_FAULT_AND_ERROR


ORACLE = Oracle(NAME, "A purged context fails every later call with EIO, for ever", judge)
