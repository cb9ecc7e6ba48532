"""Oracle: a device declared permanently failed stays so, until somebody brings it back on purpose.

After FAILED_PERMANENTLY of an AFU or its card: no RECOVERED, no START_WORK that succeeds, no valid load.
Judged until an administrator, or an error that ends by itself, may have brought the device back.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import contexts
from harness.oracles._disturbance import cards, has_meddled
from harness.oracles._memo import ms
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.registers import Register, all_ones
from harness.vocab.verdict import Finding

NAME = "permanent_failure_is_final"
_UNDEFINED = (Register.COMMAND, Register.COMMAND + 4)


def judge(history: History) -> Iterator[Finding]:
    """Look at what happened to each AFU after its first declaration of permanent failure."""
    marks = history.marked(Phase.FAILED_PERMANENTLY)
    if not marks:
        return
    for afu, card in cards(history).items():
        mine = [mark for mark in marks if mark.subject in (afu, card)]
        if mine:
            yield from _revived(history, afu, mine[0])
            yield from _used(history, afu, mine[0])


def _revived(history: History, afu: str, failed: Record) -> Iterator[Finding]:
    for mark in history.marked(Phase.RECOVERED, afu, cards(history)[afu]):
        if mark.time_us > failed.time_us and not has_meddled(history, afu, failed.time_us, mark.time_us):
            message = f"{afu} failed permanently at {ms(failed.time_us)} and recovered at {ms(mark.time_us)}"
            yield Finding(NAME, "recovered", message, (failed.seq, mark.seq))


def _used(history: History, afu: str, failed: Record) -> Iterator[Finding]:
    for context in contexts(history).contexts:
        if context.afu != afu:
            continue
        attach = context.attach
        used = [attach] if attach and attach.is_ok else []
        used += [load for load in context.loads if load.args["offset"] not in _UNDEFINED]
        for call in used:
            if call.began_us <= failed.time_us or call.end is None:
                continue
            if has_meddled(history, afu, failed.time_us, call.ended_us):
                break
            if call.verb == "load":
                ones = all_ones(call.args["width"])
                kind, did = "valid-load", "a load gave a valid value"
                if not any(run[0] != ones for run in call.answer.get("runs", ())):
                    continue
            else:
                kind, did = "attached", "START_WORK succeeded"
            message = (
                f"{afu} failed permanently at {ms(failed.time_us)}, and {did} through {context.name} "
                f"at {ms(call.ended_us)}"
            )
            yield Finding(NAME, kind, message, (failed.seq, call.invoke.seq, call.end.seq))


ORACLE = Oracle(NAME, "A device declared permanently failed stays so", judge)
