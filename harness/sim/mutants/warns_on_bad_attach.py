"""A refused attach unlocks a mutex that nobody holds (as before cec422c11cae)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.fileops import FileOperations
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class WarnsOnBadAttach(FileOperations):
    """The defect: START_WORK with bad arguments leaves a warning of the lock checker."""

    def start_work(self, context: Context, data: bytes, pid: int) -> Flow:
        """Attach, and unlock once too often when that is refused."""
        try:
            yield from super().start_work(context, data, pid)
        except SystemCallError as error:
            if error.errno == "EINVAL":
                self.machine.warn("DEBUG_LOCKS_WARN_ON(depth <= 0)", "kernel/locking/lockdep.c:5049")
            raise


MUTANT = Mutant(
    name="WarnsOnBadAttach",
    title="START_WORK with bad arguments leaves a warning of the lock checker",
    platforms=BOTH_PLATFORMS,
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=WarnsOnBadAttach,
)
