"""What may be taken from a case to make it smaller: groups of steps, triggers, waits, decisions. Pure.

Each function gives candidates, the most promising first; whether one still shows the bug is for `minimise` to
find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.events.await_ import ALL, Await
from harness.events.exit_actor import ExitActor
from harness.events.pause import Pause
from harness.run.exchange import LATE, MOMENT, descriptor
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE, RESERVED_ACTORS, Role
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy

_SETTLED = Step(HARNESS, Await(ALL, 5_000, interrupt=False))


def calmer(case: Case, is_deterministic: bool) -> Iterator[Case]:
    """The same steps with less overlap: most bugs do not need it, and are more reliable without."""
    rested = case.with_steps(tuple(_rested(step) for step in case.steps))
    if is_deterministic and case.schedule != UNTIL_IT_WAITS:
        yield replace(rested, schedule=UNTIL_IT_WAITS)
        yield replace(case, schedule=UNTIL_IT_WAITS)
    if rested != case:
        yield rested


def _rested(step: Step) -> Step:
    """Errors and administrators come a moment after what was begun before them."""
    is_calm = step.actor == NEMESIS and not step.when.phase
    return Step(step.actor, step.event, MOMENT) if is_calm else step


def groups(case: Case) -> list[frozenset[int]]:
    """Indexes of steps that go together: the end of the case and its parts, actors, contexts."""
    steps = case.steps
    last = max((i for i, s in enumerate(steps) if not is_closing(s)), default=-1)
    first = next((i for i, s in enumerate(steps) if not is_closing(s)), 0)
    ends = frozenset(i for i, s in enumerate(steps) if is_closing(s) and (i > last or i < first))
    found = [ends, frozenset(i for i in ends if steps[i].actor == PROBE)]
    found += [frozenset(i for i in ends if type(steps[i].event) is ExitActor)]
    actors = dict.fromkeys(step.actor for step in steps if step.actor not in RESERVED_ACTORS)
    found += [frozenset(i for i, s in enumerate(steps) if s.actor == actor) for actor in reversed(actors)]
    found += _contexts(steps)
    return [group for group in found if group]


def _contexts(steps: Sequence[Step]) -> list[frozenset[int]]:
    """All that is done with one descriptor or its mapping, by whomever."""
    by_fd: dict[str, set[int]] = {}
    for index, step in enumerate(steps):
        if name := descriptor(step):
            by_fd.setdefault(name, set()).add(index)
    return [frozenset(indexes) for indexes in reversed(by_fd.values())]


def is_closing(step: Step) -> bool:
    """Whether it is one of the steps with which cases begin and end."""
    return step.event.role is Role.CLOSING or step.actor == PROBE or type(step.event) is ExitActor


def without(case: Case, indexes: frozenset[int]) -> Case:
    """The case without these steps, and without the need of devices that no other step names."""
    steps = tuple(step for index, step in enumerate(case.steps) if index not in indexes)
    named = {f"device:{step.event.details.get('device')}" for step in steps}
    needs = frozenset(need for need in case.needs if not need.startswith("device:") or need in named)
    return replace(case, steps=steps, needs=needs)


def without_triggers(case: Case) -> Iterator[Case]:
    """No trigger at all; then one after the other gone, or simpler."""
    yield case.with_steps(tuple(Step(step.actor, step.event) for step in case.steps))


def simpler_trigger(case: Case, index: int) -> Iterator[Case]:
    """The case with simpler triggers of one step, the simplest first."""
    step = case.steps[index]
    for when in _simpler(step.when):
        yield _with_step(case, index, Step(step.actor, step.event, when))


def _simpler(when: When) -> Iterator[When]:
    if when == NOW:
        return
    yield NOW
    if when != MOMENT:
        yield MOMENT
    if when.phase:
        if when.nth > 1:
            yield replace(when, nth=1, after_ms=0)
        if when.after_ms:
            yield replace(when, after_ms=0)


def instead_of_waits(case: Case) -> Iterator[Case]:
    """Cases without one of their waits: what comes after it comes later by itself."""
    steps = case.steps
    for index in reversed(range(len(steps) - 1)):
        after = steps[index + 1]
        is_followed = after.when == NOW and after.actor != HARNESS
        if not is_followed or type(steps[index].event) not in (Await, Pause):
            continue
        late = LATE[case.platform]
        for moment in (MOMENT, late) if type(steps[index].event) is Await else (late,):
            later = _with_step(case, index + 1, Step(after.actor, after.event, moment))
            yield without(later, frozenset({index}))
            yield without(_each_later(case, index + 1, moment), frozenset({index}))


def _each_later(case: Case, start: int, moment: When) -> Case:
    """The first step of each actor from `start` on comes at `moment`; a late one later than those before."""
    steps, actors = list(case.steps), {HARNESS}
    for index in range(start, len(steps)):
        step = steps[index]
        if step.actor not in actors and step.when == NOW:
            times = len(actors) if moment != MOMENT else 1
            steps[index] = Step(step.actor, step.event, When(after_ms=moment.after_ms * times))
        actors.add(step.actor)
    return case.with_steps(tuple(steps))


def settled(case: Case) -> Iterator[Case]:
    """The case with a wait for everybody before each of its errors: its steps may then be fewer."""
    for index, step in enumerate(case.steps):
        if step.actor == NEMESIS and not (index and type(case.steps[index - 1].event) is Await):
            yield case.with_steps((*case.steps[:index], _SETTLED, *case.steps[index:]))


def other_schedules(case: Case, count: int) -> Iterator[Case]:
    """The case with other draws of its schedule: what was removed may only have shifted the interleaving."""
    for seed in range(1, count + 1):
        yield replace(case, schedule=Schedule.of_seed(seed))


def fewer_decisions(case: Case) -> Iterator[Case]:
    """The case with the later half of its listed decisions gone, then with each of them."""
    if case.schedule.strategy is not Strategy.DECISIONS:
        return
    listed = case.schedule.decisions
    size = len(listed)
    while size > 1:
        size = (size + 1) // 2
        for start in range(len(listed) - size, -1, -size):
            kept = (*listed[:start], *listed[start + size :])
            yield replace(case, schedule=replace(case.schedule, decisions=kept))
    for index in reversed(range(len(listed))):
        kept = (*listed[:index], *listed[index + 1 :])
        yield replace(case, schedule=replace(case.schedule, decisions=kept))


def _with_step(case: Case, index: int, step: Step) -> Case:
    return case.with_steps((*case.steps[:index], step, *case.steps[index + 1 :]))
