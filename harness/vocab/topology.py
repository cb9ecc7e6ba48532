"""What a host has: platform, kernel, cards and their AFUs, PHBs and EEH PEs, and PCI devices without CAPI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeVar


class Platform(Enum):
    """Which firmware owns the hardware: bare metal (OPAL) or a PowerVM guest (PHYP)."""

    POWERNV = "powernv"
    POWERVM = "powervm"


BOTH_PLATFORMS = frozenset(Platform)


class Subject(Enum):
    """What a case, an oracle or a phase is about."""

    CARDS = "cards"  # CAPI adapters
    DEVICES = "devices"  # PCI devices without CAPI, under EEH alone


class Mode(Enum):
    """A programming model of an AFU, in the words of ``/sys/class/cxl/afu*/mode``."""

    DEDICATED = "dedicated_process"
    DIRECTED = "afu_directed"


@dataclass(frozen=True, slots=True)
class Afu:
    """One accelerator function unit.

    `contexts_max` is the number of contexts that can be open at once; `irqs_min` and `irqs_max` bound the
    AFU interrupts of one context. `unit` is the unit address in hcalls (powervm only). `has_test_registers`
    says that the AFU has the register map of `vocab.registers`, so that markers can be stored and read back;
    `has_master_registers`, that a master finds its own there, and not the AFU as a whole.
    """

    name: str
    card: str
    modes: tuple[Mode, ...]
    contexts_max: int
    irqs_min: int
    irqs_max: int
    unit: int = 0
    mmio_bytes: int = 4096
    has_test_registers: bool = True
    has_master_registers: bool = True

    @property
    def is_directed(self) -> bool:
        """Whether master and slave contexts exist (AFU-directed), else one dedicated context."""
        return Mode.DIRECTED in self.modes

    @property
    def mode(self) -> Mode:
        """The mode that the driver chooses for it."""
        return Mode.DIRECTED if self.is_directed else Mode.DEDICATED

    @property
    def kinds(self) -> tuple[str, ...]:
        """The letters of the device nodes: ``m`` and ``s``, or ``d``."""
        return ("m", "s") if self.is_directed else ("d",)

    @property
    def kinds_with_registers(self) -> tuple[str, ...]:
        """Those of `kinds` whose mapping shows the test registers of their own context."""
        if not self.has_test_registers:
            return ()
        return self.kinds if self.has_master_registers else tuple(kind for kind in self.kinds if kind != "m")

    def node(self, kind: str) -> str:
        """Path of the device node of `kind` (one of `kinds`)."""
        return f"/dev/cxl/{self.name}{kind}"


@dataclass(frozen=True, slots=True)
class Card:
    """One CAPI adapter. `bdf`, `phb` and `eeh_pe` have a meaning on powernv only.

    `device` is the name by which the driver is bound to it on powervm; empty where the host does not tell.
    """

    name: str
    afus: tuple[Afu, ...]
    bdf: str = ""
    phb: int = 0
    eeh_pe: int = 0
    device: str = ""


class Traffic(Enum):
    """What a device is kept busy with."""

    BLOCKS = "blocks"  # direct reads of a range whose contents are known
    FRAMES = "frames"  # echo requests with a payload, each of which is answered


@dataclass(frozen=True, slots=True)
class Device:
    """One PCI device without CAPI that may be disturbed, under EEH (powernv).

    `name` is its driver's name and a number, counted in the order of PCI addresses, so that cases of one host
    mean something on another; the kernel's own names change when a device is plugged anew. `eeh_pe` is what
    the host said at first: it may change, too. Blocks are read from the first `range_bytes`; with
    `may_overwrite` they are filled with a pattern before. Frames go from `address` to `peer` (IPv4).
    """

    name: str
    bdf: str
    driver: str
    traffic: Traffic
    phb: int = 0
    eeh_pe: int = 0
    range_bytes: int = 0
    may_overwrite: bool = False
    address: str = ""
    peer: str = ""

    @property
    def feature(self) -> str:
        """The word by which a case needs this device."""
        return f"device:{self.name}"


@dataclass(frozen=True, slots=True)
class Topology:
    """A host's inventory.

    `features` are words that a Case may need: ``kprobes``, ``debugfs``, ``phyp-console`` (PHYP can be told to
    fail), ``hardware-console`` (links and PSLs can be told to fail), ``command-answers`` (and process element
    commands), ``psl-interrupts`` (and to raise the error interrupt), ``virtual-time``, ``deterministic``,
    ``allocation-traces`` (the kernel tells who allocated the objects that live), ``device:NAME`` of each of
    `devices`.
    `poll_period_ms` is the period of the PowerVM driver's state check, 0 where there is none.
    """

    platform: Platform
    kernel: str
    cards: tuple[Card, ...]
    poll_period_ms: int = 0
    features: frozenset[str] = frozenset()
    devices: tuple[Device, ...] = ()

    def __hash__(self) -> int:
        """A cheap one: a topology is a key of many caches, and few topologies live at once."""
        return hash(self.kernel)

    @property
    def afus(self) -> tuple[Afu, ...]:
        """All AFUs of all cards, in order."""
        return _afus(self)

    def afu(self, name: str) -> Afu:
        """The AFU called `name`, such as ``afu0.1``. Raises KeyError."""
        return _named(self.afus, name)

    def card(self, name: str) -> Card:
        """The card called `name`, such as ``card0``. Raises KeyError."""
        return _named(self.cards, name)

    def device(self, name: str) -> Device:
        """The device called `name`, such as ``nvme-0``. Raises KeyError."""
        return _named(self.devices, name)

    def in_eeh_pe_of(self, device: Device) -> tuple[Device, ...]:
        """All devices in the EEH PE of `device`."""
        place = (device.phb, device.eeh_pe)
        return tuple(other for other in self.devices if (other.phb, other.eeh_pe) == place)


@lru_cache(maxsize=64)
def _afus(topology: Topology) -> tuple[Afu, ...]:
    return tuple(afu for card in topology.cards for afu in card.afus)


_Named = TypeVar("_Named", Afu, Card, Device)


def _named(things: tuple[_Named, ...], name: str) -> _Named:
    for thing in things:
        if thing.name == name:
            return thing
    raise KeyError(name)
