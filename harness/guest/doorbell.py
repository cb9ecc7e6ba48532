"""The mailbox of a bare-metal guest: an `ivshmem-doorbell` device, whose server we are.

QEMU gets the memory and a doorbell from a server on a socket (docs/specs/ivshmem-spec.txt of QEMU): protocol
version, its own number, the memory, and for each other user of it a number with one event descriptor a
vector. All of that fits into the socket before QEMU starts, so the server needs no thread: we are the only
other user. The guest writes our number to the device's doorbell register, and our descriptor can be read; it
then looks at the reply until it is there, because its time is real anyway (capicard/doorbell.c).
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from harness.guest.mailbox import Call, Mailbox, Reply

_NUMBER = struct.Struct("<q")
_VERSION, _GUEST, _HOST = 0, 0, 1
_MEMORY = -1
_COUNTER_BYTES = 8


class DoorbellMailbox(Mailbox):
    """A mailbox behind an ivshmem-doorbell device, which is plugged in where `place` says."""

    def __init__(self, directory: Path, place: str) -> None:
        """`place` are further properties of the device, such as ``bus=rp1,addr=0.1``."""
        super().__init__(directory)
        self._place = place
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ours, self._theirs = socket.socketpair()
        with (directory / "mailbox.mem").open("r+b") as memory:
            for number, descriptors in (
                (_VERSION, ()),
                (_GUEST, ()),
                (_MEMORY, (memory.fileno(),)),
                (_HOST, (self._bell,)),
            ):
                socket.send_fds(self._ours, [_NUMBER.pack(number)], descriptors)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU's process must inherit."""
        return (self._theirs.fileno(),)

    @property
    def arguments(self) -> list[str]:
        """The device, and the socket to its server."""
        device = f"ivshmem-doorbell,chardev=doorbell,vectors=1,{self._place}"
        return ["-chardev", f"socket,id=doorbell,fd={self._theirs.fileno()}", "-device", device]

    def settle(self) -> None:
        """Nothing has to be done."""

    @property
    def bell(self) -> int:
        """The doorbell's event descriptor."""
        return self._bell

    def take(self) -> Call | None:
        """The call of whoever rang; None for nobody. Raises ProtocolError for what is none."""
        with suppress(BlockingIOError):
            os.read(self._bell, _COUNTER_BYTES)
            return self._call()
        return None

    def answer(self, call: Call, reply: Reply) -> None:
        """Let the guest see `reply`."""
        self._write(call.number, reply)

    def reset(self) -> None:
        """Forget who rang."""
        with suppress(BlockingIOError):
            os.read(self._bell, _COUNTER_BYTES)

    def close(self) -> None:
        """Let go of the files; nobody may be waiting any more."""
        os.close(self._bell)
        self._ours.close()
        self._theirs.close()
        super().close()
