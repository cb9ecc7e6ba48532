"""Oracle: the run did what it set out to do. It never fails a run, it only refuses to call it evidence.

Vacuous: nothing ran; the case means errors and none acted; errors should be recovered from and none was
detected; or no context was attached when an error acted, or nobody kept a device busy; or traffic through a
device was never good, or read what is blank. Indeterminate: the history was cut off, the
case was not played as sent, or the host dropped trace events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.oracles._context import contexts
from harness.oracles._device import GOOD, traffic
from harness.oracles._memo import LOST_EVENTS
from harness.vocab.event import Fate, Role
from harness.vocab.history import History, Operation
from harness.vocab.oracle import ABOUT_BOTH, Oracle
from harness.vocab.phase import Phase
from harness.vocab.verdict import Cause, Finding, Verdict

NAME = "exercised"
_RECOVERED = (Phase.DETECTED, Phase.CONFIRMED, Phase.QUIESCE, Phase.FAILED_PERMANENTLY)


def judge(history: History) -> Iterator[Finding]:
    """Ask what kept the run from being evidence."""
    yield from _indeterminate(history)
    if not any(operation.is_ok for operation in history.operations):
        yield _vacuous("nothing-ran", "no operation of the case succeeded")
        return
    yield from _about_traffic(history)
    errors = [intent for intent in history.intents if intent.role is Role.ERROR]
    if not errors:
        return
    acted = [o for o in history.operations if o.intent.role is Role.ERROR and o.is_ok]
    if not acted:
        yield _vacuous("no-error-acted", f"the case means {len(errors)} errors, and none acted")
        return
    yield from _about_errors(history, acted)


def _indeterminate(history: History) -> Iterator[Finding]:
    last = history.records[-1:]
    if history.refusal:
        message = f"the host could not play the case: {history.refusal}"
        yield _unknown("not-played", message, Cause.INDETERMINATE, last[0].seq)
    elif not history.is_complete:
        message = f"the history stops after {len(history.records)} records without an end"
        yield _unknown("cut-off", message, Cause.INDETERMINATE, *(r.seq for r in last))
    lost = history.trace(LOST_EVENTS)
    if lost:
        message = f"the host dropped trace events {len(lost)} times"
        yield _unknown("trace-lost", message, Cause.INDETERMINATE, *(r.seq for r in lost))


def _about_errors(history: History, acted: Sequence[Operation]) -> Iterator[Finding]:
    is_seen = any(history.marked(phase) for phase in _RECOVERED)
    has_harmless = any(o.intent.fate is Fate.HARMLESS for o in acted)
    first = acted[0]
    if not is_seen:
        if not has_harmless:
            message = f"{first.intent.event} acted, and no error was ever detected"
            yield _vacuous("no-error-detected", message, first.invoke.seq)
        return
    if not has_harmless and not any(_was_in_use(history, operation) for operation in acted):
        if any(device.name in first.intent.disturbs for device in history.topology.devices):
            message = "nobody kept a device busy when its EEH PE froze"
            yield _vacuous("no-traffic", message, first.invoke.seq)
            return
        message = "no context was attached to the AFU when an error acted"
        yield _vacuous("no-context-attached", message, first.invoke.seq)


def _about_traffic(history: History) -> Iterator[Finding]:
    for device, found in traffic(history).items():
        ended = [item for item in found if item.operation.is_ok]
        proof = [item.operation.invoke.seq for item in ended[:1]]
        if ended and not any(run.outcome == GOOD for item in ended for run in item.runs):
            yield _vacuous("never-good", f"no request through {device} was ever good", *proof)
        if any(item.operation.answer.get("blank") for item in ended):
            message = (
                f"what was read of {device} is all zeros or all Fs, and cannot be told from a failed read"
            )
            yield _vacuous("blank-contents", message, *proof)


def _was_in_use(history: History, error: Operation) -> bool:
    """Whether the error met a context that was attached or was just being attached, or traffic."""
    for device in error.intent.disturbs & traffic(history).keys():
        for item in traffic(history)[device]:
            if item.operation.began_us <= error.ended_us and item.operation.ended_us >= error.began_us:
                return True
    for context in contexts(history).contexts:
        if context.afu not in error.intent.disturbs or context.release_began_us <= error.began_us:
            continue
        attach = context.attach
        if attach is not None and attach.began_us <= error.ended_us:
            return True
        if any(c.verb == "ioctl" and c.began_us <= error.ended_us <= c.ended_us for c in context.calls):
            return True
    return False


def _vacuous(kind: str, message: str, *records: int) -> Finding:
    return _unknown(kind, message, Cause.VACUOUS, *records)


def _unknown(kind: str, message: str, cause: Cause, *records: int) -> Finding:
    return Finding(NAME, kind, message, records, Verdict.UNKNOWN, cause)


ORACLE = Oracle(NAME, "The run did what it set out to do", judge, subjects=ABOUT_BOTH, sees_all=True)
