"""The process token of an attach is forgotten, so that the detach names another process."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.guest import GuestDriver
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class LosesAttachToken(GuestDriver):
    """The defect: H_DETACH_CA_PROCESS gets a stale token."""

    def attach_process(self, context: Context, wed: int) -> Flow:
        """Attach, and remember the token wrongly after a recovery."""
        yield from super().attach_process(context, wed)
        if context.afu.generation:
            context.token = 0


MUTANT = Mutant(
    name="LosesAttachToken",
    title="H_DETACH_CA_PROCESS gets a stale token",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("resources_return", "availability_returns"),
    component="driver",
    override=LosesAttachToken,
)
