"""Oracle: what the host holds after the case is what it held before.

The first and the last snapshot are compared: the driver's interrupt rows, its use count, where memory is
exact the slabs, and where the kernel tells who allocated, what lives of what the driver did. Rows of a
permanently failed AFU may be fewer. On bare metal an EEH PE that was fine is fine again. The capacity probe
must have attached all contexts that the AFU has, else some leaked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf

from harness.oracles._context import contexts
from harness.oracles._disturbance import disturbances, may_be_struck
from harness.oracles._episode import is_recovering
from harness.oracles._memo import end_us, ms
from harness.oracles._probe import is_given_up, is_held_by_others, is_refused_by_phyp, probing_from_us
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.procfs import allocations, eeh_pe_trouble, interrupts, slabs
from harness.vocab.verdict import Finding

NAME = "resources_return"
_INTERRUPTS = "/proc/interrupts"
_SLABS = "/proc/slabinfo"
_USE_COUNT = "/sys/module/cxl/refcnt"
_ALLOCATIONS = "/alloc_traces"
_ALLOCATING = ("open", "close", "ioctl", "write_file")
_FULL = ("ENOSPC", "EBUSY")  # no slot is free; PHYP has no room for a process element


def judge(history: History) -> Iterator[Finding]:
    """Compare the first and the last reading of every file, then count the capacity probes."""
    readings: dict[str, list[Operation]] = {}
    full: dict[int, Operation] = {}
    for operation in history.operations_of("read_file"):
        if operation.intent.event == "Snapshot" and operation.is_ok:
            readings.setdefault(operation.args["path"], []).append(operation)
    for operation in history.failed:
        if operation.intent.event == "ProbeCapacity" and operation.errno in _FULL:
            full.setdefault(operation.invoke.step, operation)
    if _is_held(history, readings):
        readings = {}
    disturbed_us = min((item.began_us for of in disturbances(history).values() for item in of), default=inf)
    for path, found in readings.items():
        if found[0].ended_us > disturbed_us:
            continue  # what was read in the midst of a recovery is nothing to compare with
        if found[0].answer.get("text") != found[-1].answer.get("text"):
            yield from _difference(history, path, found[0], found[-1])
    for operation in full.values():
        yield from _capacity(history, operation)


def _is_held(history: History, readings: Mapping[str, Sequence[Operation]]) -> bool:
    """Whether some process may still hold a context at the last snapshot: then nothing can be compared."""
    last_us = min((found[-1].began_us for found in readings.values()), default=0)
    return any(context.release_ended_us > last_us for context in contexts(history).contexts)


def _difference(history: History, path: str, first: Operation, last: Operation) -> Iterator[Finding]:
    before, after = str(first.answer["text"]), str(last.answer["text"])
    if path == _INTERRUPTS:
        left = sorted(interrupts(after).keys() - interrupts(before).keys())
        lost = sorted(interrupts(before).keys() - interrupts(after).keys())
        if left:
            yield _finding(
                "interrupts-left", f"interrupt {left[0]} is left of {len(left)} new ones", first, last
            )
        if lost and not _may_be_fewer(history, first):
            yield _finding("interrupts-lost", f"interrupt {lost[0]} is gone", first, last)
    elif path == _SLABS and "deterministic" in history.topology.features:
        had, has = slabs(before), slabs(after)
        for name in sorted(had.keys() & has.keys()):
            grown = has[name] - had[name]
            if grown > 0 or (grown < 0 and not _may_be_fewer(history, first)):
                yield _finding(f"slab-{name}", f"slab {name} changed by {grown:+} objects", first, last)
    elif path == _USE_COUNT:
        if int(after) > int(before) or (int(after) < int(before) and not _may_be_fewer(history, first)):
            message = f"the driver's use count went from {int(before)} to {int(after)}"
            yield _finding("use-count", message, first, last)
    elif path.endswith(_ALLOCATIONS):
        yield from _allocations(history, path, first, last)
    elif path.endswith("/eeh_pe_state"):
        yield from _eeh_pe(history, path, first, last)


def _allocations(history: History, path: str, first: Operation, last: Operation) -> Iterator[Finding]:
    """What lives as long as a device is bound may be fewer, or other objects; nothing may be more."""
    if last.answer.get("truncated") or _is_allocating(history, last.began_us):
        return
    had, has = allocations(str(first.answer["text"])), allocations(str(last.answer["text"]))
    cache = path.split("/")[-2]
    for function, count in sorted(has.items()):
        if (grown := count - had.get(function, 0)) > 0:
            what = f"{grown} more objects of {cache} live that {function} allocated: {count}"
            yield _finding(f"allocations-{function}", what, first, last)


def _is_allocating(history: History, at_us: int) -> bool:
    """Whether the driver may be at work at that time, or be left in the middle of a call that was killed."""
    return any(
        operation.verb in _ALLOCATING
        and operation.began_us < at_us
        and (not (operation.is_ok or operation.errno) or operation.ended_us > at_us)
        for operation in history.operations
    )


def _eeh_pe(history: History, path: str, first: Operation, last: Operation) -> Iterator[Finding]:
    before, after = str(first.answer["text"]), str(last.answer["text"])
    trouble = eeh_pe_trouble(after)
    if eeh_pe_trouble(before) or not trouble:
        return
    for card in history.topology.cards:
        afu = card.afus[0].name
        if not card.bdf or f"/{card.bdf}/" not in path or is_recovering(history, afu, last.ended_us):
            continue
        if not _is_excused(history, afu, last):
            message = f"the EEH PE of {card.name} reads {after.strip()}"
            yield _finding(f"eeh-pe-{trouble}", message, first, last)


def _is_excused(history: History, afu: str, at: Operation) -> bool:
    """Whether the AFU was given up, or something that nobody had noticed may have struck it since."""
    return is_given_up(history, afu, at.ended_us) or may_be_struck(history, afu, probing_from_us(history))


def _may_be_fewer(history: History, first: Operation) -> bool:
    """Whether less may be there than `first` has read, in which a context may have been that is gone."""
    was_held = any(context.opened.began_us < first.ended_us for context in contexts(history).contexts)
    return was_held or _may_be_gone(history)


def _may_be_gone(history: History) -> bool:
    """Whether some AFU may have been removed, or be without driver or mode, at the end."""
    over_us = end_us(history)
    return any(
        is_given_up(history, afu.name, over_us) or _has_new_mode(history, afu.name)
        for afu in history.topology.afus
    )


def _has_new_mode(history: History, afu: str) -> bool:
    return any(
        item.operation.args.get("path", "").endswith("/mode") for item in disturbances(history).get(afu, ())
    )


def _capacity(history: History, operation: Operation) -> Iterator[Finding]:
    name = operation.intent.details.get("afu", "")
    afu = next((afu for afu in history.topology.afus if afu.name == name), None)
    if afu is None or _is_excused(history, afu.name, operation) or _has_new_mode(history, afu.name):
        return
    if is_held_by_others(history, afu.name, operation) or is_refused_by_phyp(history, operation):
        return
    attached = sum(
        o.is_ok and o.verb == "ioctl" and o.invoke.step == operation.invoke.step for o in history.operations
    )
    if attached < afu.contexts_max and operation.end:
        message = (
            f"only {attached} of {afu.contexts_max} contexts of {afu.name} could be attached "
            f"at {ms(operation.ended_us)}"
        )
        yield Finding(NAME, "capacity", message, (operation.invoke.seq, operation.end.seq))


def _finding(kind: str, what: str, first: Operation, last: Operation) -> Finding:
    assert first.end is not None
    assert last.end is not None
    message = f"{what}, between the snapshots of {ms(first.ended_us)} and {ms(last.ended_us)}"
    return Finding(NAME, kind, message, (first.end.seq, last.end.seq))


ORACLE = Oracle(NAME, "What the host holds after the case is what it held before", judge)
