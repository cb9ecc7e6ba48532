"""The register map of the test AFU: what a load or a store at an offset means.

A marker stored to SCRATCH is also kept among the last STORE_LOG_SLOTS stores of the whole AFU, which survive
resets, so that a store which reached the device when it must not is found later: they lie one after the other
from STORE_LOG on, the oldest first, zero for none. ALL_ONES holds all Fs on a healthy device: reading it
proves nothing. WED gives back the work element descriptor of the attach.
"""

from __future__ import annotations

from enum import IntEnum

ALL_ONES_64 = 0xFFFF_FFFF_FFFF_FFFF
ALL_ONES_32 = 0xFFFF_FFFF


class Register(IntEnum):
    """Byte offset in a context's problem state area; every register is 64 bits wide, reads and writes."""

    WED = 0x00
    SCRATCH = 0x08
    STATUS = 0x10
    COMMAND = 0x18
    ALL_ONES = 0x20
    STORE_LOG = 0x40


STORE_LOG_SLOTS = 16


class Command(IntEnum):
    """What the test AFU does when the value ``command << 56 | argument`` is stored to COMMAND."""

    RAISE_INTERRUPT = 1  # argument: AFU interrupt number, 1-based within the context
    TOUCH_MEMORY = 2  # argument: address; mapped memory: a translation fault that resolves
    TOUCH_UNMAPPED = 3  # argument: address; a translation fault that becomes a DATA_STORAGE event
    AFU_ERROR = 4  # argument: error number of the AFU_ERROR event
    SLICE_ERROR = 5  # argument: ignored; a PSL slice error


def command(what: Command, argument: int = 0) -> int:
    """The 64-bit value to store to COMMAND. `argument` has 56 bits."""
    return int(what) << 56 | argument & (1 << 56) - 1


def all_ones(width_bytes: int) -> int:
    """All Fs of an access of 4 or 8 bytes."""
    return ALL_ONES_64 if width_bytes == 8 else ALL_ONES_32
