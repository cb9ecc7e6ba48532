"""Fact: a History is the append-only sequence of what was observed, each item a Record.

An operation is an INVOKE and later OK (it happened), FAIL (it did not) or INFO (it may or may not have). All
times are microseconds of the host's own clock, counted from the beginning of the case. A History begins with
the intents of its case, so that it can be judged without any other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from harness.vocab.event import Fate, Role
from harness.vocab.phase import Phase
from harness.vocab.renaming import renamed_at
from harness.vocab.topology import Subject, Topology
from harness.vocab.trouble import DEATHS


class Kind(Enum):
    """What a Record is."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"
    LOG = "log"
    TRACE = "trace"
    END = "end"


class Record(NamedTuple):
    """One observed fact.

    For operations `name` is the verb and `data` its arguments (INVOKE) or its answer; `step` is the index of
    the intent and `part` that of the request within it. For LOG `name` is the log level's number and `data`
    has ``text``; for TRACE `name` is the trace event and `data` its fields, with ``comm``, ``pid`` and
    ``hardirq`` (1 when it happened at interrupt level); ``afu`` when the line names one. `phase` is set on
    marks, and `subject` then names the AFU or the card. `seq` is the record's index in its History.
    """

    seq: int
    time_us: int
    actor: str
    kind: Kind
    name: str
    data: Mapping[str, Any]
    step: int = -1
    part: int = 0
    phase: Phase | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a step of the case meant: its actor, and its event's class name, fields, role, fate and reach."""

    actor: str
    event: str
    details: Mapping[str, Any]
    role: Role
    fate: Fate
    disturbs: frozenset[str]


class Operation(NamedTuple):
    """An INVOKE with what became of it. `end` is None when the history stops before an answer."""

    invoke: Record
    end: Record | None
    intent: Intent

    @property
    def verb(self) -> str:
        """The primitive's name, a value of Verb."""
        return self.invoke.name

    @property
    def args(self) -> Mapping[str, Any]:
        """The primitive's arguments."""
        return self.invoke.data

    @property
    def answer(self) -> Mapping[str, Any]:
        """What it gave back; empty without an answer."""
        return self.end.data if self.end else {}

    @property
    def is_ok(self) -> bool:
        """Whether it happened and succeeded."""
        return self.end is not None and self.end.kind is Kind.OK

    @property
    def errno(self) -> str:
        """The name of the errno that it failed with, else an empty string."""
        return str(self.answer.get("errno", "")) if self.end and self.end.kind is Kind.FAIL else ""

    @property
    def began_us(self) -> int:
        """When it was invoked."""
        return self.invoke.time_us

    @property
    def ended_us(self) -> int:
        """When it was answered; far in the future without an answer, because it may still take effect."""
        return self.end.time_us if self.end else FOREVER_US


FOREVER_US = 1 << 62

_CARDS = frozenset({Subject.CARDS})
_OF_CARDS = frozenset({"afu", "card", "fd", "map"})  # fields of events that name something of a card


@dataclass(frozen=True)
class History:
    """All records of one performance of one case, with the indexes that oracles ask for."""

    case_id: str
    topology: Topology
    intents: tuple[Intent, ...]
    records: tuple[Record, ...] = field(default=())

    @cached_property
    def _index(self) -> _Index:
        """All indexes, made in one pass: this is asked once for each of many thousand histories."""
        ends: dict[tuple[int, int], Record] = {}
        begun: list[Record] = []
        traces: dict[str, list[Record]] = {}
        log: list[Record] = []
        marks: dict[Phase, list[Record]] = {}
        for record in self.records:
            _, _, _, kind, name, _, step, part, phase, _ = record  # quicker than by name, and done so often
            if kind is Kind.TRACE:
                if name in traces:
                    traces[name].append(record)
                else:
                    traces[name] = [record]
            elif kind is Kind.INVOKE:
                begun.append(record)
            elif kind is Kind.LOG:
                log.append(record)
            elif step >= 0:
                ends[step, part] = record
            if phase is not None:
                marks.setdefault(phase, []).append(record)
        intents, end_of = self.intents, ends.get
        operations = [Operation(r, end_of((r.step, r.part)), intents[r.step]) for r in begun]
        by_verb: dict[str, list[Operation]] = {}
        for operation in operations:
            by_verb.setdefault(operation[0].name, []).append(operation)
        failed = [o for o in operations if o[1] is not None and o[1].kind is Kind.FAIL]
        return _Index(operations, by_verb, failed, traces, log, marks)

    @property
    def operations(self) -> Sequence[Operation]:
        """Operations in the order of their INVOKE."""
        return self._index.operations

    def operations_of(self, verb: str) -> Sequence[Operation]:
        """Operations with `verb`, in the same order."""
        return self._index.by_verb.get(verb, ())

    @property
    def failed(self) -> Sequence[Operation]:
        """Operations that did not happen, in the same order."""
        return self._index.failed

    @property
    def traces(self) -> Mapping[str, Sequence[Record]]:
        """Trace records by event name."""
        return self._index.traces

    @property
    def log(self) -> Sequence[Record]:
        """Kernel log records."""
        return self._index.log

    @property
    def marks(self) -> Mapping[Phase, Sequence[Record]]:
        """Records that mark a phase, by phase."""
        return self._index.marks

    @cached_property
    def subjects(self) -> frozenset[Subject]:
        """What the case is about: cards where its steps name any, or nothing at all; devices likewise."""
        if not self.topology.devices:
            return _CARDS
        named = {name for intent in self.intents for name in intent.details}
        found = set() if named.isdisjoint(_OF_CARDS) and "device" in named else {Subject.CARDS}
        return frozenset(found | {Subject.DEVICES} if "device" in named else found)

    @cached_property
    def is_complete(self) -> bool:
        """Whether the host said that it had played the case to its end, and not that it could not."""
        return bool(self.records) and self.records[-1].kind is Kind.END and not self.refusal

    @property
    def refusal(self) -> str:
        """Why the host could not play the case to its end, as it said at the end; nothing otherwise."""
        last = self.records[-1] if self.records else None
        return str(last.data.get("error") or "") if last and last.kind is Kind.END else ""

    @cached_property
    def death(self) -> Record | None:
        """The kernel's first word of something that died within it."""
        return next((r for r in self.log if any(death in r.data["text"] for death in DEATHS)), None)

    @cached_property
    def renaming(self) -> Record | None:
        """The kernel's first word of a card that got the name of another."""
        index = renamed_at((record.data["text"] for record in self.log), self.topology)
        return None if index is None else self.log[index]

    @cached_property
    def until_death(self) -> History:
        """Its records up to the death; all without one."""
        return self._until(self.death)

    @cached_property
    def until_renaming(self) -> History:
        """Its records as long as names mean what the topology says."""
        return self._until(self.renaming)

    def _until(self, end: Record | None) -> History:
        """A trace record bears the kernel's time, and may be read after a line of the log that is younger."""
        if end is None:
            return self
        late = (r for r in self.records[end.seq :] if r.kind is Kind.TRACE and r.time_us <= end.time_us)
        return replace(self, records=(*self.records[: end.seq], *late))

    def trace(self, *events: str) -> Sequence[Record]:
        """Trace records of `events`, in order of time."""
        if len(events) == 1:
            return self.traces.get(events[0], ())
        return sorted(record for event in events for record in self.traces.get(event, ()))

    def marked(self, phase: Phase, *subjects: str) -> Sequence[Record]:
        """Marks of `phase`, of `subjects` only when any is given."""
        found = self.marks.get(phase, ())
        return [record for record in found if record.subject in subjects] if subjects else found


class _Index(NamedTuple):
    """The records of a History by what oracles ask for."""

    operations: list[Operation]
    by_verb: dict[str, list[Operation]]
    failed: list[Operation]
    traces: dict[str, list[Record]]
    log: list[Record]
    marks: dict[Phase, list[Record]]
