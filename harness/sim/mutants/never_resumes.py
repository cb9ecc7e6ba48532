"""A recovery locks new contexts out for ever."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS


class NeverResumes:
    """The defect: a recovered AFU stays shut."""

    def resume(self, afus: Sequence[DriverAfu]) -> None:
        """Let nobody in."""


MUTANT = Mutant(
    name="NeverResumes",
    title="a recovered AFU stays shut",
    platforms=BOTH_PLATFORMS,
    killed_by=("availability_returns",),
    component="driver",
    override=NeverResumes,
)
