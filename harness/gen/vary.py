"""Cases made of cases that reached something new: another schedule or trigger, one step more, or two in one.

The rules:
1. What is varied is the body of a case: its steps without those that every case begins and ends with. The
   closing steps are drawn up anew, for what the new body touches.
2. Names stay unique: what is added is numbered on from the end of the case, and a case that is added to
   another has its descriptors, markers and children renumbered.
3. Nothing is taken away: shorter is the minimiser's affair, and a wait that is missing makes a case mean
   something else. The exception is an event that would no longer be what it says it is (`Event.fits`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from harness.events.await_ import Await
from harness.events.fork import Fork
from harness.gen import races
from harness.gen.cases import add_error, add_reset, draw_schedule, fill, finished
from harness.gen.choosers import SeededChooser
from harness.gen.closing import BASELINE, END
from harness.gen.deck import deck
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.gen.walk import Walk
from harness.vocab.case import Case, Step
from harness.vocab.event import NEMESIS, PROBE, Event, Role
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_STEPS_MAX = 60
"""Bodies that are longer are not added to: what they show takes too long to be made small."""
_NUMBERED = re.compile(r"([ac])(\d{1,6})(\.mmio)?")
_NAMES = ("fd", "map", "child", "actor", "actors")
_MARKERS = ("value", "wed")
_MARKER_MASK = (1 << 48) - 1  # above it markers say what they mark
_FIRST_CHILD = Sketch().next_actor


def varied(
    seed: int,
    parents: Sequence[Case],
    topology: Topology,
    rules: DrawRules,
    events: Sequence[type[Event]],
    *,
    rarity: Rarity = NOTHING_SEEN,
) -> Case:
    """A case made of the first of `parents`, by way of a second where there is one; `seed` says how.

    All must be cases for `topology`. Raises UsageError as drawing does.
    """
    choose = SeededChooser(seed)
    walk = Walk(choose, topology, rules, deck(topology, rules, tuple(events)), rarity=rarity)
    for step in BASELINE:
        walk.take(step)
    parent = parents[0]
    bodies = [body(case) for case in parents]
    way = choose.weighted(tuple(_WAYS), tuple(_WAYS.values()))
    if way is reschedule or len(bodies[0]) > _STEPS_MAX:
        schedule = draw_schedule(choose)
        return replace(parent, schedule=schedule, origin=f"seed {seed}, {parent.id} rescheduled")
    way(walk, bodies)
    schedule = draw_schedule(choose) if choose.chance(50) else parent.schedule
    return finished(walk, schedule, f"seed {seed}, {parent.id} by {way.__name__}")


def body(case: Case) -> tuple[Step, ...]:
    """The steps of `case` without its beginning and its end."""
    steps = case.steps[len(BASELINE) :] if case.steps[: len(BASELINE)] == BASELINE else case.steps
    ends = [index for index, step in enumerate(steps) if step == END]
    if len(ends) > 1:
        steps = steps[: ends[-2]]
    return tuple(step for step in steps if step.actor != PROBE)


def reschedule(walk: Walk, bodies: Sequence[Sequence[Step]]) -> None:
    """The same steps in another interleaving."""


def retrigger(walk: Walk, bodies: Sequence[Sequence[Step]]) -> None:
    """One step waits for another moment."""
    steps = bodies[0]
    movable = [i for i, step in enumerate(steps) if step.actor != NEMESIS and type(step.event) not in _PROMPT]
    triggers = (*walk.deck.triggers, *walk.deck.delays, *races.MOMENTS)
    chosen = walk.choose.pick(movable) if movable else -1
    for index, step in enumerate(steps):
        when = walk.pick_when(type(step.event), triggers) if index == chosen else step.when
        walk.take(Step(step.actor, step.event, when))


def insert(walk: Walk, bodies: Sequence[Sequence[Step]]) -> None:
    """A few steps more: drawn as in a fresh case, at a drawn place."""
    _insert(walk, bodies[0], _one_more)


def nest(walk: Walk, bodies: Sequence[Sequence[Step]]) -> None:
    """One error more, after another."""
    errors = [index for index, step in enumerate(bodies[0]) if step.event.role is Role.ERROR]
    place = walk.choose.pick(errors) + 1 if errors else len(bodies[0])
    _insert(walk, bodies[0], add_error, place)


def splice(walk: Walk, bodies: Sequence[Sequence[Step]]) -> None:
    """One case after the other, without a pause; the second is renumbered."""
    for step in bodies[0]:
        walk.take(step)
    if len(bodies) > 1 and len(bodies[0]) + len(bodies[1]) <= _STEPS_MAX:
        rename = _Renaming(_Numbers(bodies[0]))
        for step in bodies[1]:
            walk.take(rename.step(step))


_WAYS: dict[Callable[[Walk, Sequence[Sequence[Step]]], None], int] = {
    reschedule: 3,
    retrigger: 3,
    insert: 4,
    nest: 3,
    splice: 2,
}
_PROMPT = (Await, Fork)


def _one_more(walk: Walk) -> None:
    if walk.choose.chance(25):
        add_reset(walk)
    else:
        fill(walk, 0)


def _insert(walk: Walk, steps: Sequence[Step], add: Callable[[Walk], None], place: int = -1) -> None:
    """All `steps`, and what `add` draws at `place`; anywhere when that is -1."""
    numbers = _Numbers(steps)
    place = walk.choose.integer(0, len(steps)) if place < 0 else place
    for step in steps[:place]:
        walk.take(step)
        walk.is_error_under_way |= step.event.role is Role.ERROR
    walk.sketch = replace(
        walk.sketch, next_fd=numbers.next_fd, next_actor=numbers.next_actor, next_marker=numbers.next_marker
    )
    add(walk)
    for step in steps[place:]:
        walk.take(step)


class _Numbers:
    """The numbers from which on names and markers are free. Cases that were made small have gaps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.next_fd, self.next_actor, self.next_marker = 0, _FIRST_CHILD, 1
        for step in steps:
            self._name(step.actor)
            for name, value in step.event.details.items():
                if name in _NAMES:
                    self._name(value)
                elif name in _MARKERS:
                    self.next_marker = max(self.next_marker, (value & _MARKER_MASK) + 1)

    def _name(self, name: str) -> None:
        if found := _NUMBERED.fullmatch(name):
            number = int(found[2]) + 1
            if found[1] == "c":
                self.next_fd = max(self.next_fd, number)
            else:
                self.next_actor = max(self.next_actor, number)


class _Renaming:
    """Gives the names of one case numbers that another case has not used."""

    def __init__(self, used: _Numbers) -> None:
        self._first_fd = used.next_fd
        self._first_child = used.next_actor - _FIRST_CHILD
        self._first_marker = used.next_marker
        self._fields: Mapping[str, Callable[[Any], Any]] = {
            **dict.fromkeys(_NAMES, self._name),
            **dict.fromkeys(_MARKERS, self._marker),
        }

    def step(self, step: Step) -> Step:
        """`step` with other names."""
        event = step.event
        changes = {
            item.name: self._fields[item.name](getattr(event, item.name))
            for item in fields(event)
            if item.name in self._fields
        }
        return Step(self._name(step.actor), replace(event, **changes) if changes else event, step.when)

    def _name(self, name: str) -> str:
        found = _NUMBERED.fullmatch(name)
        if not found:
            return name
        kind, number, suffix = found[1], int(found[2]), found[3] or ""
        if kind == "c":
            number += self._first_fd
        elif number >= _FIRST_CHILD:  # those before are in every case
            number += self._first_child
        return f"{kind}{number}{suffix}"

    def _marker(self, marker: int) -> int:
        return marker + self._first_marker
