"""FreezeEehPe: the EEH PE of a card freezes at its next load, store or DMA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import one_of, phb_path, write_file
from harness.events._targets import eeh_pe_afus
from harness.vocab.event import NEMESIS, Chooser, Event, Fate, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

# Function numbers of the firmware: a load or a store of memory, a read by DMA, a load of configuration space.
_FUNCTIONS = {"load": 0, "store": 6, "dma": 12}
_CONFIG_ONLY, _CONFIG = "config-injection", 4
_TYPE_64_BIT = 1
_ANY = 0  # address and mask: wherever it happens


@dataclass(frozen=True)
class FreezeEehPe(Event):
    """Arm an injection that the next `access` of the right kind by the card's contexts sets off."""

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.ERROR
    fate: ClassVar[Fate] = Fate.HIDDEN
    needs: ClassVar[frozenset[str]] = frozenset({"debugfs"})
    weight: ClassVar[int] = 20

    card: str
    access: str = field(metadata=one_of(*_FUNCTIONS))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Cards with a context that can set it off."""
        cards = {topology.afu(c.afu).card: None for c in sketch.contexts if c.is_mapped}
        return [(NEMESIS, card) for card in cards]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Any kind of access."""
        return cls(target[1], choose.pick(tuple(_FUNCTIONS)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write, with the end of line that the kernel's parser needs to find the end of the number.

        Skiboot on POWER9 knows configuration space only: there it is that access, whatever was drawn.
        """
        card = topology.card(self.card)
        function = _CONFIG if _CONFIG_ONLY in topology.features else _FUNCTIONS[self.access]
        text = f"{card.eeh_pe:x}:{_TYPE_64_BIT:x}:{function:x}:{_ANY:x}:{_ANY:x}\n"
        return write_file(phb_path(card, "err_injct"), text)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs in the EEH PE."""
        return eeh_pe_afus(topology, self.card)
