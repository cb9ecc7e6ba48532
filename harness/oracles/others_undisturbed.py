"""Oracle: an error of one AFU is not noticed on those that it cannot reach.

On an AFU that no event of the case disturbs there is no quiesce and no purge, loads are valid, and calls do
not fail as on a broken device.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import Context, contexts
from harness.oracles._memo import ms
from harness.vocab.history import History, Operation, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.registers import Register, all_ones
from harness.vocab.verdict import Finding

NAME = "others_undisturbed"
_UNJUDGED = frozenset(range(Register.COMMAND, Register.ALL_ONES + 8))
_GONE = frozenset({"EIO", "ENODEV", "ENOENT", "ENXIO"})


def judge(history: History) -> Iterator[Finding]:
    """Look at the AFUs that nothing reaches, in a case that reaches others."""
    reached = {afu for intent in history.intents for afu in intent.disturbs}
    others = {afu.name for afu in history.topology.afus} - reached
    if not others or not reached:
        return
    for mark in history.marked(Phase.QUIESCE):
        if mark.subject in others:
            message = (
                f"{mark.subject} was quiesced at {ms(mark.time_us)}, and no event of the case reaches it"
            )
            yield Finding(NAME, "quiesced", message, (mark.seq,))
    for context in contexts(history).contexts:
        if context.afu in others:
            yield from _context(history, context)
    for operation in history.operations_of("open"):
        if operation.errno in _GONE:
            afu = _afu_of(history, operation.args["path"])
            if afu in others:
                yield _finding("open-fails", f"open of {afu} failed with {operation.errno}", operation)


def _afu_of(history: History, path: str) -> str:
    return next((afu.name for afu in history.topology.afus if path[:-1] == f"/dev/cxl/{afu.name}"), "")


def _context(history: History, context: Context) -> Iterator[Finding]:
    purge = context.purge
    if purge:
        yield _finding("purged", f"{context.name} was purged", purge)
    size = history.topology.afu(context.afu).mmio_bytes
    for load in context.loads:
        offset, width = load.args["offset"], load.args["width"]
        if offset in _UNJUDGED or load.end is None or offset + width > size:
            continue
        if load.answer.get("signal") or any(run[0] == all_ones(width) for run in load.answer.get("runs", ())):
            yield _finding("load-fails", f"a load through {context.name} gave all Fs or SIGBUS", load)
    for call in context.calls:
        if call.errno == "EIO" and not _is_refusable(context, call):
            what = call.args.get("name", call.verb)
            yield _finding(f"{call.verb}-fails", f"{what} of {context.name} failed with EIO", call)


def _is_refusable(context: Context, call: Operation) -> bool:
    """Whether a healthy driver answers EIO too: a second START_WORK, or mmap before the first succeeded."""
    attach = context.attach
    if call.verb == "mmap":
        return attach is None or not attach.is_ok or attach.ended_us > call.began_us
    if call.args.get("name") == "START_WORK":
        return attach is not None and attach.began_us < call.ended_us
    return False


def _finding(kind: str, what: str, of: Operation | Record) -> Finding:
    records = [of.invoke, of.end] if isinstance(of, Operation) else [of]
    proof = [record for record in records if record is not None]
    message = f"{what} at {ms(proof[-1].time_us)}, and no event of the case reaches this AFU"
    return Finding(NAME, kind, message, tuple(record.seq for record in proof))


ORACLE = Oracle(NAME, "An error of one AFU is not noticed on those that it cannot reach", judge)
