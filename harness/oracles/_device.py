"""PCI devices without CAPI in a history: the traffic through each, its episodes, and what was done to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.oracles._disturbance import Disturbance, disturbances
from harness.oracles._episode import Episode, split
from harness.oracles._memo import SECOND_US, once
from harness.vocab.event import Role
from harness.vocab.history import History, Kind, Operation, Record
from harness.vocab.phase import Phase

GOOD, LOST = "good", "lost"
ALL_ONES, WRONG = "all-ones", "wrong"

RECOVERY_US = 120 * SECOND_US
"""How long a recovery may take: 5 s, and 65 s more when the PCI core waits in vain for a device that EEH has
blocked (pci_dev_wait; seen with Linux 6.1 wherever d3cold_delay is not 0); a reset is tried three times."""
PARTING_US = 10 * SECOND_US
"""How long a device that was given up may still answer, until it is removed."""

_FORCE, _RESCAN, _REMOVE = "/eeh_force_recover", "/pci/rescan", "/remove"


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of requests that ended alike: ``good``, ``lost``, ``all-ones``, ``wrong`` or an errno."""

    outcome: str
    count: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """One operation that kept a device busy, and what came of its requests."""

    device: str
    operation: Operation
    runs: tuple[Run, ...]

    @property
    def is_probe(self) -> bool:
        """Whether it ends as soon as enough requests in a row were good."""
        return bool(self.operation.args.get("good"))

    @property
    def has_worked(self) -> bool:
        """Whether it did end so."""
        last = self.runs[-1] if self.runs else None
        return last is not None and last.outcome == GOOD and last.count >= int(self.operation.args["good"])


@once
def traffic(history: History) -> Mapping[str, Sequence[Traffic]]:
    """Traffic by device, in the order in which it began."""
    names = {device.bdf: device.name for device in history.topology.devices}
    found: dict[str, list[Traffic]] = {}
    if not names:
        return found
    for operation in history.operations:
        if operation.verb == "traffic" and (name := names.get(str(operation.args.get("device")))):
            found.setdefault(name, []).append(Traffic(name, operation, tuple(_runs(operation))))
    return found


def _runs(operation: Operation) -> Iterator[Run]:
    """The stretches that were told; what does not look like one is left out."""
    told = operation.answer.get("runs", ())
    for run in told if isinstance(told, list) else ():
        if isinstance(run, list) and list(map(type, run)) == [str, int, int, int]:
            yield Run(*run)


@once
def device_episodes(history: History) -> Mapping[str, Sequence[Episode]]:
    """Episodes by device, in order; a device without any mark is not in it."""
    found: dict[str, list[Record]] = {device.name: [] for device in history.topology.devices}
    for marks in history.marks.values():
        for mark in marks:
            if mark.subject in found:
                found[mark.subject].append(mark)
    return {
        name: split(name, sorted(marks, key=_by_time), is_final=False)
        for name, marks in found.items()
        if marks
    }


def _by_time(record: Record) -> tuple[int, int]:
    return record.time_us, record.seq


def freezes(history: History, device: str) -> list[Disturbance]:
    """The errors that the device's EEH PE was given and that may have acted; claims before them are none."""
    return [
        item
        for item in disturbances(history).get(device, ())
        if item.role is Role.ERROR and item.operation.verb != "claim" and not _has_failed(item)
    ]


def is_forced(history: History, device: str, since_us: int, until_us: int) -> bool:
    """Whether an administrator may have asked EEH to recover the device within the interval."""
    return any(
        since_us <= item.began_us <= until_us and _is_write_to(item.operation, _FORCE)
        for item in disturbances(history).get(device, ())
    )


def is_away(history: History, device: str, at_us: int) -> bool:
    """Whether an administrator may have removed the device, and nobody found it again, by `at_us`."""
    away = False
    for item in disturbances(history).get(device, ()):
        if item.began_us > at_us:
            break
        if _is_write_to(item.operation, _REMOVE):
            away = True
        elif _is_write_to(item.operation, _RESCAN) and item.has_acted and item.ended_us <= at_us:
            away = False
    return away


def rescans_us(history: History) -> list[int]:
    """When scans of the bus began, each of which may bring a device back."""
    return [o.began_us for o in history.operations if _is_write_to(o, _RESCAN)]


def failed_mark(history: History, device: str, at_us: int) -> Record | None:
    """The declaration of permanent failure that holds at `at_us`: no scan of the bus came after it."""
    failed = None
    for mark in history.marked(Phase.FAILED_PERMANENTLY, device):
        if mark.time_us <= at_us and not any(mark.time_us < us <= at_us for us in rescans_us(history)):
            failed = failed or mark
    return failed


def _is_write_to(operation: Operation, end: str) -> bool:
    return operation.verb == "write_file" and str(operation.args.get("path", "")).endswith(end)


def _has_failed(item: Disturbance) -> bool:
    return item.operation.end is not None and item.operation.end.kind is Kind.FAIL
