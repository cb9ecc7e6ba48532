"""What owners do with contexts when a recovery comes upon them, and when: what `races` are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.events.attach_invalid import AttachInvalid
from harness.events.detach import Detach
from harness.events.exit_actor import ExitActor
from harness.events.fork import Fork
from harness.events.kill_actor import KillActor
from harness.events.load import Load
from harness.events.map import Map
from harness.events.poll_events import PollEvents
from harness.events.query_context import QueryContext
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.read_event import ReadEvent
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.events.touch_unmapped_memory import TouchUnmappedMemory
from harness.events.unmap import Unmap
from harness.gen.walk import Walk
from harness.vocab.case import NOW, When
from harness.vocab.event import Event, Target
from harness.vocab.phase import Phase
from harness.vocab.sketch import ContextBelief, ContextSketch

Acts = Mapping[type[Event], int]
"""What is done with a context, and how often beside the others."""

AT_A_PURGE: Acts = {
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
AT_A_MOMENT: Acts = {
    TouchMemory: 5,
    RaiseAfuInterrupt: 5,
    Detach: 3,
    TouchUnmappedMemory: 1,
    KillActor: 1,
    Store: 1,
    Load: 3,
}
UNDETECTED: Acts = {Load: 5, Store: 4, QueryContext: 1, PollEvents: 1, ReadEvent: 1, TouchMemory: 1}
AFTERWARDS: Acts = {
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
_LINGER_LOADS = (20, 30, 40, 50, 60)
"""How many loads take about as long as a page fault does: each takes a microsecond or less."""
PURGE = (Phase.DETECTED, Phase.QUIESCE, Phase.QUIESCE, Phase.CONTEXT_PURGED, Phase.CONTEXT_PURGED)
END = (Phase.RESUME, Phase.RECOVERED, Phase.RECOVERED)


def newcomers(walk: Walk, afus: frozenset[str]) -> list[Target]:
    """Who may attach during a recovery of `afus`: there, if anybody can."""
    found = [target for target in walk.newcomers() if target[0] != walk.steady]
    return [target for target in found if target[1] in afus] or found


def free(walk: Walk, afus: frozenset[str], but: str = "") -> list[ContextSketch]:
    """Attached contexts of `afus` whose owners nothing holds, and are not `but`."""
    return [
        context
        for context in walk.sketch.contexts
        if context.belief is ContextBelief.STARTED
        and context.afu in afus
        and context.actor not in walk.held
        and context.actor != but
    ]


def triggers(walk: Walk, phases: Sequence[Phase]) -> list[When]:
    """The first sighting of each of `phases` that the host can show."""
    known = {when.phase for when in walk.deck.triggers}
    return [When(phase=phase.value) for phase in phases if phase.value in known]


def act(walk: Walk, acts: Acts, moments: Sequence[When], free: Sequence[ContextSketch]) -> None:
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


def leave(walk: Walk, context: ContextSketch) -> None:
    """An owner gives its AFU work, and some microseconds later lets go of the context: all of it."""
    mine = (context.actor, context.fd)
    if {TouchMemory, Load, Unmap, Detach} <= set(walk.deck.free.events):
        walk.perform(TouchMemory, mine, NOW)
        walk.add(context.actor, Load(context.map_name, "WED", 8, walk.choose.pick(_LINGER_LOADS)))
        walk.perform(Unmap, (context.actor, context.map_name), NOW)  # a mapping keeps the context open
        walk.perform(Detach, mine, NOW)
