"""Oracle: after a recovery a PCI device without CAPI works again, in time, and its EEH PE is fine.

A probe must be good within its own time unless the device was given up, or is removed. A recovery must end,
well or in permanent failure, within RECOVERY_US. A device that never worked before an error proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import RECOVERY_US, Traffic, device_episodes, is_away, traffic
from harness.oracles._disturbance import first_us
from harness.oracles._episode import Episode
from harness.oracles._memo import end_us, ms
from harness.vocab.history import History, Operation
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.phase import Phase
from harness.vocab.procfs import eeh_pe_trouble
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "device_returns"
_BEGINNINGS = (Phase.DETECTED, Phase.ERROR_DETECTED)


def judge(history: History) -> Iterator[Finding]:
    """Look at the probes that began after the first disturbance, and at how episodes end."""
    for device, found in traffic(history).items():
        for item in found:
            if item.is_probe and item.operation.is_ok and item.operation.began_us > first_us(history, device):
                yield from _probe(history, item)
    for device, episodes in device_episodes(history).items():
        for episode in episodes:
            yield from _endless(history, device, episode)


def _probe(history: History, probe: Traffic) -> Iterator[Finding]:
    device, operation = probe.device, probe.operation
    assert operation.end is not None
    at_us = operation.ended_us
    given_up = any(mark.time_us <= at_us for mark in history.marked(Phase.FAILED_PERMANENTLY, device))
    if given_up or is_away(history, device, at_us):
        return  # whether a scan of the bus brings back what was given up is the firmware's affair
    if not probe.has_worked:
        last = probe.runs[-1].outcome if probe.runs else "nothing, because its recovery did not end"
        message = (
            f"{device} was probed from {ms(operation.began_us)} to {ms(at_us)} and does not work; "
            f"the last request gave {last}"
        )
        yield Finding(NAME, "does-not-work", message, (operation.invoke.seq, operation.end.seq))
        return
    state = _state(history, operation)
    if state is None or state.end is None:
        return
    if trouble := _trouble(str(state.answer.get("text", ""))):
        message = f"{device} works at {ms(at_us)}, and its EEH PE reads {state.answer.get('text', '')!r}"
        yield Finding(NAME, f"eeh-pe-{trouble}", message, (state.invoke.seq, state.end.seq))


def _state(history: History, probe: Operation) -> Operation | None:
    """The reading of the state that belongs to a probe."""
    for operation in history.operations:
        if operation.invoke.step == probe.invoke.step and operation.verb == "read_file" and operation.is_ok:
            return operation
    return None


def _trouble(text: str) -> str:
    try:
        return eeh_pe_trouble(text)
    except ValueError:
        return "unreadable"


def _endless(history: History, device: str, episode: Episode) -> Iterator[Finding]:
    begun = episode.of(*_BEGINNINGS)
    if not begun:
        return
    began_us = begun[-1].time_us
    ended_us = min(episode.ended_us, end_us(history))
    if ended_us - began_us > RECOVERY_US and not is_away(history, device, ended_us):
        message = f"the recovery of {device}, begun at {ms(began_us)}, was not over within {ms(RECOVERY_US)}"
        yield Finding(NAME, "endless", message, (begun[-1].seq,))


ORACLE = Oracle(
    NAME,
    "After a recovery a PCI device works again, in time",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
