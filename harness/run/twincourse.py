"""The course of one case on a host: what was done to which AFU, and where each operation lies in that.

The Moment of an operation says where it lies in its AFU's troubles. Hosts detect at their own times, so only
operations that lie in the same Moment on both are compared. What is close in time, and in no order by any
actor or wait, is chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from harness.run.twinsubjects import Subjects
from harness.vocab.event import HARNESS, Role
from harness.vocab.history import FOREVER_US, History, Kind, Operation, Record
from harness.vocab.phase import Phase
from harness.vocab.registers import Register

SETTLED_SLACK_US = 1_500_000
"""How long after a whole period of the driver's check everything has been noticed and dealt with."""

SILENT_RESET_US = 400_000
"""How long PHYP takes for a reset that it tells nobody of."""

CLOSE_US = 50_000
"""What is not further apart than this comes in another order on another host."""

ROOM = ("open", "close", "exit", "kill")
"""Verbs that change which contexts there are."""

REACTIONS = (
    Phase.ERROR_DETECTED,
    Phase.QUIESCE,
    Phase.RESET,
    Phase.SLOT_RESET,
    Phase.RECOVERED,
    Phase.FAILED_PERMANENTLY,
)
"""Phases by which a driver reacts. That a state was read says little: every file operation reads it."""


ENDS = (Phase.RECOVERED, Phase.FAILED_PERMANENTLY)
"""Phases with which a recovery is over."""

UNBIND_US = 2_500_000
"""How long a recovery may say nothing after it has quiesced and before it resets; an unbind says no more."""


class Moment(Enum):
    """Where an operation lies in the troubles of its AFU."""

    CALM = "calm"  # nothing was done to it
    PENDING = "pending"  # something was, and the driver has not reacted
    PASSED = "passed"  # what was done to it has ended by itself, and the driver has not reacted
    SETTLED = "settled"  # all that was done to it was long ago
    MOVING = "moving"  # anything else


class Place(NamedTuple):
    """Where an operation stands in its case."""

    step: int
    part: int


@dataclass(frozen=True)
class Course:
    """One History by its operations."""

    history: History

    @cached_property
    def operations(self) -> Mapping[Place, Operation]:
        """All operations that were begun."""
        return {Place(op.invoke.step, op.invoke.part): op for op in self.history.operations}

    @cached_property
    def left_out(self) -> Mapping[Place, Record]:
        """What was answered without being begun, such as a step whose moment did not come."""
        return {
            Place(record.step, record.part): record
            for record in self.history.records
            if record.kind is Kind.INFO and (record.step, record.part) not in self.operations
        }

    @cached_property
    def _subjects(self) -> Subjects:
        return Subjects(self.history.topology, self.history.operations)

    def afus(self, op: Operation) -> tuple[str, ...]:
        """The AFUs or devices that an operation is about; all of them when it does not say."""
        return self._subjects.of(op)

    def handle(self, op: Operation) -> str:
        """The file descriptor that an operation goes through, by itself or by its mapping; or nothing."""
        return self._subjects.handle(op)

    @cached_property
    def blows(self) -> Mapping[str, tuple[Operation, ...]]:
        """What was done to each AFU: errors, and what an administrator asks of it."""
        found: dict[str, list[Operation]] = {name: [] for name in self._subjects.everybody}
        for op in self.history.operations:
            if op.intent.role in (Role.ERROR, Role.CONTROL):
                for afu in op.intent.disturbs:
                    found.setdefault(afu, []).append(op)
        return {afu: tuple(ops) for afu, ops in found.items()}

    def moment(self, op: Operation) -> Moment:
        """Where `op` lies in the troubles of its AFUs: the worst of them."""
        moments = {self._moment(op, afu) for afu in self.afus(op)}
        return Moment.MOVING if len(moments) > 1 else moments.pop() if moments else Moment.CALM

    def _moment(self, op: Operation, afu: str) -> Moment:
        others = [blow for blow in self.blows.get(afu, ()) if blow is not op]
        if any(self.is_chance(op, blow) for blow in others):
            return Moment.MOVING
        blows = [blow for blow in others if blow.began_us <= op.ended_us]
        if not blows:
            return Moment.CALM
        has_checks = self.history.topology.poll_period_ms > 0
        find = self._moment_of_checks if has_checks else self._moment_of_recovery
        return find(op, afu, blows)

    def _moment_of_checks(self, op: Operation, afu: str, blows: Sequence[Operation]) -> Moment:
        """Where the driver checks periodically, it has noticed everything after a period."""
        last_us = max(blow.ended_us for blow in blows)
        if op.began_us >= last_us + self.period_us:
            return Moment.SETTLED
        since = [us for us in self.reaction_times.get(afu, ()) if us >= min(b.began_us for b in blows)]
        if last_us > op.began_us or (since and op.ended_us >= since[0]):
            return Moment.MOVING
        passes = [blow.ended_us + us for blow in blows if (us := length_us(blow))]
        if any(op.began_us - CLOSE_US <= us <= op.ended_us + CLOSE_US for us in passes):
            return Moment.MOVING
        return Moment.PASSED if any(us < op.began_us for us in passes) else Moment.PENDING

    def _moment_of_recovery(self, op: Operation, afu: str, blows: Sequence[Operation]) -> Moment:
        """Where nobody checks periodically: a freeze waits until somebody notices, and a recovery ends."""
        began_us = op.ended_us if op.args.get("settle") else op.began_us  # it first waits until EEH is done
        last_us = max(blow.ended_us for blow in blows)
        if last_us > began_us:
            return Moment.MOVING
        first_us = min(blow.began_us for blow in blows)
        since = [us for us in self.reaction_times.get(afu, ()) if first_us <= us <= op.ended_us + CLOSE_US]
        if not since:
            return Moment.MOVING if any(map(is_armed, blows)) else Moment.PENDING
        ended = [us for us in self._end_times.get(afu, ()) if us >= since[-1]]
        if not ended or began_us < ended[0] + CLOSE_US:
            return Moment.MOVING
        return Moment.SETTLED if last_us < ended[0] else Moment.PENDING

    @cached_property
    def _end_times(self) -> Mapping[str, list[int]]:
        """When what the driver did about the troubles of each AFU came to an end: a recovery, or what it does
        when it is unbound, after which nothing follows.
        """
        found: dict[str, list[int]] = {}
        for phase in ENDS:
            for mark in self.history.marked(phase):
                for afu in self.members(mark.subject):
                    found.setdefault(afu, []).append(mark.time_us)
        for afu, times in self.reaction_times.items():
            quiesced = {mark.time_us for mark in self.history.marked(Phase.QUIESCE, afu)}
            alone = [
                us + UNBIND_US
                for us, after in zip_longest(times, times[1:], fillvalue=FOREVER_US)
                if us in quiesced and after - us > UNBIND_US
            ]
            found.setdefault(afu, []).extend(alone)
        return {afu: sorted(times) for afu, times in found.items()}

    def ended_us(self, afu: str, since_us: int) -> int:
        """When what was done about a trouble of `afu`, at `since_us`, had ended; or far in the future."""
        return next((us for us in self._end_times.get(afu, ()) if us >= since_us), FOREVER_US)

    def is_signal_under_way(self, op: Operation) -> bool:
        """Whether the AFU was told, shortly before `op` ended, to raise what `op` may see."""
        return any(
            command.began_us <= op.ended_us and op.began_us <= command.ended_us + CLOSE_US
            for command in self._commands
            if set(self.afus(command)) & set(self.afus(op))
        )

    @cached_property
    def cut_off(self) -> frozenset[str]:
        """AFUs with a command that came so close to another, or to a trouble, that one may be lost."""
        return frozenset(
            afu
            for command in self._commands
            for afu in self.afus(command)
            for other in (*self.blows.get(afu, ()), *self._commands)
            if other is not command and afu in (*self.afus(other), *other.intent.disturbs)
            if _are_close(command, other)
        )

    @cached_property
    def _commands(self) -> tuple[Operation, ...]:
        return tuple(
            op
            for op in self.history.operations
            if op.verb == "store" and op.args.get("offset") == Register.COMMAND
        )

    def is_chance(self, op: Operation, blow: Operation) -> bool:
        """Whether chance alone decides which of the two comes first: no actor and no wait orders them."""
        if op.invoke.actor == blow.invoke.actor:
            return False
        first, last = sorted((op, blow), key=lambda item: item.invoke.step)
        if any(_orders(barrier, first, last) for barrier in self._barriers):
            return False
        return _are_close(op, blow)

    def is_room_chance(self, op: Operation) -> bool:
        """Whether chance decides which contexts of others are open on the AFU of `op` when it comes."""
        afus = set(self.afus(op))
        return any(
            other.verb in ROOM and afus & set(self.afus(other)) and self.is_chance(op, other)
            for other in self.history.operations
        )

    def is_raced(self, op: Operation) -> bool:
        """Whether chance decides if another actor's store through the same descriptor comes before `op`."""
        handle = self.handle(op)
        return bool(handle) and any(
            other.verb == "store" and self.handle(other) == handle and self.is_chance(op, other)
            for other in self.history.operations
        )

    @cached_property
    def _barriers(self) -> tuple[Operation, ...]:
        """What holds back all that follows."""
        return tuple(op for op in self.history.operations if op.invoke.actor == HARNESS)

    def standing(self, afu: str, phases: Iterable[Phase]) -> Mapping[Place, int]:
        """For each thing that was done to `afu`, how many of its marks of `phases` came before."""
        subjects = {afu, *(item.card for item in self.history.topology.afus if item.name == afu)}
        times = [mark.time_us for phase in phases for mark in self.history.marked(phase, *subjects)]
        return {
            Place(blow.invoke.step, blow.invoke.part): sum(us < blow.began_us for us in times)
            for blow in self.blows.get(afu, ())
        }

    @property
    def period_us(self) -> int:
        """How long it takes until everything has been noticed."""
        return 1000 * self.history.topology.poll_period_ms + SETTLED_SLACK_US

    @cached_property
    def reaction_times(self) -> Mapping[str, list[int]]:
        """When the driver reacted to the troubles of each AFU."""
        found: dict[str, list[int]] = {}
        for phase in REACTIONS:
            for mark in self.history.marked(phase):
                for afu in self.members(mark.subject):
                    found.setdefault(afu, []).append(mark.time_us)
        return {afu: sorted(times) for afu, times in found.items()}

    def members(self, subject: str) -> tuple[str, ...]:
        """The AFUs or the device that a mark is about; a mark without a subject is about all of them."""
        return self._subjects.members(subject)


def _are_close(one: Operation, other: Operation) -> bool:
    return one.began_us <= other.ended_us + CLOSE_US and other.began_us <= one.ended_us + CLOSE_US


def _orders(barrier: Operation, first: Operation, last: Operation) -> bool:
    """Whether `last` waited at `barrier` until `first` was over; a wait for others says nothing of it."""
    if not first.invoke.step < barrier.invoke.step < last.invoke.step or first.ended_us > barrier.ended_us:
        return False
    actors = barrier.args.get("actors", "all")
    return not (barrier.is_ok and actors != "all" and first.invoke.actor not in actors)


def is_armed(blow: Operation) -> bool:
    """Whether the trouble waits for an access that sets it off: the host's own, perhaps."""
    return str(blow.intent.details.get("access", "now")) != "now"


def length_us(blow: Operation) -> int:
    """How long a trouble lasts that ends by itself; 0 for any other."""
    if blow.intent.event == "ResetSilently":
        return SILENT_RESET_US
    return 1000 * int(blow.intent.details["for_ms"]) if blow.intent.event == "RaiseTransientError" else 0
