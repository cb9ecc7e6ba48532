"""The requests and paths that several events lower to."""

from __future__ import annotations

from typing import Any

from harness.vocab.registers import Command, Register, command
from harness.vocab.request import Request, Verb
from harness.vocab.topology import Card

IRQS_MAX = (1 << 15) - 1
"""Most AFU interrupts that START_WORK can ask for: `num_interrupts` is an s16 (include/uapi/misc/cxl.h)."""
START_WORK_NUM_IRQS = 2
START_WORK_ERR_FF = 4
START_WORK_UNKNOWN_FLAG = 1 << 63

CORRECTED_MAX = 3
"""How many errors of one AFU PHYP corrects before it takes the AFU for failing."""

EEH_DEBUGFS = "/sys/kernel/debug/powerpc"


def one_of(*values: Any) -> dict[str, Any]:
    """The metadata of a field that takes one of `values`."""
    return {"allowed": values}


def between(low: int, high: int) -> dict[str, Any]:
    """The metadata of a whole-number field from `low` to `high`, both included."""
    return {"allowed": range(low, high + 1)}


def driver_path(card: Card, attribute: str) -> str:
    """Path of a sysfs attribute of the driver that is bound to `card`."""
    driver = "pci/drivers/cxl-pci" if card.bdf else "platform/drivers/cxl_of"
    return f"/sys/bus/{driver}/{attribute}"


def cxl_path(subject: str, attribute: str) -> str:
    """Path of a sysfs attribute of a card or an AFU."""
    return f"/sys/class/cxl/{subject}/{attribute}"


def pci_path(card: Card, attribute: str) -> str:
    """Path of a sysfs attribute of the PCI device that `card` is (powernv)."""
    return f"/sys/bus/pci/devices/{card.bdf}/{attribute}"


def phb_path(card: Card, name: str) -> str:
    """Path of a debugfs file of the PHB above `card` (powernv)."""
    return f"{EEH_DEBUGFS}/PCI{card.phb:04x}/{name}"


def write_file(path: str, text: str) -> tuple[Request, ...]:
    """One write of `text` to `path`."""
    return (Request(Verb.WRITE_FILE, {"path": path, "text": text}),)


def store_command(mapping: str, what: Command, argument: int = 0) -> Request:
    """The store that makes the test AFU do `what`."""
    return Request(
        Verb.STORE,
        {"map": mapping, "offset": int(Register.COMMAND), "width": 8, "value": command(what, argument)},
    )


def inject(what: str, **details: Any) -> Request:
    """A fault that no file of the host can make."""
    return Request(Verb.INJECT, {"what": what, "with": details})


def start_work(fd: str, fields: dict[str, int], **retry: Any) -> Request:
    """The ioctl that attaches `fd`."""
    return Request(Verb.IOCTL, {"fd": fd, "name": "START_WORK", "fields": fields, **retry})
