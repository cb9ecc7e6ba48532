"""A recovery starts without a look at the state of the device."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.eeh import EehCore
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class RecoversOnSuspicion(EehCore):
    """The defect: all Fs are taken for a freeze and not confirmed."""

    def check(self, card: DriverCard) -> Flow:
        """Believe the suspicion."""
        yield "eeh-check"
        eeh_pe = self.eeh_pes[card.name]
        if not eeh_pe.is_isolated:
            eeh_pe.has_stack = True
            self.send_event(eeh_pe)
        return True


MUTANT = Mutant(
    name="RecoversOnSuspicion",
    title="all Fs are taken for a freeze and not confirmed",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("recovery_confirmed",),
    component="eeh",
    override=RecoversOnSuspicion,
)
