"""The agent protocol: a Case becomes one play line, and the replies become Records.

What comes from a host is untrusted: a reply that the protocol does not allow raises ProtocolError with a
short, escaped excerpt, and nothing of it is used. Text inside a well-formed reply (log lines, file contents)
is kept as it is; whoever renders it escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.errors import Problem, ProtocolError, UsageError
from harness.vocab.event import KERNEL, Event
from harness.vocab.history import Intent, Kind, Record
from harness.vocab.phase import patterns
from harness.vocab.request import Json, Request, Verb
from harness.vocab.topology import Platform, Topology
from harness.wire.cxl_abi import decode_event, decode_ioctl, decode_request, encode_ioctl
from harness.wire.excerpt import excerpt
from harness.wire.klog import KlogReader
from harness.wire.moments import moment
from harness.wire.tracefs import TraceReader

LINE_LIMIT_BYTES = 1 << 20
"""No reply is longer."""

_VERBS = frozenset(verb.value for verb in Verb)
_IOCTL = Verb.IOCTL.value
_DECODED = frozenset({_IOCTL, Verb.READ.value})
_new = tuple.__new__  # a Record without the cost of its constructor's call: one is made for each reply
_ANSWERS = {"ok": Kind.OK, "fail": Kind.FAIL, "info": Kind.INFO}


_T = TypeVar("_T")


def intents(case: Case, topology: Topology) -> tuple[Intent, ...]:
    """Return what each step of `case` means on a host with `topology`.

    Raises UsageError when a step names something that the host has not.
    """
    try:
        return tuple([_intent(step.actor, step.event, topology) for step in case.steps])
    except KeyError:
        return tuple(_on_host(number, step, topology, _intent) for number, step in enumerate(case.steps))


@lru_cache(maxsize=4096)
def _intent(actor: str, event: Event, topology: Topology) -> Intent:
    """One step's meaning; remembered, because most steps of a case end it and are in every case."""
    return Intent(
        actor, type(event).__name__, event.details, event.role, event.fate, event.disturbs(topology)
    )


def _on_host(number: int, step: Step, topology: Topology, ask: Callable[[str, Event, Topology], _T]) -> _T:
    try:
        return ask(step.actor, step.event, topology)
    except KeyError as error:
        has = ", ".join(
            thing for card in topology.cards for thing in (card.name, *(a.name for a in card.afus))
        )
        what = f"{type(step.event).__name__} names {error.args[0]!r}, which the host has not"
        raise UsageError(Problem(what, f"steps[{number}]", has)) from error


def encode_play(case: Case, topology: Topology, run: str, is_recorded: bool = False) -> bytes:
    """Return the line that has a host play `case`, with its newline. `run` must never be used twice.

    With `is_recorded` a deterministic host says at the end which decisions it took.

    A step's trigger stands on its first part. Raises UsageError, with every problem, when the case is for
    another platform, names things that the host has not, or waits for a phase that it never reaches.
    """
    if case.platform is not topology.platform:
        raise UsageError(
            Problem(
                f"the case is for {case.platform.value}, the host is {topology.platform.value}", "platform"
            )
        )
    problems: list[Problem] = []
    parts: list[bytes] = []
    for number, step in enumerate(case.steps):
        try:
            parts.extend(_parts(number, step, topology))
        except UsageError as error:
            problems.extend(replace(problem, where=f"steps[{number}]") for problem in error.problems)
    if problems:
        raise UsageError(problems)
    schedule = case.schedule.to_json()
    if is_recorded:
        named = schedule if isinstance(schedule, dict) else {"strategy": "random", "seed": schedule}
        schedule = {**named, "record": True}
    head = orjson.dumps({"run": run, "schedule": schedule})[:-1]
    return b'{"play":%s,"steps":[%s]}}\n' % (head, b",".join(parts))


def _parts(number: int, step: Step, topology: Topology) -> list[bytes]:
    encoded = _on_host(number, step, topology, _encoded)
    head = b'{"step":%d,' % number
    parts = [head + part for part in encoded]
    if step.when is not NOW and parts:
        when = encode_when(moment(step.when, topology), topology.platform)
        if when:
            parts[0] = b'%s,"when":%s}' % (parts[0][:-1], orjson.dumps(when))
    return parts


@lru_cache(maxsize=4096)
def _encoded(actor: str, event: Event, topology: Topology) -> tuple[bytes, ...]:
    """The text of a step's parts without its "{", number and trigger; remembered, as its meaning is."""
    requests = event.lower(topology)
    return tuple(
        orjson.dumps({"part": part, "who": actor, **encode_request(request)})[1:]
        for part, request in enumerate(requests)
    )


def encode_request(request: Request) -> dict[str, Json]:
    """Return the keys ``do``, ``args`` and, if need be, ``always`` of a part.

    Raises UsageError for an ioctl that cannot be encoded.
    """
    args = request.args
    if request.verb is Verb.IOCTL:
        args = dict(args)
        args["request"], args["data"] = encode_ioctl(args.pop("name"), args.pop("fields"))
    part: dict[str, Json] = {"do": request.verb.value, "args": args}
    if request.is_always:
        part["always"] = True
    return part


def encode_when(when: When, platform: Platform) -> dict[str, Json] | None:
    """Return a trigger as the protocol has it, None for "now". Raises UsageError for an impossible phase."""
    if when == NOW:
        return None
    if not when.phase:
        return {"after_ms": when.after_ms}
    try:
        sees = [[source, list(texts)] for source, texts in patterns(when.phase, platform)]
    except ValueError as error:
        raise UsageError(Problem(str(error))) from error
    return {"after_ms": when.after_ms, "sees": sees, "nth": when.nth, "within_ms": when.within_ms}


@lru_cache(maxsize=16)
def _trace_reader(topology: Topology) -> TraceReader:
    return TraceReader(topology)


class Decoder:
    """Turns the reply lines of one case into Records, as they come.

    `records` grows; `is_finished` says that the host told the end; `consumed` is how many lines of the last
    `feed` belonged to this case, since what follows its end belongs to the next.
    """

    def __init__(self, topology: Topology, intents: Sequence[Intent]) -> None:
        self.records: list[Record] = []
        self.is_finished = False
        self.consumed = 0
        self._steps = len(intents)
        self._read_log = KlogReader(topology).read
        self._read_trace = _trace_reader(topology).read
        self._ioctls: dict[tuple[int, int], str] = {}
        self._decoders: dict[str, Callable[[int, dict[str, Any]], Record]] = {
            "invoke": self._invoke,
            "ok": self._answer,
            "fail": self._answer,
            "info": self._answer,
            "log": self._log,
            "trace": self._trace,
            "end": self._end,
        }

    def feed(self, lines: Sequence[bytes]) -> list[Record]:
        """Return the Records of the next `lines` (without newlines), up to the end of the case.

        Raises ProtocolError at the first line that is no reply; `records` and `consumed` then tell how far
        it went.
        """
        records, decoders, loads = self.records, self._decoders, orjson.loads
        first, consumed, line = len(records), 0, b""
        try:
            for line in lines:  # the hot path: no call that is not needed
                if self.is_finished:
                    break
                reply = loads(line) if len(line) <= LINE_LIMIT_BYTES else json_object(line)
                time_us = reply["t"]
                if type(time_us) is not int or time_us < 0:
                    time_us = _refuse_time(time_us)
                records.append(decoders[reply["is"]](time_us, reply))
                consumed += 1
        except (KeyError, TypeError, ValueError, ProtocolError) as error:
            raise _refusal(line, error) from error
        finally:
            self.consumed = consumed
        return records[first:]

    def _invoke(self, time_us: int, reply: dict[str, Any]) -> Record:
        step, part, verb, args = reply["step"], reply["part"], reply["do"], reply["args"]
        who = reply["who"]
        if type(args) is not dict or type(who) is not str or not self._is_place(step, part, verb):
            raise TypeError
        if verb == _IOCTL:
            args = self._ioctl_args((step, part), args)
        return _new(Record, (len(self.records), time_us, who, Kind.INVOKE, verb, args, step, part, None, ""))

    def _ioctl_args(self, key: tuple[int, int], args: dict[str, Any]) -> dict[str, Any]:
        request, data = args.pop("request"), args.pop("data")
        name, fields = decode_request(request, _text(data))
        self._ioctls[key] = name
        return {**args, "name": name, "fields": fields}

    def _answer(self, time_us: int, reply: dict[str, Any]) -> Record:
        step, part, verb, got = reply["step"], reply["part"], reply["do"], reply["got"]
        who, kind = reply["who"], _ANSWERS[reply["is"]]
        if type(got) is not dict or type(who) is not str or not self._is_place(step, part, verb):
            raise TypeError
        if kind is Kind.OK and verb in _DECODED:
            got = self._decoded(verb, (step, part), got)
        return _new(Record, (len(self.records), time_us, who, kind, verb, got, step, part, None, ""))

    def _decoded(self, verb: str, key: tuple[int, int], got: dict[str, Any]) -> dict[str, Any]:
        if verb == _IOCTL:
            data = got.pop("data")
            return {**decode_ioctl(self._ioctls[key], data), **got}
        return decode_event(got["data"])

    def _log(self, time_us: int, reply: dict[str, Any]) -> Record:
        level, text, phase, subject = self._read_log(_text(reply["raw"]))
        data = {"text": text}
        return _new(
            Record, (len(self.records), time_us, KERNEL, Kind.LOG, level, data, -1, 0, phase, subject)
        )

    def _trace(self, time_us: int, reply: dict[str, Any]) -> Record:
        name, data, phase, subject = self._read_trace(_text(reply["raw"]))
        return _new(
            Record, (len(self.records), time_us, KERNEL, Kind.TRACE, name, data, -1, 0, phase, subject)
        )

    def _end(self, time_us: int, reply: dict[str, Any]) -> Record:
        got = reply["got"]
        if type(got) is not dict:
            raise TypeError
        self.is_finished = True
        return Record(len(self.records), time_us, _text(reply["who"]), Kind.END, "end", got)

    def _is_place(self, step: object, part: object, verb: object) -> bool:
        """Whether a reply names a primitive and one of the case's steps; says so when the step is wrong."""
        if type(step) is not int or type(part) is not int or not 0 <= step < self._steps:
            raise ProtocolError(f"a step outside the case, which has {self._steps}")
        return part >= 0 and verb in _VERBS


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object that a line from a host holds.

    Raises ProtocolError when it is too long, not UTF-8, not JSON, or not an object.
    """
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(
            f"a line of {len(line)} bytes, at most {LINE_LIMIT_BYTES} are allowed: {excerpt(line)}"
        )
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"not a line of JSON in UTF-8: {excerpt(line)}") from error
    if type(value) is not dict:
        raise ProtocolError(f"not one JSON object: {excerpt(line)}")
    return value


def _refuse_time(value: object) -> int:
    raise ProtocolError(f"t must be microseconds, not {excerpt(value)}")


def _refusal(line: bytes, error: Exception) -> ProtocolError:
    """What is wrong with a reply, and the reply, bounded."""
    if isinstance(error, KeyError):
        return ProtocolError(f"a reply without {excerpt(error.args[0])}, or unknown: {excerpt(line)}")
    if isinstance(error, TypeError):
        return ProtocolError(f"a reply with a wrong type: {excerpt(line)}")
    if isinstance(error, ValueError):
        return ProtocolError(f"not a line of JSON in UTF-8: {excerpt(line)}")
    return ProtocolError(f"{error}: {excerpt(line)}")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value
