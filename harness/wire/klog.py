"""Kernel log records as /dev/kmsg gives them, and what each says about error handling.

A record reads ``priority,sequence,microseconds,flags;text``. Only the kernel's own records (facility 0) can
mark a phase: anybody may write a line of the same wording to /dev/kmsg, but it then has another facility.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from harness.vocab.phase import MARKS, Phase, Source
from harness.vocab.topology import Platform, Topology

_ESCAPE = re.compile(r"(?:\\x[0-9a-f]{2})+")
_FIRST_PRINTABLE, _DELETE, _C1_END = 0x20, 0x7F, 0xA0
_MARKED = ("EEH", "AFU is in")  # one of them is in every text of MARKS: a test holds this
_EDEV = "PCI "  # "PCI 0000:01:00.0#0001: EEH: …", written by the EEH core about one device
_DRIVER = "cxl-pci "  # "cxl-pci 0000:01:00.0: …"
_CLASS = "cxl "  # "cxl afu0.0: …" and "cxl card0: …"


class KernelLine(NamedTuple):
    """A record of the kernel log. `level` is 0 (emergency) to 7 (debug), or -1 when it cannot be read."""

    level: int
    is_kernel: bool
    text: str


_EEH = "EEH: "
_REMEMBERED = 8192


class Said(NamedTuple):
    """What a log line means: its level as text, its text, the phase that it marks, and what it is about."""

    level: str
    text: str
    phase: Phase | None
    subject: str


def parse(raw: str) -> KernelLine:
    """Take a record of /dev/kmsg apart. Lines of properties after the first are dropped.

    Escapes of bytes outside ASCII are undone; escaped control characters stay escaped.
    """
    head, separator, text = raw.partition(";")
    priority = head.partition(",")[0]
    if not separator or not priority.isdecimal() or len(priority) > 4:
        return KernelLine(-1, False, raw)
    if "\n" in text:
        text = text.partition("\n")[0]
    if "\\x" in text:
        text = _ESCAPE.sub(_unescape, text)
    number = int(priority)
    return KernelLine(number & 7, number < 8, text)


def _unescape(match: re.Match[str]) -> str:
    data = bytes.fromhex(match[0].replace("\\x", ""))
    return "".join(map(_visible, data.decode(errors="backslashreplace")))


def _visible(char: str) -> str:
    code = ord(char)
    is_control = code < _FIRST_PRINTABLE or _DELETE <= code < _C1_END
    return f"\\x{code:02x}" if is_control else char


class KlogReader:
    """Reads the log of one case, in order, because most lines of a recovery do not say what it is about.

    eehd recovers one PE at a time: what follows ``Recovering PHB#…`` is about that one. A line about a device
    that is no card of the topology marks nothing. PE#0 stands for a whole PHB, unless a card has that number.
    The only device of a PHB is known by the PHB, because its PE may get another number.
    """

    def __init__(self, topology: Topology) -> None:
        is_native = topology.platform is Platform.POWERNV
        cards = topology.cards if is_native else ()
        self._marks = [
            (mark.text, mark.phase, mark.of_devices)
            for mark in MARKS
            if mark.source is Source.LOG and topology.platform in mark.platforms
        ]
        self._names = {card.name for card in topology.cards} | {afu.name for afu in topology.afus}
        self._by_bdf = {card.bdf: card.name for card in cards}
        self._by_eeh_pe = {(card.phb, 0): card.name for card in reversed(cards)}
        self._by_eeh_pe.update({(card.phb, card.eeh_pe): card.name for card in cards})
        self._recovering: str | None = cards[0].name if len(cards) == 1 else None
        self._lines = _known_lines(topology)
        devices = topology.devices if is_native else ()
        self._devices = frozenset(device.name for device in devices)
        self._by_bdf.update({device.bdf: device.name for device in devices})
        self._by_eeh_pe.update({(device.phb, device.eeh_pe): device.name for device in devices})
        phbs = [*(card.phb for card in cards), *(device.phb for device in devices)]
        self._by_phb = {device.phb: device.name for device in devices if phbs.count(device.phb) == 1}

    def read(self, raw: str) -> Said:
        """Return what the next record of the log says.

        Lines that differ in their number and time only are read once, but for those of EEH, whose meaning
        depends on others.
        """
        head, separator, text = raw.partition(";")
        key = (head.partition(",")[0] + separator, text)
        known = self._lines.get(key)
        if known is None:
            known = self._read_new(raw)
            is_alone = "\\" not in text and not text.startswith(_EEH)
            if is_alone and len(self._lines) < _REMEMBERED:
                self._lines[key] = known
        return known

    def _read_new(self, raw: str) -> Said:
        level, is_kernel, text = parse(raw)
        name = str(level) if level >= 0 else ""
        if not is_kernel:
            return Said(name, text, None, "")
        subject = self._subject(text)
        if subject == "" or not any(word in text for word in _MARKED):
            return Said(name, text, None, subject or "")
        for marked, phase, is_of_devices in self._marks:
            if marked in text and not (is_of_devices and subject not in self._devices):
                return Said(name, text, phase, subject or "")
        return Said(name, text, None, subject or "")

    def _subject(self, text: str) -> str | None:
        """What the line is about; empty for a stranger, None when nobody said."""
        if text.startswith(_CLASS):
            return self._known(text[len(_CLASS) :].partition(":")[0])
        if text.startswith(_DRIVER):
            return self._by_bdf.get(text[len(_DRIVER) :].partition(": ")[0], "")
        if text.startswith(_EDEV):
            return self._by_bdf.get(text[len(_EDEV) :].partition("#")[0], "")
        if not text.startswith(_EEH):
            return None
        if "PHB#" not in text:
            return self._recovering
        phb = _number(text, "PHB#")
        subject = self._by_eeh_pe.get((phb, _number(text, "PE#"))) or self._by_phb.get(phb, "")
        if text.startswith("EEH: Recovering PHB#"):
            self._recovering = subject
        return subject

    def _known(self, name: str) -> str:
        return name if name in self._names else ""


@lru_cache(maxsize=16)
def _known_lines(_topology: Topology) -> dict[tuple[str, str], Said]:
    """What lines of hosts with this topology say, as far as they were read."""
    return {}


def _number(text: str, prefix: str) -> int:
    """The hexadecimal number after `prefix`; 0 where there is none."""
    number = 0
    start = text.find(prefix)
    if start >= 0:
        for char in text[start + len(prefix) : start + len(prefix) + 8]:
            if char not in "0123456789abcdef":
                break
            number = number * 16 + int(char, 16)
    return number
