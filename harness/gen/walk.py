"""A walk over a Sketch: the steps so far, what is believed of the host, and whose lanes are held."""

from __future__ import annotations

from collections.abc import Sequence

from harness.events.attach import Attach
from harness.events.await_ import ALL, Await
from harness.events.fork import Fork
from harness.events.map import Map
from harness.events.open import Open
from harness.events.read_event import FOR_EVER, ReadEvent
from harness.gen.deck import Deck
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW, Step, When
from harness.vocab.event import HARNESS, NEMESIS, Chooser, Event, Target
from harness.vocab.sketch import ContextBelief, Sketch
from harness.vocab.topology import Topology

SETUP_TIMEOUT_MS = 5_000
_BIRTH_TIMEOUT_MS = 1_000
_SET_UP = frozenset({Open, Attach})
_PROMPT = (Await, Fork)
"""Events that never wait for a phase or a moment: waiting is what they are, or what others do for them."""


class Walk:
    """One walk.

    `steady` is the first actor with a context, who never waits before an error is sent. `struck` are the AFUs
    of the last error. `is_error_near` says that an error comes soon, `is_error_under_way` that one was sent
    and not waited for. `on_top` counts steps of races for which no slot was left empty yet.
    """

    def __init__(
        self,
        choose: Chooser,
        topology: Topology,
        rules: DrawRules,
        cards: Deck,
        *,
        rarity: Rarity = NOTHING_SEEN,
    ) -> None:
        self.choose = choose
        self.topology = topology
        self.rules = rules
        self.deck = cards
        self.steps: list[Step] = []
        self.sketch = Sketch()
        self.held: set[str] = set()
        self.steady = ""
        self.struck: frozenset[str] = frozenset()
        self.is_error_under_way = False
        self.is_error_near = False
        self.on_top = 0
        self.is_set_up_allowed = _SET_UP.issubset(cards.free.events)
        self._rarity = rarity

    def take(self, step: Step) -> None:
        """Go one given step, unless what another case has brought keeps it from being what it says it is."""
        actor, event, when = step.actor, step.event, step.when
        if not event.fits(self.sketch):
            return
        self.steps.append(step)
        self.sketch = event.advance(actor, self.sketch)
        if type(event) is Await and event.actors == ALL:
            self.held.clear()
            self.is_error_under_way = False
        elif when.phase or (type(event) is ReadEvent and event.timeout_ms == FOR_EVER):
            self.held.add(actor)

    def add(self, actor: str, event: Event, when: When = NOW) -> None:
        """Go one step that was drawn; a child is waited for, because it must be born to be spoken to."""
        was_held = actor in self.held
        self.take(Step(actor, event, when))
        if type(event) is Fork and not was_held:
            self.add(HARNESS, Await(actor, _BIRTH_TIMEOUT_MS, interrupt=False))

    def perform(self, cls: type[Event], target: Target, when: When | None = None) -> Event:
        """Draw an event for `target` and go that step, at `when` or at a drawn moment."""
        event = cls.draw(target, self.sketch, self.topology, self.choose)
        self.add(target[0], event, when or (NOW if cls in _PROMPT else self._when(cls, target[0])))
        return event

    def add_context(self, target: Target, open_when: When = NOW, attach_when: When = NOW) -> None:
        """Open, attach and map: a context of actor and AFU `target`."""
        opened = Open.draw(target, self.sketch, self.topology, self.choose)
        self.add(target[0], opened, open_when)
        mine = (target[0], opened.fd)
        self.add(target[0], Attach.draw(mine, self.sketch, self.topology, self.choose), attach_when)
        if self.topology.afu(opened.afu).node(opened.kind) in self.deck.mappable:
            self.add(target[0], Map.draw(mine, self.sketch, self.topology, self.choose))
        self.steady = self.steady or target[0]

    def newcomers(self) -> list[Target]:
        """Who can have a new context now, and where: actors whose lanes nothing holds."""
        if not self.is_set_up_allowed:
            return []
        return [t for t in Open.enabled(self.sketch, self.topology) if t[0] not in self.held]

    def reach(self, subject: str) -> frozenset[str]:
        """The AFUs of the card that `subject`, a card or an AFU, is or is on; all for anything else."""
        for card in self.topology.cards:
            afus = frozenset(afu.name for afu in card.afus)
            if subject == card.name or subject in afus:
                return afus
        return frozenset(afu.name for afu in self.topology.afus)

    def in_use(self, targets: Sequence[Target]) -> list[Target]:
        """Those of `targets` that are AFUs or cards with an attached context."""
        used = {c.afu for c in self.sketch.contexts if c.belief is ContextBelief.STARTED}
        used |= {self.topology.afu(name).card for name in used}
        return [target for target in targets if target[1] in used]

    def of_new_owners(self, targets: Sequence[Target]) -> list[Target]:
        """Those of `targets` whose actors have no context yet: what they do can overlap."""
        owners = {context.actor for context in self.sketch.contexts}
        return [target for target in targets if target[0] not in owners]

    def draw_free(self, idle: int) -> tuple[type[Event], Sequence[Target]] | None:
        """A free event and its targets; of two, mostly the one that was seen more seldom."""
        first = self.deck.free.draw(self.choose, self.sketch, self.topology, idle)
        if first is None or not self._rarity or self.choose.chance(40):
            return first
        second = self.deck.free.draw(self.choose, self.sketch, self.topology)
        return min((first, second or first), key=lambda drawn: self._rarity.of_event(drawn[0]))

    def leave_slot(self) -> None:
        """Make the one choice of a slot that stays empty, so that shrinking moves none of those after it."""
        self.choose.integer(0, 1)

    def pick_when(self, cls: type[Event], triggers: Sequence[When]) -> When:
        """One of `triggers`; of two, the one at which events of `cls` were seen more seldom."""
        first = self.choose.pick(triggers)
        if not self._rarity:
            return first
        second = self.choose.pick(triggers)
        return min((first, second), key=lambda when: self._rarity.of_moment(cls, when.phase))

    def _when(self, cls: type[Event], actor: str) -> When:
        choose = self.choose
        if not choose.chance(self.rules.overlap_percent):
            return NOW
        is_ambush = self.is_error_near and actor not in (NEMESIS, self.steady)
        if self.deck.triggers and (self.is_error_under_way or is_ambush) and choose.chance(65):
            return self.pick_when(cls, self.deck.triggers)
        return choose.pick(self.deck.delays)
