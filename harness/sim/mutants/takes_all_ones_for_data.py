"""A disk driver does not ask whether a request was completed."""

from __future__ import annotations

from harness.sim.plain import ALL_ONES, PlainDevice
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform, Subject


class TakesAllOnesForData:
    """The defect: a read that a frozen device did not complete gives all Fs as data."""

    def read_while_frozen(self, device: PlainDevice) -> str:
        """What the bus gives."""
        return ALL_ONES


MUTANT = Mutant(
    name="TakesAllOnesForData",
    title="a read that a frozen device did not complete gives all Fs as data",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("data_stays_whole",),
    component="device",
    override=TakesAllOnesForData,
    subject=Subject.DEVICES,
)
