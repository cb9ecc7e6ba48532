"""EEH brings a device back that it has disabled for good."""

from __future__ import annotations

from harness.sim.eeh import HOTPLUG_US, EehCore, EehPe
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class DisabledDeviceReturns(EehCore):
    """The defect: a permanently disabled device is probed again after a while."""

    def disable(self, eeh_pe: EehPe) -> Flow:
        """Disable, and change one's mind."""
        yield from super().disable(eeh_pe)
        yield HOTPLUG_US
        card = eeh_pe.card
        card.hardware.reset()
        card.is_permanent = False
        card.is_channel_ok = True
        yield from self.locked(card, self.driver.probe)
        eeh_pe.is_isolated = False


MUTANT = Mutant(
    name="DisabledDeviceReturns",
    title="a permanently disabled device is probed again after a while",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("permanent_failure_is_final",),
    component="eeh",
    override=DisabledDeviceReturns,
)
