"""A driver takes the error of one device for that of all."""

from __future__ import annotations

from harness.sim.plain import PlainDevice, PlainDrivers
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class StopsNeighbours(PlainDrivers):
    """The defect: the error of one device stops the queues of all others for a while."""

    def error_detected(self, device: PlainDevice) -> Flow:
        """Stop everything."""
        for other in self.devices.values():
            if other is not device and other.is_present:
                self.stop(other)
                self.machine.spawn(self._start_later(other))
        return (yield from super().error_detected(device))

    def _start_later(self, device: PlainDevice) -> Flow:
        yield 3_000_000
        self.start(device)


MUTANT = Mutant(
    name="StopsNeighbours",
    title="the error of one device stops the queues of all others for a while",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("other_devices_undisturbed",),
    component="device",
    override=StopsNeighbours,
    subject=Subject.DEVICES,
)
