"""MMIO translations outlive the purge (as before kernel commit b123429e6a9e)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class StaleMmio:
    """The defect: a purged context keeps its translations to the device."""

    def unmap_mmio(self, context: Context) -> None:
        """Leave everything as it is."""


MUTANT = Mutant(
    name="StaleMmio",
    title="a purged context keeps its translations to the device",
    platforms=BOTH_PLATFORMS,
    killed_by=("loads_give_all_ones", "stores_are_ignored"),
    component="driver",
    override=StaleMmio,
)
