"""Tests of histories on disk: what was written is read, a cut-off file is read up to its last whole line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.vocab.errors import ProtocolError, UsageError
from harness.vocab.event import Fate, Role
from harness.vocab.history import Intent, Kind
from harness.wire.histfile import decode_header, encode_header, load, topology_from_json

REPLIES = json.loads((Path(__file__).parents[2] / "fixtures" / "wire" / "replies.json").read_text())
TOPOLOGY = topology_from_json(REPLIES["topology"])
INTENTS = (
    Intent(
        "nemesis", "DropLink", {"card": "card0"}, Role.ERROR, Fate.RECOVERY, frozenset({"afu0.0", "afu0.1"})
    ),
    *(Intent("a0", "Load", {"count": 3}, Role.WORKLOAD, Fate.HARMLESS, frozenset()) for _ in range(7)),
)
HEADER = encode_header("0123456789ab", "sim://powernv", TOPOLOGY, INTENTS)
LINES = [json.dumps(vector["wire"]).encode() + b"\n" for vector in REPLIES["vectors"]]
FILE = HEADER + b"".join(LINES)


def test_a_header_comes_back_as_it_was() -> None:
    assert decode_header(HEADER) == ("0123456789ab", "sim://powernv", TOPOLOGY, INTENTS)


def test_a_history_is_read_from_bytes_or_lines() -> None:
    history = load(FILE)
    assert (history.case_id, history.topology, history.intents) == ("0123456789ab", TOPOLOGY, INTENTS)
    assert len(history.records) == len(LINES)
    assert history.is_complete
    assert load([HEADER, *LINES]) == history
    assert load(line.rstrip(b"\n") for line in [HEADER, *LINES]) == history


def test_every_cut_of_a_history_is_a_valid_prefix() -> None:
    whole = load(FILE)
    for length in range(len(HEADER), len(FILE)):
        history = load(FILE[:length])
        assert history.records == whole.records[: len(history.records)]
        assert len(history.records) in (
            FILE[len(HEADER) : length].count(b"\n"),
            FILE[len(HEADER) : length + 1].count(b"\n"),
        )
        assert not history.is_complete or length == len(FILE) - 1


def test_a_cut_history_is_not_complete() -> None:
    history = load(FILE[:-20])
    assert not history.is_complete
    assert history.records[-1].kind is Kind.INFO


@pytest.mark.parametrize(
    "header",
    [b"", b"{}", b"[]", b"nonsense", HEADER[:-9], HEADER.replace(b'"schema":1', b'"schema":9'), b"[" * 99999],
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(UsageError):
        load(header + b"\n" + b"".join(LINES))


def test_a_bad_line_in_the_middle_is_told_by_its_number() -> None:
    with pytest.raises(ProtocolError, match=r"^line 3 of the history"):
        load(HEADER + LINES[0] + b"{}\n" + LINES[1])
    with pytest.raises(ProtocolError, match="after the end"):
        load(FILE + LINES[0])
