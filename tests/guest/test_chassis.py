"""Cards below a bare-metal guest, register by register: what the driver stores, and what it finds then."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.guest.chassis import CARD_NAMES, Chassis
from harness.guest.mailbox import MAILBOX_BYTES, Action, Call, Do, Kind, Reply
from harness.guest.psl import CARD_BYTES, CardMemory, P1n, P2n, Psl
from harness.vocab.registers import ALL_ONES_64, STORE_LOG_SLOTS, Command, Register, command

ENABLE, ENABLED, RESET, RESET_DONE = 1 << 60, 4 << 61, 1 << 56, 2 << 58
DIRECTED_MODE, DEDICATED_MODE = 4 << 32, 2 << 32
ADD, TERMINATE, REMOVE = 5, 1, 2
SPA, SPA_BYTES = 0x500_0000, 1 << 16
STATUS_WORD = SPA + ((SPA_BYTES // 8 - 96) // 17 + 3) * 128
SERR_IVTE, PSL_IVTE, AFU_IVTE = 0xE001, 0xE002, 0xE010
VSEC = 0x100
MMIO, DMA = 1, 2
HOT, FUNDAMENTAL = 1, 3


class Bridge:
    """A PHB that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_frozen = False
        self.on_freeze: Callable[[], None]
        self.on_thaw: Callable[[], None]

    def freeze(self) -> None:
        self.asked.append("freeze")
        self.is_frozen = True

    def hold(self, pe: int) -> None:
        self.asked.append(f"hold {pe:#x}")
        self.is_frozen = True

    def fence(self) -> None:
        self.asked.append("fence")
        self.is_frozen = True

    def let_through(self, pe: int, *, is_mmio: bool, is_dma: bool) -> None:
        self.asked.append(f"let through {pe:#x} {is_mmio=} {is_dma=}")


class Guest:
    """Does what driver and module do: stores registers, and sends calls."""

    def __init__(self, directory: Path) -> None:
        for name in CARD_NAMES:
            (directory / f"{name}.mem").write_bytes(bytes(CARD_BYTES))
        self.memories = [CardMemory(directory / f"{name}.mem") for name in CARD_NAMES]
        self.mailbox = mmap.mmap(-1, MAILBOX_BYTES)
        self.bridges = [Bridge() for _ in CARD_NAMES]
        self.others = {4: Bridge()}
        self.chassis = Chassis(self.memories, self.mailbox, self.bridges, self.others)
        self.now_us = 1_000_000
        self.spas = [bytearray(16 * 128), bytearray(16 * 128)]
        self.send(Kind.HELLO)

    def send(self, kind: Kind, opcode: int = 0, *args: int, text: bytes = b"") -> Reply:
        return self.chassis.answer(Call(kind, self.now_us, False, opcode, args, text))

    def look(self, card: int = 0) -> Reply:
        return self.send(Kind.REGISTERS, card, text=b"".join(map(bytes, self.spas)))

    def console(self, what: str, **details: object) -> Reply:
        return self.send(Kind.CONSOLE, text=json.dumps({"what": what, "with": details}).encode())

    def control(self, value: int, number: int = 0, card: int = 0) -> int:
        self.memories[card].store_slice(number, P2n.AFU_CNTL, value)
        self.look(card)
        return self.memories[card].load_slice(number, P2n.AFU_CNTL)

    def element(self, pe: int, wed: int) -> None:
        struct.pack_into(">4H4H", self.spas[0], pe * 128 + 36, PSL_IVTE, AFU_IVTE, 0xE020, 0, 1, 2, 1, 0)
        struct.pack_into(">Q", self.spas[0], pe * 128 + 116, wed)

    def order(self, what: int, pe: int) -> Reply:
        self.memories[0].store_slice(0, P1n.LLCMD, what << 48 | pe)
        return self.look()

    def attach(self, pe: int = 0, wed: int = 7) -> Reply:
        memory = self.memories[0]
        memory.store_slice(0, P1n.SCNTL, DIRECTED_MODE)
        memory.store_slice(0, P1n.SPAP, SPA | (SPA_BYTES // 4096 - 1) << 4 | 1)
        memory.store_slice(0, P1n.SERR, SERR_IVTE)
        self.control(ENABLE)
        self.element(pe, wed)
        return self.order(ADD, pe)

    def load(self, area: int, register: int) -> int:
        return self.memories[0].problem_state(0).load(area, register)

    def command(self, area: int, what: Command, argument: int = 0) -> Reply:
        self.memories[0].problem_state(0).store(area, Register.COMMAND, command(what, argument))
        return self.look()

    def register(self, which: P1n | P2n) -> int:
        return self.memories[0].load_slice(0, which)

    def config(self, where: int) -> int:
        return self.mailbox[0x10_0000 + where]


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def status(what: int, pe: int) -> list[Action]:
    """The status word as a little endian processor writes it."""
    word = what << 48 | what << 32 | pe
    return [Action(Do.WRITE, STATUS_WORD, int.from_bytes(word.to_bytes(8, "big"), "little"))]


def raised(ivte: int, card: int = 0) -> list[Action]:
    return [Action(Do.RAISE, card, ivte)]


def test_an_afu_is_enabled_disabled_and_reset(guest: Guest) -> None:
    assert guest.control(ENABLE) == ENABLE | ENABLED
    assert guest.control(ENABLED) == 0
    assert guest.control(ENABLE | ENABLED | RESET) == RESET | RESET_DONE, "a reset disables"
    assert guest.control(RESET_DONE) == 0, "so that the next reset can be told from this one"


def test_a_process_element_is_added_and_removed(guest: Guest) -> None:
    assert guest.attach(pe=2, wed=0xABC).actions == status(ADD, 2)
    assert guest.register(P1n.LLCMD) == 0
    assert guest.load(3, Register.WED) == 0xABC
    assert guest.load(3, Register.ALL_ONES) == ALL_ONES_64
    assert guest.order(TERMINATE, 2).actions == status(TERMINATE, 2)
    assert guest.order(REMOVE, 2).actions == status(REMOVE, 2)
    assert guest.load(3, Register.WED) == 0


def test_a_dedicated_process_is_attached_by_enabling(guest: Guest) -> None:
    memory = guest.memories[1]
    memory.store_slice(0, P1n.SCNTL, DEDICATED_MODE)
    guest.element(0, 0x77)
    guest.control(ENABLE, card=1)
    assert memory.problem_state(0).load(0, Register.WED) == 0x77
    guest.control(ENABLED, card=1)
    assert memory.problem_state(0).load(0, Register.WED) == 0


def test_commands_can_hang_and_fail(guest: Guest) -> None:
    guest.attach()
    assert guest.console("answer_command", afu="afu0.0", command="terminate", answer="hang").rc == 0
    assert guest.order(TERMINATE, 0).actions == []
    assert guest.order(TERMINATE, 0).actions == status(TERMINATE, 0), "only once"
    guest.console("answer_command", afu="afu0.0", command="remove", answer="fail", times=2)
    failed = [Action(Do.WRITE, STATUS_WORD, ALL_ONES_64)]
    assert [guest.order(REMOVE, 0).actions for _ in range(3)] == [failed, failed, status(REMOVE, 0)]
    guest.console("answer_command", afu="afu0.0", command="add", answer="hang")
    guest.send(Kind.RESET, 0, HOT, True)
    assert guest.attach().actions == status(ADD, 0), "a reset forgets"


def test_interrupts_of_a_process(guest: Guest) -> None:
    guest.attach()
    raise_interrupt = Command.RAISE_INTERRUPT
    assert [guest.command(1, raise_interrupt, irq).actions for irq in (1, 2, 3, 4)] == [
        raised(AFU_IVTE),
        raised(AFU_IVTE + 1),
        raised(0xE020),
        [],
    ], "as many as its ranges have"
    assert guest.load(1, Register.COMMAND) == 0


def test_the_psl_presents_one_interrupt_at_a_time(guest: Guest) -> None:
    guest.attach(pe=0)
    guest.attach(pe=1)
    assert guest.command(2, Command.AFU_ERROR, 9).actions == raised(PSL_IVTE)
    assert [guest.register(which) for which in (P2n.DSISR, P2n.PE_HANDLE, P2n.AFU_ERR)] == [1 << 58, 1, 9]
    assert guest.command(1, Command.TOUCH_UNMAPPED, 0x123000).actions == []
    guest.memories[0].store_slice(0, P2n.TFC, 1 << 35)
    assert guest.look().actions == raised(PSL_IVTE)
    assert [guest.register(which) for which in (P2n.DSISR, P2n.DAR, P2n.PE_HANDLE)] == [
        1 << 60 | 0x88,
        0x123000,
        0,
    ]
    guest.memories[0].store_slice(0, P2n.TFC, 1 << 35)
    assert guest.look().actions == []
    assert guest.register(P2n.DSISR) == guest.register(P2n.TFC) == 0


def test_a_slice_error_is_masked_until_the_reset(guest: Guest) -> None:
    guest.attach()
    assert guest.command(1, Command.SLICE_ERROR).actions == raised(SERR_IVTE)
    serr = guest.register(P1n.SERR)
    guest.memories[0].store_slice(0, P1n.SERR, serr | serr >> 32)  # what the driver's handler does
    assert guest.command(1, Command.SLICE_ERROR).actions == []
    guest.control(RESET)
    assert guest.register(P1n.SERR) == SERR_IVTE


def test_a_frozen_card_does_nothing_until_the_freeze_is_over(guest: Guest) -> None:
    guest.attach()
    assert guest.console("freeze", card="card0").actions == [Action(Do.ISOLATE, 0)]
    assert guest.bridges[0].asked == ["freeze"]
    assert guest.mailbox[0x18_0000] == 1, "so that configuration space gives all Fs"
    assert guest.order(TERMINATE, 0).actions == []
    assert guest.load(1, Register.WED) == ALL_ONES_64, "the process element is dead beneath the isolation"
    assert guest.send(Kind.THAW, 0, 0x1FD, DMA).actions == []
    assert guest.send(Kind.THAW, 0, 0x1FD, MMIO).actions == [Action(Do.EXPOSE, 0)]
    assert guest.mailbox[0x18_0000] == 0
    assert guest.load(1, Register.WED) == ALL_ONES_64
    assert guest.bridges[1].asked == [], "the other card has nothing to do with it"


def test_a_reset_makes_everything_new_but_does_not_thaw(guest: Guest) -> None:
    guest.attach()
    guest.console("link_down", card="card0")
    guest.memories[0].store(Psl.ERR_IVTE, 0xE000)
    assert guest.send(Kind.RESET, 0, HOT, True).actions == []
    assert guest.memories[0].load(Psl.ERR_IVTE) == guest.register(P1n.SPAP) == 0
    assert guest.register(P2n.AFU_CNTL) == guest.load(1, Register.WED) == 0
    assert guest.mailbox[0x18_0000] == 1
    assert guest.send(Kind.THAW, 0, 0x1FD, MMIO).actions == [Action(Do.EXPOSE, 0)]


@pytest.mark.parametrize(
    ("written", "kind", "is_recovering", "loaded"),
    [
        (0x30, FUNDAMENTAL, False, 0x80),
        (0x20, FUNDAMENTAL, False, 0),
        (0x20, HOT, True, 0),
        (0, FUNDAMENTAL, False, 0x80),
        (0x20, HOT, False, 0x80),
    ],
)
def test_perst_loads_the_image_that_was_chosen(
    guest: Guest, written: int, kind: int, is_recovering: bool, loaded: int
) -> None:
    assert guest.config(VSEC + 0x13) == 0xB0, "the user image is loaded"
    guest.mailbox[0x10_0000 + VSEC + 0x13] = 0x80 | written
    guest.send(Kind.RESET, 0, kind, is_recovering)
    assert guest.config(VSEC + 0x13) == loaded | written


def test_a_hung_afu_freezes_the_card_when_the_driver_orders_something(guest: Guest) -> None:
    guest.attach()
    guest.console("hang_afu", afu="afu0.0")
    assert guest.look().actions == []
    assert guest.order(TERMINATE, 0).actions == [Action(Do.ISOLATE, 0)]
    assert guest.bridges[0].asked == ["freeze"]
    guest.bridges[0].is_frozen = False
    guest.bridges[0].on_thaw()
    assert guest.look().actions == [], "the same order still waits for its answer"
    assert guest.bridges[0].asked == ["freeze"]


def test_a_bridge_that_freezes_by_itself(guest: Guest) -> None:
    guest.attach()
    guest.bridges[0].is_frozen = True
    guest.bridges[0].on_freeze()
    assert guest.mailbox[0x18_0000] == 1
    assert guest.bridges[0].asked == [], "it knows"
    guest.bridges[0].on_thaw()
    assert guest.mailbox[0x18_0000] == 1, "a thaw that was overtaken by a freeze"
    guest.bridges[0].is_frozen = False
    guest.bridges[0].on_thaw()
    assert guest.mailbox[0x18_0000] == 0


def test_psl_errors(guest: Guest) -> None:
    guest.attach()
    reply = guest.console("psl_error", afu="afu0.1")
    assert Action(Do.ISOLATE, 0) in reply.actions
    guest.memories[1].store(Psl.ERR_IVTE, 0xC000)
    assert guest.console("psl_interrupt", card="card1").actions == raised(0xC000, card=1)
    assert guest.console("psl_interrupt", card="card0").actions == [], "no driver has said where it goes"


def test_the_bridge_above_another_device_is_told_of_a_thaw_and_others_are_left_alone(guest: Guest) -> None:
    guest.send(Kind.THAW_PHB, 4, 0x1FD, DMA)
    guest.send(Kind.THAW_PHB, 4, 0x1FD, MMIO | DMA)
    guest.send(Kind.THAW_PHB, 1, 0, MMIO)
    assert guest.others[4].asked == [
        "let through 0x1fd is_mmio=False is_dma=True",
        "let through 0x1fd is_mmio=True is_dma=True",
    ]
    assert not any(bridge.asked for bridge in guest.bridges)


def test_faults_that_are_none(guest: Guest) -> None:
    assert guest.console("earthquake").rc == -95
    assert guest.console("freeze", card="card9").rc == -22
    assert guest.console("answer_command", afu="afu0.0", command="dance", answer="hang").rc == -22
    assert guest.send(Kind.CONSOLE, text=b"[").rc == -22


def test_the_data_cache_is_flushed(guest: Guest) -> None:
    guest.memories[0].store(Psl.CONTROL, 1 << 32 | 1)
    guest.look()
    assert guest.memories[0].load(Psl.CONTROL) == 3 << 34 | 1 << 32 | 1
    guest.memories[0].store(Psl.CONTROL, 3 << 34 | 1)
    guest.look()
    assert guest.memories[0].load(Psl.CONTROL) == 1


def test_a_card_that_is_reset_by_hand_loses_its_link(guest: Guest) -> None:
    assert guest.send(Kind.FREEZE, 0, 0x1FD, 3).actions == [Action(Do.ISOLATE, 0)]
    due_us = guest.send(Kind.RESET, 0, FUNDAMENTAL, False).timer_us
    assert guest.bridges[0].asked == ["hold 0x1fd"], "a freeze by the kernel is no error"
    guest.now_us = due_us
    assert guest.send(Kind.TIMER).timer_us < 0
    assert guest.bridges[0].asked == ["hold 0x1fd", "fence"]


def test_a_reset_of_a_recovery_is_the_end_of_it(guest: Guest) -> None:
    assert guest.send(Kind.RESET, 0, FUNDAMENTAL, True).timer_us < 0


def test_the_log_of_stores_is_empty_when_another_case_begins(guest: Guest) -> None:
    """The markers of cases are the same, so that an old one would pass for a new one."""
    guest.attach()
    guest.memories[0].problem_state(0).store(1, Register.SCRATCH, 0xCA91)
    guest.look()
    last = Register.STORE_LOG + 8 * (STORE_LOG_SLOTS - 1)
    assert guest.load(1, last) == 0xCA91
    guest.chassis.forget()
    guest.attach(pe=1)
    guest.memories[0].problem_state(0).store(2, Register.SCRATCH, 0xCA92)
    guest.look()
    assert [guest.load(2, last - 8), guest.load(2, last)] == [0, 0xCA92]
