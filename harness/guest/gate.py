"""The mailbox of a PowerVM guest: the guest is stopped inside QEMU until its call is answered.

1. The module fills in the request, then writes to two virtual terminals: DOORBELL and GATE. QEMU writes each
   to a pipe of ours.
2. GATE's pipe has room for one packet, and one is always in it. So QEMU blocks the guest's processor inside
   that write, at a virtual time that stands still: however long the answer takes, the guest cannot tell.
3. `wait` is woken by DOORBELL, `take` reads the request; `answer` writes the reply and takes the packet out
   of GATE. The guest's own packet takes its place, so the gate is shut again before the guest goes on.
"""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import suppress
from pathlib import Path

from harness.guest.mailbox import Call, Mailbox, Reply

_ONE_PACKET = 4096  # the least that a pipe can hold, which in packet mode is one packet of any length
_PACKET = b"shut"
_RING_BYTES = 16


class GatedMailbox(Mailbox):
    """A mailbox behind two virtual terminals."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._doorbell, self._doorbell_in = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._doorbell, False)
        self._gate, self._gate_in = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
        fcntl.fcntl(self._gate_in, fcntl.F_SETPIPE_SZ, _ONE_PACKET)
        os.write(self._gate_in, _PACKET)

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

    @property
    def bell(self) -> int:
        """Where DOORBELL's bytes come out."""
        return self._doorbell

    def take(self) -> Call | None:
        """The call of whoever rang; None when `reset` came first. Raises ProtocolError for what is none."""
        with suppress(BlockingIOError):
            os.read(self._doorbell, _RING_BYTES)
            return self._call()
        return None

    def answer(self, call: Call, reply: Reply) -> None:
        """Give `reply` to the guest, and open the gate for it."""
        self._write(call.number, reply)
        os.read(self._gate, _ONE_PACKET)

    def reset(self) -> None:
        """Shut the gate again: the guest was taken back to a moment when it was in no call.

        Nobody may be between `take` and `answer`.
        """
        for pipe in (self._gate, self._doorbell):
            while select.select([pipe], [], [], 0)[0]:
                os.read(pipe, _ONE_PACKET)
        os.write(self._gate_in, _PACKET)

    def close(self) -> None:
        """Let go of the files; nobody may be waiting any more."""
        for descriptor in (self._doorbell, self._doorbell_in, self._gate, self._gate_in):
            os.close(descriptor)
        super().close()
