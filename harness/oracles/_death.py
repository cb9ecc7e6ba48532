"""From when on a context that an error or an administrator took away must be dead.

A purge is seen by its cxl_detach. A context that the purge missed was still open or attached when its AFU was
quiesced, and once the recovery came to the slot reset after that, it must be dead all the same.
"""

from __future__ import annotations

from harness.oracles._context import Context
from harness.oracles._disturbance import cards, disturbances, has_meddled
from harness.oracles._episode import episodes
from harness.vocab.event import Role
from harness.vocab.history import FOREVER_US, History
from harness.vocab.phase import Phase

_SETTLED = (Phase.RESET, Phase.SLOT_RESET, Phase.RECOVERED, Phase.FAILED_PERMANENTLY)


def closed_from_us(history: History, context: Context) -> int:
    """From when on every call on the context must fail; far in the future when nothing closed it."""
    purge = context.purge
    purged_us = purge.time_us if purge else FOREVER_US
    return min(purged_us, _after_quiesce_us(history, context.afu, context.opened.ended_us))


def dead_from_us(history: History, context: Context) -> int:
    """From when on no load of the context can be valid and no store can arrive; or far in the future."""
    purged_us = _after_purge_us(history, context)
    if context.tenancy is None:
        return purged_us
    return min(purged_us, _after_quiesce_us(history, context.afu, context.tenancy.attach.time_us))


def _after_quiesce_us(history: History, afu: str, since_us: int) -> int:
    """The first slot reset, or end of a recovery, behind the first quiesce of `afu` after `since_us`."""
    quiesced_us = min(
        (mark.time_us for mark in history.marked(Phase.QUIESCE, afu) if mark.time_us > since_us), default=None
    )
    if quiesced_us is None:
        return FOREVER_US
    card = cards(history)[afu]
    settled = (*history.marked(Phase.SLOT_RESET, afu, card), *history.marked(Phase.RECOVERED, afu, card))
    return min((mark.time_us for mark in settled if mark.time_us > quiesced_us), default=FOREVER_US)


def _after_purge_us(history: History, context: Context) -> int:
    """At once when the error had been detected: the device is isolated then.

    A healthy device, which an administrator resets, can be reached until the mappings are gone, and that is
    certain at the next mark of the reset or when the administrator's call returns.
    """
    purge = context.purge
    if purge is None:
        return FOREVER_US
    purged_us = purge.time_us
    settled_us = FOREVER_US
    for episode in episodes(history).get(context.afu, ()):
        if not episode.began_us <= purged_us <= episode.ended_us:
            continue
        detected = episode.of(Phase.DETECTED)
        is_detected = bool(detected) and detected[0].time_us <= purged_us
        if is_detected and not has_meddled(history, context.afu, 0, purged_us):
            return purged_us
        after = [mark.time_us for mark in episode.of(*_SETTLED) if mark.time_us > purged_us]
        settled_us = min(after, default=FOREVER_US)
    for item in disturbances(history).get(context.afu, ()):
        if item.role is not Role.ERROR and item.began_us <= purged_us <= item.ended_us:
            settled_us = min(settled_us, item.ended_us)
    return settled_us
