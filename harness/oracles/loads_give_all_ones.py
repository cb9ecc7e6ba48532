"""Oracle: from an error to the detach a load gives all Fs, and only then.

Rules, for loads through a context's mappings of registers that cannot hold all Fs on a healthy device:
1. Before anything can have disturbed the AFU, a load gives a valid value. WED gives what was attached, or all
   Fs, and never anything else.
2. All Fs or SIGBUS without anything that can have disturbed the AFU is wrong; and so it is in a context that
   was attached after a recovery, when nothing can have disturbed the AFU since.
3. After all Fs there is no valid value in the same context, and after a purge there is none either. An
   administrator, or an error that stays hidden, can bring a device back below a context that was not purged.
4. A purged context gives all Fs with ERR_FF and never SIGBUS; without it, SIGBUS is followed by SIGBUS only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.oracles._context import Context, contexts
from harness.oracles._death import dead_from_us
from harness.oracles._disturbance import disturbances, first_us, has_meddled
from harness.oracles._episode import episodes
from harness.oracles._memo import ms
from harness.vocab.event import Role
from harness.vocab.history import FOREVER_US, History, Operation, Record
from harness.vocab.oracle import Oracle
from harness.vocab.registers import Register, all_ones
from harness.vocab.verdict import Finding

NAME = "loads_give_all_ones"
_SIGBUS = "SIGBUS"
_WED_BYTES = 8
_UNJUDGED = frozenset(range(Register.ALL_ONES, Register.ALL_ONES + 8)) | frozenset(
    range(Register.COMMAND, Register.COMMAND + 8)
)


class _Seen(NamedTuple):
    """A load operation, reduced: did it give a valid value, all Fs, SIGBUS."""

    load: Operation
    is_valid: bool
    is_ones: bool
    is_sigbus: bool
    is_back: bool  # a valid value after all Fs within the operation


def judge(history: History) -> Iterator[Finding]:
    """Look at every context that was ever loaded from."""
    for context in contexts(history).contexts:
        if context.loads:
            yield from _judge_context(history, context)


def _judge_context(history: History, context: Context) -> Iterator[Finding]:
    seen = [_reduce(load) for load in context.loads if load.end and load.args["offset"] not in _UNJUDGED]
    disturbed_us = first_us(history, context.afu)
    is_after_all = disturbed_us < FOREVER_US and _is_after_all(history, context)
    size = history.topology.afu(context.afu).mmio_bytes
    for item in seen:
        load = item.load
        is_calm = load.ended_us < disturbed_us or is_after_all
        if is_calm and load.args["offset"] + load.args["width"] <= size:
            yield from _while_healthy(context, item)
        yield from _wrong_wed(context, load)
    if disturbed_us < FOREVER_US:
        yield from _order(history, context, seen)
        yield from _after_death(history, context, seen)


def _is_after_all(history: History, context: Context) -> bool:
    """Whether the context was attached after a recovery behind all that the case did to its AFU.

    What is written to an injector may wait for an access even then.
    """
    last = episodes(history).get(context.afu, ())[-1:]
    if not last or last[0].recovered is None or last[0].failed or not context.is_attached:
        return False
    over_us = last[0].recovered.time_us
    return context.opened.began_us > over_us and all(
        item.ended_us < over_us and (item.role is not Role.ERROR or item.is_immediate)
        for item in disturbances(history).get(context.afu, ())
    )


def _reduce(load: Operation) -> _Seen:
    ones = all_ones(load.args["width"])
    is_valid = is_ones = is_back = False
    for run in load.answer.get("runs", ()):
        if run[0] == ones:
            is_ones = True
        else:
            is_valid = True
            is_back |= is_ones
    return _Seen(load, is_valid, is_ones, load.answer.get("signal") == _SIGBUS, is_back)


def _while_healthy(context: Context, item: _Seen) -> Iterator[Finding]:
    load = item.load
    if item.is_ones or item.is_sigbus:
        what = "all Fs" if item.is_ones else "SIGBUS"
        kind = "all-ones-without-error" if item.is_ones else "sigbus-without-error"
        message = f"a load through {context.name} gave {what} at {ms(load.ended_us)}, and nothing had failed"
        yield _finding(kind, message, load)


def _wrong_wed(context: Context, load: Operation) -> Iterator[Finding]:
    """WED holds what was attached, or cannot be read: anything else is another device's, or made up."""
    args = load.args
    if args["offset"] != Register.WED or args["width"] != _WED_BYTES or not context.is_attached:
        return
    right = (context.wed, all_ones(_WED_BYTES))
    wrong = [run[0] for run in load.answer.get("runs", ()) if run[0] not in right]
    if wrong:
        at = f"at {ms(load.ended_us)}, attached was {context.wed:#x}"
        yield _finding("wrong-wed", f"WED of {context.name} gave {wrong[0]:#x} {at}", load)


def _order(history: History, context: Context, seen: list[_Seen]) -> Iterator[Finding]:
    ones = sigbus = None  # the first load that gave it
    for item in seen:
        load = item.load
        after_ones = load if item.is_back else ones if item.is_valid and _is_before(ones, load) else None
        if after_ones and not _may_be_back(history, context, after_ones, load):
            message = (
                f"loads through {context.name} gave all Fs by {ms(after_ones.ended_us)} "
                f"and a valid value by {ms(load.ended_us)}"
            )
            yield _finding("valid-after-all-ones", message, after_ones, load)
        has_value = item.is_valid or item.is_ones
        is_refuted = bool(sigbus) and has_value and _is_before(sigbus, load) and not context.is_err_ff
        if sigbus and is_refuted and not _may_be_back(history, context, sigbus, load):
            message = f"a load through {context.name} gave a value at {ms(load.ended_us)}, after SIGBUS"
            yield _finding("value-after-sigbus", message, sigbus, load)
        ones = ones or (load if item.is_ones else None)
        sigbus = sigbus or (load if item.is_sigbus else None)


def _is_before(first: Operation | None, second: Operation) -> bool:
    return first is not None and first.ended_us < second.began_us


def _may_be_back(history: History, context: Context, before: Operation, after: Operation) -> bool:
    """Whether the device can have come back below a context that nobody had purged."""
    is_purged = context.purge is not None and context.purge.time_us < after.began_us
    return not is_purged and has_meddled(history, context.afu, 0, max(before.ended_us, after.ended_us))


def _after_death(history: History, context: Context, seen: list[_Seen]) -> Iterator[Finding]:
    dead_us = dead_from_us(history, context)
    purge = context.purge
    for item in seen:
        load = item.load
        if item.is_valid and load.began_us > dead_us:
            message = (
                f"{context.name} was dead from {ms(dead_us)} on, "
                f"and a load gave a valid value at {ms(load.ended_us)}"
            )
            yield _finding("valid-after-purge", message, load, purge=purge)
        if item.is_sigbus and context.is_err_ff and purge and load.began_us > purge.time_us:
            message = (
                f"a load through {context.name}, purged and with ERR_FF, gave SIGBUS at {ms(load.ended_us)}"
            )
            yield _finding("sigbus-with-err-ff", message, load, purge=purge)


def _finding(kind: str, message: str, *loads: Operation, purge: Record | None = None) -> Finding:
    proof = {record.seq for load in loads for record in (load.invoke, load.end) if record is not None}
    if purge is not None:
        proof.add(purge.seq)
    return Finding(NAME, kind, message, tuple(sorted(proof)))


ORACLE = Oracle(NAME, "From an error to the detach a load gives all Fs, and only then", judge)
