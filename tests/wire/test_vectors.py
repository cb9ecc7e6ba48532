"""Holds the encoder and the decoders to the vectors under fixtures/wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.vocab.case import Case, Step, When
from harness.vocab.errors import ProtocolError
from harness.vocab.event import Event, Fate, Role
from harness.vocab.history import Intent, Record
from harness.vocab.request import VERBS, Request, Verb
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Platform, Topology
from harness.wire import cxl_abi, sysfs
from harness.wire.histfile import topology_from_json, topology_to_json
from harness.wire.lines import Decoder, encode_play, encode_request, encode_when
from harness.wire.schedulejson import read_schedule
from harness.wire.tracefs import TraceReader

WIRE = Path(__file__).parents[2] / "fixtures" / "wire"


def read(name: str) -> dict[str, Any]:
    return json.loads((WIRE / name).read_text())


def vectors(name: str) -> list[Any]:
    return [pytest.param(v["noun"], v["wire"], id=v["name"]) for v in read(name)["vectors"]]


def request(noun: dict[str, Any]) -> Request:
    return Request(Verb(noun["verb"]), noun["args"], noun.get("always", False))


@dataclass(frozen=True)
class Scripted(Event):
    """An event that lowers to what a vector says."""

    requests: tuple[Request, ...] = field(default=(), hash=False)

    @classmethod
    def enabled(cls, sketch: Any, topology: Any) -> list[Any]:
        return []

    @classmethod
    def draw(cls, target: Any, sketch: Any, topology: Any, choose: Any) -> Any:
        raise NotImplementedError

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        return self.requests


@pytest.mark.parametrize(("noun", "wire"), vectors("ioctls.json"))
def test_an_ioctl_becomes_the_vectors_bytes_and_back(noun: Any, wire: Any) -> None:
    assert cxl_abi.encode_ioctl(noun["name"], noun["fields"]) == (wire["request"], wire["data"])
    assert cxl_abi.decode_request(wire["request"], wire["data"]) == (noun["name"], noun["fields"])


@pytest.mark.parametrize(("noun", "wire"), vectors("answers.json"))
def test_an_ioctls_answer_is_decoded(noun: Any, wire: Any) -> None:
    assert cxl_abi.decode_ioctl(noun["name"], wire) == noun["fields"]


@pytest.mark.parametrize(("noun", "wire"), vectors("afu_events.json"))
def test_an_afu_event_is_decoded(noun: Any, wire: Any) -> None:
    assert cxl_abi.decode_event(wire) == noun


@pytest.mark.parametrize(("noun", "wire"), vectors("requests.json"))
def test_a_request_becomes_the_vectors_part(noun: Any, wire: Any) -> None:
    assert encode_request(request(noun)) == wire


def test_every_primitive_has_a_vector_with_allowed_arguments() -> None:
    nouns = [vector["noun"] for vector in read("requests.json")["vectors"]]
    assert {noun["verb"] for noun in nouns} == {verb.value for verb in Verb}
    for noun in nouns:
        known = {key.rstrip("?"): kind for key, kind in VERBS[Verb(noun["verb"])].items()}
        assert all(isinstance(value, known[key]) for key, value in noun["args"].items()), noun


@pytest.mark.parametrize(("noun", "wire"), vectors("triggers.json"))
def test_a_trigger_becomes_the_vectors_when(noun: Any, wire: Any) -> None:
    assert encode_when(When(**noun["when"]), Platform(noun["platform"])) == wire


@pytest.mark.parametrize(("noun", "wire"), vectors("play.json"))
def test_a_case_becomes_the_vectors_play_line(noun: Any, wire: Any) -> None:
    platform = Platform(noun["platform"])
    steps = tuple(
        Step(s["actor"], Scripted(tuple(map(request, s["requests"]))), When(**s.get("when", {})))
        for s in noun["steps"]
    )
    schedule = read_schedule(noun["schedule"], "schedule")
    assert isinstance(schedule, Schedule)
    case = Case(steps, platform, schedule)
    line = encode_play(case, Topology(platform, "6.1.0", ()), noun["run"], noun.get("is_recorded", False))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == wire


def record_to_json(record: Record) -> dict[str, Any]:
    value = record._asdict()
    value["kind"] = record.kind.value
    value["phase"] = record.phase.value if record.phase else ""
    del value["seq"]
    return {key: item for key, item in value.items() if key not in {"phase", "subject"} or item}


def reply_decoder(file: dict[str, Any]) -> Decoder:
    intent = Intent("a0", "Scripted", {}, Role.WORKLOAD, Fate.HARMLESS, frozenset())
    return Decoder(topology_from_json(file["topology"]), [intent] * file["steps"])


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_replies_become_the_vectors_records_however_they_come(chunk: int) -> None:
    file = read("replies.json")
    lines = [json.dumps(vector["wire"]).encode() for vector in file["vectors"]]
    decoder = reply_decoder(file)
    records: list[Record] = []
    for start in range(0, len(lines), chunk):
        records += decoder.feed(lines[start : start + chunk])
    assert [record.seq for record in records] == list(range(len(lines)))
    assert [record_to_json(record) for record in records] == [vector["noun"] for vector in file["vectors"]]
    assert decoder.is_finished
    assert decoder.records == records


@pytest.mark.parametrize(("noun", "wire"), vectors("traces.json"))
def test_a_trace_line_means_what_the_vector_says(noun: Any, wire: Any) -> None:
    reader = TraceReader(topology_from_json(read("traces.json")["topologies"][noun["topology"]]))
    name, data, phase, subject = reader.read(wire)
    expected = (noun["name"], noun["data"], noun.get("phase", ""), noun.get("subject", ""))
    assert (name, data, phase.value if phase else "", subject) == expected


@pytest.mark.parametrize(("noun", "wire"), vectors("hello.json"))
def test_a_hello_becomes_the_vectors_topology(noun: Any, wire: Any) -> None:
    expected = topology_from_json(noun)
    assert sysfs.topology(wire) == expected
    assert sysfs.topology(json.dumps(wire).encode() + b"\n") == expected
    assert topology_to_json(expected) == noun


def test_an_answer_that_is_not_hexadecimal_is_refused() -> None:
    with pytest.raises(ProtocolError, match="hexadecimal"):
        cxl_abi.decode_event("0g")
    with pytest.raises(ProtocolError, match="4"):
        cxl_abi.decode_ioctl("GET_PROCESS_ELEMENT", "010000")
