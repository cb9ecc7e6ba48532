"""A read looks for events only, and waits on a context that will never have one."""

from __future__ import annotations

from harness.sim.driver.context import File, Status
from harness.sim.driver.fileops import FileOperations
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow, Wait, Wake
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class WaitsOnClosedContext(FileOperations):
    """The defect: a read of a context that was purged before waits for ever."""

    def read(self, file: File, timeout_us: int) -> Flow:
        """Wait without a look at the context's status."""
        context = file.context
        if context.has_event or context.status is not Status.CLOSED or file.is_nonblocking:
            return (yield from super().read(file, timeout_us))
        if not (yield from self.link_ok(context.afu)):
            raise SystemCallError("EIO")
        if (yield Wait(context.waiters, timeout_us)) is Wake.INTERRUPTED:
            raise SystemCallError("EINTR")
        raise SystemCallError("EAGAIN")


MUTANT = Mutant(
    name="WaitsOnClosedContext",
    title="a read of a context that was purged before waits for ever",
    platforms=BOTH_PLATFORMS,
    killed_by=("blocked_calls_return", "purged_contexts_stay_dead"),
    component="driver",
    override=WaitsOnClosedContext,
)
