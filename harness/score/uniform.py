"""Cases drawn uniformly, of two kinds: the searches to compare ours with.

A case has as many steps as one of ours, the same beginning and the same end, and as many steps wait, half of
them for a phase and half for a moment. There are no weights, no set-up, and no aim. The *valid* kind draws
each step uniformly from the events that make sense now; the *blind* kind believes nothing of the host, and
draws any event, by any actor, about any context, AFU or card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from harness.events.await_ import ALL, Await
from harness.events.fork import Fork
from harness.events.open import Open
from harness.events.pause import Pause
from harness.gen.choosers import SeededChooser
from harness.gen.closing import BASELINE, closing
from harness.gen.deck import KPROBES, deck
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW, Case, Step
from harness.vocab.event import HARNESS, NEMESIS, Event, Fate, Role, Target
from harness.vocab.schedule import Schedule
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Subject, Topology

_ACTORS = ("a0", "a1", "a2")
_FDS_EACH = 2
_CHILDREN_MAX = 6
_SEED_MAX = (1 << 24) - 1


def valid_case(seed: int, topology: Topology, rules: DrawRules, events: Sequence[type[Event]]) -> Case:
    """The case that `seed` stands for, of events that make sense when they are drawn."""
    return _case(seed, topology, rules, events, is_blind=False)


def blind_case(seed: int, topology: Topology, rules: DrawRules, events: Sequence[type[Event]]) -> Case:
    """The case that `seed` stands for, of any events at all.

    Only errors that say of themselves that they are harmless are drawn where they are: oracles believe them.
    """
    return _case(seed, topology, rules, events, is_blind=True)


def _case(
    seed: int, topology: Topology, rules: DrawRules, events: Sequence[type[Event]], *, is_blind: bool
) -> Case:
    choose = SeededChooser(seed)
    schedule = Schedule.of_seed(choose.integer(0, _SEED_MAX))
    drawable = [event for event in events if _is_drawable(event, topology)]
    cards = deck(topology, rules, tuple(events))
    phases = tuple(dict.fromkeys(cards.triggers))
    steps, sketch, errors = list(BASELINE), Sketch(), Sketch()
    for _ in range(choose.integer(*rules.steps) + choose.integer(*rules.errors)):
        event, targets = _draw(choose, drawable, errors if is_blind else sketch, topology, is_blind)
        actor, subject = choose.pick(targets)
        if is_blind:
            own = [number for number, fd in enumerate(_fds()) if _is_own(actor, fd)]
            sketch = replace(errors, next_fd=choose.pick(own), next_marker=1 + len(steps))
        drawn = event.draw((actor, subject), sketch, topology, choose)
        is_waiting = event not in (Await, Fork) and choose.chance(rules.overlap_percent)
        waits = phases if choose.chance(50) else cards.delays
        steps.append(Step(actor, drawn, choose.pick(waits) if is_waiting else NOW))
        if event.role is Role.ERROR:
            errors = drawn.advance(actor, errors)
        sketch = Sketch() if is_blind else drawn.advance(actor, sketch)
    children = [step.event.child for step in steps if type(step.event) is Fork]
    steps += closing(topology, sketch, dict.fromkeys((*_ACTORS, *children)))
    needs = frozenset().union(*(type(step.event).needs for step in steps)) | {KPROBES}
    origin = f"{'blind' if is_blind else 'uniform'} seed {seed}"
    return Case(tuple(steps), topology.platform, schedule, needs, len(topology.cards), origin)


def _draw(
    choose: SeededChooser,
    drawable: Sequence[type[Event]],
    sketch: Sketch,
    topology: Topology,
    is_blind: bool,
) -> tuple[type[Event], Sequence[Target]]:
    """An event and who could do it to what, each event as likely as any other."""
    while True:
        event = choose.pick(drawable)
        is_harmless = event.role is Role.ERROR and event.fate is Fate.HARMLESS
        is_any = is_blind and not is_harmless
        targets = _targets(event, topology) if is_any else event.enabled(sketch, topology)
        if targets:
            return event, targets


def _is_drawable(event: type[Event], topology: Topology) -> bool:
    is_here = topology.platform in event.platforms and event.needs <= topology.features
    is_here &= Subject.CARDS in event.subjects
    return is_here and (event.role is not Role.CLOSING or event in (Await, Pause))


def _fds() -> list[str]:
    return [f"c{number}" for number in range(len(_ACTORS) * _FDS_EACH)]


def _targets(event: type[Event], topology: Topology) -> Sequence[Target]:
    """Everybody who could do it, with everything that it could be about."""
    subjects = [afu.name for afu in topology.afus] if event is Open else _subjects(event, topology)
    if subjects is None:
        return event.enabled(Sketch(), topology)
    if event in (Await, Pause):
        doers: Sequence[str] = (HARNESS,)
    else:
        doers = _ACTORS if event.role is Role.WORKLOAD else (NEMESIS,)
    return [(doer, subject) for doer in doers for subject in subjects if _is_own(doer, subject)]


def _subjects(event: type[Event], topology: Topology) -> list[str] | None:
    """What there is of the kind that the event's first field names; None for what is no such thing."""
    names = [item.name for item in fields(event)]
    return {
        "fd": _fds(),
        "map": _fds(),
        "afu": [afu.name for afu in topology.afus],
        "card": [card.name for card in topology.cards],
        "actor": list(_ACTORS),
        "actors": [*_ACTORS, ALL],
        "child": [f"a{number}" for number in range(len(_ACTORS), _CHILDREN_MAX)],
    }.get(names[0] if names else "")


def _is_own(doer: str, subject: str) -> bool:
    """Descriptors are dealt out among the actors: nobody can use another's."""
    if doer not in _ACTORS or subject not in _fds():
        return True
    return _fds().index(subject) // _FDS_EACH == _ACTORS.index(doer)
