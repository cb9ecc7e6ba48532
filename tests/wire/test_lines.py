"""Tests of the agent protocol: what may not be sent, and what a host may not answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.vocab.case import Case, Step, When
from harness.vocab.errors import ProtocolError, UsageError
from harness.vocab.event import Event, Fate, Role
from harness.vocab.history import Intent, Kind
from harness.vocab.request import Request, Verb
from harness.vocab.topology import Afu, Card, Mode, Platform, Topology
from harness.wire.cxl_abi import encode_ioctl
from harness.wire.lines import LINE_LIMIT_BYTES, Decoder, encode_play, intents

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
AFU = Afu("afu0.0", "card0", (Mode.DIRECTED,), 4, 1, 8, unit=16)
TOPOLOGY = Topology(Platform.POWERVM, "6.1.0", (Card("card0", (AFU,)),))
INTENT = Intent("a0", "Poke", {}, Role.WORKLOAD, Fate.HARMLESS, frozenset())
END = {"is": "end", "t": 9, "who": "harness", "got": {}}
INVOKE = {"is": "invoke", "t": 1, "who": "a0", "step": 0, "part": 0, "do": "close", "args": {"fd": "c0"}}


@dataclass(frozen=True)
class Poke(Event):
    """Asks for an AFU and, if told so, for an ioctl that cannot be."""

    afu: str
    irqs: int = 0

    @classmethod
    def enabled(cls, sketch: Any, topology: Any) -> list[Any]:
        return []

    @classmethod
    def draw(cls, target: Any, sketch: Any, topology: Any, choose: Any) -> Any:
        raise NotImplementedError

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        path = topology.afu(self.afu).node("s")
        fields = {"num_interrupts": self.irqs}
        return (
            Request(Verb.OPEN, {"fd": "c0", "path": path}),
            Request(Verb.IOCTL, {"fd": "c0", "name": "START_WORK", "fields": fields}),
        )

    def disturbs(self, topology: Topology) -> frozenset[str]:
        return frozenset({topology.afu(self.afu).name})


def case(*steps: Step, platform: Platform = Platform.POWERVM) -> Case:
    return Case(steps, platform)


def decoder() -> Decoder:
    return Decoder(TOPOLOGY, [INTENT, INTENT])


def encoded(reply: Any) -> bytes:
    return json.dumps(reply).encode()


def test_all_problems_of_a_case_are_said_with_their_steps() -> None:
    wrong = case(
        Step("a0", Poke("afu7.0")),
        Step("a0", Poke("afu0.0", irqs=1 << 20)),
        Step("a0", Poke("afu0.0"), When(phase="resume")),
    )
    with pytest.raises(UsageError) as caught:
        encode_play(wrong, TOPOLOGY, "r1")
    problems = [str(problem) for problem in caught.value.problems]
    assert [problem.partition(":")[0] for problem in problems] == ["steps[0]", "steps[1]", "steps[2]"]
    assert "afu0.0" in problems[0]
    assert "32767" in problems[1]


def test_a_case_for_another_platform_is_not_sent() -> None:
    with pytest.raises(UsageError, match="powernv"):
        encode_play(case(platform=Platform.POWERNV), TOPOLOGY, "r1")


def test_intents_say_what_the_steps_mean() -> None:
    (intent,) = intents(case(Step("a1", Poke("afu0.0", 3))), TOPOLOGY)
    details = {"afu": "afu0.0", "irqs": 3}
    assert intent == Intent("a1", "Poke", details, Role.WORKLOAD, Fate.HARMLESS, frozenset({"afu0.0"}))
    with pytest.raises(UsageError, match=r"afu9\.9"):
        intents(case(Step("a1", Poke("afu9.9"))), TOPOLOGY)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("START_WORKS", {}),
        ("START_WORK", {"wedge": 1, "tid": 0x10000}),
        ("START_WORK", {"wed": True}),
        ("RAW", {"request": 1, "data": "0"}),
        ("RAW", {"data": ""}),
    ],
)
def test_an_ioctl_that_cannot_be_is_refused(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        encode_ioctl(name, fields)
    assert all(problem.allowed for problem in caught.value.problems)
    assert len(caught.value.problems) == max(1, len(fields) if "wedge" in fields else 1)


def test_lines_after_the_end_are_left_for_the_next_case() -> None:
    decode = decoder()
    records = decode.feed([encoded(INVOKE), encoded(END), encoded(INVOKE)])
    assert [record.kind for record in records] == [Kind.INVOKE, Kind.END]
    assert decode.is_finished
    assert decode.consumed == 2
    assert decode.feed([encoded(INVOKE)]) == []
    assert decode.consumed == 0


def test_what_came_before_a_bad_line_is_kept() -> None:
    decode = decoder()
    with pytest.raises(ProtocolError):
        decode.feed([encoded(INVOKE), b"garbage"])
    assert len(decode.records) == decode.consumed == 1
    assert not decode.is_finished


BAD = {
    "not JSON": b"Connection closed by \x1b[31mforeign host",
    "not UTF-8": b'{"is":"log","t":1,"raw":"\xff"}',
    "cut off": encoded(END)[:-1],
    "two values": encoded(END) + encoded(END),
    "not an object": b"[1,2]",
    "NaN": b'{"is":"end","t":1,"who":"harness","got":{"x":NaN}}',
    "half a surrogate pair": b'{"is":"log","t":1,"raw":"\\ud800"}',
    "nested without end": b'{"is":' + b"[" * 100_000,
    "a very large number": b'{"is":"end","who":"harness","got":{},"t":' + b"9" * 5000 + b"}",
    "too long": b'{"is":"log","t":1,"raw":"' + b"x" * LINE_LIMIT_BYTES + b'"}',
    "unknown kind": encoded({**END, "is": "begin"}),
    "kind is a list": encoded({**END, "is": []}),
    "no time": encoded({"is": "end", "who": "harness", "got": {}}),
    "time is a text": encoded({**END, "t": "1"}),
    "time is a truth": encoded({**END, "t": True}),
    "time is negative": encoded({**END, "t": -1}),
    "no actor": encoded({"is": "end", "t": 1, "got": {}}),
    "actor is a number": encoded({**INVOKE, "who": 1}),
    "step outside the case": encoded({**INVOKE, "step": 2}),
    "step before the case": encoded({**INVOKE, "step": -1}),
    "part is a fraction": encoded({**INVOKE, "part": 0.5}),
    "unknown primitive": encoded({**INVOKE, "do": "explode"}),
    "primitive is an object": encoded({**INVOKE, "do": {}}),
    "arguments are a list": encoded({**INVOKE, "args": []}),
    "answer is missing": encoded({**INVOKE, "is": "ok"}),
    "ioctl without data": encoded({**INVOKE, "do": "ioctl", "args": {"fd": "c0", "request": 1}}),
    "ioctl never sent": encoded({**INVOKE, "is": "ok", "do": "ioctl", "got": {"data": "00"}}),
    "event is not hexadecimal": encoded({**INVOKE, "is": "ok", "do": "read", "got": {"data": "zz"}}),
    "log is a number": encoded({"is": "log", "t": 1, "raw": 5}),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_a_bad_reply_is_refused_with_a_short_printable_excerpt(line: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decoder().feed([line])
    message = str(caught.value)
    assert len(message) < 500
    assert message.replace("…", "").isascii()
    assert message.isprintable()


@UNHURRIED
@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_protocol_error(line: bytes) -> None:
    try:
        decoder().feed([line])
    except ProtocolError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=2)
)
REPLY = st.fixed_dictionaries(
    {},
    optional={
        "is": st.sampled_from(["invoke", "ok", "fail", "info", "log", "trace", "end"]) | JSON,
        "t": st.integers(0, 9) | JSON,
        "who": st.just("a0") | JSON,
        "step": st.integers(0, 1) | JSON,
        "part": st.just(0) | JSON,
        "do": st.sampled_from([verb.value for verb in Verb]) | JSON,
        "args": st.dictionaries(st.sampled_from(["fd", "request", "data"]), JSON) | JSON,
        "got": st.dictionaries(st.sampled_from(["data", "errno"]), JSON) | JSON,
        "raw": st.text(max_size=60) | JSON,
    },
)


@UNHURRIED
@given(st.lists(REPLY, max_size=4))
def test_no_reply_does_more_than_raise_protocol_error(replies: list[dict[str, Any]]) -> None:
    decode = decoder()
    try:
        decode.feed([encoded(reply) for reply in replies])
    except ProtocolError:
        assert len(decode.records) < len(replies)
