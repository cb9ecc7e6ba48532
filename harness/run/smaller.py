"""What may be taken from a case to make it smaller: groups of steps, triggers, waits, decisions. Pure.

Each function gives candidates, the most promising first; whether one still shows the bug is for `minimise` to
find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.events.await_ import ALL, Await
from harness.events.exceed_correctable_errors import ExceedCorrectableErrors
from harness.events.exit_actor import ExitActor
from harness.events.fence_phb import FencePhb
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.raise_psl_error import RaisePslError
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE, RESERVED_ACTORS, Role
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy

MOMENT = When(after_ms=5)
"""Long enough for whoever has nothing to wait for to be done, on a simulated host and on most others."""

_PLAINER_MAX = 2
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


def plainer(case: Case) -> Iterator[Case]:
    """The case with errors that act at once, instead of those that wait for an access or for their number."""
    for kind in range(_PLAINER_MAX):
        steps = tuple(_plain(step, kind) for step in case.steps)
        if steps != case.steps:
            needs = frozenset().union(*(type(step.event).needs for step in steps))
            yield replace(case, steps=steps, needs=case.needs | needs)


def _plain(step: Step, kind: int) -> Step:
    event = step.event
    instead = event
    if type(event) is FreezeEehPe:
        first_afu = f"{event.card.replace('card', 'afu')}.0"  # as the cxl driver names them
        instead = (FencePhb(event.card), RaisePslError(first_afu))[kind]
    elif type(event) is ExceedCorrectableErrors and not kind:
        instead = RaiseRecoverableError(event.afu)
    return step if instead is event else Step(step.actor, instead, step.when)


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
        name = getattr(step.event, "fd", "") or getattr(step.event, "map", "").partition(".")[0]
        if name:
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
    if not when.phase and when != MOMENT:
        yield MOMENT
    if when.phase:
        if when.nth > 1:
            yield replace(when, nth=1, after_ms=0)
        if when.after_ms:
            yield replace(when, after_ms=0)


def instead_of_waits(case: Case) -> Iterator[Case]:
    """Cases without one of their waits: what comes after it comes a moment later by itself."""
    for index in reversed(range(len(case.steps) - 1)):
        step, after = case.steps[index], case.steps[index + 1]
        if type(step.event) is Await and after.when == NOW and after.actor != HARNESS:
            later = _with_step(case, index + 1, Step(after.actor, after.event, MOMENT))
            yield without(later, frozenset({index}))


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
