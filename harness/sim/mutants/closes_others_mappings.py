"""The end of one context takes the MMIO of all others of the AFU (kin of 0712dc7e73e5)."""

from __future__ import annotations

from harness.sim.driver.context import File, Page
from harness.sim.driver.fileops import FileOperations
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class ClosesOthersMappings(FileOperations):
    """The defect: closing one context leaves all Fs in the mappings of the others."""

    def release(self, file: File) -> Flow:
        """Release one, and unmap all."""
        context = file.context
        yield from super().release(file)
        for other in context.afu.contexts.values():
            for mapping in other.mappings:
                mapping.page = Page.ALL_ONES


MUTANT = Mutant(
    name="ClosesOthersMappings",
    title="closing one context leaves all Fs in the mappings of the others",
    platforms=BOTH_PLATFORMS,
    killed_by=("others_undisturbed", "loads_give_all_ones"),
    component="driver",
    override=ClosesOthersMappings,
)
