"""Oracle: when EEH is asked to look at a frozen PCI device, it finds that out at once.

Judged are freezes that act at once, and looks that begin after one, while nothing else can have unfrozen the
device: no recovery of it is under way or was made since, and no administrator was at it. One thread recovers
all devices, so that what is found while it is at work is said later: such looks are not judged, unless the
reading of the state itself is traced.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import device_episodes, failed_mark, freezes, is_away
from harness.oracles._disturbance import disturbances
from harness.oracles._episode import episodes
from harness.oracles._memo import SECOND_US, end_us, ms
from harness.vocab.event import Role
from harness.vocab.history import History, Operation
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "frozen_device_is_detected"
_BOUND_US = 2 * SECOND_US
_LOOK = "CheckPciDevice"
_ACTS = frozenset({"inject", "read_file"})  # a console's order; the read that an armed injection waits for
_NOTICED = (Phase.CONFIRMED, Phase.DETECTED, Phase.ERROR_DETECTED, Phase.FAILED_PERMANENTLY)


def judge(history: History) -> Iterator[Finding]:
    """Look at every look."""
    for look in history.operations:
        if look.intent.event != _LOOK or not look.is_ok or look.ended_us + _BOUND_US > end_us(history):
            continue
        device = str(look.intent.details.get("device", ""))
        frozen = _frozen_by(history, device, look)
        if frozen is None or frozen.end is None or _is_busy(history, device, look):
            continue
        if failed_mark(history, device, look.ended_us) or is_away(history, device, look.ended_us):
            continue
        marks = [mark for phase in _NOTICED for mark in history.marked(phase, device)]
        if not any(frozen.began_us <= mark.time_us <= look.ended_us + _BOUND_US for mark in marks):
            message = (
                f"{device} was frozen by {ms(frozen.ended_us)} and looked at from {ms(look.began_us)} on, "
                f"and was not detected within {ms(_BOUND_US)}"
            )
            yield Finding(NAME, "undetected", message, (frozen.end.seq, look.invoke.seq))


def _frozen_by(history: History, device: str, look: Operation) -> Operation | None:
    """The freeze that certainly holds when `look` begins."""
    acted = [
        item.operation
        for item in freezes(history, device)
        if item.operation.verb in _ACTS and item.has_acted and item.ended_us <= look.began_us
    ]
    if not acted:
        return None
    frozen = acted[-1]
    meddled = any(
        item.role is not Role.ERROR and item.ended_us >= frozen.began_us and item.began_us <= look.ended_us
        for item in disturbances(history).get(device, ())
    )
    return None if meddled else frozen


def _is_busy(history: History, device: str, look: Operation) -> bool:
    """Whether a recovery of this device had begun before the freeze, or one of another hides it."""
    frozen = _frozen_by(history, device, look)
    assert frozen is not None
    for name, found in (*device_episodes(history).items(), *episodes(history).items()):
        for episode in found:
            is_own_and_over = name == device and episode.ended_us < frozen.began_us
            is_later = episode.began_us > look.ended_us + _BOUND_US
            is_noticed = name == device and frozen.ended_us < episode.began_us
            if not is_own_and_over and not is_later and not is_noticed and episode.ended_us > frozen.began_us:
                return True
    return False


ORACLE = Oracle(
    NAME,
    "When EEH looks at a frozen PCI device, it finds that out at once",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
