"""A History on disk: one header line, then the host's reply lines, byte for byte as they came.

A history that was cut off, by a crash of either side, is valid up to its last whole line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from harness.vocab.errors import Problem, ProtocolError, UsageError
from harness.vocab.event import Fate, Role
from harness.vocab.history import History, Intent, Record
from harness.vocab.topology import Afu, Card, Device, Mode, Platform, Topology, Traffic
from harness.wire.excerpt import excerpt
from harness.wire.lines import Decoder, json_object

SCHEMA = 1
"""The schema number of a history's header."""


class Header(NamedTuple):
    """What the first line of a history says. `host` is the URL."""

    case_id: str
    host: str
    topology: Topology
    intents: tuple[Intent, ...]


def encode_header(case_id: str, host: str, topology: Topology, intents: Sequence[Intent]) -> bytes:
    """Return the first line of a history, with its newline."""
    header = {
        "schema": SCHEMA,
        "case": case_id,
        "host": host,
        "topology": orjson.Fragment(_topology_text(topology)),
        "intents": [intent_to_json(intent) for intent in intents],
    }
    return orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(maxsize=16)
def _topology_text(topology: Topology) -> bytes:
    return orjson.dumps(topology_to_json(topology))


def decode_header(line: bytes) -> Header:
    """Return what the first line of a history says. Raises UsageError when it is not one."""
    try:
        header = orjson.loads(line)
        if header["schema"] != SCHEMA:
            raise UsageError(
                Problem(f"schema number {excerpt(header['schema'])}", "header.schema", f"{SCHEMA}")
            )
        topology = topology_from_json(header["topology"])
        intents = tuple(intent_from_json(intent) for intent in header["intents"])
        return Header(str(header["case"]), str(header["host"]), topology, intents)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"not the header of a history ({type(error).__name__}: {excerpt(str(error))})"
        raise UsageError(
            Problem(what, "line 1", "the first line that a run writes to history.jsonl")
        ) from error


def load(data: bytes | Iterable[bytes]) -> History:
    """Return the History that a file holds: its bytes, or its lines.

    A last line without newline that is no whole reply is left out. Raises UsageError when the header is not
    one, and ProtocolError for any other line that is no reply.
    """
    lines = data.split(b"\n") if isinstance(data, bytes) else list(data)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UsageError(Problem("the history is empty", "line 1"))
    header = decode_header(lines[0])
    is_cut = not (data.endswith(b"\n") if isinstance(data, bytes) else lines[-1].endswith(b"\n"))
    replies = [line.rstrip(b"\n") for line in lines[1:]]
    if is_cut and replies and not _is_whole(replies[-1]):
        replies.pop()
    return History(header.case_id, header.topology, header.intents, _records(header, replies))


def _records(header: Header, replies: list[bytes]) -> tuple[Record, ...]:
    decoder = Decoder(header.topology, header.intents)
    try:
        decoder.feed(replies)
    except ProtocolError as error:
        raise ProtocolError(f"line {decoder.consumed + 2} of the history: {error}") from error
    if decoder.consumed < len(replies):
        raise ProtocolError(f"line {decoder.consumed + 2} of the history comes after the end of the case")
    return tuple(decoder.records)


def _is_whole(line: bytes) -> bool:
    """Whether the line holds an object; no beginning of one does."""
    try:
        json_object(line)
    except ProtocolError:
        return False
    return True


def topology_to_json(topology: Topology) -> dict[str, Any]:
    """Return `topology` as plain JSON values."""
    return {
        "platform": topology.platform.value,
        "kernel": topology.kernel,
        "cards": [_card_to_json(card) for card in topology.cards],
        "poll_period_ms": topology.poll_period_ms,
        "features": sorted(topology.features),
        **({"devices": [_device_to_json(device) for device in topology.devices]} if topology.devices else {}),
    }


def _device_to_json(device: Device) -> dict[str, Any]:
    return {**asdict(device), "traffic": device.traffic.value}


def _card_to_json(card: Card) -> dict[str, Any]:
    afus = [
        {
            "name": afu.name,
            "modes": [mode.value for mode in afu.modes],
            "contexts_max": afu.contexts_max,
            "irqs_min": afu.irqs_min,
            "irqs_max": afu.irqs_max,
            "unit": afu.unit,
            "mmio_bytes": afu.mmio_bytes,
            "has_test_registers": afu.has_test_registers,
            **({} if afu.has_master_registers else {"has_master_registers": False}),
        }
        for afu in card.afus
    ]
    device = {"device": card.device} if card.device else {}
    return {
        "name": card.name,
        "bdf": card.bdf,
        "phb": card.phb,
        "eeh_pe": card.eeh_pe,
        **device,
        "afus": afus,
    }


def topology_from_json(value: Mapping[str, Any]) -> Topology:
    """Return the Topology that `topology_to_json` wrote. Raises KeyError, TypeError or ValueError."""
    return Topology(
        platform=Platform(value["platform"]),
        kernel=str(value["kernel"]),
        cards=tuple(_card_from_json(card) for card in value["cards"]),
        poll_period_ms=int(value["poll_period_ms"]),
        features=frozenset(value["features"]),
        devices=tuple(
            Device(**{**device, "traffic": Traffic(device["traffic"])}) for device in value.get("devices", ())
        ),
    )


def _card_from_json(value: Mapping[str, Any]) -> Card:
    afus = tuple(
        Afu(**{**afu, "card": value["name"], "modes": tuple(Mode(mode) for mode in afu["modes"])})
        for afu in value["afus"]
    )
    return Card(**{**value, "afus": afus})


def intent_to_json(intent: Intent) -> dict[str, Any]:
    """Return `intent` as plain JSON values."""
    return {
        "actor": intent.actor,
        "event": intent.event,
        "details": dict(intent.details),
        "role": intent.role.value,
        "fate": intent.fate.value,
        "disturbs": sorted(intent.disturbs),
    }


def intent_from_json(value: Mapping[str, Any]) -> Intent:
    """Return the Intent that `intent_to_json` wrote. Raises KeyError, TypeError or ValueError."""
    return Intent(
        actor=str(value["actor"]),
        event=str(value["event"]),
        details=dict(value["details"]),
        role=Role(value["role"]),
        fate=Fate(value["fate"]),
        disturbs=frozenset(value["disturbs"]),
    )
