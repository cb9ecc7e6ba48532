"""The memory of a card on bare metal: registers by their names, AFU descriptors, problem state.

The layout is that of capicard/capicard.h; the registers are those of Linux' drivers/misc/cxl/cxl.h (CAIA 2).
Registers are big endian, problem state is as the guest's processes store it, little endian.
"""

from __future__ import annotations

import mmap
import struct
from enum import Enum
from pathlib import Path

from harness.guest.afu import ERROR_BUFFER, SharedMemory

CARD_BYTES = 4 << 20
SLICES_MAX = 2

_P1N, _P1N_BYTES = 0x1_0000, 0x100
_P2N, _P2N_BYTES = 0x10_0000, 0x1000
_DESCRIPTORS, DESCRIPTOR_BYTES = 0x11_0000, 0x1_0000
_PROBLEM_STATE, PROBLEM_STATE_BYTES = 0x20_0000, 0x10_0000
_P1_BYTES = 0x1_0000

_U64 = struct.Struct(">Q")


class Psl(Enum):
    """Registers of the card, by offset: no numbers, because those of a slice have the same elsewhere."""

    ERR_IVTE = 0x08
    CONTROL = 0x20


class P1n(Enum):
    """Privileged registers of a slice."""

    SERR = 0x28
    SPAP = 0x88
    LLCMD = 0x90
    SCNTL = 0xA0


class P2n(Enum):
    """Less privileged registers of a slice."""

    DSISR = 0x60
    DAR = 0x68
    TFC = 0x78
    PE_HANDLE = 0x80
    ERR_STAT = 0x88
    AFU_CNTL = 0x90
    AFU_ERR = 0x98


def bit(number: int) -> int:
    """Bit `number` of 64, counted from the most significant."""
    return 1 << 63 - number


class CardMemory:
    """The memory of one card. Raises OSError."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CARD_BYTES)
        self._slices = tuple(
            SharedMemory(path, _PROBLEM_STATE + number * PROBLEM_STATE_BYTES) for number in range(SLICES_MAX)
        )

    def problem_state(self, slice_number: int) -> SharedMemory:
        """What processes map of an AFU."""
        return self._slices[slice_number]

    def load(self, register: Psl) -> int:
        """A register of the card."""
        return self._load(register.value)

    def store(self, register: Psl, value: int) -> None:
        """Set a register of the card."""
        _U64.pack_into(self._memory, register.value, value)

    def load_slice(self, slice_number: int, register: P1n | P2n) -> int:
        """A register of a slice."""
        return self._load(_place(slice_number, register))

    def store_slice(self, slice_number: int, register: P1n | P2n, value: int) -> None:
        """Set a register of a slice."""
        _U64.pack_into(self._memory, _place(slice_number, register), value)

    def describe(self, slice_number: int, descriptor: bytes) -> None:
        """Set the AFU descriptor of a slice, with what lies behind it."""
        start = _DESCRIPTORS + slice_number * DESCRIPTOR_BYTES
        self._memory[start : start + len(descriptor)] = descriptor

    def clear(self) -> None:
        """All registers of card and slices as after power-on: zero."""
        self._memory[0:_P1_BYTES] = bytes(_P1_BYTES)
        for number in range(SLICES_MAX):
            for start, length in ((_P1N, _P1N_BYTES), (_P2N, _P2N_BYTES)):
                first = start + number * length
                self._memory[first : first + length] = bytes(length)

    def close(self) -> None:
        """Let go of the memory."""
        for part in self._slices:
            part.close()
        self._memory.close()

    def _load(self, offset: int) -> int:
        value: int = _U64.unpack_from(self._memory, offset)[0]
        return value


def _place(slice_number: int, register: P1n | P2n) -> int:
    if isinstance(register, P1n):
        return _P1N + slice_number * _P1N_BYTES + register.value
    return _P2N + slice_number * _P2N_BYTES + register.value


def descriptor(processes_max: int, modes: int) -> bytes:
    """The AFU descriptor of a test AFU: its `modes` are DIRECTED and DEDICATED; with its error buffer."""
    one_interrupt = 1 << 48
    text = bytearray(_ERROR_BUFFER_AT + len(ERROR_BUFFER))
    _U64.pack_into(text, 0x00, one_interrupt | processes_max << 32 | modes)
    _U64.pack_into(text, 0x30, bit(6) | bit(7) | AREA_PAGES)  # an area of its own for each process
    _U64.pack_into(text, 0x38, AREA_PAGES * _PAGE_BYTES)  # behind that of the AFU as a whole
    _U64.pack_into(text, 0x40, _ERROR_BUFFER_PAGES)
    _U64.pack_into(text, 0x48, _ERROR_BUFFER_AT)
    text[_ERROR_BUFFER_AT:] = ERROR_BUFFER
    return bytes(text)


DIRECTED, DEDICATED = bit(61), bit(59)
AREA_PAGES = 16
_PAGE_BYTES = 4096
_ERROR_BUFFER_PAGES, _ERROR_BUFFER_AT = 1, 0x2000
