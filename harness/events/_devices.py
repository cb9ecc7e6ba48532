"""What the events of PCI devices without CAPI share: their targets, their reach, their requests.

Whatever may take a device away from the system begins with a claim, which the agent refuses for a device that
the system itself uses: it is judged on the host, at that moment, and not only when the host was opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from harness.vocab.event import NEMESIS, Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Device, Platform, Subject, Topology, Traffic

NATIVE = frozenset({Platform.POWERNV})
DEVICES = frozenset({Subject.DEVICES})

AWAY = "away:"
"""Prefix of the setting that is not empty while a device is removed."""
BUSY = "busy:"
"""Prefix of the setting that names the actor whose traffic keeps a device busy; empty when none does."""

PCI_RESCAN = "/sys/bus/pci/rescan"
_PAUSE_MS = {Traffic.BLOCKS: 10, Traffic.FRAMES: 20}


@dataclass(frozen=True)
class OnDevice(Event):
    """What happens to a device, by the nemesis, and to all others in its EEH PE."""

    platforms: ClassVar[frozenset[Platform]] = NATIVE
    subjects: ClassVar[frozenset[Subject]] = DEVICES

    device: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any device that is there."""
        return present(sketch, topology)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All devices in the EEH PE."""
        return eeh_pe_devices(topology, self.device)


def present(sketch: Sketch, topology: Topology) -> list[Target]:
    """Every device that is believed there, for the nemesis."""
    return [(NEMESIS, d.name) for d in topology.devices if not sketch.setting(AWAY + d.name)]


def eeh_pe_devices(topology: Topology, device: str) -> frozenset[str]:
    """Names of all devices in the EEH PE of `device`."""
    return frozenset(other.name for other in topology.in_eeh_pe_of(topology.device(device)))


def claim(device: Device) -> Request:
    """Make sure that the system itself does not use the device."""
    return Request(Verb.CLAIM, {"device": device.bdf})


def write_numbered(device: Device, path: str, text: str) -> Request:
    """A write of `text`, in which {eeh_pe} is the number that the device's EEH PE has then."""
    return Request(Verb.WRITE_FILE, {"path": path, "text": text, "device": device.bdf})


def device_path(device: Device, attribute: str) -> str:
    """Path of a sysfs attribute of the PCI device."""
    return f"/sys/bus/pci/devices/{device.bdf}/{attribute}"


def traffic(device: Device, for_ms: int, **more: Any) -> Request:
    """Keep `device` busy for so long."""
    args: dict[str, Any] = {
        "device": device.bdf,
        "kind": device.traffic.value,
        "for_ms": for_ms,
        "pause_ms": _PAUSE_MS[device.traffic],
        **more,
    }
    if device.traffic is Traffic.BLOCKS:
        args |= {"bytes": device.range_bytes, "overwrite": device.may_overwrite}
    else:
        args |= {"address": device.address, "peer": device.peer}
    return Request(Verb.TRAFFIC, args)
