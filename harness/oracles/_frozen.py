"""Whether a bare-metal card was certainly frozen, and not yet detected, at a moment."""

from __future__ import annotations

from harness.oracles._context import contexts
from harness.oracles._disturbance import (
    Disturbance,
    disturbances,
    has_failed_permanently,
    has_meddled,
    is_marked,
    is_unbound,
)
from harness.oracles._episode import episodes
from harness.vocab.event import Fate, Role
from harness.vocab.history import History
from harness.vocab.phase import Phase
from harness.vocab.registers import Register, all_ones
from harness.vocab.topology import Card

_NO_RECOVERY = "eeh_disable_recovery"


def undetected_freeze(history: History, card: Card, at_us: int) -> Disturbance | None:
    """The error that had certainly frozen `card` by `at_us`, while nobody had noticed; None if there is none.

    Certain is what acts at once, and what was seen to act: a load through a context of the card that nobody
    had purged gave all Fs after it.
    """
    name = card.afus[0].name
    found = [
        item
        for item in disturbances(history).get(name, ())
        if item.role is Role.ERROR
        and item.fate is not Fate.HARMLESS
        and item.has_acted
        and item.ended_us < at_us
    ]
    if not found or _is_no_wonder(history, name, found[-1], at_us):
        return None
    last = found[-1]
    is_certain = last.is_error and last.is_immediate
    return last if is_certain or _is_seen(history, card, last.ended_us, at_us) else None


def _is_no_wonder(history: History, afu: str, error: Disturbance, at_us: int) -> bool:
    """Whether there is a good reason for the error not to be detected by a poke at `at_us`."""
    return (
        has_failed_permanently(history, afu, at_us)
        or is_unbound(history, afu, at_us)
        or has_meddled(history, afu, 0, at_us)
        or is_marked(history, afu, (Phase.DETECTED,), error.began_us, at_us)
        or any(
            episode.began_us <= at_us and episode.ended_us >= error.began_us
            for episode in episodes(history).get(afu, ())
        )
        or any(
            _NO_RECOVERY in o.args.get("path", "") and o.began_us <= at_us
            for o in history.operations_of("write_file")
        )
    )


def _is_seen(history: History, card: Card, since_us: int, until_us: int) -> bool:
    afus = {afu.name for afu in card.afus}
    for context in contexts(history).contexts:
        if context.afu not in afus:
            continue
        for load in context.loads:
            if load.args["offset"] in (Register.ALL_ONES, Register.ALL_ONES + 4):
                continue
            if since_us < load.began_us and load.ended_us < until_us:
                ones = all_ones(load.args["width"])
                is_purged = context.detach is not None and context.detach.time_us <= load.ended_us
                if not is_purged and any(run[0] == ones for run in load.answer.get("runs", ())):
                    return True
    return False
