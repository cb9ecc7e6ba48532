"""What the driver keeps: cards, AFUs, contexts, open files and mappings. Data only, no rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from harness.sim.card import AfuHardware, CardHardware
from harness.sim.machine import InterruptLine
from harness.sim.scheduler import Lock, WaitQueue


class Status(Enum):
    """A context's life goes one way; a closed one never starts again (drivers/misc/cxl/context.c)."""

    OPENED = "opened"
    STARTED = "started"
    CLOSED = "closed"


class Page(Enum):
    """What a mapping's translation points at."""

    ABSENT = "absent"  # the next access faults
    DEVICE = "device"
    ALL_ONES = "all-ones"  # the page that emulates a lost device


@dataclass(eq=False, slots=True)
class Context:
    """One context of an AFU; `number` is its slot, and the process element's handle at the device."""

    afu: DriverAfu
    number: int
    kind: str
    status: Status = Status.OPENED
    is_err_ff: bool = False
    pid: int = 0
    token: int = 0  # PHYP's name for the process element
    lines: list[InterruptLine] = field(default_factory=list)  # the PSL's line first, then the AFU's
    pending_irqs: list[int] = field(default_factory=list)
    pending_fault: int | None = None  # address of a fault that nobody could resolve
    pending_error: int | None = None
    faults: dict[int, int] = field(default_factory=dict)  # faults being resolved: number -> address
    waiters: WaitQueue = field(default_factory=WaitQueue)
    mappings: list[Mapping] = field(default_factory=list)
    has_references: bool = False  # holds a pid, a memory map and a place in contexts_num
    is_garbage: bool = False  # purged, and not yet drained
    is_released: bool = False  # no file is open on it any more
    is_freed: bool = False

    @property
    def label(self) -> str:
        """How trace lines call it."""
        return f"{self.afu.name} pe={self.number}"

    @property
    def has_event(self) -> bool:
        """Whether a read would give something."""
        return bool(self.pending_irqs) or self.pending_fault is not None or self.pending_error is not None


@dataclass(eq=False, slots=True)
class File:
    """An open file description on a context, shared by fork and pinned by mappings."""

    context: Context
    is_nonblocking: bool = False
    references: int = 1


@dataclass(eq=False, slots=True)
class Mapping:
    """One process' mapping of a context's problem state area."""

    file: File
    length: int
    page: Page = Page.ABSENT


@dataclass(eq=False, slots=True)
class DriverAfu:
    """One AFU as the driver sees it."""

    name: str
    card: DriverCard
    hardware: AfuHardware
    unit: int
    modes: tuple[str, ...]
    contexts_max: int
    irqs_min: int
    irqs_max: int
    mode: str
    contexts: dict[int, Context] = field(default_factory=dict)
    garbage: list[Context] = field(default_factory=list)  # purged, not yet drained
    is_quiesced: bool = False  # from quiesce to resume: nothing is let in
    is_permanent: bool = False
    generation: int = 0  # counts quiesces, so that an attach in flight notices one
    lock: Lock = field(default_factory=Lock)  # one recovery or reset at a time

    @property
    def kinds(self) -> str:
        """The letters of its device nodes in the present mode."""
        return {"afu_directed": "ms", "dedicated_process": "d"}.get(self.mode, "")


@dataclass(eq=False, slots=True)
class DriverCard:
    """One card as the driver sees it. `contexts_num` counts attached contexts (drivers/misc/cxl/main.c)."""

    name: str
    hardware: CardHardware
    afus: list[DriverAfu] = field(default_factory=list)
    contexts_num: int = 0
    is_locked: bool = False  # no attach during a reset
    is_present: bool = True  # a driver is bound
    is_plugged: bool = True  # bare metal: the PCI core knows the device
    is_channel_ok: bool = True  # bare metal: pci_channel_offline() is false
    is_permanent: bool = False
    idle: WaitQueue = field(default_factory=WaitQueue)
    lock: Lock = field(default_factory=Lock)  # device_lock: a callback, a probe or a removal at a time
    perst_reloads_same_image: bool = False
    load_image_on_perst: str = "user"
