"""A detach for which PHYP has no time is taken for done."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.guest import GuestDriver
from harness.sim.phyp import Answer
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class ForgetsBusyDetach(GuestDriver):
    """The defect: H_DETACH_CA_PROCESS is not repeated when PHYP is busy."""

    def hcall(self, afu: DriverAfu, name: str, op: str, *args: int) -> Flow:
        """Repeat all but one."""
        if name != "H_DETACH_CA_PROCESS":
            return (yield from super().hcall(afu, name, op, *args))
        self.machine.trace("capi_hcall_entry", f"{name} unit=0x{afu.unit:x} op={op}")
        yield "hcall"
        answer = self.phyp.hcall(name, op, afu.unit, args, self.machine.now_us)
        self.trace_answer(afu, name, op, args, answer)
        return Answer(0)


MUTANT = Mutant(
    name="ForgetsBusyDetach",
    title="H_DETACH_CA_PROCESS is not repeated when PHYP is busy",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("resources_return", "availability_returns"),
    component="driver",
    override=ForgetsBusyDetach,
)
