"""Oracle: a store to a device that was given up never arrives there.

Markers are unique, so a marker that is read back has arrived. What is looked for is a store that began after
the purge of its context, or after the error of its AFU had been detected, when nothing but the driver's own
recovery can have brought the device back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.oracles._context import Context, Contexts, contexts
from harness.oracles._death import dead_from_us
from harness.oracles._disturbance import has_meddled
from harness.oracles._episode import episodes
from harness.oracles._memo import ms
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.registers import STORE_LOG_SLOTS, Register
from harness.vocab.verdict import Finding

NAME = "stores_are_ignored"
_KEEPING = frozenset(
    (int(Register.SCRATCH), *range(Register.STORE_LOG, Register.STORE_LOG + 8 * STORE_LOG_SLOTS))
)


def judge(history: History) -> Iterator[Finding]:
    """Look for the markers of dead stores in what was loaded afterwards."""
    found = contexts(history)
    dead = _dead_stores(history, found)
    if not dead:
        return
    for context in found.contexts:
        for load in context.loads:
            if load.args["offset"] in _KEEPING:
                yield from _arrived(dead, load)


def _dead_stores(history: History, found: Contexts) -> Mapping[int, Sequence[tuple[Context, Operation]]]:
    """Stores that must not arrive, by marker; a marker that was also stored otherwise proves nothing."""
    dead: dict[int, list[tuple[Context, Operation]]] = {}
    alive: set[int] = set()
    for context in found.contexts:
        if not context.stores:
            continue
        dead_us = dead_from_us(history, context)
        for store in context.stores:
            if store.args["offset"] != Register.SCRATCH:
                continue
            if store.began_us > dead_us or _is_frozen(history, context.afu, store):
                dead.setdefault(store.args["value"], []).append((context, store))
            else:
                alive.add(store.args["value"])
    return {value: stores for value, stores in dead.items() if value not in alive}


def _is_frozen(history: History, afu: str, store: Operation) -> bool:
    """Whether the store lies within an episode between detection and the reset, with nobody meddling."""
    for episode in episodes(history).get(afu, ()):
        detected = episode.of(Phase.DETECTED)
        if detected and detected[0].time_us < store.began_us and store.ended_us < episode.ended_us:
            reset = episode.of(Phase.RESET)
            is_before_reset = not reset or store.ended_us < reset[0].time_us
            return is_before_reset and not has_meddled(history, afu, 0, store.ended_us)
    return False


def _arrived(dead: Mapping[int, Sequence[tuple[Context, Operation]]], load: Operation) -> Iterator[Finding]:
    for run in load.answer.get("runs", ()):
        for context, store in dead.get(run[0], ()):
            if load.ended_us > store.began_us:
                message = (
                    f"the marker {run[0]:#x}, stored through {context.name} at {ms(store.began_us)} when the "
                    f"device was given up, was read back at {ms(load.ended_us)}"
                )
                proof = (store.invoke.seq, load.end.seq if load.end else load.invoke.seq)
                yield Finding(NAME, "store-arrived", message, proof)


ORACLE = Oracle(NAME, "A store to a device that was given up never arrives there", judge)
