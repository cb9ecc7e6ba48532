"""What PHYP knows of one guest, and what it answers: `harness.sim.phyp` behind the mailbox of `phypsim`.

A Partition is plain state: it is copied when the guest's snapshot is made, and put back with it. What is
decided here, beyond `harness.sim.phyp`, is the chipset's: where areas and interrupts lie, and what a PSL
interrupt is about. An hcall that a case holds (`phyp_hold`) parks its caller in the guest, and acts when it
is let go, so that what happens meanwhile happens before it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from harness.guest.afu import AREA_BYTES, ERROR_BUFFER, SharedAfu, SharedMemory
from harness.guest.hcalls import Hcall, hcall
from harness.guest.mailbox import Action, Call, Do, Kind, Reply
from harness.sim import phyp as firmware
from harness.sim.card import CardHardware
from harness.sim.phyp import H_PARAMETER, H_SUCCESS, Function, Hold, Phyp

CARDS = (("afu0.0", "afu0.1"), ("afu1.0",))
"""Names of the AFUs of each card."""
PROCESSES_MAX = 3
INTERRUPTS_OF_A_CARD = 32
INTERRUPTS_MAX = 5
"""Interrupts of one process: the PSL's and the AFU's."""

# In the process element of H_ATTACH_CA_PROCESS, big endian: the PSL's interrupt, the AFU's as bits, the WED.
_PSL_INTERRUPT = struct.Struct(">28xI")
_BITMAP_AT, _BITMAP_BYTES = 32, 256
_WED = struct.Struct(">492xQ")

STAND_STILL = "stand_still"
"""What a guest asks of the service processor to wait for its case; no time of its own passes meanwhile."""

_DSISR_PAGE_FAULT = 1 << 62
_DSISR_AFU_ERROR = 1 << 58
_SLICE_ERROR = 0x80_0000
_EINVAL, _EOPNOTSUPP = -22, -95


class Partition:
    """All that PHYP knows of one guest. Its clock is the guest's, told with each call."""

    def __init__(self, memories: tuple[SharedMemory, ...]) -> None:
        self.actions: list[Action] = []
        self.bases: dict[int, int] = {}  # AFU -> address of its areas in the guest
        self.first_interrupt = 0
        self.afus: list[SharedAfu] = []
        self.interrupts: dict[tuple[int, int], tuple[int, ...]] = {}  # AFU, area -> PSL's, then AFU's
        self.faults: dict[tuple[int, int], tuple[int, ...]] = {}  # AFU, area -> answer to COLLECT
        self.parked: dict[int, tuple[Call, Hold]] = {}  # by token
        self.phyp = Phyp(self._functions(memories))

    def _functions(self, memories: tuple[SharedMemory, ...]) -> tuple[Function, ...]:
        cards = []
        for number, names in enumerate(CARDS):
            card = CardHardware(f"card{number}", number, ())
            first = len(self.afus)
            for index, name in enumerate(names, first):
                afu = SharedAfu(name, card, index, memories[index])
                self._connect(afu)
                self.afus.append(afu)
            card.afus = tuple(self.afus[first:])
            cards.append(card)
        return firmware.build(tuple(cards), {afu.name: PROCESSES_MAX for afu in self.afus})

    def _connect(self, afu: SharedAfu) -> None:
        """Lead the AFU's signals to interrupts, by bound methods: a deep copy takes them along."""
        afu.tell = self.actions_of
        signals = _Signals(self, afu)
        afu.on_afu_irq = signals.afu_interrupt
        afu.on_fault = signals.fault
        afu.on_afu_error = signals.afu_error
        afu.on_slice_error = signals.slice_error

    def actions_of(self, action: Action) -> None:
        """Let the module do `action` before its caller goes on."""
        self.actions.append(action)

    def error_interrupt(self, afu: SharedAfu) -> int:
        """The number of the AFU's error interrupt: behind those that the driver allots to processes."""
        return self.first_interrupt + len(CARDS) * INTERRUPTS_OF_A_CARD + afu.index

    @property
    def facts(self) -> dict[str, dict[str, object]]:
        """What files of the guest do not tell of the AFUs, by name."""
        return {
            function.afu.name: {
                "contexts_max": function.processes_max,
                "unit": unit,
                "test_registers": True,
                "master_registers": False,
            }
            for unit, function in self.phyp.functions.items()
        }

    # Calls -----------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        """What PHYP answers."""
        self.actions.clear()
        self._pass_time(call.time_us)
        for afu in self.afus:
            afu.look()
        reply = _ANSWERS[call.kind](self, call)
        reply.actions = [*self.actions, *reply.actions]
        reply.timer_us = self._next_event_us()
        return reply

    def _hello(self, call: Call) -> Reply:
        """Learn where the AFUs lie, and describe the device tree: cards, and their AFUs."""
        for line in call.text.decode("ascii", "replace").splitlines():
            what, *numbers = line.split()
            if what == "afu":
                self.bases[int(numbers[0])] = int(numbers[1], 0)
            elif what == "irqs":
                self.first_interrupt = int(numbers[0], 0)
        return Reply(text="".join(self._device_tree()).encode())

    def _device_tree(self) -> list[str]:
        lines = []
        for number in range(len(CARDS)):
            first = number * INTERRUPTS_OF_A_CARD
            unit = 0x10 * (number + 1)  # that of its first function, too: the hcalls tell them apart
            lines.append(f"card {number} {unit:#x} {first} {INTERRUPTS_OF_A_CARD}\n")
        for function in self.phyp.functions.values():
            afu = function.afu
            assert isinstance(afu, SharedAfu)
            error = self.error_interrupt(afu) - self.first_interrupt
            limits = f"{function.processes_max} {INTERRUPTS_MAX} {error} {len(ERROR_BUFFER)}"
            lines.append(f"afu {afu.index} {afu.card.index} {function.unit:#x} {limits}\n")
        return lines

    def _hcall(self, call: Call) -> Reply:
        asked = hcall(call.opcode, call.args)
        hold = self.phyp.hold(asked.name, asked.op, call.time_us) if call.may_sleep else None
        if hold is not None:
            self.parked[call.number] = (call, hold)
            return Reply(actions=[Action(Do.PARK, call.number)])
        return self._perform(asked, call, call.time_us)

    def _wake(self, call: Call) -> Reply:
        parked, _ = self.parked.pop(call.args[0])
        return self._perform(hcall(parked.opcode, parked.args), parked, call.time_us)

    def _perform(self, asked: Hcall, call: Call, now_us: int) -> Reply:
        function = self.phyp.functions.get(asked.unit)
        if function is None:
            return Reply(H_PARAMETER)
        afu = _shared(function)
        args = asked.args
        if asked.op == "ATTACH":
            args = (afu.free_area(), *_WED.unpack_from(call.text))
        element = function.tokens.get(args[0], -1) if args else -1
        answer = self.phyp.hcall(asked.name, asked.op, function.unit, args, now_us)
        reply = Reply(answer.rc, (answer.r4,))
        if answer.rc == H_SUCCESS and asked.op in _COMPLETIONS:
            _COMPLETIONS[asked.op](self, afu, element, args, call, reply)
        return reply

    # What only a real driver asks for: by operation, once PHYP has said yes --------------------------------

    def _attached(
        self, afu: SharedAfu, _element: int, args: tuple[int, ...], call: Call, reply: Reply
    ) -> None:
        """Say where the process's area is, and note which interrupts are its own."""
        area = args[0]
        reply.values = (*reply.values, self.bases[afu.index] + area * AREA_BYTES, AREA_BYTES)
        bitmap = call.text[_BITMAP_AT : _BITMAP_AT + _BITMAP_BYTES]
        first = self.first_interrupt + afu.card.index * INTERRUPTS_OF_A_CARD
        bits = range(8 * _BITMAP_BYTES)
        own = (first + bit for bit in bits if bitmap[bit // 8] & 0x80 >> bit % 8)
        self.interrupts[afu.index, area] = (*_PSL_INTERRUPT.unpack_from(call.text), *own)

    def _collected(self, afu: SharedAfu, element: int, _args: Any, _call: Call, reply: Reply) -> None:
        """What the PSL interrupt of a process is about (struct cxl_irq_info)."""
        reply.values = self.faults.get((afu.index, element), (0,) * 9)

    def _answered(self, afu: SharedAfu, element: int, _args: Any, _call: Call, _reply: Reply) -> None:
        """The process goes on after its fault."""
        self.faults.pop((afu.index, element), None)

    def _error_buffer(
        self, _afu: SharedAfu, _el: int, args: tuple[int, ...], _call: Call, reply: Reply
    ) -> None:
        """Copy from the error buffer: offset, real address, length."""
        offset, address, length = args[:3]
        reply.text = ERROR_BUFFER[offset : offset + length]
        reply.actions.append(Action(Do.COPY, address, len(reply.text), 0))

    def _slice_error(self, _afu: SharedAfu, _el: int, _args: Any, _call: Call, reply: Reply) -> None:
        """The contents of PSL_SERR_An."""
        reply.values = (_SLICE_ERROR,)

    # The service processor's door, and time --------------------------------------------------------------

    def _console(self, call: Call) -> Reply:
        try:
            order = json.loads(call.text)
            what, details = order["what"], order.get("with", {})
            if what == STAND_STILL:
                return Reply(stands_still=True)
            act = _FACILITIES.get(what)
            if act is not None:
                card = [f"card{index}" for index in range(len(CARDS))].index(details["card"])
                if act is Do.RETURN_FACILITY:
                    self._renew(card)
                return Reply(actions=[Action(act, card)])
            is_known = self.phyp.console(what, details, call.time_us)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Reply(_EINVAL)
        self._pass_time(call.time_us)  # what was released goes on at once
        return Reply(0 if is_known else _EOPNOTSUPP)

    def _renew(self, card: int) -> None:
        """A facility that comes back is as if it had never failed."""
        for function in self.phyp.functions.values():
            if function.afu.card.index == card:
                function.afu.reset()
                self.phyp.end_isolation(function)

    def _timer(self, _call: Call) -> Reply:
        return Reply()

    def _command(self, call: Call) -> Reply:
        if call.opcode < len(self.afus):
            self.afus[call.opcode].take_command(*call.args[:2])
        return Reply()

    def _pass_time(self, now_us: int) -> None:
        """What ends by itself ends; who was held long enough goes on."""
        for function in self.phyp.functions.values():
            self.phyp.settle(function, now_us)
        for token, (_, hold) in self.parked.items():
            if not hold.is_released and hold.until_us <= now_us:
                hold.is_released = True
                self.actions.append(Action(Do.RELEASE, token))

    def _next_event_us(self) -> int:
        """When the next thing happens by itself; negative for never."""
        moments = [function.until_us for function in self.phyp.functions.values() if function.until_us >= 0]
        moments += [hold.until_us for _, hold in self.parked.values() if not hold.is_released]
        return min(moments, default=-1)


class _Signals:
    """What one AFU tells the chipset: interrupts of its processes."""

    def __init__(self, partition: Partition, afu: SharedAfu) -> None:
        self._partition = partition
        self._afu = afu

    def afu_interrupt(self, area: int, irq: int) -> None:
        """AFU interrupt `irq`, counted from 1; 0 is the PSL's."""
        lines = self._partition.interrupts.get((self._afu.index, area), ())
        if irq < len(lines):
            self._raise(lines[irq])

    def fault(self, area: int, address: int, _is_mapped: bool) -> None:
        """A translation fault; whether it can be resolved is the kernel's to find out."""
        self._interrupt(area, (_DSISR_PAGE_FAULT, address))

    def afu_error(self, area: int, error: int) -> None:
        """An error that the AFU reports of one process."""
        self._interrupt(area, (_DSISR_AFU_ERROR, 0, 0, 0, error))

    def slice_error(self) -> None:
        """An error of the AFU as a whole."""
        self._raise(self._partition.error_interrupt(self._afu))

    def _interrupt(self, area: int, registers: tuple[int, ...]) -> None:
        self._partition.faults[self._afu.index, area] = (*registers, *(0,) * (9 - len(registers)))
        self.afu_interrupt(area, 0)

    def _raise(self, interrupt: int) -> None:
        self._partition.actions_of(Action(Do.RAISE, interrupt - self._partition.first_interrupt))


def _shared(function: Function) -> SharedAfu:
    assert isinstance(function.afu, SharedAfu)
    return function.afu


_ANSWERS: Mapping[Kind, Callable[[Partition, Call], Reply]] = {
    Kind.HELLO: Partition._hello,
    Kind.HCALL: Partition._hcall,
    Kind.CONSOLE: Partition._console,
    Kind.TIMER: Partition._timer,
    Kind.COMMAND: Partition._command,
    Kind.WAKE: Partition._wake,
}
_COMPLETIONS: Mapping[str, Callable[[Partition, SharedAfu, int, tuple[int, ...], Call, Reply], None]] = {
    "ATTACH": Partition._attached,
    "COLLECT": Partition._collected,
    "RESPOND_PSL": Partition._answered,
    "GET_AFU_ERR": Partition._error_buffer,
    "GET_FUNCTION_ERR_INT": Partition._slice_error,
}
_FACILITIES = {"phyp_remove_facility": Do.REMOVE_FACILITY, "phyp_return_facility": Do.RETURN_FACILITY}
