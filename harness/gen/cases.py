"""Draws a Case by walking a Sketch, written once for every source of choices.

The rules of the walk:

1. A case begins with a snapshot, then some contexts are opened, attached and mapped, so that the first error
   has something to hit; mostly several on one AFU.
2. There is a fixed number of slots for free steps, and a slot may stay empty. Under Hypothesis this finds and
   shrinks best: a slot shrinks to nothing without moving those after it.
3. Errors stand at drawn places between the slots. The first may come at once; later ones often wait for a
   phase of the recovery from the one before, and then mostly hit what it hit.
4. Steps near an error may wait for a phase of recovery. A step that waits holds the lane of its actor, so one
   actor with a context never waits before an error has been sent: somebody has to notice it.
5. Around an error or a reset `races` are set up; their steps leave slots empty that may be.
6. An injection that waits for an access mostly gets one, from a lane that nothing holds.
7. Of two draws the one that was seen more seldom is taken, where a Rarity says what was seen.
8. A case ends with the steps of `closing`.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.events._beliefs import changed
from harness.events.await_ import ALL, Await
from harness.events.detach import Detach
from harness.events.fork import Fork
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.load import Load
from harness.events.open import Open
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.set_freeze_limit import SetFreezeLimit
from harness.events.set_perst_policy import SetPerstPolicy
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.gen import acts, races
from harness.gen.choosers import SeededChooser
from harness.gen.closing import BASELINE, closing
from harness.gen.deck import KPROBES, Deck, deck
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.gen.walk import SETUP_TIMEOUT_MS, Walk
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, RESERVED_ACTORS, Chooser, Event, Fate, Target
from harness.vocab.schedule import Schedule, Strategy
from harness.vocab.sketch import ContextBelief
from harness.vocab.topology import Topology

_CONTEXTS_MAX = 4
_NEAR_SLOTS = 5
_SCHEDULE_SEED_MAX = (1 << 24) - 1
_PRIORITY_PERCENT = 40
_MEETING_PERCENT = 75
_NESTED_PERCENT = 60
_LIMITED_PERCENT = 10
_CHANGES = (1, 2, 3)
_WITHIN = (40, 120)
"""Most drawn cases have about 120 decisions, and the first error comes among the first of them."""

_ACCESSES: dict[str, type[Event]] = {"load": Load, "store": Store, "dma": TouchMemory}


def draw_case(
    choose: Chooser,
    topology: Topology,
    rules: DrawRules,
    events: Sequence[type[Event]],
    origin: str = "",
    *,
    rarity: Rarity = NOTHING_SEEN,
) -> Case:
    """A case for `topology`, drawn from `events` under `rules`; `origin` says where it came from.

    Raises UsageError when `rules` weigh an event that is not in `events`.
    """
    schedule = draw_schedule(choose)
    cards = deck(topology, rules, tuple(events))
    walk = Walk(choose, topology, rules, cards, rarity=rarity)
    for step in BASELINE:
        walk.take(step)
    _set_up(walk)
    _go(walk)
    return finished(walk, schedule, origin)


def case_from_seed(
    seed: int,
    topology: Topology,
    rules: DrawRules,
    events: Sequence[type[Event]],
    rarity: Rarity = NOTHING_SEEN,
) -> Case:
    """The case that `seed` stands for: the same on any machine, for one version of the events.

    With a `rarity` it depends on that too.
    """
    return draw_case(SeededChooser(seed), topology, rules, events, f"seed {seed}", rarity=rarity)


def draw_schedule(choose: Chooser) -> Schedule:
    """A random walk, or priorities with few changes: either finds what the other seldom does."""
    seed = choose.integer(0, _SCHEDULE_SEED_MAX)
    if choose.chance(_PRIORITY_PERCENT):
        return Schedule(Strategy.PRIORITY, seed, choose.pick(_CHANGES), choose.pick(_WITHIN))
    return Schedule.of_seed(seed)


def finished(walk: Walk, schedule: Schedule, origin: str) -> Case:
    """The case of a walk that has come to its end: its steps, and those that close it."""
    topology = walk.topology
    steps = (*walk.steps, *closing(topology, walk.sketch, _actors(walk.steps)))
    needs = _needs(steps, walk.deck)
    return Case(steps, topology.platform, schedule, needs, len(topology.cards), origin)


def _set_up(walk: Walk) -> None:
    """Policies, and a few contexts that are opened, attached and mapped."""
    choose = walk.choose
    if SetFreezeLimit in walk.deck.free.events and choose.chance(_LIMITED_PERCENT):
        walk.perform(SetFreezeLimit, SetFreezeLimit.enabled(walk.sketch, walk.topology)[0], NOW)
    if SetPerstPolicy in walk.deck.free.events:
        for card in walk.topology.cards:
            if choose.chance(50):
                walk.add(NEMESIS, SetPerstPolicy(card.name, same_image=True))
    if not walk.is_set_up_allowed:
        return
    for index in range(_CONTEXTS_MAX):
        targets = Open.enabled(walk.sketch, walk.topology)
        if targets and (index == 0 or choose.chance(55)):
            if choose.chance(50):
                targets = walk.in_use(targets) or targets
            if choose.chance(60):
                targets = walk.of_new_owners(targets) or targets
            walk.add_context(choose.pick(targets))
    if choose.chance(80):
        walk.add(HARNESS, Await(ALL, SETUP_TIMEOUT_MS, interrupt=False))


def _go(walk: Walk) -> None:
    """The free slots, and the errors and resets between them."""
    choose = walk.choose
    fewest, slots = walk.rules.steps
    errors = choose.integer(*walk.rules.errors) if walk.deck.errors.events else 0
    places = sorted(choose.integer(0, slots - 1) for _ in range(errors))
    near = {slot for place in places for slot in range(place - _NEAR_SLOTS, place)}
    reset_place = choose.integer(0, slots - 1) if choose.chance(walk.rules.overlap_percent) else slots
    may_stay_empty = slots - fewest
    for slot in range(slots):
        for _ in range(places.count(slot)):
            add_error(walk)
        if slot == reset_place:
            add_reset(walk)
        walk.is_error_near = slot in near
        if walk.on_top > 0 and may_stay_empty > 0:
            walk.on_top -= 1
            may_stay_empty -= 1
            walk.leave_slot()
        elif not fill(walk, walk.deck.idle if may_stay_empty > 0 else 0):
            may_stay_empty -= 1


def fill(walk: Walk, idle: int) -> bool:
    """Draw a free step, or nothing."""
    drawn = walk.draw_free(idle)
    if drawn is None:
        return False
    cls, targets = drawn
    if cls is Await and walk.held and not walk.is_error_under_way:
        return False  # what holds the lanes waits for an error that is still to come
    target = walk.choose.pick(targets)
    if cls is Detach and walk.choose.chance(walk.rules.overlap_percent):
        mine = [c for c in walk.sketch.contexts if (c.actor, c.fd) == target and c.is_mapped]
        if mine:
            acts.leave(walk, mine[0])
            return True
    if cls.fate is not Fate.HARMLESS:
        _reset(walk, cls, target, walk.rules.overlap_percent)
        return True
    walk.perform(cls, target)
    if cls is RaiseAfuInterrupt and walk.choose.chance(walk.rules.overlap_percent):
        races.listen(walk, target)
    return True


def add_reset(walk: Walk) -> None:
    """A reset of what is in use, which somebody meets."""
    if drawn := walk.deck.resets.draw(walk.choose, walk.sketch, walk.topology):
        cls, targets = drawn
        walk.on_top += 1
        _reset(walk, cls, walk.choose.pick(walk.in_use(targets) or targets), _MEETING_PERCENT)


def _reset(walk: Walk, cls: type[Event], target: Target, meeting_percent: int) -> None:
    """A reset or recovery on demand: nothing is broken, so what is done at that very moment may succeed."""
    if not walk.choose.chance(meeting_percent):
        walk.perform(cls, target)
        return
    afus = walk.reach(target[1])
    moment = races.before_a_reset(walk, afus)
    walk.perform(cls, target, moment)
    races.after_a_reset(walk, afus, moment)


def add_error(walk: Walk) -> None:
    """An error, and the races around it."""
    choose, overlap = walk.choose, walk.rules.overlap_percent
    if not any(c.belief is ContextBelief.STARTED for c in walk.sketch.contexts):
        _renew_context(walk)
    drawn = walk.deck.errors.draw(choose, walk.sketch, walk.topology)
    if drawn is None:
        return
    cls, targets = drawn
    is_nested = walk.is_error_under_way and choose.chance(_NESTED_PERCENT)
    if is_nested:
        targets = [target for target in targets if walk.reach(target[1]) == walk.struck] or targets
    elif not choose.chance(10):
        targets = walk.in_use(targets) or targets
    target = choose.pick(targets)
    afus = walk.struck = walk.reach(target[1])
    moment: When | None = None
    if choose.chance(overlap):
        if is_nested and walk.deck.nested:
            moment = walk.pick_when(cls, walk.deck.nested)
        else:
            moment = races.before_an_error(walk, afus)
    event = walk.perform(cls, target, moment)
    walk.sketch = changed(walk.sketch, walk.sketch.contexts, errors=1)
    walk.is_error_under_way = True
    if type(event) is FreezeEehPe and choose.chance(85):
        _trip(walk, event)
    else:
        races.after_an_error(walk, afus, moment)


def _renew_context(walk: Walk) -> None:
    """A new context for the next error to hit, after all are gone."""
    if newcomers := walk.newcomers():
        actor, afu = walk.choose.pick(newcomers)
        walk.add_context((actor, afu))
        walk.add(HARNESS, Await(actor, SETUP_TIMEOUT_MS, interrupt=False))


def _trip(walk: Walk, armed: FreezeEehPe) -> None:
    """The access that sets off `armed`, soon after it, from a lane that nothing holds."""
    cls = _ACCESSES[armed.access]
    afus = [afu.name for afu in walk.topology.card(armed.card).afus]
    targets = [
        (c.actor, c.fd)
        for c in walk.sketch.contexts
        if c.is_mapped and c.afu in afus and c.actor not in walk.held
    ]
    if targets and cls in walk.deck.free.events:
        target = walk.choose.pick(targets)
        event = cls.draw(target, walk.sketch, walk.topology, walk.choose)
        walk.add(target[0], event, walk.choose.pick(races.MOMENTS))


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
