"""ProbeDevice: once EEH is done with a PCI device, a process uses it until it works, and reads its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._devices import DEVICES, NATIVE, device_path, traffic
from harness.events._requests import between
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Subject, Topology

GOOD = 8
"""So many requests in a row must be good."""
FOR_MS = 120_000
"""How long it is tried: a recovery in which the PCI core waits for a device takes 77 s (d3cold_delay)."""


@dataclass(frozen=True)
class ProbeDevice(Event):
    """Use `device` until GOOD requests in a row were good, or for `for_ms` at most."""

    platforms: ClassVar[frozenset[Platform]] = NATIVE
    subjects: ClassVar[frozenset[Subject]] = DEVICES
    role: ClassVar[Role] = Role.CLOSING

    device: str
    for_ms: int = field(metadata=between(1, FOR_MS))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any device."""
        return [(PROBE, device.name) for device in topology.devices]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """As long as a recovery takes."""
        return cls(target[1], FOR_MS)

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """Traffic, and the state of the EEH PE whatever became of it.

        The state is read last: to read it of a PE whose freeze nobody has noticed marks it as isolated, and
        then nobody ever does (arch/powerpc/platforms/powernv/eeh-powernv.c, pnv_eeh_get_pe_state).
        """
        device = topology.device(self.device)
        state = Request(Verb.READ_FILE, {"path": device_path(device, "eeh_pe_state")}, is_always=True)
        return traffic(device, self.for_ms, good=GOOD, settle=True), state
