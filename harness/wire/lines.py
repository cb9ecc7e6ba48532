"""The agent protocol: a Case becomes one play line, and the replies become Records.

What comes from a host is untrusted: a reply that the protocol does not allow raises ProtocolError with a
short, escaped excerpt, and nothing of it is used. Text inside a well-formed reply (log lines, file contents)
is kept as it is; whoever renders it escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.errors import Problem, ProtocolError, UsageError
from harness.vocab.event import KERNEL
from harness.vocab.history import Intent, Kind, Record
from harness.vocab.phase import patterns
from harness.vocab.request import Json, Request, Verb
from harness.vocab.topology import Platform, Topology
from harness.wire.cxl_abi import decode_event, decode_ioctl, decode_request, encode_ioctl
from harness.wire.excerpt import excerpt
from harness.wire.klog import KlogReader
from harness.wire.tracefs import TraceReader

LINE_LIMIT_BYTES = 1 << 20
"""No reply is longer."""

_VERBS = frozenset(verb.value for verb in Verb)
_IOCTL = Verb.IOCTL.value
_ANSWERS = {"ok": Kind.OK, "fail": Kind.FAIL, "info": Kind.INFO}


_T = TypeVar("_T")


def intents(case: Case, topology: Topology) -> tuple[Intent, ...]:
    """Return what each step of `case` means on a host with `topology`.

    Raises UsageError when a step names something that the host has not.
    """
    return tuple(
        Intent(
            actor=step.actor,
            event=type(step.event).__name__,
            details=step.event.details,
            role=step.event.role,
            fate=step.event.fate,
            disturbs=_on_host(number, step, topology, step.event.disturbs),
        )
        for number, step in enumerate(case.steps)
    )


def _on_host(number: int, step: Step, topology: Topology, ask: Callable[[Topology], _T]) -> _T:
    try:
        return ask(topology)
    except KeyError as error:
        has = ", ".join(
            thing for card in topology.cards for thing in (card.name, *(a.name for a in card.afus))
        )
        what = f"{type(step.event).__name__} names {error.args[0]!r}, which the host has not"
        raise UsageError(Problem(what, f"steps[{number}]", has)) from error


def encode_play(case: Case, topology: Topology, run: str) -> bytes:
    """Return the line that has a host play `case`, with its newline. `run` must never be used twice.

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
    parts: list[dict[str, Json]] = []
    for number, step in enumerate(case.steps):
        try:
            parts.extend(_parts(number, step, topology))
        except UsageError as error:
            problems.extend(replace(problem, where=f"steps[{number}]") for problem in error.problems)
    if problems:
        raise UsageError(problems)
    play = {"play": {"run": run, "schedule": case.schedule_seed, "steps": parts}}
    return orjson.dumps(play, option=orjson.OPT_APPEND_NEWLINE)


def _parts(number: int, step: Step, topology: Topology) -> list[dict[str, Json]]:
    requests = _on_host(number, step, topology, step.event.lower)
    when = encode_when(step.when, topology.platform)
    parts = [
        {"step": number, "part": part, "who": step.actor, **encode_request(request)}
        for part, request in enumerate(requests)
    ]
    if when and parts:
        parts[0]["when"] = when
    return parts


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
        self._read_trace = TraceReader(topology).read
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
        first = len(self.records)
        self.consumed = 0
        for line in lines:
            if self.is_finished:
                break
            self.records.append(self._record(line))
            self.consumed += 1
        return self.records[first:]

    def _record(self, line: bytes) -> Record:
        reply = json_object(line)
        try:
            decode = self._decoders[reply["is"]]
            return decode(_time_us(reply["t"]), reply)
        except KeyError as error:
            raise ProtocolError(
                f"a reply without {excerpt(error.args[0])}, or unknown: {excerpt(line)}"
            ) from error
        except TypeError as error:
            raise ProtocolError(f"a reply with a wrong type: {excerpt(line)}") from error
        except ProtocolError as error:
            raise ProtocolError(f"{error}: {excerpt(line)}") from error

    def _invoke(self, time_us: int, reply: dict[str, Any]) -> Record:
        key = self._key(reply)
        args = _mapping(reply["args"])
        verb = reply["do"]
        if verb == _IOCTL:
            args = self._ioctl_args(key, args)
        return Record(len(self.records), time_us, _text(reply["who"]), Kind.INVOKE, verb, args, *key)

    def _ioctl_args(self, key: tuple[int, int], args: dict[str, Any]) -> dict[str, Any]:
        request, data = args.pop("request"), args.pop("data")
        name, fields = decode_request(request, _text(data))
        self._ioctls[key] = name
        return {**args, "name": name, "fields": fields}

    def _answer(self, time_us: int, reply: dict[str, Any]) -> Record:
        key = self._key(reply)
        got = _mapping(reply["got"])
        verb, kind = reply["do"], _ANSWERS[reply["is"]]
        if kind is Kind.OK:
            got = self._decoded(verb, key, got)
        return Record(len(self.records), time_us, _text(reply["who"]), kind, verb, got, *key)

    def _decoded(self, verb: str, key: tuple[int, int], got: dict[str, Any]) -> dict[str, Any]:
        if verb == _IOCTL:
            data = got.pop("data")
            return {**decode_ioctl(self._ioctls[key], data), **got}
        if verb == "read":
            return decode_event(got["data"])
        return got

    def _log(self, time_us: int, reply: dict[str, Any]) -> Record:
        level, text, phase, subject = self._read_log(_text(reply["raw"]))
        seq = len(self.records)
        return Record(seq, time_us, KERNEL, Kind.LOG, level, {"text": text}, -1, 0, phase, subject)

    def _trace(self, time_us: int, reply: dict[str, Any]) -> Record:
        name, data, phase, subject = self._read_trace(_text(reply["raw"]))
        return Record(len(self.records), time_us, KERNEL, Kind.TRACE, name, data, -1, 0, phase, subject)

    def _end(self, time_us: int, reply: dict[str, Any]) -> Record:
        record = Record(
            len(self.records), time_us, _text(reply["who"]), Kind.END, "end", _mapping(reply["got"])
        )
        self.is_finished = True
        return record

    def _key(self, reply: dict[str, Any]) -> tuple[int, int]:
        step, part = reply["step"], reply["part"]
        if type(step) is not int or not 0 <= step < self._steps:
            raise ProtocolError(f"a step outside the case, which has {self._steps}")
        if type(part) is not int or part < 0:
            raise ProtocolError("part must be a whole number")
        if reply["do"] not in _VERBS:
            raise ProtocolError("no such primitive")
        return step, part


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


def _time_us(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ProtocolError(f"t must be microseconds, not {excerpt(value)}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ProtocolError(f"{excerpt(value)} must be a text")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ProtocolError(f"{excerpt(value)} must be an object")
    return value
