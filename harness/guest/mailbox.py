"""The mailbox between the guest's `phypsim` module and PHYP on this side: its layout, and who waits for whom.

The layout is that of phypsim/mailbox.h. A call goes like this:

1. The module fills in the request, then writes to two virtual terminals: DOORBELL and GATE. QEMU writes each
   to a pipe of ours.
2. GATE's pipe has room for one packet, and one is always in it. So QEMU blocks the guest's processor inside
   that write, at a virtual time that stands still: however long the answer takes, the guest cannot tell.
3. `Mailbox.wait` is woken by DOORBELL, `Mailbox.take` reads the request; `Mailbox.answer` writes the reply
   and takes the packet out of GATE. The guest's own packet takes its place, so the gate is shut again before
   the guest goes on.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import struct
from collections.abc import Sequence
from contextlib import suppress
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
_PENDING, _PENDING_AT = struct.Struct("<I"), 0x14
_ONE_PACKET = 4096  # the least that a pipe can hold, which in packet mode is one packet of any length
_PACKET = b"shut"
_RING_BYTES = 16
_MAY_SLEEP = 1


class Kind(IntEnum):
    """What a request is about."""

    HELLO = 1  # the module has found its devices: text has a line ``afu K ADDRESS SIZE`` for each
    HCALL = 2  # opcode and args as the driver passed them
    CONSOLE = 3  # text is what was written to /dev/phypsim
    TIMER = 4  # the time that a reply asked for has come
    COMMAND = 5  # opcode: AFU; args: area, value that was stored to its COMMAND register
    WAKE = 6  # a parked caller goes on; args: its token


class Do(IntEnum):
    """What the module has to do before it answers its caller."""

    ISOLATE = 1  # AFU: loads give all Fs, stores are dropped
    EXPOSE = 2  # AFU: the end of that
    RAISE = 3  # hardware interrupt number
    PARK = 4  # token: this caller sleeps until it is released
    RELEASE = 5  # token
    REMOVE_FACILITY = 6  # card
    RETURN_FACILITY = 7  # card
    COPY = 8  # real address, bytes, offset in the reply's text
    WATCH = 9  # AFU, bitmap of the areas whose COMMAND register is looked at


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


class Mailbox:
    """The mailbox of one guest, in ``mailbox.mem`` of the directory that its QEMU is started with.

    QEMU takes `descriptors` over and names them by `arguments`. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        with (directory / "mailbox.mem").open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), MAILBOX_BYTES)
        _HEADER.pack_into(self._memory, 0, MAGIC, VERSION, 1)
        self._doorbell, self._doorbell_in = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._doorbell, False)
        self._gate, self._gate_in = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
        fcntl.fcntl(self._gate_in, fcntl.F_SETPIPE_SZ, _ONE_PACKET)
        os.write(self._gate_in, _PACKET)
        self._closing, self._close = os.pipe2(os.O_CLOEXEC)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU's process must inherit."""
        return (self._doorbell_in, self._gate_in)

    @property
    def arguments(self) -> list[str]:
        """What connects the guest's terminals to the pipes, as words of QEMU's command line."""
        words = []
        terminals = (("doorbell", self._doorbell_in, 0x7100_0001), ("gate", self._gate_in, 0x7100_0002))
        for number, (name, descriptor, register) in enumerate(terminals, 1):
            words += ["-add-fd", f"fd={descriptor},set={number}"]
            words += ["-chardev", f"file,id={name},path=/dev/fdset/{number},append=on"]
            words += ["-device", f"spapr-vty,chardev={name},reg={register:#x}"]
        return words

    def settle(self) -> None:
        """Make the pipes block again, before the first call: QEMU changed their flags when it took them."""
        fcntl.fcntl(self._doorbell_in, fcntl.F_SETFL, 0)
        fcntl.fcntl(self._gate_in, fcntl.F_SETFL, os.O_DIRECT)

    def wait(self) -> bool:
        """Wait until somebody rings; False when `stop` was called."""
        ready, _, _ = select.select([self._doorbell, self._closing], [], [])
        return self._closing not in ready

    def take(self) -> Call | None:
        """The call of whoever rang; None when `reset` came first. Raises ProtocolError for what is none."""
        with suppress(BlockingIOError):
            os.read(self._doorbell, _RING_BYTES)
            return self._call()
        return None

    def answer(self, call: Call, reply: Reply) -> None:
        """Give `reply` to the guest, which goes on. Raises ValueError for one that has no room."""
        if len(reply.actions) > ACTIONS_MAX or len(reply.text) > TEXT_MAX_BYTES:
            raise ValueError(f"a reply with {len(reply.actions)} actions and {len(reply.text)} bytes of text")
        self._write(call.number, reply)
        os.read(self._gate, _ONE_PACKET)

    @property
    def is_idle(self) -> bool:
        """Whether the guest, which stands still, is in no call."""
        is_pending: int = _PENDING.unpack_from(self._memory, _PENDING_AT)[0]
        return not is_pending

    def reset(self) -> None:
        """Shut the gate again: the guest was taken back to a moment when it was in no call.

        Nobody may be between `take` and `answer`.
        """
        for pipe in (self._gate, self._doorbell):
            while select.select([pipe], [], [], 0)[0]:
                os.read(pipe, _ONE_PACKET)
        os.write(self._gate_in, _PACKET)

    def stop(self) -> None:
        """Let `wait` return None. May be called from another thread, once QEMU has ended."""
        os.write(self._close, b"x")

    def close(self) -> None:
        """Let go of the files; nobody may be waiting any more."""
        ends = (self._doorbell, self._doorbell_in, self._gate, self._gate_in, self._closing, self._close)
        for descriptor in ends:
            os.close(descriptor)
        self._memory.close()

    def _call(self) -> Call:
        number, kind, time_ns, flags, opcode, *rest = _REQUEST_FIELDS.unpack_from(self._memory, _REQUEST)
        *args, text_bytes, _ = rest
        if kind not in Kind.__members__.values() or text_bytes > TEXT_MAX_BYTES:
            raise ProtocolError(f"the guest's mailbox: kind {kind}, text of {text_bytes} bytes")
        text = self._memory[_REQUEST_TEXT : _REQUEST_TEXT + text_bytes]
        return Call(Kind(kind), time_ns // 1000, bool(flags & _MAY_SLEEP), opcode, tuple(args), text, number)

    def _write(self, number: int, reply: Reply) -> None:
        values = [value & _MASK for value in reply.values] + [0] * (RETURNS - len(reply.values))
        timer_ns = max(reply.timer_us * 1000, 0)
        sizes = (len(reply.actions), len(reply.text))
        for index, action in enumerate(reply.actions):
            _ACTION.pack_into(self._memory, _ACTIONS + index * _ACTION.size, *action)
        self._memory[_REPLY_TEXT : _REPLY_TEXT + len(reply.text)] = reply.text
        _REPLY_FIELDS.pack_into(self._memory, _REPLY, number, reply.rc & _MASK, *values, timer_ns, *sizes)
