"""Oracle: no recovery starts before the device's state was read and found bad, and none without a reason.

Confirmed is: on bare metal the state of the EEH PE was read as frozen (without the probe, the kernel says
that it is), or the firmware told of the freeze and nobody has read otherwise; on PowerVM a state other than
NORMAL was read. It must come after the last recovery and before the quiesce. What an administrator asks for
(a reset, an unbind, a forced recovery) needs no confirmation.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._disturbance import Disturbance, disturbances
from harness.oracles._episode import Episode, episodes
from harness.oracles._memo import ms
from harness.vocab.event import Fate, Role
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "recovery_confirmed"
_FORCE = "eeh_force_recover"
_STATE = "pnv_eeh_get_state"
_FIRMWARES_WORD = ("EEH: Fenced PHB", "EEH: Frozen PE#")  # from the firmware's list of errors

_READ_BEFORE_US = 5_000
"""How long before the firmware's word a state was read that led to it; before, it may have been good."""


def judge(history: History) -> Iterator[Finding]:
    """Look at the first quiesce of every episode."""
    for afu, found in episodes(history).items():
        reach = disturbances(history).get(afu, ())
        for episode in found:
            quiesces = episode.of(Phase.QUIESCE)
            if not quiesces:
                continue
            quiesce = quiesces[0]
            if not any(_is_reason(item, quiesce) for item in reach):
                message = f"{afu} was quiesced at {ms(quiesce.time_us)}, and nothing had happened to it"
                yield Finding(NAME, "needless", message, (quiesce.seq,))
            elif not _is_confirmed(history, episode, quiesce) and not any(
                _is_asked_for(item, quiesce) for item in reach
            ):
                message = (
                    f"{afu} was quiesced at {ms(quiesce.time_us)} before its state was read and found bad"
                )
                yield Finding(NAME, "unconfirmed", message, (quiesce.seq,))


def _confirming(history: History) -> tuple[Phase, ...]:
    if history.topology.platform is Platform.POWERVM:
        return (Phase.DETECTED,)
    if "kprobes" in history.topology.features:
        return (Phase.CONFIRMED,)
    return Phase.CONFIRMED, Phase.DETECTED


def _is_confirmed(history: History, episode: Episode, quiesce: Record) -> bool:
    """Whether a state was read as bad in time, or the firmware itself has told what is frozen or fenced."""
    if any(mark.time_us <= quiesce.time_us for mark in episode.of(*_confirming(history))):
        return True
    told_us = [
        mark.time_us
        for mark in episode.of(Phase.DETECTED)
        if str(mark.data.get("text", "")).startswith(_FIRMWARES_WORD)
    ]
    return bool(told_us) and not _was_good(history, episode.afu, quiesce, told_us[0] - _READ_BEFORE_US)


def _was_good(history: History, afu: str, quiesce: Record, since_us: int) -> bool:
    """Whether the state that was read last, since then and since what happened, was a good one."""
    card = history.topology.afu(afu).card
    reasons = [item for item in disturbances(history).get(afu, ()) if _is_reason(item, quiesce)]
    ended_us = [item.ended_us for item in reasons if item.ended_us <= quiesce.time_us]
    since_us = max([since_us, *ended_us])
    was_good = False
    for record in history.records:
        if not since_us <= record.time_us <= quiesce.time_us or record.subject != card:
            continue
        if record.phase is Phase.RECOVERED:
            was_good = False
        elif record.name == _STATE:
            was_good = record.data.get("frozen") == 0
    return was_good


def _is_reason(item: Disturbance, quiesce: Record) -> bool:
    is_harmless = item.role is Role.ERROR and item.fate is Fate.HARMLESS
    return not is_harmless and item.changes_device and item.began_us <= quiesce.time_us


def _is_asked_for(item: Disturbance, quiesce: Record) -> bool:
    """Whether an administrator's call is under way at the quiesce; a forced recovery goes on after it."""
    if item.began_us > quiesce.time_us:
        return False
    if _FORCE in item.operation.args.get("path", ""):
        return True
    return item.role is not Role.ERROR and item.ended_us >= quiesce.time_us


ORACLE = Oracle(NAME, "No recovery starts before the error was confirmed", judge)
