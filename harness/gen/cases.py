"""Draws a Case by walking a Sketch, written once for every source of choices.

The rules of the walk:

1. A case begins with a snapshot, then some contexts are opened, attached and mapped, so that the first error
   has something to hit.
2. There is a fixed number of slots for free steps, and a slot may stay empty. Under Hypothesis this finds and
   shrinks best: a slot shrinks to nothing without moving those after it.
3. Errors stand at drawn places between the slots. The first may come at once; later ones often wait for a
   phase of the recovery from the one before.
4. Steps near an error may wait for a phase of recovery. A step that waits holds the lane of its actor, so one
   actor with a context never waits before an error has been sent: somebody has to notice it.
5. Before an error somebody may get ready to attach in the middle of the recovery to come; and at the moment
   of a reset that an administrator asks for, somebody may be attaching.
6. An injection that waits for an access mostly gets one, from a lane that nothing holds.
7. A case ends with the steps of `closing`.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.events._beliefs import changed
from harness.events.attach import Attach
from harness.events.await_ import ALL, Await
from harness.events.fork import Fork
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.load import Load
from harness.events.map import Map
from harness.events.open import Open
from harness.events.read_event import FOR_EVER, ReadEvent
from harness.events.set_perst_policy import SetPerstPolicy
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.gen.choosers import SeededChooser
from harness.gen.closing import BASELINE, closing
from harness.gen.deck import KPROBES, Deck, deck
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, RESERVED_ACTORS, Chooser, Event, Fate, Target
from harness.vocab.schedule import Schedule
from harness.vocab.sketch import ContextBelief, Sketch
from harness.vocab.topology import Topology

_CONTEXTS_MAX = 3
_SETUP_TIMEOUT_MS = 5_000
_BIRTH_TIMEOUT_MS = 1_000
_NEAR_SLOTS = 5
_SCHEDULE_SEED_MAX = (1 << 24) - 1

_SET_UP = frozenset({Open, Attach})
_ACCESSES: dict[str, type[Event]] = {"load": Load, "store": Store, "dma": TouchMemory}
_PROMPT = (Await, Fork)
"""Events that never wait for a phase or a moment: waiting is what they are, or what others do for them."""
_MOMENTS = (When(after_ms=1), When(after_ms=2), When(after_ms=5))


def draw_case(
    choose: Chooser,
    topology: Topology,
    rules: DrawRules,
    events: Sequence[type[Event]],
    origin: str = "",
) -> Case:
    """A case for `topology`, drawn from `events` under `rules`; `origin` says where it came from.

    Raises UsageError when `rules` weigh an event that is not in `events`.
    """
    schedule = Schedule.of_seed(choose.integer(0, _SCHEDULE_SEED_MAX))
    cards = deck(topology, rules, tuple(events))
    walk = _Walk(choose, topology, rules, cards)
    walk.set_up()
    walk.go()
    steps = (*walk.steps, *closing(topology, walk.sketch, _actors(walk.steps)))
    return Case(steps, topology.platform, schedule, _needs(steps, cards), len(topology.cards), origin)


def case_from_seed(seed: int, topology: Topology, rules: DrawRules, events: Sequence[type[Event]]) -> Case:
    """The case that `seed` stands for: the same on any machine, for one version of the events."""
    return draw_case(SeededChooser(seed), topology, rules, events, f"seed {seed}")


class _Walk:
    """One walk: the steps so far, what is believed of the host, and whose lanes are held by a trigger."""

    def __init__(self, choose: Chooser, topology: Topology, rules: DrawRules, cards: Deck) -> None:
        self.steps: list[Step] = list(BASELINE)
        self.sketch = Sketch()
        self._choose = choose
        self._topology = topology
        self._rules = rules
        self._deck = cards
        self._held: set[str] = set()
        self._is_set_up_allowed = _SET_UP.issubset(cards.free.events)
        self._steady = ""
        self._is_error_under_way = False
        self._is_error_near = False

    def set_up(self) -> None:
        """Policies, and a few contexts that are opened, attached and mapped."""
        choose = self._choose
        if SetPerstPolicy in self._deck.free.events:
            for card in self._topology.cards:
                if choose.chance(50):
                    self._add(NEMESIS, SetPerstPolicy(card.name, same_image=True))
        if not self._is_set_up_allowed:
            return
        for index in range(_CONTEXTS_MAX):
            targets = Open.enabled(self.sketch, self._topology)
            if targets and (index == 0 or choose.chance(55)):
                self._add_context(choose.pick(targets))
        if choose.chance(80):
            self._add(HARNESS, Await(ALL, _SETUP_TIMEOUT_MS, interrupt=False))

    def go(self) -> None:
        """The free slots, and the errors between them."""
        choose = self._choose
        fewest, slots = self._rules.steps
        errors = choose.integer(*self._rules.errors) if self._deck.errors.events else 0
        places = sorted(choose.integer(0, slots - 1) for _ in range(errors))
        near = {slot for place in places for slot in range(place - _NEAR_SLOTS, place)}
        may_stay_empty = slots - fewest
        for slot in range(slots):
            for _ in range(places.count(slot)):
                self._add_error()
            self._is_error_near = slot in near
            if not self._fill(self._deck.idle if may_stay_empty > 0 else 0):
                may_stay_empty -= 1

    def _fill(self, idle: int) -> bool:
        """Draw a free step, or nothing."""
        drawn = self._deck.free.draw(self._choose, self.sketch, self._topology, idle)
        if drawn is None:
            return False
        cls, targets = drawn
        if cls is Await and self._held and not self._is_error_under_way:
            return False  # what holds the lanes waits for an error that is still to come
        target = self._choose.pick(targets)
        if cls.fate is Fate.HARMLESS:
            self._perform(cls, target)
        else:
            self._reset(cls, target)
        return True

    def _reset(self, cls: type[Event], target: Target) -> None:
        """A reset or recovery on demand: nothing is broken, so an attach at that very moment may succeed."""
        is_meeting = self._choose.chance(self._rules.overlap_percent)
        moment = self._choose.pick(_MOMENTS) if is_meeting else None
        if moment and (newcomers := self._newcomers()):
            self._add_context(self._choose.pick(newcomers), NOW, moment)
        self._perform(cls, target, moment)

    def _add_error(self) -> None:
        if not any(c.belief is ContextBelief.STARTED for c in self.sketch.contexts):
            self._renew_context()
        if self._choose.chance(self._rules.overlap_percent):
            self._intrude()
        drawn = self._deck.errors.draw(self._choose, self.sketch, self._topology)
        if drawn is None:
            return
        cls, targets = drawn
        if not self._choose.chance(10):
            targets = self._in_use(targets) or targets
        event = self._perform(cls, self._choose.pick(targets))
        self.sketch = changed(self.sketch, self.sketch.contexts, errors=1)
        self._is_error_under_way = True
        if type(event) is FreezeEehPe and self._choose.chance(85):
            self._trip(event)

    def _renew_context(self) -> None:
        """A new context for the next error to hit, after all are gone."""
        if newcomers := self._newcomers():
            actor, afu = self._choose.pick(newcomers)
            self._add_context((actor, afu))
            self._add(HARNESS, Await(actor, _SETUP_TIMEOUT_MS, interrupt=False))

    def _newcomers(self) -> list[Target]:
        """Who can have a new context now, and where: actors whose lanes nothing holds."""
        if not self._is_set_up_allowed:
            return []
        return [t for t in Open.enabled(self.sketch, self._topology) if t[0] not in self._held]

    def _intrude(self) -> None:
        """An attach in the middle of the recovery to come: all of it, or all but an early open."""
        newcomers = [target for target in self._newcomers() if target[0] != self._steady]
        if not (newcomers and self._deck.triggers):
            return
        target = self._choose.pick(self._in_use(newcomers) or newcomers)
        when = self._choose.pick(self._deck.triggers)
        is_open_early = self._choose.chance(50)
        self._add_context(target, NOW if is_open_early else when, when if is_open_early else NOW)

    def _in_use(self, targets: Sequence[Target]) -> list[Target]:
        """Those of `targets` that are AFUs or cards with an attached context."""
        used = {c.afu for c in self.sketch.contexts if c.belief is ContextBelief.STARTED}
        used |= {self._topology.afu(name).card for name in used}
        return [target for target in targets if target[1] in used]

    def _trip(self, armed: FreezeEehPe) -> None:
        """The access that sets off `armed`, soon after it, from a lane that nothing holds."""
        cls = _ACCESSES[armed.access]
        card = self._topology.card(armed.card)
        afus = [afu.name for afu in card.afus]
        targets = [
            (c.actor, c.fd)
            for c in self.sketch.contexts
            if c.is_mapped and c.afu in afus and c.actor not in self._held
        ]
        if targets and cls in self._deck.free.events:
            target = self._choose.pick(targets)
            event = cls.draw(target, self.sketch, self._topology, self._choose)
            self._add(target[0], event, self._choose.pick(_MOMENTS))

    def _add_context(self, target: Target, open_when: When = NOW, attach_when: When = NOW) -> None:
        """Open, attach and map: a context of actor and AFU `target`."""
        opened = Open.draw(target, self.sketch, self._topology, self._choose)
        self._add(target[0], opened, open_when)
        mine = (target[0], opened.fd)
        self._add(target[0], Attach.draw(mine, self.sketch, self._topology, self._choose), attach_when)
        if opened.afu in self._deck.mappable:
            self._add(target[0], Map.draw(mine, self.sketch, self._topology, self._choose))
        self._steady = self._steady or target[0]

    def _perform(self, cls: type[Event], target: Target, when: When | None = None) -> Event:
        event = cls.draw(target, self.sketch, self._topology, self._choose)
        self._add(target[0], event, when or (NOW if cls in _PROMPT else self._when(target[0])))
        return event

    def _add(self, actor: str, event: Event, when: When = NOW) -> None:
        self.steps.append(Step(actor, event, when))
        self.sketch = event.advance(actor, self.sketch)
        if type(event) is Await and event.actors == ALL:
            self._held.clear()
            self._is_error_under_way = False
        elif when.phase or (type(event) is ReadEvent and event.timeout_ms == FOR_EVER):
            self._held.add(actor)
        elif type(event) is Fork and actor not in self._held:
            # The child must be born before it is spoken to.
            self._add(HARNESS, Await(actor, _BIRTH_TIMEOUT_MS, interrupt=False))

    def _when(self, actor: str) -> When:
        choose = self._choose
        if not choose.chance(self._rules.overlap_percent):
            return NOW
        is_ambush = self._is_error_near and actor not in (NEMESIS, self._steady)
        if self._deck.triggers and (self._is_error_under_way or is_ambush) and choose.chance(65):
            return choose.pick(self._deck.triggers)
        return choose.pick(self._deck.delays)


def _actors(steps: Sequence[Step]) -> list[str]:
    """The actors that `steps` bring to life, in order."""
    found: dict[str, None] = {}
    for step in steps:
        if step.actor not in RESERVED_ACTORS:
            found[step.actor] = None
        if type(step.event) is Fork:
            found[step.event.child] = None
    return list(found)


def _needs(steps: Sequence[Step], cards: Deck) -> frozenset[str]:
    needs: set[str] = set()
    for event in {type(step.event) for step in steps}:
        needs |= event.needs
    if any(step.when.phase in cards.probed_phases for step in steps):
        needs.add(KPROBES)
    return frozenset(needs)
