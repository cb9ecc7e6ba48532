"""The configuration space that a card on bare metal shows: what is in it, what can be written, its images.

It lies in the mailbox's memory, contents first and then the writable bits (capicard/capicard.h); capicard
lets Linux read and write it. The vendor-specific capability is that of Linux' drivers/misc/cxl/pci.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap

_CONFIG_BYTES = 0x1000
_CONFIG = 0x10_0000

_EXPRESS, _VSEC = 0x40, 0x100
_MODE_CONTROL, _IMAGE_STATE = _VSEC + 0x0A, _VSEC + 0x13
_WINDOW_MASK = 0xFFC0_0000  # one window of 4 MiB for all of the card's memory
_COMMAND = 0x04
_IS_USER_IMAGE, _LOADS_IMAGE, _SELECTS_USER = 0x80, 0x20, 0x10
_UNIT_BYTES = 0x1_0000


def _contents(slices: int) -> Iterator[tuple[int, bytes]]:
    yield 0x00, struct.pack("<HHHH", 0x1014, 0x0477, 0, 0x0010)  # IBM's card, with a list of capabilities
    yield 0x08, bytes((2, 0, 0, 0x12))  # revision 2, a processing accelerator
    yield 0x10, struct.pack("<I", 4)  # a window of 64 bits
    yield 0x2C, struct.pack("<HH", 0x1014, 0x04CA)
    yield 0x34, bytes((_EXPRESS,))
    link = 8 << 4 | 3  # eight lanes, 8 GT/s
    yield _EXPRESS, struct.pack("<BBHIHHIHH", 0x10, 0, 2, 0x8000, 0, 0, link, 0, link)
    # Identity of the capability, length, number of AFUs; PSL revision, CAIA 2.0, base image; then in units
    # of 64 KiB from BAR 0 on: AFU descriptors, their size, problem state, its size.
    yield _VSEC, struct.pack("<IIBBBB", 0x0001_000B, 0x80 << 20 | 0x1280, slices, 0, 0, 0)
    yield _VSEC + 0x0C, struct.pack("<HBBHBB", 1, 0, 2, 1, 0, _IS_USER_IMAGE | _LOADS_IMAGE | _SELECTS_USER)
    yield _VSEC + 0x20, struct.pack("<4I", 1, 1, 0x10_0000 // _UNIT_BYTES, 0x10_0000 // _UNIT_BYTES)


_WRITABLE = (
    (_COMMAND, struct.pack("<H", 0x0547)),
    (0x0C, b"\xff"),
    (0x10, struct.pack("<II", _WINDOW_MASK, 0xFFFF_FFFF)),
    (0x3C, b"\xff"),
    (_EXPRESS + 0x08, b"\xff\xff"),
    (_EXPRESS + 0x10, b"\xff\xff"),
    (_MODE_CONTROL, b"\xff"),
    (_IMAGE_STATE, bytes((_LOADS_IMAGE | _SELECTS_USER,))),
)


class ConfigSpace:
    """The configuration space of card `index`, in `memory`, which the guest shares."""

    def __init__(self, memory: mmap, index: int, slices: int) -> None:
        self._memory = memory
        self._start = _CONFIG + index * 2 * _CONFIG_BYTES
        for where, content in _contents(slices):
            self._put(where, content)
        for where, content in _WRITABLE:
            self._put(_CONFIG_BYTES + where, content)

    def reset(self, *, is_fundamental: bool) -> None:
        """What a reset does: nothing is decoded, CAPI is off; PERST loads an image if the card was told to.

        Addresses stay: they are what EEH restores.
        """
        self._put(_COMMAND, bytes(2))
        self._put(_MODE_CONTROL, bytes(1))
        state = self.image_state
        if is_fundamental and state & _LOADS_IMAGE:
            loaded = _IS_USER_IMAGE if state & _SELECTS_USER else 0
            self._put(_IMAGE_STATE, bytes((state & ~_IS_USER_IMAGE | loaded,)))

    @property
    def image_state(self) -> int:
        """Which image is loaded, and what PERST will do: the bits of the capability."""
        return self._memory[self._start + _IMAGE_STATE]

    def _put(self, where: int, content: bytes) -> None:
        self._memory[self._start + where : self._start + where + len(content)] = content
