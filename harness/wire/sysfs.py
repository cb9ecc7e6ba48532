"""What a host's hello line says of it: sysfs attribute texts and a few facts become a Topology."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

from harness.vocab.errors import Problem, ProtocolError
from harness.vocab.topology import Afu, Card, Device, Mode, Platform, Topology, Traffic
from harness.wire.excerpt import excerpt
from harness.wire.lines import json_object

PROTOCOL = 1
POWERVM_POLL_PERIOD_MS = 3000
"""How often the PowerVM driver asks for the state of an AFU, unless the host's facts say otherwise."""

_CLASS = "/sys/class/cxl/"
_CARD = re.compile(r"/sys/class/cxl/card(\d{1,3})/")
_AFU = re.compile(r"/sys/class/cxl/afu(\d{1,3})\.(\d{1,3})/")
_BDF = re.compile(r"([0-9a-f]{4,8}):[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_PCI = "/sys/bus/pci/devices/"
_TRAFFIC = {0x0108: Traffic.BLOCKS, 0x0200: Traffic.FRAMES}
"""What PCI devices of a class are kept busy with: NVMe and other non-volatile memory, and Ethernet."""
_RANGE_BYTES = 1 << 20
_PLATFORMS = {platform.value: platform for platform in Platform}
_MODES = {mode.value: mode for mode in Mode}
_T = TypeVar("_T")
_KINDS: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def topology(hello: bytes | Mapping[str, Any]) -> Topology:
    """Return the Topology that a host's hello line (or the object in it) tells.

    `facts` of an AFU: ``contexts_max`` (needed for an AFU-directed one), ``unit`` (needed on PowerVM) and
    ``test_registers`` and ``master_registers``; `facts` of ``host``: ``poll_period_ms``; `facts` of
    ``devices``: which PCI devices without CAPI may be disturbed, by PCI address, each with ``range_bytes``,
    ``overwrite``, ``address`` and ``peer`` where they are known. Raises ProtocolError that says all that is
    missing or wrong, also when the host itself uses such a device.
    """
    value = json_object(hello.rstrip(b"\n")) if isinstance(hello, bytes) else hello
    reader = _Hello(value)
    found = reader.topology()
    if reader.problems:
        raise ProtocolError("the host's hello: " + "\n".join(map(str, reader.problems)))
    return found


class _Hello:
    """Reads a hello; collects problems and goes on with a stand-in, so that all of them are found."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._hello = self._get(value, "hello", dict, {}, "")
        self._files = self._get(self._hello, "files", dict, {}, "hello")
        self._facts = self._get(self._hello, "facts", dict, {}, "hello")

    def topology(self) -> Topology:
        protocol = self._get(self._hello, "protocol", int, 0, "hello")
        if protocol != PROTOCOL:
            self._problem(f"{protocol} is an unknown protocol", "hello.protocol", str(PROTOCOL))
        name = self._get(self._hello, "platform", str, "", "hello")
        if name not in _PLATFORMS:
            what = f"{excerpt(name)} is no platform that CAPI recovery is known on"
            self._problem(what, "hello.platform", ", ".join(_PLATFORMS))
        platform = _PLATFORMS.get(name, Platform.POWERNV)
        uname = self._get(self._hello, "uname", dict, {}, "hello")
        features = self._get(self._hello, "features", list, [], "hello")
        if not all(type(feature) is str for feature in features):
            self._problem("features must be words", "hello.features")
            features = []
        devices = self._devices() if platform is Platform.POWERNV else ()
        return Topology(
            platform=platform,
            kernel=self._get(uname, "release", str, "", "hello.uname"),
            cards=self._cards(platform),
            poll_period_ms=self._poll_period_ms(platform),
            features=frozenset((*features, *(device.feature for device in devices))),
            devices=devices,
        )

    def _devices(self) -> tuple[Device, ...]:
        """The devices that the facts allow to disturb, in the order of their addresses."""
        allowed = self._get({"devices": {}, **self._facts}, "devices", dict, {}, "hello.facts")
        in_use = self._get({"in_use": {}, **self._hello}, "in_use", dict, {}, "hello")
        counts: dict[str, int] = {}
        found = []
        for bdf in sorted(allowed):
            where = f"hello.facts.devices.{bdf}"
            match = _BDF.fullmatch(bdf)
            traffic = _TRAFFIC.get(self._number(f"{_PCI}{bdf}/class", 16) >> 8) if match else None
            if not match or f"{_PCI}{bdf}/class" not in self._files:
                self._problem(
                    "the host has no such PCI device under EEH", where, "an address like 0001:01:00.0"
                )
            elif traffic is None:
                self._problem("nothing is known that keeps this device busy", where, "NVMe or Ethernet")
            elif bdf in in_use:
                what = f"the host itself uses this device: {excerpt(in_use[bdf])}"
                self._problem(what, where, "a device that holds no mounted file system and no route")
            else:
                driver = self._target(f"{_PCI}{bdf}/driver") or "none"
                number = counts[driver] = counts.get(driver, -1) + 1
                facts = self._get(allowed, bdf, dict, {}, "hello.facts.devices")
                found.append(self._device(f"{driver}-{number}", bdf, driver, traffic, facts))
        return tuple(found)

    def _device(self, name: str, bdf: str, driver: str, traffic: Traffic, facts: Mapping[str, Any]) -> Device:
        where = f"hello.facts.devices.{bdf}"
        known = {"range_bytes": _RANGE_BYTES, "overwrite": False, "address": "", "peer": "", **facts}
        if traffic is Traffic.FRAMES:
            for key in ("address", "peer"):
                try:
                    IPv4Address(self._get(known, key, str, "", where))
                except AddressValueError:
                    self._problem(f"{excerpt(known[key])} is no address", f"{where}.{key}", "like 192.0.2.7")
        return Device(
            name=name,
            bdf=bdf,
            driver=driver,
            traffic=traffic,
            phb=int(bdf.partition(":")[0], 16),
            eeh_pe=self._number(f"{_PCI}{bdf}/eeh_pe_config_addr", 16),
            range_bytes=self._get(known, "range_bytes", int, 0, where),
            may_overwrite=self._get(known, "overwrite", bool, False, where),
            address=self._get(known, "address", str, "", where),
            peer=self._get(known, "peer", str, "", where),
        )

    def _poll_period_ms(self, platform: Platform) -> int:
        default = POWERVM_POLL_PERIOD_MS if platform is Platform.POWERVM else 0
        host = self._get({"host": {}, **self._facts}, "host", dict, {}, "hello.facts")
        return self._get({"poll_period_ms": default, **host}, "poll_period_ms", int, 0, "hello.facts.host")

    def _cards(self, platform: Platform) -> tuple[Card, ...]:
        slices = {(int(m[1]), int(m[2])) for m in map(_AFU.match, self._files) if m}
        numbers = {int(m[1]) for m in map(_CARD.match, self._files) if m} | {card for card, _ in slices}
        cards = []
        for number in sorted(numbers):
            own = sorted(index for card, index in slices if card == number)
            afus = tuple(self._afu(f"afu{number}.{index}", f"card{number}", platform) for index in own)
            cards.append(self._card(f"card{number}", afus, platform))
        return tuple(cards)

    def _card(self, name: str, afus: tuple[Afu, ...], platform: Platform) -> Card:
        link = f"{_CLASS}{name}/device"
        if platform is Platform.POWERVM:
            return Card(name, afus, device=self._target(link) if link in self._files else "")
        bdf = self._target(link)
        match = _BDF.fullmatch(bdf)
        if not match:
            self._problem(f"{excerpt(bdf)} is no PCI address", link, "a link that ends like 0000:01:00.0")
            return Card(name, afus)
        path = f"/sys/bus/pci/devices/{bdf}/eeh_pe_config_addr"
        return Card(name, afus, bdf=bdf, phb=int(match[1], 16), eeh_pe=self._number(path, 16))

    def _afu(self, name: str, card: str, platform: Platform) -> Afu:
        where = f"hello.facts.{name}"
        facts = self._get({name: {}, **self._facts}, name, dict, {}, "hello.facts")
        modes = self._modes(name)
        known = {"contexts_max": 1, **facts} if modes == (Mode.DEDICATED,) else facts
        unit = self._get(known, "unit", int, 0, where) if platform is Platform.POWERVM else 0
        return Afu(
            name=name,
            card=card,
            modes=modes,
            contexts_max=self._get(known, "contexts_max", int, 1, where),
            irqs_min=self._number(f"{_CLASS}{name}/irqs_min"),
            irqs_max=self._number(f"{_CLASS}{name}/irqs_max"),
            unit=unit,
            mmio_bytes=self._number(f"{_CLASS}{name}/mmio_size"),
            has_test_registers=self._flag(facts, "test_registers", where, otherwise=False),
            has_master_registers=self._flag(facts, "master_registers", where, otherwise=True),
        )

    def _flag(self, facts: Mapping[str, Any], key: str, where: str, *, otherwise: bool) -> bool:
        return self._get({key: otherwise, **facts}, key, bool, otherwise, where)

    def _modes(self, name: str) -> tuple[Mode, ...]:
        """All modes that the AFU supports; older listings only have the present one."""
        supported = f"{_CLASS}{name}/modes_supported"
        path = supported if supported in self._files else f"{_CLASS}{name}/mode"
        words = self._text(path).split()
        if not words or not set(words) <= set(_MODES):
            self._problem(f"{excerpt(' '.join(words))} are no modes of an AFU", path, ", ".join(_MODES))
        return tuple(_MODES[word] for word in words if word in _MODES)

    def _text(self, path: str) -> str:
        return self._get(self._files, path, str, "", "hello.files").strip()

    def _target(self, link: str) -> str:
        """The name of what a link leads to."""
        return self._text(link).rstrip("/").rpartition("/")[2]

    def _number(self, path: str, base: int = 10) -> int:
        text = self._text(path)
        try:
            return int(text, base)
        except ValueError:
            if path in self._files:
                self._problem(f"{excerpt(text)} is no number", path)
            return 0

    def _get(self, source: Mapping[str, Any], key: str, kind: type[_T], otherwise: _T, where: str) -> _T:
        place = f"{where}.{key}" if where else key
        if key not in source:
            self._problem("missing", place, _KINDS[kind])
        elif type(source[key]) is not kind:
            self._problem(f"{excerpt(source[key])} has the wrong type", place, _KINDS[kind])
        else:
            value: _T = source[key]
            return value
        return otherwise

    def _problem(self, what: str, where: str, allowed: str = "") -> None:
        self.problems.append(Problem(what, where, allowed))
