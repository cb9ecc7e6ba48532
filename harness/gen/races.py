"""Races that are set up around an error or a reset: who shall be doing what when a recovery comes upon them.

Chance alone seldom puts two things within the few microseconds in which they matter. Each of these functions
adds a few steps that meet an error, or a reset, in one way:

| race | what meets the recovery |
|---|---|
| `intrude` | an attach in the middle of it |
| `hold_an_attach` | an attach that PHYP keeps busy from before the error until after its detection |
| `ambush` | what an owner does with a context at the moment of its purge |
| `come_again` | the use of a purged context once recovery has ended |
| `fall_asleep` | a reader that only it can wake |
| `neighbours` | two contexts of one AFU that wait for interrupts, one of which is raised |
| `meet` | work on contexts at the very moment of the error or reset |
| `kill` | the death of an owner at the moment of the purge |
| `use` | contexts that are used as if nothing had happened |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.events.answer_hcall import AnswerHcall
from harness.events.attach_invalid import AttachInvalid
from harness.events.await_ import ALL, Await
from harness.events.detach import Detach
from harness.events.exit_actor import ExitActor
from harness.events.fork import Fork
from harness.events.kill_actor import KillActor
from harness.events.load import Load
from harness.events.map import Map
from harness.events.poll_events import PollEvents
from harness.events.query_context import QueryContext
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.read_event import FOR_EVER, ReadEvent
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.events.touch_unmapped_memory import TouchUnmappedMemory
from harness.events.unmap import Unmap
from harness.gen.walk import Walk
from harness.vocab.case import NOW, When
from harness.vocab.event import HARNESS, NEMESIS, Event, Target
from harness.vocab.phase import Phase
from harness.vocab.sketch import ContextBelief, ContextSketch

MOMENTS = (When(after_ms=1), When(after_ms=2), When(after_ms=5))

_READ_MS = 1_000
_GATHER_PERCENT = 70
_GATHER_MS = 5_000
_ATTACH = "H_ATTACH_CA_PROCESS"
_LONG_BUSY_1_S = 9903
_POLL_S = 3  # how long it takes, at the most, until a guest's driver looks

_Acts = Mapping[type[Event], int]
"""What is done with a context, and how often beside the others."""

_AT_A_PURGE: _Acts = {
    Detach: 5,
    ExitActor: 2,
    RaiseAfuInterrupt: 3,
    TouchMemory: 2,
    Load: 2,
    Store: 1,
    Unmap: 1,
    Fork: 1,
    QueryContext: 1,
    ReadEvent: 1,
}
_AT_A_MOMENT: _Acts = {
    TouchMemory: 5,
    RaiseAfuInterrupt: 3,
    Detach: 3,
    TouchUnmappedMemory: 1,
    KillActor: 1,
    Store: 1,
}
_UNDETECTED: _Acts = {Load: 5, Store: 4, QueryContext: 1, PollEvents: 1, ReadEvent: 1, TouchMemory: 1}
_AFTERWARDS: _Acts = {
    QueryContext: 4,
    AttachInvalid: 1,
    Map: 2,
    Load: 2,
    Store: 1,
    ReadEvent: 2,
    PollEvents: 2,
    RaiseAfuInterrupt: 1,
    Detach: 1,
}
_PURGE = (Phase.DETECTED, Phase.QUIESCE, Phase.QUIESCE, Phase.CONTEXT_PURGED, Phase.CONTEXT_PURGED)
_END = (Phase.RESUME, Phase.RECOVERED, Phase.RECOVERED)


def gather(walk: Walk) -> None:
    """Mostly wait until all are idle: lanes that are busy come too late for a race, and seldom by the same."""
    if (walk.is_error_under_way or not walk.held) and walk.choose.chance(_GATHER_PERCENT):
        walk.add(HARNESS, Await(ALL, _GATHER_MS, interrupt=False))


def intrude(walk: Walk, afus: frozenset[str]) -> When | None:
    """An attach in the middle of the recovery to come: all of it, or all but an early open."""
    newcomers = _newcomers(walk, afus)
    if newcomers and walk.deck.triggers:
        when = walk.choose.pick(walk.deck.triggers)
        is_open_early = walk.choose.chance(50)
        opens, attaches = (NOW, when) if is_open_early else (when, NOW)
        walk.add_context(walk.choose.pick(newcomers), opens, attaches)
    return None


def hold_an_attach(walk: Walk, afus: frozenset[str]) -> When | None:
    """PHYP is busy with an attach for so long that the error is noticed meanwhile."""
    newcomers = _newcomers(walk, afus)
    if AnswerHcall not in walk.deck.free.events or not newcomers:
        return intrude(walk, afus)
    walk.add(NEMESIS, AnswerHcall(_ATTACH, _LONG_BUSY_1_S, walk.choose.integer(2, _POLL_S + 1)))
    walk.add_context(walk.choose.pick(newcomers))
    return walk.choose.pick(MOMENTS)


def ambush(walk: Walk, afus: frozenset[str]) -> When | None:
    """Owners of contexts act at a moment of the purge to come."""
    for _ in range(walk.choose.integer(1, 2)):
        _act(walk, _AT_A_PURGE, _triggers(walk, _PURGE), _free(walk, afus, walk.steady))
    return None


def come_again(walk: Walk, afus: frozenset[str]) -> When | None:
    """A context that the recovery purges is used again when it has ended."""
    for _ in range(walk.choose.integer(1, 2)):
        _act(walk, _AFTERWARDS, _triggers(walk, _END), _free(walk, afus, walk.steady))
    return None


def fall_asleep(walk: Walk, afus: frozenset[str]) -> When | None:
    """A reader of events blocks, and only the recovery can wake it."""
    free = _free(walk, afus, walk.steady)
    if free and ReadEvent in walk.deck.free.events:
        sleeper = walk.choose.pick(free)
        walk.add(sleeper.actor, ReadEvent(sleeper.fd, FOR_EVER))
    return None


def neighbours(walk: Walk, afus: frozenset[str]) -> When | None:
    """Two contexts of one AFU, one of which raises an interrupt; either waits for it."""
    free = [c for c in _free(walk, afus) if c.is_mapped]
    several = [c for c in free if sum(c.afu == other.afu for other in free) > 1]
    if several and {RaiseAfuInterrupt, ReadEvent} <= set(walk.deck.free.events):
        raiser = walk.choose.pick(several)
        reader = walk.choose.pick([c for c in several if c.afu == raiser.afu])
        walk.perform(RaiseAfuInterrupt, (raiser.actor, raiser.fd), NOW)
        walk.add(reader.actor, ReadEvent(reader.fd, _READ_MS))
    return None


def meet(walk: Walk, afus: frozenset[str]) -> When | None:
    """Owners of contexts act at one moment, which is also to be that of the error or the reset."""
    moment = walk.choose.pick(MOMENTS)
    for _ in range(walk.choose.integer(1, 2)):
        _act(walk, _AT_A_MOMENT, (moment,), _free(walk, afus))
    return moment


def kill(walk: Walk, afus: frozenset[str], _moment: When | None) -> None:
    """The nemesis, which causes the errors too, kills an owner of a context at a moment of the purge."""
    _act(walk, {KillActor: 1}, _triggers(walk, _PURGE), _free(walk, afus))


def use(walk: Walk, afus: frozenset[str], moment: When | None) -> None:
    """Owners of contexts go on as if nothing had happened, and one of them may notice."""
    for _ in range(walk.choose.integer(1, 2)):
        when = walk.choose.pick((moment if moment and not moment.phase else NOW, *MOMENTS))
        _act(walk, _UNDETECTED, (when,), _free(walk, afus))


_BEFORE_AN_ERROR: dict[Callable[[Walk, frozenset[str]], When | None], int] = {
    intrude: 4,
    hold_an_attach: 2,
    ambush: 4,
    come_again: 3,
    fall_asleep: 2,
    neighbours: 2,
    meet: 3,
}
_AFTER_AN_ERROR: dict[Callable[[Walk, frozenset[str], When | None], None], int] = {use: 3, kill: 1}


def before_an_error(walk: Walk, afus: frozenset[str]) -> When | None:
    """Set up one race with an error of `afus` that is to come; gives its moment, if that matters."""
    races = _BEFORE_AN_ERROR
    return walk.choose.weighted(tuple(races), tuple(races.values()))(walk, afus)


def after_an_error(walk: Walk, afus: frozenset[str], moment: When | None) -> None:
    """Set up one race with the error of `afus` that was just sent for `moment`."""
    races = _AFTER_AN_ERROR
    walk.choose.weighted(tuple(races), tuple(races.values()))(walk, afus, moment)


def _newcomers(walk: Walk, afus: frozenset[str]) -> list[Target]:
    """Who may attach during a recovery of `afus`: there, if anybody can."""
    found = [target for target in walk.newcomers() if target[0] != walk.steady]
    return [target for target in found if target[1] in afus] or found


def _free(walk: Walk, afus: frozenset[str], but: str = "") -> list[ContextSketch]:
    """Attached contexts of `afus` whose owners nothing holds, and are not `but`."""
    return [
        context
        for context in walk.sketch.contexts
        if context.belief is ContextBelief.STARTED
        and context.afu in afus
        and context.actor not in walk.held
        and context.actor != but
    ]


def _triggers(walk: Walk, phases: Sequence[Phase]) -> list[When]:
    """The first sighting of each of `phases` that the host can show."""
    known = {when.phase for when in walk.deck.triggers}
    return [When(phase=phase.value) for phase in phases if phase.value in known]


def _act(walk: Walk, acts: _Acts, moments: Sequence[When], free: Sequence[ContextSketch]) -> None:
    """One of `acts` at one of `moments`, with one of the contexts `free` or upon its owner."""
    allowed = [cls for cls in acts if cls in walk.deck.free.events]
    if not (free and allowed and moments):
        return
    subject = walk.choose.pick(free)
    cls = walk.choose.weighted(allowed, [acts[cls] for cls in allowed])
    names = {subject.fd, subject.map_name, subject.actor}
    targets = [
        target
        for target in cls.enabled(walk.sketch, walk.topology)
        if target[1] in names or (cls is Fork and target[0] == subject.actor)
    ]
    if targets:
        walk.perform(cls, walk.choose.pick(targets), walk.pick_when(cls, moments))
