"""Lines of tracefs' trace_pipe: ``comm-pid [cpu] flags seconds: event: text``, and the fields in the text.

The same texts come again and again (the driver asks for the same state every few seconds), so what a text
means is computed once and kept; only the head is read for each line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from harness.vocab.phase import MARKS, Phase, Source
from harness.vocab.topology import Platform, Topology

Fields = dict[str, Any]

LOST_EVENTS = "lost_events"
"""The name given to ``CPU:0 [LOST 42 EVENTS]``, by which the kernel says that it had to drop events."""

_HARDIRQ_FLAGS = frozenset("hHzZ")  # the third flag: in a hard interrupt, or a non-maskable one
_LINE = re.compile(
    r"\s*(?P<comm>.*)-(?P<pid>\d{1,10})\s+(?:\(\s*[\d-]+\)\s+)?\[\d+\]\s+(?P<flags>\S{4,6})\s+"
    r"\d+\.\d+: (?P<event>\w+):(?: (?P<text>.*))?",
    re.DOTALL,
)
_LOST = re.compile(r"CPU:\d+ \[LOST (\d{1,18}) EVENTS\]")
_AFU = re.compile(r"(?:afu|psl)(\d{1,3}\.\d{1,3})")
_REMEMBERED = 8192


class Traced(NamedTuple):
    """What a trace line says: the event, its fields, the phase that it marks, and which AFU or card it names.

    A line that is no event has an empty name, or is LOST_EVENTS.
    """

    name: str
    data: Fields
    phase: Phase | None
    subject: str


class TraceReader:
    """Reads trace lines of a host with this topology. What a line says depends on no other line."""

    def __init__(self, topology: Topology) -> None:
        self._known: dict[tuple[str, str], Traced] = {}
        self._meaning = _meanings(topology.platform)
        self._afu_by_unit = {afu.unit: afu.name for afu in topology.afus if afu.unit}
        self._card_by_eeh_pe: dict[tuple[int, int], str] = {}
        if topology.platform is Platform.POWERNV:
            self._card_by_eeh_pe = {(device.phb, device.eeh_pe): device.name for device in topology.devices}
            self._card_by_eeh_pe.update({(card.phb, card.eeh_pe): card.name for card in topology.cards})

    def read(self, raw: str) -> Traced:
        """Return what one line of trace_pipe says.

        Lines that differ in their time only are read once: the result is shared and must not be changed.
        """
        head, _, rest = raw.partition(": ")
        key = (head.rpartition(" ")[0], rest)
        known = self._known.get(key)
        if known is None:
            known = self._read_new(raw)
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        return known

    def _read_new(self, raw: str) -> Traced:
        try:
            head, event, text = raw.split(": ", 2)
            task, cpu, flags, _ = head.rsplit(None, 3)
            comm, dash, pid = task.rpartition("-")
            is_plain = cpu[0] == "[" and dash and event.isidentifier() and len(flags) > 2 and len(pid) < 11
            number = int(pid) if is_plain else -1
        except ValueError:
            return self._read_slowly(raw)
        return self._read(comm.lstrip(), number, flags, event, text) if is_plain else self._read_slowly(raw)

    def _read_slowly(self, raw: str) -> Traced:
        match = _LINE.fullmatch(raw)
        if match:
            comm, pid, flags, event, text = match.groups()
            return self._read(comm, int(pid), flags, event, text or "")
        lost = _LOST.fullmatch(raw.strip())
        if lost:
            return Traced(LOST_EVENTS, {"text": raw, "events": int(lost[1])}, None, "")
        return Traced("", {"text": raw}, None, "")

    def _read(self, comm: str, pid: int, flags: str, event: str, text: str) -> Traced:
        fields, phase = self._meaning(event, text)
        data = {**fields, "comm": comm, "pid": pid, "hardirq": 1 if flags[2] in _HARDIRQ_FLAGS else 0}
        afu = data.get("afu")
        if afu is not None:
            return Traced(event, data, phase, afu)
        if "unit" in data:
            afu = self._afu_by_unit.get(data["unit"])
            if afu is not None:
                data["afu"] = afu
                return Traced(event, data, phase, afu)
        elif "eeh_pe" in data:
            card = self._card_by_eeh_pe.get((data.get("phb", -1), data["eeh_pe"]), "")
            return Traced(event, data, phase if card else None, card)
        return Traced(event, data, phase, "")


@cache
def _meanings(platform: Platform) -> Callable[[str, str], tuple[Fields, Phase | None]]:
    marks: dict[str, list[tuple[str, Phase]]] = {}
    for mark in MARKS:
        if mark.source is Source.TRACE and platform in mark.platforms:
            marks.setdefault(mark.event, []).append((mark.text, mark.phase))

    def meaning(event: str, text: str) -> tuple[Fields, Phase | None]:
        phase = next((phase for marked, phase in marks.get(event, ()) if marked in text), None)
        return _PARSERS.get(event, _plain)(text), phase

    return lru_cache(_REMEMBERED)(meaning)


def _plain(text: str) -> Fields:
    """``afu0.0 pe=1 wed=0x10`` and its like; words without a value are left out."""
    data: Fields = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if equals:
            data[key] = _value(value)
        elif match := _AFU.fullmatch(word):
            data["afu"] = f"afu{match[1]}"
    if "unit_address" in data:
        data["unit"] = data["unit_address"]
    if "afu" in data:
        data["afu"] = str(data["afu"])
    return data


def _eeh_state(text: str) -> Fields:
    """``PHB#0 PE#1 frozen=1``; the numbers after # are hexadecimal."""
    data = _plain(text)
    for word in text.split():
        name, hash_sign, number = word.partition("#")
        if hash_sign and name in _EEH_NAMES:
            value = _value(f"0x{number}")
            data[_EEH_NAMES[name]] = value if type(value) is int else -1
    return data


_EEH_NAMES = {"PHB": "phb", "PE": "eeh_pe"}


def _hcall_entry(text: str) -> Fields:
    """``H_DETACH_CA_PROCESS unit=0x10 op=DETACH``."""
    return {"hcall": text.partition(" ")[0], **_plain(text)}


def _control(text: str) -> Fields:
    """``unit_address=0x10 READ_ERR_STATE(0x0, 0x0, 0x0, 0x0, R4: 0x1)): 0``."""
    address, _, call = text.partition(" ")
    op, _, rest = call.partition("(")
    arguments, _, rc = rest.rpartition(": ")
    _, _, r4 = arguments.rstrip(")").rpartition("R4: ")
    data = _plain(address)
    data.update(op=op, r4=_value(r4), rc=_value(rc))
    return data


def _download(text: str) -> Fields:
    """``0x10, DOWNLOAD(0x1000, 0x2), 0x0): 0``."""
    address, _, call = text.partition(", ")
    op, _, rest = call.partition("(")
    arguments, _, rc = rest.rpartition(": ")
    r4 = arguments.rstrip(")").rpartition(", ")[2]
    unit = _value(address)
    return {"unit_address": unit, "unit": unit, "op": op, "r4": _value(r4), "rc": _value(rc)}


_PARSERS: dict[str, Callable[[str], Fields]] = {
    "cxl_hcall_control_function": _control,
    "cxl_hcall_control_facility": _control,
    "cxl_hcall_download_facility": _download,
    "capi_hcall_entry": _hcall_entry,
    "pnv_eeh_get_state": _eeh_state,
}

_NUMBER = re.compile(r"-?[0-9]{1,20}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}")


def _value(text: str) -> int | str:
    """A decimal or hexadecimal number as such; anything else as text, without a probe's quotes."""
    if _NUMBER.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    return text.strip('"')
