"""An unbind during a recovery follows a pointer that the recovery has cleared (kin of edeb304f6597)."""

from __future__ import annotations

from harness.sim.driver.context import DriverCard
from harness.sim.driver.native import NativeDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class OopsesWhenUnboundInRecovery(NativeDriver):
    """The defect: unbinding the driver while its card recovers is an oops."""

    def remove(self, card: DriverCard) -> Flow:
        """Remove, and look at the AFUs that eehd works on when somebody else asked for it."""
        task = self.machine.scheduler.current
        is_eehd = task is not None and task.label.startswith("eehd")
        if self.eeh.eeh_pes[card.name].is_recovering and not is_eehd:
            self.machine.oops("Kernel NULL pointer dereference on read at 0x00000018", "cxl_remove")
        yield from super().remove(card)


MUTANT = Mutant(
    name="OopsesWhenUnboundInRecovery",
    title="unbinding the driver while its card recovers is an oops",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=OopsesWhenUnboundInRecovery,
)
