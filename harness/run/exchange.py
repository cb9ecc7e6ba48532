"""Shorter cases in which one step does what two did: exchanges, for when nothing can be removed any more.

A case from which no single step can go is often at a local minimum: a step is there only because another one
waits as long as it takes, because an error shows only when somebody trips over it, or because two errors do
what one would. Each exchange gives up a step or more for another event, or another moment, of one that stays.
Pure; whether an exchange still shows the bug is for `minimise` to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import takewhile

from harness.events.answer_command import AnswerCommand
from harness.events.answer_hcall import AnswerHcall
from harness.events.attach import Attach
from harness.events.await_ import Await
from harness.events.detach import Detach
from harness.events.exceed_correctable_errors import ExceedCorrectableErrors
from harness.events.exit_actor import ExitActor
from harness.events.fence_phb import FencePhb
from harness.events.force_recovery import ForceRecovery
from harness.events.fork import Fork
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.hang_afu import HangAfu
from harness.events.kill_actor import KillActor
from harness.events.map import Map
from harness.events.open import Open
from harness.events.open_flash_node import OpenFlashNode
from harness.events.pause import Pause
from harness.events.probe_capacity import ProbeCapacity
from harness.events.raise_psl_error import RaisePslError
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.raise_transient_error import RaiseTransientError
from harness.events.reset_silently import ResetSilently
from harness.events.unmap import Unmap
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE, RESERVED_ACTORS, Event, Fate, Role
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform

MOMENT = When(after_ms=5)
"""Long enough for whoever has nothing to wait for to be done, on a simulated host and on most others."""

SOON = When(after_ms=6)
"""After what happened at the MOMENT, and before anybody else has done much about it."""

LATE = {Platform.POWERNV: When(after_ms=15_000), Platform.POWERVM: When(after_ms=4_000)}
"""After a recovery, on PowerVM after one that the driver's next check finds: it looks every 3 s."""

_LONG = Pause(15_000)
"""Longer than a recovery, whatever began it."""

_SET_UP = (Open, Attach, Map, Fork)
KPROBES = "kprobes"
"""The feature of hosts that show all phases."""

_Make = Callable[[str, str], Event]  # of a card's and an AFU's name
_SIMPLE: Mapping[Platform, tuple[_Make, ...]] = {
    Platform.POWERNV: (
        lambda card, _: FencePhb(card),
        lambda _, afu: RaisePslError(afu),
        lambda card, _: ForceRecovery(card),
    ),
    Platform.POWERVM: (
        lambda _, afu: RaiseRecoverableError(afu),
        lambda card, _: OpenFlashNode(card),
    ),
}
"""Errors and resets that act at once and by themselves, the most reliable first."""

_REFUSES: Mapping[Platform, Callable[[str], Event]] = {
    Platform.POWERNV: lambda afu: AnswerCommand(afu, "add", "fail", 1),
    Platform.POWERVM: lambda _: AnswerHcall("H_ATTACH_CA_PROCESS", -75, 3),
}
"""Who refuses an attach to an AFU."""

_ARMED = (FreezeEehPe, HangAfu, ExceedCorrectableErrors, RaiseTransientError, ResetSilently)
"""Errors that wait for something: an access, a number, somebody who looks."""


def plainer(case: Case) -> Iterator[Case]:
    """The case with errors that act at once, instead of those that wait for something."""
    for kind in range(len(_SIMPLE[case.platform])):
        steps = tuple(_plain(case, step, kind) for step in case.steps)
        if steps != case.steps:
            yield _renewed(case, steps)


def _plain(case: Case, step: Step, kind: int) -> Step:
    if not isinstance(step.event, _ARMED):
        return step
    return Step(step.actor, _simple(case, step.event)[kind], step.when)


def fewest(case: Case) -> Iterator[Case]:
    """The case with the least of what errors and administrators count: answers, errors, freezes."""
    steps = tuple(_fewest(step) for step in case.steps)
    if steps != case.steps:
        yield case.with_steps(steps)


def _fewest(step: Step) -> Step:
    if step.actor != NEMESIS:
        return step
    least = {
        item.name: allowed.start
        for item in fields(step.event)
        if isinstance(allowed := item.metadata.get("allowed"), range) and not item.name.endswith("_ms")
    }
    return Step(step.actor, replace(step.event, **least), step.when) if least else step


def exchanges(case: Case) -> Iterator[Case]:
    """All exchanges of `case`, each a shorter case."""
    yield from _moments_handed_on(case)
    yield from _one_error_for_more(case)
    yield from _long_waits(case)
    yield from _parents_for_children(case)
    yield from _probes_for_contexts(case)
    yield from _exits_for_leaving(case)
    yield from _moments_for_phases(case)
    yield from _plainest_course(case)


def _moments_handed_on(case: Case) -> Iterator[Case]:
    """What waits for a moment goes, and what comes next waits instead; waits between the two go too.

    It waits for the same moment, or as long as one waits in vain for a moment that does not come.
    """
    steps = case.steps
    for index in reversed(range(len(steps))):
        when = steps[index].when
        if when == NOW:
            continue
        later = [i for i in range(index + 1, len(steps)) if steps[i].actor != HARNESS]
        own = [i for i in later if steps[i].actor == steps[index].actor]
        for heir in dict.fromkeys((*later[:1], *own[:1])):
            gone = {index, *(i for i in range(index + 1, heir) if steps[i].actor == HARNESS)}
            for moment in (when, LATE[case.platform]) if when.phase else (when,):
                instead = Step(steps[heir].actor, steps[heir].event, moment)
                yield _exchanged(case, {heir: instead}, gone)


def _one_error_for_more(case: Case) -> Iterator[Case]:
    """One simple error, a moment later, for two; where there is one, without a step that it may not need."""
    steps = case.steps
    errors = [i for i, step in enumerate(steps) if is_disturbing(step)]
    for index in errors:
        near = (index + 1, index - 1, *(i for i in range(index) if steps[i].actor == NEMESIS))
        others = [i for i in errors if i != index] or [i for i in dict.fromkeys(near) if 0 <= i < len(steps)]
        for event in _simple(case, steps[index].event):
            for other in others:
                place = min(index, other) if other in errors else index
                gone = {index, other} - {place}
                yield _exchanged(case, {place: Step(NEMESIS, event, MOMENT)}, gone)


def _long_waits(case: Case) -> Iterator[Case]:
    """A wait that is longer than any recovery, and another step gone."""
    for index, step in enumerate(case.steps):
        if type(step.event) in (Await, Pause) and step.event != _LONG:
            for other in reversed(range(len(case.steps))):
                if other != index and case.steps[other].actor != PROBE:
                    yield _exchanged(case, {index: Step(HARNESS, _LONG)}, {other})


def _parents_for_children(case: Case) -> Iterator[Case]:
    """What a child does is done by its parent, and no child is born."""
    for index, step in enumerate(case.steps):
        if isinstance(step.event, Fork):
            child = step.event.child
            mine = {
                i: Step(step.actor, other.event, other.when)
                for i, other in enumerate(case.steps)
                if other.actor == child
            }
            yield _exchanged(case, mine, {index})


def _probes_for_contexts(case: Case) -> Iterator[Case]:
    """A probe of an AFU, which opens, attaches and closes, instead of all that is done with a context."""
    for step in case.steps:
        if isinstance(step.event, Open):
            used = {i for i, other in enumerate(case.steps) if descriptor(other) == step.event.fd}
            if len(used) == 1:
                used |= {i for i, other in enumerate(case.steps) if other.event == KillActor(step.actor)}
            if len(used) > 1:
                last = max(used)
                yield _exchanged(case, {last: Step(PROBE, ProbeCapacity(step.event.afu))}, used - {last})


def descriptor(step: Step) -> str:
    """The descriptor that the step is about, by itself or by its mapping; or nothing."""
    return getattr(step.event, "fd", "") or str(getattr(step.event, "map", "")).partition(".")[0]


def bold_exchanges(case: Case) -> Iterator[Case]:
    """Exchanges that seldom do, for cases that are still long."""
    yield from _refused_probes(case)
    yield from _exits_for_errors(case)
    yield from _phases_for_work(case)


def _exits_for_errors(case: Case) -> Iterator[Case]:
    """Whoever has a context exits, and there is no error: an exit closes contexts as a recovery does."""
    errors = {i for i, step in enumerate(case.steps) if is_disturbing(step)}
    owners = dict.fromkeys(step.actor for step in case.steps if isinstance(step.event, Open))
    for owner in owners if errors else ():
        index = max(errors)
        yield _exchanged(case, {index: Step(owner, ExitActor())}, errors - {index})
        last = max(i for i, step in enumerate(case.steps) if step.actor == owner)
        if last not in errors:
            yield _exchanged(case, {last: Step(owner, ExitActor())}, errors)


def _exits_for_leaving(case: Case) -> Iterator[Case]:
    """Whoever unmaps and closes one after the other exits instead."""
    for owner in dict.fromkeys(step.actor for step in case.steps if isinstance(step.event, Open)):
        mine = [i for i, step in enumerate(case.steps) if step.actor == owner]
        leaving = list(takewhile(lambda i: isinstance(case.steps[i].event, (Unmap, Detach)), reversed(mine)))
        if len(leaving) > 1:
            instead = Step(owner, ExitActor(), case.steps[leaving[-1]].when)
            yield _exchanged(case, {leaving[0]: instead}, set(leaving[1:]))


def _moments_for_phases(case: Case) -> Iterator[Case]:
    """What waits for a phase waits a moment instead, and no error leads to the phase."""
    waiting = {i: step for i, step in enumerate(case.steps) if step.when.phase}
    for index, step in enumerate(case.steps) if waiting else ():
        if is_disturbing(step):
            for moment in (MOMENT, LATE[case.platform]):
                instead = {i: Step(o.actor, o.event, moment) for i, o in waiting.items() if i != index}
                yield _exchanged(case, instead, {index})


def _plainest_course(case: Case) -> Iterator[Case]:
    """Contexts are set up, one simple error acts, and somebody does one thing soon after it: nothing else."""
    steps = case.steps
    errors = [i for i, step in enumerate(steps) if is_disturbing(step)]
    set_up = {i for i, step in enumerate(steps) if isinstance(step.event, _SET_UP)}
    deeds = [i for i, step in enumerate(steps) if step.actor not in RESERVED_ACTORS and i not in set_up]
    if not errors or not deeds:
        return
    place, last = errors[-1], deeds[-1]
    kept = {*set_up, place, last, *(i for i, step in enumerate(steps) if step.actor == PROBE)}
    for event in _simple(case, steps[place].event) if len(kept) < len(steps) else ():
        instead = {
            place: Step(NEMESIS, event, MOMENT),
            last: Step(steps[last].actor, steps[last].event, SOON),
        }
        yield _exchanged(case, instead, set(range(len(steps))) - kept)


def _phases_for_work(case: Case) -> Iterator[Case]:
    """What an actor does after other work waits for the purge instead, and the other work goes."""
    if KPROBES not in case.needs:
        return
    steps = case.steps
    for index in reversed(range(len(steps))):
        mine = [i for i in range(index) if steps[i].actor == steps[index].actor]
        work = [i for i in mine if not isinstance(steps[i].event, _SET_UP)]
        is_worker = steps[index].actor not in RESERVED_ACTORS and not isinstance(steps[index].event, _SET_UP)
        for phase in (Phase.CONTEXT_PURGED, Phase.QUIESCE) if work and is_worker else ():
            instead = Step(steps[index].actor, steps[index].event, When(phase=phase.value))
            yield _exchanged(case, {index: instead}, set(work))


def _refused_probes(case: Case) -> Iterator[Case]:
    """A probe whose attach is refused, for all that is done: an attach that meets an error fails as well."""
    rest = [i for i, step in enumerate(case.steps) if step.actor != PROBE]
    rest.sort(key=lambda i: case.steps[i].actor == HARNESS)
    afus = dict.fromkeys(step.event.afu for step in case.steps if isinstance(step.event, Open))
    for afu in afus if len(rest) > 2 else ():
        refusal, probe = rest[:2]
        instead = {
            refusal: Step(NEMESIS, _REFUSES[case.platform](afu)),
            probe: Step(PROBE, ProbeCapacity(afu)),
        }
        waits = {i for i in rest if case.steps[i].actor == HARNESS}
        for kept in (set(), waits) if waits else (waits,):
            yield _exchanged(case, instead, set(rest[2:]) - kept)


def is_disturbing(step: Step) -> bool:
    """Whether it is an error, or a reset that may start a recovery."""
    event = step.event
    return step.actor == NEMESIS and (event.role is Role.ERROR or event.fate is not Fate.HARMLESS)


def _simple(case: Case, event: Event) -> list[Event]:
    """Simple errors of what `event` is about, by the names that the cxl driver gives."""
    subject = str(getattr(event, "afu", "") or getattr(event, "card", "card0"))
    card = f"card{subject.removeprefix('card').removeprefix('afu').partition('.')[0]}"
    first = card.replace("card", "afu")
    used = (step.event.afu for step in case.steps if isinstance(step.event, Open))
    mine = next((afu for afu in used if afu.startswith(f"{first}.")), f"{first}.0")
    afu = subject if subject.startswith("afu") else mine
    return [make(card, afu) for make in _SIMPLE[case.platform]]


def _exchanged(case: Case, instead: Mapping[int, Step], gone: set[int]) -> Case:
    steps = (instead.get(i, step) for i, step in enumerate(case.steps) if i not in gone)
    return _renewed(case, tuple(steps))


def _renewed(case: Case, steps: tuple[Step, ...]) -> Case:
    """`case` with other steps, and what they need of a host."""
    needs = frozenset().union(*(type(step.event).needs for step in steps))
    return Case(steps, case.platform, case.schedule, case.needs | needs, case.cards, case.origin)
