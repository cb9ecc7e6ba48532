"""RescanDevices: an administrator has the PCI buses scanned, so that what is away is found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from harness.events._devices import AWAY, DEVICES, NATIVE, PCI_RESCAN
from harness.events._requests import write_file
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Subject, Topology


@dataclass(frozen=True)
class RescanDevices(Event):
    """Write to the ``rescan`` file of the PCI bus."""

    platforms: ClassVar[frozenset[Platform]] = NATIVE
    subjects: ClassVar[frozenset[Subject]] = DEVICES
    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 6

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """While a device is away."""
        is_away = any(sketch.setting(AWAY + device.name) for device in topology.devices)
        return ((NEMESIS, "host"),) if is_away else ()

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls()

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write."""
        return write_file(PCI_RESCAN, "1")

    def advance(self, actor: str, sketch: Sketch) -> Sketch:
        """All are there."""
        return sketch.without(AWAY)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """Every device may be one that comes back."""
        return frozenset(device.name for device in topology.devices)
