"""A driver forgets its queues in resume."""

from __future__ import annotations

from harness.sim.plain import PlainDevice
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class LeavesQueuesStopped:
    """The defect: a driver with error handlers never starts its queues again."""

    def resume(self, device: PlainDevice) -> Flow:
        """Only say that it was done."""
        yield "resume"


MUTANT = Mutant(
    name="LeavesQueuesStopped",
    title="a driver with error handlers never starts its queues again",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("device_returns",),
    component="device",
    override=LeavesQueuesStopped,
    subject=Subject.DEVICES,
)
