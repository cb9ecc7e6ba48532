"""The simulated AFU as a guest's driver sees it: registers in memory that guest and host share.

The memory of an AFU is RAM of a PCI device, not registers with a mind of their own. So the limits are:
1. Isolation is the hardware's: an overlay of all Fs hides the memory and drops stores (phypsim/area.c).
2. A process element that does not survive isolation (see `harness.sim.card`) has its area filled with Fs. A
   store to it afterwards changes memory, and is undone when the guest next calls.
3. A store to SCRATCH gets into the log of stores when the guest next calls: of two stores between two calls
   the later one is logged.
4. Area 0 is where the AFU's whole problem state begins, which masters map: it belongs to no process.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.guest.mailbox import Action, Do
from harness.sim.card import AfuHardware, CardHardware, ProcessElement
from harness.vocab.registers import ALL_ONES_64, STORE_LOG_SLOTS, Register

AREA_BYTES = 0x10000
AREAS = 14
MEMORY_BYTES = 1 << 20
ERROR_BUFFER = b"".join(f"CAPI AFU error buffer, line {line:3}\n".encode() for line in range(16))

_U64 = struct.Struct("<Q")
_USED_BYTES = Register.STORE_LOG + 8 * STORE_LOG_SLOTS
_DEAD = b"\xff" * _USED_BYTES


class SharedMemory:
    """The memory of one AFU's device. It is no part of a state: a copy of the state shares it."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """The memory at `offset` of a file. Raises OSError."""
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), MEMORY_BYTES, offset=offset)

    def __deepcopy__(self, _memo: object) -> SharedMemory:
        return self

    def load(self, area: int, register: int) -> int:
        """A register of an area."""
        value: int = _U64.unpack_from(self._memory, area * AREA_BYTES + register)[0]
        return value

    def store(self, area: int, register: int, value: int) -> None:
        """Set a register of an area."""
        _U64.pack_into(self._memory, area * AREA_BYTES + register, value)

    def all_ones(self, area: int) -> None:
        """Fill the registers of an area with Fs."""
        self._memory[area * AREA_BYTES : area * AREA_BYTES + _USED_BYTES] = _DEAD

    def clear(self, area: int) -> None:
        """Fill the registers of an area with zeros."""
        self._memory[area * AREA_BYTES : area * AREA_BYTES + _USED_BYTES] = bytes(_USED_BYTES)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


class SharedAfu(AfuHardware):
    """An AFU whose registers are in `memory`; what the module has to do goes to `tell`.

    The number of a process element is that of its area.
    """

    def __init__(self, name: str, card: CardHardware, index: int, memory: SharedMemory) -> None:
        self._is_isolated = False
        self.index = index
        self.memory = memory
        self.tell: Callable[[Action], None] = _nobody
        super().__init__(name, card)

    @property
    def is_isolated(self) -> bool:
        """Whether PHYP has taken the AFU away from its users."""
        return self._is_isolated

    @is_isolated.setter
    def is_isolated(self, value: bool) -> None:
        if value != self._is_isolated:
            self._is_isolated = value
            self.tell(Action(Do.ISOLATE if value else Do.EXPOSE, self.index))

    def free_area(self) -> int:
        """The number of an area that no process element has, or else only a dead one.

        A silent reset leaves dead elements behind, which no detach takes away: their tokens mean nothing.
        """
        unused = [area for area in range(1, AREAS) if area not in self.elements]
        return (unused or [element.number for element in self.elements.values() if element.is_dead])[0]

    def attach(self, number: int, wed: int) -> None:
        """Add a process element, with its registers."""
        super().attach(number, wed)
        self.memory.clear(number)
        self.memory.store(number, Register.WED, wed)
        self.memory.store(number, Register.STATUS, 1)
        self.memory.store(number, Register.ALL_ONES, ALL_ONES_64)
        self._show_log(number)
        self._watch()

    def detach(self, number: int) -> None:
        """Remove a process element; where there is none, the AFU answers with zeros."""
        super().detach(number)
        self.memory.clear(number)
        self.memory.store(number, Register.ALL_ONES, ALL_ONES_64)
        self._watch()

    def reset(self) -> None:
        """Forget all process elements."""
        for number in tuple(self.elements):
            self.detach(number)
        super().reset()

    def kill_elements(self) -> None:
        """No process element works any more."""
        super().kill_elements()
        self.look()
        self._watch()

    def look(self) -> None:
        """Take notice of what was stored since the last call of the guest."""
        for element in self.elements.values():
            if element.is_dead:
                self.memory.all_ones(element.number)
                continue
            scratch = self.memory.load(element.number, Register.SCRATCH)
            if scratch != element.scratch:
                element.scratch = scratch
                self.store_log[self.stores % STORE_LOG_SLOTS] = scratch
                self.stores += 1
                for living in self._living():
                    self._show_log(living.number)

    def forget_stores(self) -> None:
        """Empty the log of stores: another case begins, and the markers of cases are the same."""
        self.store_log = [0] * STORE_LOG_SLOTS

    def take_command(self, area: int, value: int) -> None:
        """The process of `area` has stored a command."""
        self.memory.store(area, Register.COMMAND, 0)
        element = self.elements.get(area)
        if element is not None and not element.is_dead and not self.is_isolated:
            self._command(element, value)

    def _living(self) -> Iterator[ProcessElement]:
        return (element for element in self.elements.values() if not element.is_dead)

    def _show_log(self, number: int) -> None:
        for slot in range(STORE_LOG_SLOTS):
            value = self.store_log[(self.stores + slot) % STORE_LOG_SLOTS]
            self.memory.store(number, Register.STORE_LOG + 8 * slot, value)

    def _watch(self) -> None:
        self.tell(Action(Do.WATCH, self.index, sum(1 << element.number for element in self._living())))


def _nobody(_: Action) -> None:
    """Before anybody listens."""
