"""Oracle: every call returns in time; above all a blocked read or poll does when its context is purged.

Bounds: a read or a poll of a purged context 1 s after the purge, and of an attached one whose purge never
came a minute after the quiesce (1 s where the host is deterministic); open, ioctl, mmap, munmap and close
65 s (an hcall may be long-busy for 60 s), more where the case itself makes hcalls busy, and beyond their
own retries. In a history that the host played to its end no operation is without an answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import Context, contexts
from harness.oracles._disturbance import scripted_hcalls
from harness.oracles._memo import SECOND_US, ms
from harness.vocab.history import History, Kind, Operation, Record
from harness.vocab.oracle import ABOUT_BOTH, Oracle
from harness.vocab.phase import Phase
from harness.vocab.verdict import Finding

NAME = "blocked_calls_return"
_WAKE_US = SECOND_US
_HCALL_US = 60 * SECOND_US
_CALL_US = _HCALL_US + 5 * SECOND_US
_HCALLS_OF_A_CALL = 3
_BOUNDED = frozenset({"open", "ioctl", "mmap", "munmap", "close"})


def judge(history: History) -> Iterator[Finding]:
    """Look at the length of every operation, then at the waiters of purged contexts."""
    slack_us = _HCALLS_OF_A_CALL * _HCALL_US if scripted_hcalls(history) else 0
    for operation in history.operations:
        invoke, end, _ = operation
        if end is None:
            if history.is_complete:
                who = f"{invoke.name} of {invoke.actor}"
                message = f"{who}, begun at {ms(invoke.time_us)}, was never answered"
                yield Finding(NAME, f"{invoke.name}-unanswered", message, (invoke.seq,))
        elif end.time_us - invoke.time_us > _CALL_US and invoke.name in _BOUNDED:
            took_us = end.time_us - invoke.time_us
            bound_us = _CALL_US + slack_us + 1000 * int(operation.args.get("retry_ms", 0))
            if took_us > bound_us:
                message = f"{invoke.name} of {invoke.actor} took {ms(took_us)}, {ms(bound_us)} are allowed"
                yield Finding(NAME, f"{invoke.name}-too-long", message, (invoke.seq, end.seq))
    if Phase.QUIESCE in history.marks:
        for context in contexts(history).attached:
            yield from _waiters(history, context, slack_us)


def _waiters(history: History, context: Context, slack_us: int) -> Iterator[Finding]:
    is_exact = "deterministic" in history.topology.features
    for call in context.calls:
        if call.verb not in ("read", "poll") or call.end is None or call.end.kind is Kind.INFO:
            continue
        purge = context.purge or _quiesce_during(history, context, call)
        if purge is None:
            continue
        late_us = call.ended_us - max(purge.time_us, call.began_us)
        bound_us = _WAKE_US + slack_us + (0 if is_exact or context.purge else _HCALL_US)
        if late_us > bound_us:
            how = "had to be interrupted" if call.errno == "EINTR" else "returned"
            message = (
                f"{context.name} was to be purged at {ms(purge.time_us)}, and its {call.verb} of "
                f"{ms(call.began_us)} {how} only at {ms(call.ended_us)}"
            )
            yield Finding(NAME, f"{call.verb}-not-woken", message, (call.invoke.seq, purge.seq, call.end.seq))


def _quiesce_during(history: History, context: Context, call: Operation) -> Record | None:
    """The quiesce that a call on an attached context was overtaken by."""
    assert context.attach is not None
    began_us = max(call.began_us, context.attach.ended_us)
    for mark in history.marked(Phase.QUIESCE, context.afu):
        if began_us < mark.time_us < call.ended_us:
            return mark
    return None


ORACLE = Oracle(
    NAME, "Every call returns in time, and a purge wakes those who wait", judge, subjects=ABOUT_BOTH
)
