"""The simulated CAPI card: AFUs with the test AFU's registers, process elements, and isolation.

The rules:
1. An isolated AFU answers every load with all Fs and drops every store. On bare metal the whole card is
   isolated (frozen, fenced, link down); on PowerVM, PHYP isolates each AFU by its state.
2. A process element does not survive isolation: its loads give all Fs even after the isolation has ended,
   until it is removed or the AFU is reset. So nothing that an error has touched comes back to life by itself.
   Where there is no process element, the AFU still answers: with zeros, and it takes stores.
3. An armed freeze acts at the next access of its kind; a hung AFU turns into a freeze at any access.
4. The store log survives everything: a store that reached the device is found later.
5. A process element command that is to hang or to fail is not done; a reset forgets what is still to come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.vocab.registers import ALL_ONES_64, STORE_LOG_SLOTS, Command, Register, all_ones

CONFIGURATION_OK = 0x0477_1014
COMMANDS = ("add", "terminate", "remove")
"""Commands for process elements."""
HANG, FAIL = "hang", "fail"
_STORE_LOG_END = Register.STORE_LOG + 8 * STORE_LOG_SLOTS


@dataclass(slots=True)
class ProcessElement:
    """What the PSL knows of one attached context."""

    number: int
    wed: int
    scratch: int = 0
    is_dead: bool = False


class AfuHardware:
    """One AFU. Its signals go to `on_afu_irq(element, irq)`, `on_fault(element, address, is_mapped)`,
    `on_afu_error(element, error)` and `on_slice_error()`, which whoever owns the chipset sets.
    """

    def __init__(self, name: str, card: CardHardware) -> None:
        self.name = name
        self.card = card
        self.elements: dict[int, ProcessElement] = {}
        self.store_log = [0] * STORE_LOG_SLOTS
        self.stores = 0
        self.is_hung = False
        self.is_isolated = False  # by PHYP
        self.answers: dict[str, tuple[str, int]] = {}  # to commands: which, and how often
        self.on_afu_irq: Callable[[int, int], None] = _ignore
        self.on_fault: Callable[[int, int, bool], None] = _ignore
        self.on_afu_error: Callable[[int, int], None] = _ignore
        self.on_slice_error: Callable[[], None] = _ignore

    def attach(self, number: int, wed: int) -> None:
        """Add a process element."""
        self.elements[number] = ProcessElement(number, wed)

    def detach(self, number: int) -> None:
        """Remove a process element; one that is not there is no matter."""
        self.elements.pop(number, None)

    def reset(self) -> None:
        """Forget all process elements and go on living."""
        self.elements.clear()
        self.answers.clear()
        self.is_hung = False

    def answer(self, command: str, answer: str, times: int) -> None:
        """Let the next `times` commands `command` hang or fail. Raises KeyError for other words."""
        if command not in COMMANDS or answer not in (HANG, FAIL):
            raise KeyError(f"{answer} of {command}")
        self.answers[command] = (answer, times)

    def take_answer(self, command: str) -> str:
        """HANG or FAIL when that is what becomes of `command`, which has come now; else nothing."""
        answer, times = self.answers.get(command, ("", 0))
        if times <= 0:
            return ""
        self.answers[command] = (answer, times - 1)
        return answer

    def isolate(self) -> None:
        """PHYP takes the AFU away from its users, for good as far as they are concerned."""
        self.is_isolated = True
        self.kill_elements()

    def kill_elements(self) -> None:
        """No process element works any more."""
        for element in self.elements.values():
            element.is_dead = True

    def load(self, number: int, offset: int, width_bytes: int) -> int:
        """A load of 4 or 8 bytes from the problem state area of process element `number`."""
        if not self.is_reached(number, "load"):
            return all_ones(width_bytes)
        value = self._register(number, offset & ~7)
        if width_bytes == 8:
            return value
        return value >> 32 if offset & 4 else value & 0xFFFF_FFFF

    def store(self, number: int, offset: int, width_bytes: int, value: int) -> None:
        """A store; dropped when the device cannot be reached."""
        if not self.is_reached(number, "store"):
            return
        if offset == Register.SCRATCH:
            self.store_log[self.stores % STORE_LOG_SLOTS] = value
            self.stores += 1
            if number in self.elements:
                self.elements[number].scratch = value
        elif offset == Register.COMMAND and number in self.elements:
            self._command(self.elements[number], value)

    def is_reached(self, number: int, access: str) -> bool:
        """Whether an access of process element `number` gets through to the AFU."""
        self.card.touch(access, self.is_hung)
        if self.card.is_frozen or self.is_isolated:
            return False
        element = self.elements.get(number)
        return element is None or not element.is_dead

    def _register(self, number: int, offset: int) -> int:
        element = self.elements.get(number, _NOBODY)
        if offset == Register.WED:
            return element.wed
        if offset == Register.SCRATCH:
            return element.scratch
        if offset == Register.ALL_ONES:
            return ALL_ONES_64
        if Register.STORE_LOG <= offset < _STORE_LOG_END and element is not _NOBODY:
            return self.store_log[(self.stores + (offset - Register.STORE_LOG) // 8) % STORE_LOG_SLOTS]
        return int(offset == Register.STATUS and element is not _NOBODY)

    def _command(self, element: ProcessElement, value: int) -> None:
        what, argument = value >> 56, value & (1 << 56) - 1
        if what == Command.RAISE_INTERRUPT:
            self.on_afu_irq(element.number, argument)
        elif what in (Command.TOUCH_MEMORY, Command.TOUCH_UNMAPPED):
            self.card.touch("dma", self.is_hung)
            if not self.card.is_frozen:
                self.on_fault(element.number, argument, what == Command.TOUCH_MEMORY)
        elif what == Command.AFU_ERROR:
            self.on_afu_error(element.number, argument)
        elif what == Command.SLICE_ERROR:
            self.on_slice_error()


_NOBODY = ProcessElement(-1, 0)


class CardHardware:
    """One card: AFUs behind one link, in one EEH PE of its own PHB. Its error interrupt is `on_error()`."""

    afu_class = AfuHardware

    def __init__(self, name: str, index: int, afu_names: tuple[str, ...], bdf: str = "") -> None:
        self.name = name
        self.index = index
        self.bdf = bdf
        self.is_frozen = False
        self.is_fenced = False
        self.is_link_down = False
        self.armed = ""
        self.on_error: Callable[[], None] = _ignore
        self.afus = tuple(self.afu_class(afu, self) for afu in afu_names)

    def freeze(self, *, is_fenced: bool = False, is_link_down: bool = False) -> None:
        """Isolate the card until a reset. Freezing a frozen card only adds the reason."""
        self.is_frozen = True
        self.is_fenced |= is_fenced
        self.is_link_down |= is_link_down
        self.armed = ""
        for afu in self.afus:
            afu.kill_elements()

    def touch(self, access: str, is_hung: bool) -> None:
        """An access is about to pass: what is armed for it acts now."""
        if (self.armed == access or is_hung) and not self.is_frozen:
            self.freeze()

    def read_configuration(self) -> int:
        """The first configuration word; all Fs when the card cannot be reached, or has just hung."""
        self.touch("config", any(afu.is_hung for afu in self.afus))
        return 0xFFFF_FFFF if self.is_frozen else CONFIGURATION_OK

    def thaw(self) -> None:
        """End the isolation without a reset."""
        self.is_frozen = self.is_fenced = False

    def reset(self) -> None:
        """PERST: the link trains again and the image starts from nothing."""
        self.is_frozen = self.is_fenced = self.is_link_down = False
        self.armed = ""
        for afu in self.afus:
            afu.reset()


def _ignore(*_: object) -> None:
    """A signal that nobody listens to."""
