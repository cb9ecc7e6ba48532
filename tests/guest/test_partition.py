"""PHYP below a guest, call by call: what the phypsim module would send, and what it gets back."""

from __future__ import annotations

import copy
import json
import struct
from pathlib import Path

import pytest

from harness.guest.afu import AREA_BYTES, AREAS, MEMORY_BYTES, SharedMemory
from harness.guest.mailbox import Action, Call, Do, Kind, Reply
from harness.guest.partition import ERROR_BUFFER, PROCESSES_MAX, Partition
from harness.sim.phyp import H_LONG_BUSY_ORDER_100_MSEC, H_PARAMETER, H_RESOURCE, H_STATE, RESET_US, State
from harness.vocab.registers import ALL_ONES_64, STORE_LOG_SLOTS, Command, Register, command

ATTACH, CONTROL, DETACH, COLLECT, FAULTS, FACILITY = 0x344, 0x348, 0x34C, 0x350, 0x354, 0x368
RESET, READ_STATE, GET_AFU_ERR, GET_ERROR = 1, 4, 5, 11
UNIT, BASE, FIRST_IRQ = 0x10, 0x2_0000_0000, 0x1000


class Guest:
    """Sends calls to a Partition as the module would, by the guest's own clock."""

    def __init__(self, memories: tuple[SharedMemory, ...]) -> None:
        self.memories = memories
        self.partition = Partition(memories)
        self.now_us = 1_000_000
        self.number = 0
        text = f"afu 0 {BASE:#x} 0x100000\nafu 1 0x300000000 0x100000\nafu 2 0x400000000 0x100000\n"
        self.tree = self.send(Kind.HELLO, text=f"{text}irqs {FIRST_IRQ} 67\n".encode()).text.decode()

    def send(
        self, kind: Kind, opcode: int = 0, *args: int, text: bytes = b"", may_sleep: bool = True
    ) -> Reply:
        self.number += 1
        return self.partition.answer(Call(kind, self.now_us, may_sleep, opcode, args, text, self.number))

    def hcall(self, opcode: int, *args: int, **more: bool) -> Reply:
        return self.send(Kind.HCALL, opcode, *args, 0, 0, 0, 0, **more)

    def attach(self, wed: int = 7, psl: int = FIRST_IRQ, afu: int = FIRST_IRQ + 1) -> Reply:
        element = bytearray(4096)
        struct.pack_into(">I", element, 28, psl)
        element[32 + (afu - FIRST_IRQ) // 8] |= 0x80 >> (afu - FIRST_IRQ) % 8
        struct.pack_into(">Q", element, 492, wed)
        return self.send(Kind.HCALL, ATTACH, UNIT, 0x5000, 0, text=bytes(element))

    def console(self, what: str, **details: object) -> Reply:
        return self.send(Kind.CONSOLE, text=json.dumps({"what": what, "with": details}).encode())

    def state(self) -> int:
        return self.hcall(CONTROL, UNIT, READ_STATE).values[0]

    def load(self, area: int, register: int) -> int:
        return self.memories[0].load(area, register)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    memories = []
    for index in range(3):
        path = tmp_path / f"afu{index}.mem"
        path.write_bytes(bytes(MEMORY_BYTES))
        memories.append(SharedMemory(path))
    return Guest(tuple(memories))


def dos(reply: Reply) -> list[Do]:
    return [action.do for action in reply.actions]


def test_the_device_tree_has_two_cards_and_three_afus(guest: Guest) -> None:
    lines = [line.split() for line in guest.tree.splitlines()]
    assert [line[0] for line in lines] == ["card", "card", "afu", "afu", "afu"]
    assert [int(line[3], 0) for line in lines if line[0] == "afu"] == [0x10, 0x11, 0x20]
    errors = [int(line[6]) for line in lines if line[0] == "afu"]
    assert errors == [64, 65, 66], "behind the 2 x 32 interrupts of processes"


def test_an_attach_gives_token_and_area_with_live_registers(guest: Guest) -> None:
    reply = guest.attach(wed=0xABC)
    token, address, size = reply.values
    assert (reply.rc, size) == (0, AREA_BYTES)
    area = (address - BASE) // AREA_BYTES
    assert area == 1, "area 0 is the AFU's own, which masters map"
    assert guest.load(area, Register.WED) == 0xABC
    assert guest.load(area, Register.ALL_ONES) == ALL_ONES_64
    assert Action(Do.WATCH, 0, 1 << area) in reply.actions
    assert guest.hcall(DETACH, UNIT, token).rc == 0
    assert guest.load(area, Register.WED) == 0
    assert guest.hcall(DETACH, UNIT, token).rc == H_PARAMETER


def test_attaches_end_with_the_resources(guest: Guest) -> None:
    assert [guest.attach().rc for _ in range(PROCESSES_MAX + 1)] == [0] * PROCESSES_MAX + [H_RESOURCE]


def test_an_error_isolates_the_afu_until_its_reset_is_done(guest: Guest) -> None:
    area = (guest.attach(wed=0xABC).values[1] - BASE) // AREA_BYTES
    struck = guest.console("phyp_error", afu="afu0.0", severity="recoverable")
    assert struck.rc == 0
    assert Action(Do.ISOLATE, 0) in struck.actions
    assert guest.state() == State.DISABLE
    assert guest.attach().rc == H_STATE
    assert guest.hcall(CONTROL, UNIT, RESET).rc == H_LONG_BUSY_ORDER_100_MSEC
    guest.now_us += RESET_US
    done = guest.hcall(CONTROL, UNIT, RESET)
    assert (done.rc, guest.state()) == (0, State.NORMAL)
    assert Action(Do.EXPOSE, 0) in done.actions
    assert guest.load(area, Register.WED) == 0, "its process element is gone"


def test_a_stale_process_gives_all_ones_and_takes_no_store_after_a_silent_reset(guest: Guest) -> None:
    area = (guest.attach(wed=0xABC).values[1] - BASE) // AREA_BYTES
    reply = guest.console("phyp_silent_reset", card="card0")
    assert dos(reply).count(Do.ISOLATE) == 2, "the whole card"
    guest.now_us = reply.timer_us
    over = guest.send(Kind.TIMER)
    assert dos(over).count(Do.EXPOSE) == 2
    assert guest.load(area, Register.WED) == ALL_ONES_64
    guest.memories[0].store(area, Register.SCRATCH, 5)
    guest.state()
    assert guest.load(area, Register.SCRATCH) == ALL_ONES_64


def test_dead_processes_never_use_up_the_areas(guest: Guest) -> None:
    for _ in range(2 * AREAS):
        assert guest.attach(wed=0xABC).rc == 0
        guest.now_us = guest.console("phyp_silent_reset", card="card0").timer_us
        guest.send(Kind.TIMER)
    area = (guest.attach(wed=0xDEF).values[1] - BASE) // AREA_BYTES
    assert guest.load(area, Register.WED) == 0xDEF


def test_stores_are_found_in_the_log_of_every_living_process(guest: Guest) -> None:
    first, second = ((guest.attach().values[1] - BASE) // AREA_BYTES for _ in range(2))
    guest.memories[0].store(first, Register.SCRATCH, 0x51)
    guest.state()
    log = [guest.load(second, Register.STORE_LOG + 8 * slot) for slot in range(STORE_LOG_SLOTS)]
    assert log == [0] * (STORE_LOG_SLOTS - 1) + [0x51]


def test_commands_raise_the_interrupts_of_their_process(guest: Guest) -> None:
    token, address, _ = guest.attach(psl=FIRST_IRQ + 4, afu=FIRST_IRQ + 5).values
    area = (address - BASE) // AREA_BYTES

    def order(what: Command, argument: int = 0) -> list[Action]:
        return guest.send(Kind.COMMAND, 0, area, command(what, argument)).actions

    assert order(Command.RAISE_INTERRUPT, 1) == [Action(Do.RAISE, 5)]
    assert order(Command.RAISE_INTERRUPT, 2) == [], "it has only one"
    assert order(Command.TOUCH_UNMAPPED, 0x1000) == [Action(Do.RAISE, 4)]
    assert guest.hcall(COLLECT, UNIT, token).values[:2] == (1 << 62, 0x1000)
    assert guest.hcall(FAULTS, UNIT, 1, token).rc == 0
    assert guest.hcall(COLLECT, UNIT, token).values[:2] == (0, 0), "answered"
    assert order(Command.AFU_ERROR, 9) == [Action(Do.RAISE, 4)]
    assert guest.hcall(COLLECT, UNIT, token).values[0] == 1 << 58
    assert order(Command.SLICE_ERROR) == [Action(Do.RAISE, 64)]
    assert guest.hcall(CONTROL, UNIT, GET_ERROR).values[0]


def test_an_isolated_process_raises_nothing(guest: Guest) -> None:
    area = (guest.attach().values[1] - BASE) // AREA_BYTES
    guest.console("phyp_error", afu="afu0.0", severity="recoverable")
    assert guest.send(Kind.COMMAND, 0, area, command(Command.RAISE_INTERRUPT, 1)).actions == []


def test_the_error_buffer_is_copied_to_the_guest(guest: Guest) -> None:
    reply = guest.hcall(CONTROL, UNIT, GET_AFU_ERR, 3, 0x9000, 16)
    assert reply.actions == [Action(Do.COPY, 0x9000, 16, 0)]
    assert reply.text == ERROR_BUFFER[3:19]


def test_a_held_call_acts_when_it_is_let_go(guest: Guest) -> None:
    guest.console("phyp_hold", hcall="H_ATTACH_CA_PROCESS", op="ATTACH", for_ms=500)
    parked = guest.attach(wed=0xABC)
    assert parked.actions == [Action(Do.PARK, guest.number)]
    token = guest.number
    guest.console("phyp_error", afu="afu0.0", severity="recoverable")
    guest.now_us += 500_000
    assert Action(Do.RELEASE, token) in guest.send(Kind.TIMER).actions
    assert guest.send(Kind.WAKE, 0, token).rc == H_STATE, "the error came first"
    assert guest.attach().actions == [], "one call only was held"


def test_a_held_call_can_be_released_before_its_time(guest: Guest) -> None:
    guest.console("phyp_hold", hcall="H_CONTROL_CA_FUNCTION", op="READ_ERR_STATE", for_ms=8000)
    assert dos(guest.hcall(CONTROL, UNIT, READ_STATE)) == [Do.PARK]
    token = guest.number
    released = guest.console("phyp_release", hcall="H_CONTROL_CA_FUNCTION", op="READ_ERR_STATE")
    assert released.actions == [Action(Do.RELEASE, token)]
    assert guest.send(Kind.WAKE, 0, token).values[0] == State.NORMAL


def test_nobody_is_held_where_nobody_may_sleep(guest: Guest) -> None:
    guest.console("phyp_hold", hcall="H_CONTROL_CA_FUNCTION", op="READ_ERR_STATE", for_ms=8000)
    assert guest.hcall(CONTROL, UNIT, READ_STATE, may_sleep=False).actions == []


def test_busy_and_refusals_are_answered_as_asked(guest: Guest) -> None:
    guest.console("phyp_answer", hcall="H_ATTACH_CA_PROCESS", rc=9903, times=2)
    assert [guest.attach().rc for _ in range(3)] == [9903, 9903, 0]


def test_a_facility_is_taken_away_by_the_module(guest: Guest) -> None:
    assert guest.console("phyp_remove_facility", card="card1").actions == [Action(Do.REMOVE_FACILITY, 1)]
    assert guest.console("phyp_return_facility", card="card1").actions == [Action(Do.RETURN_FACILITY, 1)]


@pytest.mark.parametrize(
    ("order", "rc"),
    [(b"", -22), (b"[]", -22), (b'{"what": "phyp_error", "with": {}}', -22), (b'{"what": "x"}', -95)],
)
def test_orders_that_make_no_sense_are_refused(guest: Guest, order: bytes, rc: int) -> None:
    assert guest.send(Kind.CONSOLE, text=order).rc == rc


def test_unknown_units_and_calls_are_answered(guest: Guest) -> None:
    assert guest.hcall(CONTROL, 0x99, READ_STATE).rc == H_PARAMETER
    assert guest.hcall(CONTROL, UNIT, 77).rc == -2
    assert guest.hcall(0x35C, UNIT).rc == -2


def test_a_copy_of_the_state_goes_its_own_way(guest: Guest) -> None:
    before = copy.deepcopy(guest.partition)
    guest.console("phyp_error", afu="afu0.0", severity="unrecoverable")
    assert guest.state() == State.PERM_UNAVAILABLE
    guest.partition = before
    assert guest.state() == State.NORMAL
    reply = guest.console("phyp_error", afu="afu0.0", severity="recoverable")
    assert Action(Do.ISOLATE, 0) in reply.actions, "its AFUs tell it, and not the one it was copied from"
