"""EEH takes a suspicion for an error."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class RecoversHealthyDevices(PlainEeh):
    """The defect: a device that somebody looks at is recovered whatever its state is."""

    def check(self, card: DriverCard) -> Flow:
        """Recover what is no card without a look."""
        if isinstance(card, PlainDevice) and not self.eeh_pes[card.name].is_isolated:
            yield "eeh-check"
            self.send_event(self.eeh_pes[card.name])
            return True
        return (yield from super().check(card))


MUTANT = Mutant(
    name="RecoversHealthyDevices",
    title="a device that somebody looks at is recovered whatever its state is",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("device_phases_in_order",),
    component="eeh",
    override=RecoversHealthyDevices,
    subject=Subject.DEVICES,
)
