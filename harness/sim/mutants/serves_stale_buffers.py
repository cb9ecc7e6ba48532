"""A disk driver completes what it had under way before the reset."""

from __future__ import annotations

from harness.sim.plain import GOOD, WRONG, PlainDevice, PlainDrivers
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class ServesStaleBuffers(PlainDrivers):
    """The defect: the first read after a recovery gives what an earlier one had left."""

    is_stale = False

    def start(self, device: PlainDevice) -> None:
        """Start, and keep the old buffers."""
        self.is_stale = not device.plan.is_network
        super().start(device)

    def contents(self, device: PlainDevice) -> str:
        """The old buffer, once."""
        outcome = WRONG if self.is_stale else GOOD
        self.is_stale = False
        return outcome


MUTANT = Mutant(
    name="ServesStaleBuffers",
    title="the first read after a recovery gives what an earlier one had left",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("data_stays_whole",),
    component="device",
    override=ServesStaleBuffers,
    subject=Subject.DEVICES,
)
