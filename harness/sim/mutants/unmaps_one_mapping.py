"""The purge unmaps what the first process has mapped, and forgets its children (kin of 55e07668fbba)."""

from __future__ import annotations

from harness.sim.driver.context import Context, Page
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class UnmapsOneMapping:
    """The defect: only the oldest mapping of a purged context loses its translation."""

    def unmap_mmio(self, context: Context) -> None:
        """Unmap one."""
        for mapping in context.mappings[:1]:
            mapping.page = Page.ABSENT


MUTANT = Mutant(
    name="UnmapsOneMapping",
    title="only the oldest mapping of a purged context loses its translation",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones", "stores_are_ignored"),
    component="driver",
    override=UnmapsOneMapping,
)
