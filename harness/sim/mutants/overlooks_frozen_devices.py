"""EEH reads the state of another PE than the one that it was asked about."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class OverlooksFrozenDevices(PlainEeh):
    """The defect: a look at a frozen device finds nothing."""

    def check(self, card: DriverCard) -> Flow:
        """Count a false positive."""
        if not isinstance(card, PlainDevice):
            return (yield from super().check(card))
        yield "eeh-check"
        self.counters["eeh_false_positives"] += 1
        return False


MUTANT = Mutant(
    name="OverlooksFrozenDevices",
    title="a look at a frozen device finds nothing",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("frozen_device_is_detected",),
    component="eeh",
    override=OverlooksFrozenDevices,
    subject=Subject.DEVICES,
)
