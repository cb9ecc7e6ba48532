"""The mailbox with a stand-in for the guest's processor, which QEMU would block in its write to the gate."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest

from harness.guest.doorbell import DoorbellMailbox
from harness.guest.gate import GatedMailbox
from harness.guest.mailbox import ACTIONS_MAX, MAGIC, MAILBOX_BYTES, Action, Call, Do, Kind, Mailbox, Reply
from harness.vocab.errors import ProtocolError


class Processor:
    """Rings and waits at the gate, as the module and QEMU do together."""

    def __init__(self, directory: Path, mailbox: Mailbox) -> None:
        with (directory / "mailbox.mem").open("r+b") as file:
            self.memory = mmap(file.fileno(), MAILBOX_BYTES)
        self.doorbell, self.gate = mailbox.descriptors
        self.sequence = 0

    def ring(self, kind: int, text: bytes = b"", **more: int) -> None:
        self.sequence += 1
        fields = (self.sequence, kind, 5_000_000, more.get("flags", 1), more.get("opcode", 0x348))
        struct.pack_into("<5Q9QII", self.memory, 0x1000, *fields, *range(9), len(text), 0)
        self.memory[0x2000 : 0x2000 + len(text)] = text
        os.write(self.doorbell, b"\0" * 16)

    def pass_gate(self) -> tuple[int, ...]:
        os.write(self.gate, b"\0" * 16)
        return struct.unpack_from("<2Q9QQII", self.memory, 0x4000)


def taken(mailbox: Mailbox) -> Call:
    assert mailbox.wait()
    call = mailbox.take()
    assert call is not None
    return call


@pytest.fixture
def box(tmp_path: Path) -> Iterator[tuple[Mailbox, Processor]]:
    (tmp_path / "mailbox.mem").write_bytes(bytes(MAILBOX_BYTES))
    mailbox = GatedMailbox(tmp_path)
    mailbox.settle()
    yield mailbox, Processor(tmp_path, mailbox)
    mailbox.close()


def test_the_guest_waits_at_the_gate_for_its_reply(box: tuple[Mailbox, Processor]) -> None:
    mailbox, guest = box
    assert struct.unpack_from("<QII", guest.memory, 0) == (MAGIC, 1, 1)
    for number in range(1, 200):
        guest.ring(Kind.CONSOLE, b"hello")
        call = taken(mailbox)
        assert (call.kind, call.time_us, call.may_sleep, call.text) == (Kind.CONSOLE, 5000, True, b"hello")
        came = threading.Event()
        replies: list[tuple[int, ...]] = []

        def go(replies: list[tuple[int, ...]] = replies, came: threading.Event = came) -> None:
            replies.append(guest.pass_gate())
            came.set()

        threading.Thread(target=go, daemon=True).start()
        if number == 1:
            assert not came.wait(0.05), "the gate is shut"
        mailbox.answer(call, Reply(-1, (7,), 2, [Action(Do.RAISE, 3)], b"text"))
        assert came.wait(5)
        assert replies[0][:3] == (number, (1 << 64) - 1, 7)
        assert replies[0][-3:] == (2000, 1, 4)
    assert struct.unpack_from("<4Q", guest.memory, 0x5000) == (Do.RAISE, 3, 0, 0)
    assert guest.memory[0x6000:0x6004] == b"text"


def test_after_a_reset_the_gate_is_shut_and_nobody_has_rung(box: tuple[Mailbox, Processor]) -> None:
    mailbox, guest = box
    guest.ring(Kind.TIMER)
    assert mailbox.wait()
    mailbox.reset()
    assert mailbox.take() is None
    passed = threading.Event()
    threading.Thread(target=lambda: (guest.pass_gate(), passed.set()), daemon=True).start()
    assert not passed.wait(0.05)
    guest.ring(Kind.TIMER)
    call = taken(mailbox)
    mailbox.answer(call, Reply())
    assert passed.wait(5)


def test_waiting_ends_with_stop(box: tuple[Mailbox, Processor]) -> None:
    mailbox, _ = box
    threading.Timer(0.05, mailbox.stop).start()
    began = time.monotonic()
    assert not mailbox.wait()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("kind", "size"), [(0, 0), (99, 0), (Kind.CONSOLE, 0x2001)])
def test_what_is_no_call_is_said(box: tuple[Mailbox, Processor], kind: int, size: int) -> None:
    mailbox, guest = box
    guest.ring(kind, b"x" * size)
    with pytest.raises(ProtocolError, match=f"kind {kind}, text of {size} bytes"):
        taken(mailbox)


def test_a_call_in_progress_is_seen(box: tuple[Mailbox, Processor]) -> None:
    mailbox, guest = box
    assert mailbox.is_idle
    struct.pack_into("<I", guest.memory, 0x14, 1)
    assert not mailbox.is_idle


def test_a_reply_with_too_many_actions_is_a_defect_here(box: tuple[Mailbox, Processor]) -> None:
    mailbox, guest = box
    guest.ring(Kind.TIMER)
    call = taken(mailbox)
    with pytest.raises(ValueError, match="actions"):
        mailbox.answer(call, Reply(actions=[Action(Do.RAISE)] * (ACTIONS_MAX + 1)))


def test_a_bare_metal_guest_rings_the_doorbell_of_its_device(tmp_path: Path) -> None:
    (tmp_path / "mailbox.mem").write_bytes(bytes(MAILBOX_BYTES))
    mailbox = DoorbellMailbox(tmp_path, "bus=rp1")
    with socket.socket(fileno=os.dup(mailbox.descriptors[0])) as qemu:
        said = [socket.recv_fds(qemu, 8, 1) for _ in range(4)]
    assert [int.from_bytes(data, "little", signed=True) for data, _, _, _ in said] == [0, 0, -1, 1]
    assert [len(fds) for _, fds, _, _ in said] == [0, 0, 1, 1]
    memory, bell = mmap(said[2][1][0], MAILBOX_BYTES), said[3][1][0]
    fields = (1, Kind.REGISTERS, 5_000_000, 0, 1)
    struct.pack_into("<5Q9QII", memory, 0x1000, *fields, *range(9), 0, 0)
    assert mailbox.take() is None
    os.eventfd_write(bell, 1)
    call = taken(mailbox)
    assert (call.kind, call.opcode, call.may_sleep) == (Kind.REGISTERS, 1, False)
    mailbox.answer(call, Reply(actions=[Action(Do.RAISE, 0, 9)]))
    assert struct.unpack_from("<Q", memory, 0x4000) == (1,)
    assert struct.unpack_from("<4Q", memory, 0x5000) == (Do.RAISE, 0, 9, 0)
    assert mailbox.arguments[-1] == "ivshmem-doorbell,chardev=doorbell,vectors=1,bus=rp1"
    for fd in (said[2][1][0], bell):
        os.close(fd)
    mailbox.close()
