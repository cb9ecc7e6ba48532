"""The mailbox between a module in the guest and the firmware or hardware on this side: calls and replies.

The layout is that of common/mailbox.h. Who waits for whom, and how, is `gate.py` for a PowerVM guest and
`doorbell.py` for a bare-metal one.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from harness.vocab.errors import ProtocolError

MAGIC = int.from_bytes(b"PHYPSIM1", "little")
VERSION = 1
MAILBOX_BYTES = 4 << 20
TEXT_MAX_BYTES = 0x2000
ACTIONS_MAX = 64
ARGUMENTS = RETURNS = 9

_MASK = (1 << 64) - 1
_HEADER = struct.Struct("<QII")
_REQUEST, _REQUEST_TEXT = 0x1000, 0x2000
_REPLY, _ACTIONS, _REPLY_TEXT = 0x4000, 0x5000, 0x6000
_REQUEST_FIELDS = struct.Struct(f"<5Q{ARGUMENTS}QII")
_REPLY_FIELDS = struct.Struct(f"<2Q{RETURNS}QQII")
_ACTION = struct.Struct("<4Q")
_NUMBER, _NOBODY = struct.Struct("<Q"), 0
_PENDING, _PENDING_AT = struct.Struct("<I"), 0x14
_MAY_SLEEP = 1


class Kind(IntEnum):
    """What a request is about."""

    HELLO = 1  # the module has found its devices: text has a line ``afu K ADDRESS SIZE`` for each
    HCALL = 2  # opcode and args as the driver passed them
    CONSOLE = 3  # text is what was written to the module's device
    TIMER = 4  # the time that a reply asked for has come
    COMMAND = 5  # opcode: AFU; args: area, value that was stored to its COMMAND register
    WAKE = 6  # a parked caller goes on; args: its token
    REGISTERS = 7  # opcode: card, whose registers have changed; text: process elements of each AFU
    RESET = 8  # opcode: card; args: 1 hot or 3 fundamental, whether EEH recovers
    THAW = 9  # opcode: card; args: EEH PE, 1 MMIO or 2 DMA or 3 both
    FREEZE = 10  # likewise
    THAW_PHB = 11  # opcode: PHB above no card; args as of THAW


class Do(IntEnum):
    """What the module has to do before it answers its caller."""

    ISOLATE = 1  # AFU, on bare metal card: loads give all Fs, stores are dropped
    EXPOSE = 2  # the end of that
    RAISE = 3  # hardware interrupt number; on bare metal card, IVTE
    PARK = 4  # token: this caller sleeps until it is released
    RELEASE = 5  # token
    REMOVE_FACILITY = 6  # card
    RETURN_FACILITY = 7  # card
    COPY = 8  # real address, bytes, offset in the reply's text
    WATCH = 9  # AFU, bitmap of the areas whose COMMAND register is looked at
    WRITE = 10  # real address, 64 bits as the guest's processor stores them


class Action(NamedTuple):
    """One thing to do, with up to three numbers."""

    do: Do
    a: int = 0
    b: int = 0
    c: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `time_us` is the guest's monotonic clock; with `may_sleep` the caller can be parked."""

    kind: Kind
    time_us: int
    may_sleep: bool
    opcode: int
    args: tuple[int, ...]
    text: bytes
    number: int = 0


@dataclass(slots=True)
class Reply:
    """What a request is answered with, at once or when the guest `stands_still` no longer.

    `timer_us` is when a TIMER is wanted, negative for never.
    """

    rc: int = 0
    values: Sequence[int] = ()
    timer_us: int = -1
    actions: list[Action] = field(default_factory=list)
    text: bytes = b""
    stands_still: bool = False


class Mailbox(ABC):
    """The mailbox of one guest, in ``mailbox.mem`` of the directory that its QEMU is started with.

    QEMU takes `descriptors` over and names them by `arguments`. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        with (directory / "mailbox.mem").open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), MAILBOX_BYTES)
        _HEADER.pack_into(self.memory, 0, MAGIC, VERSION, 1)
        self._closing, self._close = os.pipe2(os.O_CLOEXEC)

    @property
    @abstractmethod
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU's process must inherit."""

    @property
    @abstractmethod
    def arguments(self) -> list[str]:
        """What connects the guest to this end, as words of QEMU's command line."""

    @abstractmethod
    def settle(self) -> None:
        """Get ready for the first call of a QEMU whose monitor has answered."""

    @property
    @abstractmethod
    def bell(self) -> int:
        """The descriptor that can be read when somebody has rung."""

    @abstractmethod
    def take(self) -> Call | None:
        """The call of whoever rang; None when there is none. Raises ProtocolError for what is no call."""

    @abstractmethod
    def answer(self, call: Call, reply: Reply) -> None:
        """Give `reply` to the guest, which goes on. Raises ValueError for one that has no room."""

    @abstractmethod
    def reset(self) -> None:
        """Forget who rang: the guest was taken back to a moment when it was in no call.

        Nobody may be between `take` and `answer`.
        """

    def wait(self) -> bool:
        """Wait until somebody rings; False when `stop` was called."""
        ready, _, _ = select.select([self.bell, self._closing], [], [])
        return self._closing not in ready

    @property
    def is_idle(self) -> bool:
        """Whether the guest, which stands still, is in no call."""
        is_pending: int = _PENDING.unpack_from(self.memory, _PENDING_AT)[0]
        return not is_pending

    def stop(self) -> None:
        """Let `wait` return False. May be called from another thread, once QEMU has ended."""
        os.write(self._close, b"x")

    def close(self) -> None:
        """Let go of the files; nobody may be waiting any more."""
        os.close(self._closing)
        os.close(self._close)
        self.memory.close()

    def _call(self) -> Call:
        number, kind, time_ns, flags, opcode, *rest = _REQUEST_FIELDS.unpack_from(self.memory, _REQUEST)
        *args, text_bytes, _ = rest
        if kind not in Kind.__members__.values() or text_bytes > TEXT_MAX_BYTES:
            raise ProtocolError(f"the guest's mailbox: kind {kind}, text of {text_bytes} bytes")
        text = self.memory[_REQUEST_TEXT : _REQUEST_TEXT + text_bytes]
        return Call(Kind(kind), time_ns // 1000, bool(flags & _MAY_SLEEP), opcode, tuple(args), text, number)

    def _write(self, number: int, reply: Reply) -> None:
        if len(reply.actions) > ACTIONS_MAX or len(reply.text) > TEXT_MAX_BYTES:
            raise ValueError(f"a reply with {len(reply.actions)} actions and {len(reply.text)} bytes of text")
        values = [value & _MASK for value in reply.values] + [0] * (RETURNS - len(reply.values))
        timer_ns = max(reply.timer_us * 1000, 0)
        sizes = (len(reply.actions), len(reply.text))
        for index, action in enumerate(reply.actions):
            _ACTION.pack_into(self.memory, _ACTIONS + index * _ACTION.size, *action)
        self.memory[_REPLY_TEXT : _REPLY_TEXT + len(reply.text)] = reply.text
        _REPLY_FIELDS.pack_into(self.memory, _REPLY, _NOBODY, reply.rc & _MASK, *values, timer_ns, *sizes)
        _NUMBER.pack_into(self.memory, _REPLY, number)  # last: a guest that looks takes it as the sign
