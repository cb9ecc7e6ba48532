"""A close between purge and drain frees the context, and the deferred part frees it again."""

from __future__ import annotations

from harness.sim.driver.context import File
from harness.sim.driver.fileops import FileOperations
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class FreesTwiceOnClose(FileOperations):
    """The defect: the last close ignores the garbage list."""

    def release(self, file: File) -> Flow:
        """Release, and free even what the deferred part is going to free."""
        context = file.context
        yield from super().release(file)
        if context.is_garbage and not context.is_freed:
            self.free(context)


MUTANT = Mutant(
    name="FreesTwiceOnClose",
    title="the last close ignores the garbage list",
    platforms=BOTH_PLATFORMS,
    killed_by=("freed_once",),
    component="driver",
    override=FreesTwiceOnClose,
)
