"""Who can act on what: targets that events share, the AFUs that a fault reaches, events on one subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from harness.events._beliefs import HEIR, has_driver
from harness.vocab.event import NEMESIS, Chooser, Event, Target
from harness.vocab.sketch import ContextBelief, Sketch
from harness.vocab.topology import Card, Platform, Topology


def opened(sketch: Sketch) -> list[Target]:
    """Contexts that can be attached, by their owners."""
    return [(c.actor, c.fd) for c in sketch.contexts if c.belief is ContextBelief.OPENED]


def started(sketch: Sketch) -> list[Target]:
    """Contexts believed attached, by their owners."""
    return [(c.actor, c.fd) for c in sketch.contexts if c.belief is ContextBelief.STARTED]


def every_fd(sketch: Sketch) -> list[Target]:
    """All open file descriptors, by their owners."""
    return [(c.actor, c.fd) for c in sketch.contexts]


def mapped(sketch: Sketch) -> list[Target]:
    """Contexts with a mapping, by their owners and by children that were born with it."""
    found = [(c.actor, c.fd) for c in sketch.contexts if c.is_mapped]
    for name, fds in sketch.settings:
        if name.startswith(HEIR) and name[len(HEIR) :] in sketch.actors:
            found += [(name[len(HEIR) :], fd) for fd in fds.split()]
    return found


def actors_with(sketch: Sketch, subjects: Iterable[str]) -> list[Target]:
    """Every living actor with every one of `subjects`."""
    return [(actor, subject) for subject in subjects for actor in sketch.actors]


def afus_of(topology: Topology) -> list[Target]:
    """Every AFU, for the nemesis."""
    return [(NEMESIS, afu.name) for card in topology.cards for afu in card.afus]


def cards_of(topology: Topology) -> list[Target]:
    """Every card, for the nemesis."""
    return [(NEMESIS, card.name) for card in topology.cards]


def takeable_cards(sketch: Sketch, topology: Topology) -> list[Target]:
    """Cards that have their driver and can lose it.

    On PowerVM only while all of them have it: the driver gives the first free number to a card that comes
    back, so two that are away at once may change their names.
    """
    cards = [target for target in cards_of(topology) if has_driver(sketch, target[1])]
    if topology.platform is Platform.POWERVM and len(cards) < len(topology.cards):
        return []
    return cards


def card_afus(topology: Topology, card: str) -> frozenset[str]:
    """Names of the AFUs of `card`."""
    return frozenset(afu.name for afu in topology.card(card).afus)


def sibling_afus(topology: Topology, afu: str) -> frozenset[str]:
    """Names of all AFUs of the card that `afu` is on: it is the card that is reset."""
    return card_afus(topology, topology.afu(afu).card)


def eeh_pe_afus(topology: Topology, card: str) -> frozenset[str]:
    """Names of the AFUs of all cards in the EEH PE of `card`."""
    struck = topology.card(card)
    same = [c for c in topology.cards if (c.phb, c.eeh_pe) == (struck.phb, struck.eeh_pe)]
    return _afus(same)


def phb_afus(topology: Topology, card: str) -> frozenset[str]:
    """Names of the AFUs of all cards below the PHB of `card`."""
    struck = topology.card(card)
    return _afus([c for c in topology.cards if c.phb == struck.phb])


def _afus(cards: Iterable[Card]) -> frozenset[str]:
    return frozenset(afu.name for card in cards for afu in card.afus)


@dataclass(frozen=True)
class OnCard(Event):
    """What happens to a card as a whole, and so to all its AFUs, by the nemesis."""

    card: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any card."""
        return cards_of(topology)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """All AFUs of the card."""
        return card_afus(topology, self.card)


@dataclass(frozen=True)
class OnAfu(Event):
    """What happens to one AFU, by the nemesis."""

    afu: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any AFU."""
        return afus_of(topology)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls(target[1])

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """The AFU."""
        return frozenset({self.afu})
