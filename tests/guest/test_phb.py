"""A PHB4's freeze and its end, on registers and tables that behave as QEMU's do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.guest.phb import Hiding, Phb
from harness.guest.phbwatch import PhbWatch
from harness.guest.powernv import HIDINGS, bridges
from harness.guest.qtest import Qtest, QtestError

BASE = 0x600C3C0000000 + 4 * 0x100000
RTT, PEST = 0x40000, 0x80000
PE = 0xFD
FROZEN = 1 << 63
PESTA, PESTB, TVT, PEEV = 7, 8, 9, 20
BAR, ROM, COMMAND = 0x10, 0x30, 0x04
DEVICE, SHUTTER = 0x0100000, 0x0108000


class FakePhb:
    """PHB 4: registers, indirect tables, memory and the configuration spaces of two devices."""

    def __init__(self) -> None:
        self.near, far = socket.socketpair()
        self.memory = {
            BASE + 0x100: 255 << 51,
            BASE + 0x168: FROZEN | RTT,
            BASE + 0x1A8: FROZEN | PEST,
            RTT + 2 * 0x100: PE,
        }
        self.tables: dict[tuple[int, int], int] = {(TVT, 2 * PE): 0x11, (TVT, 2 * PE + 1): 0x22}
        self.config = {DEVICE | BAR: 0x80000000, DEVICE | COMMAND: 0x0006, SHUTTER | ROM: 0}
        self.is_still = False
        self.moved: list[int] = []
        threading.Thread(target=self.serve, args=(far,), daemon=True).start()

    def serve(self, far: socket.socket) -> None:
        with far, far.makefile("rb") as commands:
            for line in commands:
                name, *numbers = line.decode().split()
                address, *value = (int(number, 0) for number in numbers)
                if name.startswith("write"):
                    self.write(address, value[0])
                    far.sendall(b"OK\n")
                else:
                    far.sendall(b"IRQ raise 3\nOK %#x\n" % self.read(address))

    @property
    def cell(self) -> tuple[int, int]:
        selected = self.memory.get(BASE + 0x220, 0)
        return selected >> 48, selected & 0xFFFF

    @property
    def place(self) -> int:
        return self.memory[BASE + 0x140] >> 32 & 0xFFFFFFF

    def read(self, address: int) -> int:
        if address == BASE + 0x228:
            return self.tables.get(self.cell, 0)
        if address == BASE + 0x130:
            return swapped(self.config.get(self.place, 0))
        return self.memory.get(address, 0)

    def write(self, address: int, value: int) -> None:
        if address == BASE + 0x228:
            assert self.is_still
            self.tables[self.cell] = value
        elif address == BASE + 0x130:
            assert self.is_still
            self.config[self.place] = swapped(value)
        else:
            self.memory[address] = value
            self.moved.append(address)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        self.is_still = True
        yield
        self.is_still = False

    @property
    def is_peev_set(self) -> bool:
        return bool(self.tables.get((PEEV, PE // 64), 0) & FROZEN >> PE % 64)


def swapped(value: int) -> int:
    return int.from_bytes(value.to_bytes(4, "big"), "little")


@pytest.fixture
def fake() -> FakePhb:
    return FakePhb()


def connected(fake: FakePhb, hiding: Hiding = HIDINGS[4]) -> Phb:
    phb = Phb(4, hiding)
    phb.connect(fake, Qtest(fake.near, 2))  # type: ignore[arg-type]
    return phb


def test_a_freeze_is_seen_in_all_tables_and_raises_the_error_interrupt(fake: FakePhb) -> None:
    fake.memory[BASE + 0x220] = 0x1234
    phb = connected(fake)
    phb.freeze()
    assert phb.is_frozen
    assert fake.tables[PESTA, PE] == fake.tables[PESTB, PE] == FROZEN
    assert fake.is_peev_set
    assert fake.config[SHUTTER | ROM] == 0x80000001
    assert fake.config[SHUTTER | COMMAND] == 2
    assert fake.config[DEVICE | COMMAND] == 6
    assert fake.tables[TVT, 2 * PE] == fake.tables[TVT, 2 * PE + 1] == 0
    assert fake.moved[-1] == 0x600C300000000 + 4 * 0x20000000 + 2047 * 0x10000
    assert fake.memory[BASE + 0x220] == 0x1234


def test_the_end_of_a_freeze_is_noticed_piece_by_piece(fake: FakePhb) -> None:
    phb = connected(fake)
    thaws: list[bool] = []
    phb.on_thaw = lambda: thaws.append(phb.is_frozen)
    phb.freeze()
    phb.look()
    assert phb.is_frozen
    fake.tables[PESTA, PE] = 0
    phb.look()
    assert phb.is_frozen
    assert fake.is_peev_set
    assert fake.config[SHUTTER | ROM] == 0
    assert fake.tables[TVT, 2 * PE] == 0
    fake.tables[PESTB, PE] = 0
    phb.look()
    assert thaws == [False]
    assert not fake.is_peev_set
    assert (fake.tables[TVT, 2 * PE], fake.tables[TVT, 2 * PE + 1]) == (0x11, 0x22)


def test_what_firmware_is_about_to_thaw_gets_through_before_it_does(fake: FakePhb) -> None:
    phb = connected(fake)
    phb.freeze()
    phb.let_through(PE + 1, is_mmio=True, is_dma=True)
    assert fake.tables[TVT, 2 * PE] == 0
    assert fake.config[SHUTTER | ROM] & 1
    phb.let_through(PE, is_mmio=False, is_dma=True)
    assert (fake.tables[TVT, 2 * PE], fake.tables[TVT, 2 * PE + 1]) == (0x11, 0x22)
    assert fake.config[SHUTTER | ROM] & 1
    phb.let_through(PE, is_mmio=True, is_dma=False)
    assert not fake.config[SHUTTER | ROM] & 1
    assert phb.is_frozen
    fake.tables[PESTA, PE] = fake.tables[PESTB, PE] = 0
    phb.look()
    assert not phb.is_frozen
    assert not fake.is_peev_set


def test_other_pes_stay_frozen(fake: FakePhb) -> None:
    fake.tables[PEEV, PE // 64] = 1
    phb = connected(fake)
    phb.freeze()
    phb.thaw()
    assert not phb.is_frozen
    assert fake.tables[PEEV, PE // 64] == 1


def test_a_reset_ends_what_hides_the_device_and_it_stays_ended(fake: FakePhb) -> None:
    phb = connected(fake)
    phb.freeze()
    fake.config[SHUTTER | ROM] = 0
    phb.thaw()
    assert fake.config[SHUTTER | ROM] == 0


def test_a_card_hides_behind_its_own_rom(fake: FakePhb) -> None:
    fake.config |= {DEVICE | BAR + 8: 0x80400000, DEVICE | ROM: 0x80400000}
    phb = connected(fake, HIDINGS[0])
    phb.freeze()
    assert fake.config[DEVICE | ROM] == 0x80400001
    phb.thaw()
    assert fake.config[DEVICE | ROM] == 0x80400000


def test_a_fence_is_a_freeze_that_firmware_escalates_once(fake: FakePhb) -> None:
    phb = connected(fake)
    phb.fence()
    assert fake.memory[PEST + 16 * PE] == 0x8440000000000000
    assert fake.is_peev_set
    phb.thaw()
    assert fake.memory[PEST + 16 * PE] == 0


def test_a_freeze_of_a_device_that_is_unplugged_fences_its_phb(fake: FakePhb) -> None:
    fake.memory[RTT + 2 * 0x100] = 0x1FF
    connected(fake).freeze()
    assert fake.memory[PEST + 16 * 0x1FF] == 0x8440000000000000


def test_what_is_armed_in_the_registers_happens_once(fake: FakePhb) -> None:
    phb = connected(fake)
    happened = threading.Event()
    phb.on_freeze = happened.set
    armed, outbound = phb.injection_registers
    fake.memory |= {armed: 1 << 58, outbound: 0}
    watch = PhbWatch([phb], phb._qtest)
    assert happened.wait(5)
    watch.stop()
    assert watch.fault is None
    assert phb.freezes == 1
    assert fake.memory[armed] == 0


def test_the_watch_says_a_defect_and_not_the_end_of_qemu(fake: FakePhb) -> None:
    phb = connected(fake)
    phb.inject = lambda *_: 1 // 0  # type: ignore[assignment,method-assign]
    watch = PhbWatch([phb], phb._qtest)
    watch._thread.join(5)
    assert isinstance(watch.fault, ZeroDivisionError)
    fake.near.shutdown(socket.SHUT_RDWR)
    ended = PhbWatch([phb], phb._qtest)
    ended._thread.join(5)
    assert ended.fault is None


@pytest.mark.parametrize(
    ("said", "why"), [(b"FAIL Unknown command\n", "refused"), (b"OK what\n", "makes no sense")]
)
def test_a_wrong_answer_is_said(said: bytes, why: str) -> None:
    near, far = socket.socketpair()
    far.sendall(said)
    with pytest.raises(QtestError, match=why):
        Qtest(near, 1).readw(0)


def test_every_freezable_device_has_a_bridge() -> None:
    assert {index: phb.index for index, phb in bridges().items()} == {index: index for index in HIDINGS}


def test_a_pe_that_the_kernel_holds_is_no_error_and_leaves_none_behind(fake: FakePhb) -> None:
    phb = connected(fake, Hiding(2, 4 << 20, is_own=True))
    phb.freeze()
    fake.moved.clear()
    fake.tables[PESTA, PE] = fake.tables[PESTB, PE] = 0  # the kernel thaws it, releases it, and holds another
    phb.hold(3)
    assert phb.freezes == 1
    assert all(address >= BASE for address in fake.moved if address > 1 << 40), "no interrupt"
    assert not fake.is_peev_set, "nobody would ever clear it"
    assert fake.tables[PESTA, 3] == fake.tables[PESTB, 3] == FROZEN
    fake.tables[PESTA, 3] = fake.tables[PESTB, 3] = 0
    phb.look()
    assert not phb.is_frozen
    assert fake.tables[PEEV, 0] == 0
