"""ReadAttributes: an application or a monitor reads what sysfs says of a card or an AFU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Self

from harness.events._requests import between, cxl_path
from harness.events._targets import actors_with
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

_CARD = ("caia_version", "psl_revision", "psl_timebase_synced", "tunneled_ops_supported")
_CARD_POWERNV = ("base_image", "image_loaded", "load_image_on_perst", "perst_reloads_same_image")
_AFU = (
    "mmio_size",
    "irqs_min",
    "irqs_max",
    "modes_supported",
    "mode",
    "prefault_mode",
    "api_version",
    "api_version_compatible",
)


@dataclass(frozen=True)
class ReadAttributes(Event):
    """Read all attributes of `subject`, a card or an AFU, `count` times each."""

    weight: ClassVar[int] = 6

    subject: str
    count: int = field(metadata=between(1, 1000))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any actor, on any card and AFU."""
        subjects = [name for card in topology.cards for name in (card.name, *(a.name for a in card.afus))]
        return actors_with(sketch, subjects)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Once or a few times."""
        return cls(target[1], choose.pick((1, 5, 20)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One read of each file, whatever became of the one before."""
        is_card = self.subject.startswith("card")
        return _reads(self.subject, self.count, is_card, topology.platform is Platform.POWERNV)


@lru_cache(maxsize=256)
def _reads(subject: str, count: int, is_card: bool, is_powernv: bool) -> tuple[Request, ...]:
    names = (*_CARD, *(_CARD_POWERNV if is_powernv else ())) if is_card else _AFU
    many = {"count": count} if count > 1 else {}
    return tuple(
        Request(Verb.READ_FILE, {"path": cxl_path(subject, name), **many}, is_always=True) for name in names
    )
