"""How Linux 6.1 calls PHYP: what each return code becomes, and what the kernel says about it (cxl/hcalls.c).

The rules:
1. Attach, detach and the two control calls are repeated while PHYP is busy. When the waits that it asked for
   add up to more than a minute, Linux warns and takes the answer for H_BUSY.
2. A code that the call does not know is a WARN, and EINVAL.
3. A call that has to wait sleeps wherever it is: at interrupt level too, which the scheduler complains about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.sim.driver.context import DriverAfu, DriverCard
from harness.sim.driver.guest import HCALL_EVENTS, HCALL_FUNCTIONS, GuestDriver
from harness.sim.machine import Machine, SystemCallError
from harness.sim.phyp import H_BUSY, H_SUCCESS, Answer, Phyp
from harness.sim.scheduler import Flow, Task

_AUTHORITY, _RESOURCE, _HARDWARE, _STATE = -10, -16, -1, -75
_PARAMETER, _FUNCTION, _NOT_FOUND, _NOT_AVAILABLE, _SG_LIST = -4, -2, -7, 3, -72
_REFUSED = frozenset({_AUTHORITY, _RESOURCE, _HARDWARE, _STATE, H_BUSY})
_WRONG = frozenset({_PARAMETER, _FUNCTION, _NOT_FOUND, _NOT_AVAILABLE, _SG_LIST})


class _Call(NamedTuple):
    """One hcall: its number, codes that mean EINVAL, those that mean EBUSY, the lines of its two WARNs."""

    number: int
    wrong: frozenset[int]
    refused: frozenset[int]
    unexpected_line: int
    busy_line: int = 0


_SHORTLY = _REFUSED - {_RESOURCE, H_BUSY}
_CALLS = {
    "H_ATTACH_CA_PROCESS": _Call(0x344, frozenset({_PARAMETER, _FUNCTION}), _REFUSED, 165, 138),
    "H_DETACH_CA_PROCESS": _Call(0x34C, frozenset({_PARAMETER}), _REFUSED, 195, 179),
    "H_CONTROL_CA_FUNCTION": _Call(0x348, _WRONG, _REFUSED, 236, 211),
    "H_CONTROL_CA_FACILITY": _Call(0x368, _WRONG, _REFUSED, 507, 484),
    "H_COLLECT_CA_INT_INFO": _Call(0x350, frozenset({_PARAMETER}), _SHORTLY, 423),
    "H_CONTROL_CA_FAULTS": _Call(0x354, frozenset({_PARAMETER, _FUNCTION, _NOT_FOUND}), _SHORTLY, 468),
}

_FILE = "drivers/misc/cxl/hcalls.c"
_NO_ARGUMENTS = "0x0, 0x0, 0x0, 0x0"


class LinuxHcalls(GuestDriver):
    """Hcalls of Linux 6.1."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], phyp: Phyp) -> None:
        self.atomic: set[Task] = set()  # tasks that have interrupts off
        super().__init__(machine, cards, phyp)

    def may_sleep(self) -> bool:
        """Whether the caller is a process with interrupts on."""
        task = self.machine.scheduler.current
        return task is not None and not task.is_hard_irq and task not in self.atomic

    def with_interrupts_off(self, body: Flow) -> Flow:
        """Perform `body` as code that holds a spinlock with interrupts off does."""
        task = self.machine.scheduler.current
        assert task is not None
        self.atomic.add(task)
        try:
            return (yield from body)
        finally:
            self.atomic.discard(task)

    def give_up(self, name: str, waited_us: int) -> None:
        """PHYP was busy for too long, which is a WARN."""
        call = _CALLS[name]
        text = f"Warning: Giving up waiting for CXL hcall {call.number:#x} after {waited_us // 1000} msec"
        self.machine.warn(text, f"{_FILE}:{call.busy_line} {HCALL_FUNCTIONS[name]}")

    def sleep(self, length_us: int) -> Flow:
        """msleep(), which nobody may call at interrupt level; it goes on all the same."""
        task = self.machine.scheduler.current
        if task is not None and task.is_hard_irq:
            self.machine.log(3, "BUG: scheduling while atomic: swapper/0/0/0x00010001")
        yield length_us

    def call(self, afu: DriverAfu, name: str, op: str, *args: int) -> Flow:
        """Perform one hcall; gives the errno that Linux makes of the answer, empty for success, and R4."""
        answer = yield from self.hcall(afu, name, op, *args)
        return self.errno(name, answer.rc), answer.r4

    def errno(self, name: str, rc: int) -> str:
        """What Linux makes of a return code: empty for success."""
        if rc == H_SUCCESS:
            return ""
        call = _CALLS[name]
        if rc in call.refused:
            return "EBUSY"
        if rc not in call.wrong:
            text = f"Unexpected return code: {rc & (1 << 64) - 1:x}"
            self.machine.warn(text, f"{_FILE}:{call.unexpected_line} {HCALL_FUNCTIONS[name]}")
        return "EINVAL"

    def trace_answer(self, afu: DriverAfu, name: str, op: str, args: tuple[int, ...], answer: Answer) -> None:
        """The tracepoint of the call, and the line of the log when it has failed."""
        unit, rc, r4 = f"0x{afu.unit:016x}", answer.rc, answer.r4
        said, traced = _WORDS[name](unit, op, args, r4)
        if rc != H_SUCCESS:
            self.machine.log(3, f"{HCALL_FUNCTIONS[name]}({said}): {rc}")
        self.machine.trace(HCALL_EVENTS[name], f"unit_address={unit} {traced}{rc}")

    def demand(self, errno: str) -> None:
        """Raise `errno` unless it is empty."""
        if errno:
            raise SystemCallError(errno)


Words = tuple[str, str]
"""What the log says in parentheses, and what the tracepoint says from the unit's address to the code."""


def _attach(unit: str, _op: str, args: tuple[int, ...], r4: int) -> Words:
    element = f"0x{0xC0FFE000 + args[0] * 0x1000:016x}"
    token = f"token=0x{r4:08x} mmio_addr=0x0 mmio_size=0x1000"
    return f"{unit}, {element}", f"phys_addr={element} {token} rc="


def _detach(unit: str, _op: str, args: tuple[int, ...], _r4: int) -> Words:
    return f"{unit}, 0x{args[0]:08x}", f"process_token=0x{args[0]:016x} rc="


def _control(unit: str, op: str, _args: tuple[int, ...], r4: int) -> Words:
    call = f"{op}({_NO_ARGUMENTS}, R4: {r4:#x})"
    return f"{unit}, {call}", f"{call}): "


def _collect(unit: str, _op: str, args: tuple[int, ...], _r4: int) -> Words:
    return f"{unit}, {args[0]:#x}", f"process_token=0x{args[0]:016x} rc="


def _faults(unit: str, _op: str, args: tuple[int, ...], r4: int) -> Words:
    token, control = args[0], args[1] if len(args) > 1 else 0
    said = f"{unit}, {token:#x}, {control:#x}, 0x0"
    traced = f"process_token={token:#x} control_mask={control:#x} reset_mask=0x0 r4={r4:#x} rc="
    return said, traced


_WORDS = {
    "H_ATTACH_CA_PROCESS": _attach,
    "H_DETACH_CA_PROCESS": _detach,
    "H_CONTROL_CA_FUNCTION": _control,
    "H_CONTROL_CA_FACILITY": _control,
    "H_COLLECT_CA_INT_INFO": _collect,
    "H_CONTROL_CA_FAULTS": _faults,
}
