"""What there is to draw from on one host under one set of rules, worked out once for all its cases."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from harness.events.await_ import Await
from harness.events.map import Map
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW, When
from harness.vocab.errors import Problem, UsageError
from harness.vocab.event import Chooser, Event, Fate, Role, Target
from harness.vocab.phase import MARKS, Phase, Source, phases
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Subject, Topology

KPROBES = "kprobes"
"""The feature without which most phases cannot be seen."""

_TRIES = 3

_PHASE_WEIGHTS = {
    Phase.QUIESCE.value: 6,
    Phase.CONTEXT_PURGED.value: 6,
    Phase.RESET.value: 5,
    Phase.SLOT_RESET.value: 4,
    Phase.DETECTED.value: 3,
    Phase.CONFIRMED.value: 3,
    Phase.FAILED_PERMANENTLY.value: 1,
    Phase.ERROR_DETECTED.value: 0,  # of devices without CAPI
    "hcall:H_CONTROL_CA_FACILITY": 1,
    "hcall:H_COLLECT_CA_INT_INFO": 1,
    "hcall:H_CONTROL_CA_FAULTS": 1,
    "hcall:H_DOWNLOAD_CA_FACILITY": 0,  # no event makes the driver call it
}
_OTHER_PHASE_WEIGHT = 2
_NESTED = frozenset(
    phase.value
    for phase in (Phase.QUIESCE, Phase.CONTEXT_PURGED, Phase.RESET, Phase.SLOT_RESET, Phase.RESUME)
)

# Trace events that the driver has of its own; all others in MARKS are dynamic probes.
_TRACEPOINTS = frozenset({"cxl_detach", "cxl_hcall_control_function"})


class Table(NamedTuple):
    """Event classes with the running sums of their weights."""

    events: tuple[type[Event], ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, weighed: Iterable[tuple[type[Event], int]]) -> Table:
        """The classes whose weight is not 0, the heaviest first: choices shrink towards what is common."""
        drawable = sorted(
            ((event, weight) for event, weight in weighed if weight),
            key=lambda pair: (-pair[1], pair[0].__name__),
        )
        return cls(tuple(event for event, _ in drawable), tuple(accumulate(weight for _, weight in drawable)))

    def draw(
        self, choose: Chooser, sketch: Sketch, topology: Topology, idle: int = 0
    ) -> tuple[type[Event], Sequence[Target]] | None:
        """An event that is enabled now, and its targets; None when none is, or when doing nothing is drawn.

        `idle` is the weight of doing nothing. Asking all events whether they are enabled would take most of
        the time of drawing a case, so an event is drawn first and asked afterwards; after a few refusals the
        next one in the table that is enabled is taken.
        """
        if not self.events:
            return None
        index = 0
        for _ in range(_TRIES):
            ticket = choose.integer(0, self.ends[-1] + idle - 1) - idle
            if ticket < 0:
                return None
            index = bisect_right(self.ends, ticket)
            if targets := self.events[index].enabled(sketch, topology):
                return self.events[index], targets
            idle = 0
        for event in self.events[index + 1 :] + self.events[:index]:
            if targets := event.enabled(sketch, topology):
                return event, targets
        return None


class Deck(NamedTuple):
    """The tables of one host and one set of rules.

    `resets` are the free events that may start a recovery. `idle` is the weight of doing nothing in a slot.
    `triggers` wait for a phase, and each stands there as often as its weight says; `nested` wait for the
    phases between detection and the end of a recovery; `delays` wait for a moment only. `probed_phases` are
    those that only dynamic probes show, `mappable` the nodes whose contexts may be mapped.
    """

    free: Table
    errors: Table
    resets: Table
    idle: int
    triggers: tuple[When, ...]
    nested: tuple[When, ...]
    delays: tuple[When, ...]
    probed_phases: frozenset[str]
    mappable: frozenset[str]


@lru_cache(maxsize=64)
def deck(topology: Topology, rules: DrawRules, events: tuple[type[Event], ...]) -> Deck:
    """The deck of `topology` under `rules`. Raises UsageError for weights of unknown events."""
    _must_exist(rules, events)
    here = [
        (event, rules.weights.get(event.__name__, event.weight))
        for event in events
        if topology.platform in event.platforms
        and event.needs <= topology.features
        and Subject.CARDS in event.subjects
    ]
    free = Table.of(
        pair for pair in here if pair[0].role in (Role.WORKLOAD, Role.CONTROL) or pair[0] is Await
    )
    errors = Table.of(pair for pair in here if pair[0].role is Role.ERROR)
    resets = Table.of(
        pair for pair in here if pair[0].role is Role.CONTROL and pair[0].fate is not Fate.HARMLESS
    )
    probed = _probed_phases(topology)
    visible = [
        name for name in phases(topology.platform) if KPROBES in topology.features or name not in probed
    ]
    weighed = [(name, _PHASE_WEIGHTS.get(name, _OTHER_PHASE_WEIGHT)) for name in visible]
    return Deck(
        free,
        errors,
        resets,
        _idle_weight(free, rules),
        tuple(when for name, weight in weighed for when in _triggers(name) * weight),
        tuple(When(phase=name) for name in visible if name in _NESTED),
        _delays(topology),
        probed,
        frozenset(
            afu.node(kind) for afu in topology.afus if Map in free.events for kind in afu.kinds_with_registers
        ),
    )


def _must_exist(rules: DrawRules, events: Sequence[type[Event]]) -> None:
    known = {event.__name__ for event in events}
    allowed = ", ".join(sorted(known))
    problems = [
        Problem(f"unknown event {name!r}", f"draw.weights.{name}", allowed)
        for name in rules.weights
        if name not in known
    ]
    if problems:
        raise UsageError(problems)


def _idle_weight(free: Table, rules: DrawRules) -> int:
    """The weight that leaves empty, on average, half of the slots that may stay empty."""
    low, high = rules.steps
    total = free.ends[-1] if free.ends else 1
    return total * (high - low) // (high + low)


def _triggers(phase: str) -> tuple[When, ...]:
    """The ways to wait for `phase`: mostly for its first sighting, sometimes a little longer."""
    plain = When(phase=phase)
    late = (When(after_ms=1, phase=phase), When(after_ms=5, phase=phase), When(phase=phase, nth=2))
    return (*(plain,) * 7, *late)


def _delays(topology: Topology) -> tuple[When, ...]:
    """Moments to wait for: none, a few milliseconds, and on PowerVM about the time of the driver's check."""
    period_ms = topology.poll_period_ms
    around = (period_ms - 50, period_ms - 1, period_ms, period_ms + 1, period_ms + 50) if period_ms else ()
    return (NOW, *(When(after_ms=ms) for ms in (1, 2, 3, 4, 5, *around) if ms > 0))


def _probed_phases(topology: Topology) -> frozenset[str]:
    """Phases that only dynamic probes can show."""
    shown = {
        mark.phase.value
        for mark in MARKS
        if topology.platform in mark.platforms and (mark.source is Source.LOG or mark.event in _TRACEPOINTS)
    }
    return frozenset(phases(topology.platform)) - shown
