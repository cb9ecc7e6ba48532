"""The purge unmaps before it closes, and an access in between maps the device again."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.recovery import Recovery
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class UnmapsTooEarly(Recovery):
    """The defect: translations are purged while the context is still open to faults."""

    def purge(self, context: Context) -> Flow:
        """Unmap, and close only then."""
        super().unmap_mmio(context)
        yield 40
        yield from super().purge(context)

    def unmap_mmio(self, context: Context) -> None:
        """It was done before."""


MUTANT = Mutant(
    name="UnmapsTooEarly",
    title="translations are purged while the context is still open to faults",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones", "stores_are_ignored"),
    component="driver",
    override=UnmapsTooEarly,
)
