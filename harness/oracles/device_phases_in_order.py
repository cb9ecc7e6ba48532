"""Oracle: EEH recovers a PCI device in the order of the kernel's phases, and never without reason.

The order is: detected, its driver told of the error, reset, then either slot reset and resume (a driver with
error handlers) or removal and a new probe (one without), then recovered. Each happens once after the driver
was told. A driver that has asked for a reset is not removed instead. Without a freeze, and without an
administrator who asks for it, there is no recovery. A driver with error handlers is told before its device is
removed for good.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import device_episodes, failed_mark, freezes, is_forced
from harness.oracles._episode import Episode
from harness.oracles._memo import ms
from harness.vocab.history import History, Record
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "device_phases_in_order"
_HOTPLUG, _ASKED = "with hotplug", "driver reports: 'need reset'"
_NEEDS = {
    Phase.RESET: Phase.ERROR_DETECTED,
    Phase.SLOT_RESET: Phase.RESET,
    Phase.RESUME: Phase.RESET,
    Phase.RECOVERED: Phase.RESUME,
}
_ONCE = frozenset({Phase.RESET, Phase.SLOT_RESET, Phase.RESUME})
_FAILURE_BEGINS = "EEH: Beginning: 'error_detected(permanent failure)'"
_FAILURE_ENDS = "EEH: Finished:'error_detected(permanent failure)'"
_UNCALLED = "EEH: not actionable"
_SEEN_BAD = (Phase.CONFIRMED, Phase.DETECTED)


def judge(history: History) -> Iterator[Finding]:
    """Walk through every episode of every device."""
    for device, episodes in device_episodes(history).items():
        before_us = 0
        for episode in episodes:
            if failed_mark(history, device, episode.began_us - 1):
                continue  # what happens to a device that was given up is for failed_device_stays_gone
            yield from _reason(history, device, episode, before_us)
            yield from _walk(history, device, episode)
            yield from _untold(history, device, episode)
            before_us = episode.began_us  # what was asked for during it is done after it


def _reason(history: History, device: str, episode: Episode, before_us: int) -> Iterator[Finding]:
    told = episode.of(Phase.ERROR_DETECTED)
    if not told:
        return
    first = told[0]
    forced = is_forced(history, device, before_us, first.time_us)
    if not forced and not any(item.began_us <= first.time_us for item in freezes(history, device)):
        message = f"{device} was recovered from {ms(first.time_us)} on, and nothing had happened to it"
        yield Finding(NAME, "needless", message, (first.seq,))
    elif not forced and not any(mark.time_us <= first.time_us for mark in episode.of(*_SEEN_BAD)):
        message = f"the driver of {device} was told of an error at {ms(first.time_us)} that was not detected"
        yield Finding(NAME, "undetected", message, (first.seq,))


def _walk(history: History, device: str, episode: Episode) -> Iterator[Finding]:
    seen: dict[Phase, Record] = {}
    for mark in episode.marks:
        phase = mark.phase
        assert phase is not None
        if phase is Phase.FAILED_PERMANENTLY:
            return
        if phase is Phase.ERROR_DETECTED:
            seen = {}
        needed = _NEEDS.get(phase)
        if phase is Phase.RESUME and Phase.RESET in seen and not _is_hotplug(seen[Phase.RESET]):
            needed = Phase.SLOT_RESET
        if needed and needed not in seen:
            message = f"{device}: {phase.value} at {ms(mark.time_us)} without {needed.value} before it"
            yield Finding(NAME, f"{phase.value}-without-{needed.value}", message, (mark.seq,))
        if phase in _ONCE and phase in seen:
            first = seen[phase]
            message = f"{device}: {phase.value} at {ms(first.time_us)} and again at {ms(mark.time_us)}"
            yield Finding(NAME, f"{phase.value}-twice", message, (first.seq, mark.seq))
        if phase is Phase.RESET and _is_hotplug(mark) and Phase.ERROR_DETECTED in seen:
            yield from _removed_against_its_will(history, device, seen[Phase.ERROR_DETECTED], mark)
        seen.setdefault(phase, mark)


def _is_hotplug(reset: Record) -> bool:
    return _HOTPLUG in str(reset.data.get("text", ""))


def _removed_against_its_will(
    history: History, device: str, told: Record, reset: Record
) -> Iterator[Finding]:
    for record in history.log:
        if told.seq < record.seq < reset.seq and record.subject == device and _ASKED in record.data["text"]:
            message = (
                f"the driver of {device} asked for a reset at {ms(record.time_us)}, "
                f"and was removed from {ms(reset.time_us)} on"
            )
            yield Finding(NAME, "removed-against-its-will", message, (record.seq, reset.seq))
            return


def _untold(history: History, device: str, episode: Episode) -> Iterator[Finding]:
    """Of a permanent failure EEH says which drivers it calls; a driver without handlers is said to be one."""
    if episode.failed is None:
        return
    begun: Record | None = None
    for record in history.log:
        text = record.data["text"]
        if record.seq < episode.failed.seq or record.subject != device:
            continue
        if text == _FAILURE_BEGINS:
            begun = record
        elif begun and text.startswith("PCI ") and _UNCALLED in text:
            message = f"{device} was given up at {ms(episode.failed.time_us)}, and its driver was not told"
            yield Finding(NAME, "driver-not-told", message, (episode.failed.seq, record.seq))
            return
        elif text.startswith(_FAILURE_ENDS):
            return


ORACLE = Oracle(
    NAME,
    "EEH recovers a PCI device in the order of its phases, and never without reason",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
