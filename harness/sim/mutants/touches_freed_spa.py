"""A context that outlived a hotplug points into the AFU that is gone (as before 05155772f642)."""

from __future__ import annotations

from harness.sim.driver.context import File
from harness.sim.driver.fileops import FileOperations
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class TouchesFreedSpa(FileOperations):
    """The defect: closing a context of an AFU that was removed meanwhile is a use after free."""

    def release(self, file: File) -> Flow:
        """Release, and use the process area that the context knows."""
        context = file.context
        if context.afu.contexts.get(context.number) is not context:
            self.machine.oops("Unable to handle kernel data access at 0x6b6b6b6b6b6b6b7b", "detach_context")
        yield from super().release(file)


MUTANT = Mutant(
    name="TouchesFreedSpa",
    title="closing a context of an AFU that was removed meanwhile is a use after free",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("kernel_log_is_clean",),
    component="driver",
    override=TouchesFreedSpa,
)
