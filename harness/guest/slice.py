"""One AFU of a card on bare metal, as the driver steers it: by registers, and by process element commands.

The driver stores to registers and looks at them until they say what it waits for; or at the status word of
the scheduled process area. So each `look` takes notice of what was stored, and answers:

- AFU_Cntl: enable, disable, reset. In dedicated process mode, enabling attaches process element 0.
- LLCMD: a process element is added, terminated, removed.
- TFC: the interrupt is done with, so that the next can be presented.
- COMMAND of each problem state area: the test AFU's own.

A hung AFU answers none of these. The number of a process element, here, is that of its area: 0 is the AFU's
as a whole, which a dedicated process owns.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.guest.afu import SharedAfu
from harness.guest.mailbox import Action, Do
from harness.guest.psl import CardMemory, P1n, P2n, bit, descriptor
from harness.sim.card import CardHardware
from harness.vocab.registers import ALL_ONES_64, Register

_ENABLE_STATUS, _ENABLED = 7 << 61, 4 << 61
_ENABLE = bit(3)
_RESET_STATUS, _RESET_DONE = 3 << 58, 2 << 58
_RESET = bit(7)
_MODE, _MODE_DEDICATED = 0xFFFF << 32, 2 << 32

_SPA_ADDRESS, _SPA_PAGES, _SPA_VALID = 0x0FFF_FFFF_FFFF_F000, 0xFF0, 1
_PAGE_BYTES, _ELEMENT_BYTES = 4096, 128
_IVTES = struct.Struct(">4H4H")  # first of each range, and how many
_IVTES_AT, _WED_AT = 36, 116
_WED = struct.Struct(">Q")

_AREAS = 4  # that the module watches
_ADD, _TERMINATE, _REMOVE = 5, 1, 2
_FAILED = (1 << 64) - 1

_DSISR_TRANSLATION, _DSISR_AFU_ERROR = bit(3), bit(5)
_NOT_PRESENT = 0x88  # checkout response of a single level radix translation: no entry
_SLICE_ERROR, _SLICE_ERROR_MASK, _SERR_KEPT = bit(1), bit(33), 0x7F_FFFF
_IVTE = 0xFFFF

COMMANDS = {"add": _ADD, "terminate": _TERMINATE, "remove": _REMOVE}
"""Process element commands by name."""


@dataclass(frozen=True, slots=True)
class _Interrupt:
    """One PSL interrupt: registers of the process element that it is about."""

    area: int
    dsisr: int
    address: int = 0
    error: int = 0


@dataclass(slots=True)
class Whim:
    """What becomes of process element commands, beyond doing them: so often each."""

    hangs: dict[int, int] = field(default_factory=dict)
    fails: dict[int, int] = field(default_factory=dict)

    def take(self, command: int, whims: dict[int, int]) -> bool:
        """Whether it is the turn of `command`."""
        if whims.get(command, 0) <= 0:
            return False
        whims[command] -= 1
        return True


class SlicePlan(NamedTuple):
    """What an AFU is built like: `modes` are DIRECTED and DEDICATED."""

    name: str
    modes: int
    processes_max: int


class NativeAfu(SharedAfu):
    """One AFU, slice `number` of its card. `tell` takes what the guest's module has to do."""

    def __init__(
        self, plan: SlicePlan, card: CardHardware, index: int, number: int, memory: CardMemory
    ) -> None:
        self.number = number
        self.registers = memory
        self.spa = b""
        self.whim = Whim()
        self._pending: deque[_Interrupt] = deque()
        self._unanswered: dict[P1n | P2n, int] = {}
        self._presented: _Interrupt | None = None
        self._descriptor = descriptor(plan.processes_max, plan.modes)
        super().__init__(plan.name, card, index, memory.problem_state(number))
        self.on_afu_irq = self._afu_interrupt
        self.on_fault = self._fault
        self.on_afu_error = self._afu_error
        self.on_slice_error = self._slice_error
        memory.describe(number, self._descriptor)

    def power_on(self) -> None:
        """As after a reset of the card, whose registers are zero."""
        self._pending.clear()
        self._unanswered.clear()
        self._presented = None
        self.whim = Whim()
        self.reset()
        self.registers.describe(self.number, self._descriptor)

    def step(self, spa: bytes) -> None:
        """Take notice of what was stored; `spa` are the first process elements."""
        self.spa = spa
        self.look()
        self._command_areas()
        if self.card.is_frozen:
            return
        for register, answer in _ANSWERS.items():
            value = self.registers.load_slice(self.number, register)
            if value and not self._hangs(register, value):
                answer(self, value)

    def _watch(self) -> None:
        """The module looks at all areas anyway."""

    def _hangs(self, register: P1n | P2n, value: int) -> bool:
        """Whether the AFU is hung: it answers no order, and each new one freezes the card."""
        is_order = register is P1n.LLCMD or (register is P2n.AFU_CNTL and value != self._settled(value))
        if not is_order:
            return self.card.is_frozen
        if self.is_hung:
            if self._unanswered.get(register) == value:
                return True  # it has frozen the card before, and goes on waiting in its register
            self._unanswered[register] = value
        self.card.touch("command", self.is_hung)
        return self.card.is_frozen

    # Registers -------------------------------------------------------------------------------------------

    def _settled(self, value: int) -> int:
        """What AFU_Cntl becomes."""
        if value & _RESET:
            return value & ~(_ENABLE_STATUS | _RESET_STATUS | _ENABLE) | _RESET_DONE
        value &= ~_RESET_STATUS
        return value & ~_ENABLE_STATUS | (_ENABLED if value & _ENABLE else 0)

    def _control(self, value: int) -> None:
        settled = self._settled(value)
        if settled == value:
            return
        is_enabled = bool(settled & _ENABLE)
        if value & _RESET:
            self._reset_slice()
        elif is_enabled and not value & _ENABLE_STATUS and self._is_dedicated:
            self.attach(0, _WED.unpack_from(self.spa, _WED_AT)[0])
        elif not is_enabled and self._is_dedicated:
            self.detach(0)
        self.registers.store_slice(self.number, P2n.AFU_CNTL, settled)

    @property
    def _is_dedicated(self) -> bool:
        return self.registers.load_slice(self.number, P1n.SCNTL) & _MODE == _MODE_DEDICATED

    def _reset_slice(self) -> None:
        self.reset()
        self._pending.clear()
        self._present(None)
        serr = self.registers.load_slice(self.number, P1n.SERR)
        self.registers.store_slice(self.number, P1n.SERR, serr & _SERR_KEPT)

    def _element_command(self, value: int) -> None:
        command, element = value >> 48, value & 0xFFFF
        self.registers.store_slice(self.number, P1n.LLCMD, 0)
        if self.whim.take(command, self.whim.hangs):
            return
        if self.whim.take(command, self.whim.fails):
            self._say(_FAILED)
            return
        if command == _ADD:
            self.attach(element + 1, _WED.unpack_from(self.spa, element * _ELEMENT_BYTES + _WED_AT)[0])
        elif command == _REMOVE:
            self.detach(element + 1)
        self._say(command << 48 | command << 32 | element)

    def _say(self, status: int) -> None:
        """Let the status word of the scheduled process area say it."""
        spap = self.registers.load_slice(self.number, P1n.SPAP)
        if not spap & _SPA_VALID:
            return
        spa_bytes = (((spap & _SPA_PAGES) >> 4) + 1) * _PAGE_BYTES
        elements = (spa_bytes // 8 - 96) // 17
        address = (spap & _SPA_ADDRESS) + (elements + 3) * _ELEMENT_BYTES
        # Big endian in the memory of a little endian processor.
        self.tell(Action(Do.WRITE, address, int.from_bytes(status.to_bytes(8, "big"), "little")))

    def _acknowledged(self, _value: int) -> None:
        self.registers.store_slice(self.number, P2n.TFC, 0)
        self._present(None)
        if self._pending:
            self._present(self._pending.popleft())

    # Signals ---------------------------------------------------------------------------------------------

    def _ivtes(self, area: int) -> tuple[int, ...]:
        element = area - 1 if area else 0
        return _IVTES.unpack_from(self.spa, element * _ELEMENT_BYTES + _IVTES_AT)

    def _afu_interrupt(self, area: int, irq: int) -> None:
        """AFU interrupt `irq` of a process, counted from 1; range 0 is the PSL's."""
        ivtes = self._ivtes(area)
        for first, count in zip(ivtes[1:4], ivtes[5:8], strict=True):
            if 0 < irq <= count:
                self._raise(first + irq - 1)
                return
            irq -= count

    def _fault(self, area: int, address: int, _is_mapped: bool) -> None:
        """A translation fault; whether it can be resolved is the kernel's to find out."""
        self._interrupt(_Interrupt(area, _DSISR_TRANSLATION | _NOT_PRESENT, address))

    def _afu_error(self, area: int, error: int) -> None:
        self._interrupt(_Interrupt(area, _DSISR_AFU_ERROR, error=error))

    def _slice_error(self) -> None:
        serr = self.registers.load_slice(self.number, P1n.SERR)
        self.registers.store_slice(self.number, P1n.SERR, serr | _SLICE_ERROR)
        if not serr & _SLICE_ERROR_MASK:
            self._raise(serr & _IVTE)

    def _interrupt(self, interrupt: _Interrupt) -> None:
        """The PSL presents one interrupt at a time."""
        if self._presented is None:
            self._present(interrupt)
        else:
            self._pending.append(interrupt)

    def _present(self, interrupt: _Interrupt | None) -> None:
        self._presented = interrupt
        shown = interrupt or _NOTHING
        element = shown.area - 1 if shown.area else 0
        values = {
            P2n.DSISR: shown.dsisr,
            P2n.DAR: shown.address,
            P2n.PE_HANDLE: element,
            P2n.AFU_ERR: shown.error,
            P2n.ERR_STAT: 0,
        }
        for register, value in values.items():
            self.registers.store_slice(self.number, register, value)
        if interrupt is not None:
            self._raise(self._ivtes(interrupt.area)[0])

    def _raise(self, ivte: int) -> None:
        if ivte:
            self.tell(Action(Do.RAISE, self.card.index, ivte & _IVTE))

    # The test AFU ----------------------------------------------------------------------------------------

    def _command_areas(self) -> None:
        for area in range(_AREAS):
            if 0 < (value := self.memory.load(area, Register.COMMAND)) < ALL_ONES_64:
                self.take_command(area, value)


_NOTHING = _Interrupt(0, 0)
_ANSWERS: Mapping[P1n | P2n, Callable[[NativeAfu, int], None]] = {
    P2n.AFU_CNTL: NativeAfu._control,
    P1n.LLCMD: NativeAfu._element_command,
    P2n.TFC: NativeAfu._acknowledged,
}
