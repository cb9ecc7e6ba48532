"""What a PHB4 of a real POWER9 does and QEMU's does not: an EEH PE freezes, or the whole PHB is fenced.

QEMU 7.2 keeps the tables and registers by which skiboot and Linux see a freeze, but nothing ever sets them.
Here the host does, through QTest, so that all from skiboot's code upward is real:

- A freeze sets the PE's entries in PESTA and PESTB and its bit of the PEEV, which is their disjunction; when
  firmware has cleared the entries, the bit goes. The error interrupt is raised.
- While MMIO is frozen an expansion ROM full of Fs lies over the device's BAR: loads give all Fs, stores are
  dropped. It belongs to a device in slot 1, where nobody looks for one below a root port: EEH saves what a
  frozen device's configuration space says, and writes it back after the reset. A card's ROM is its own, since
  the module `capicard` answers for its configuration space.
- While DMA is frozen the PE has no translation entries.
- An injection that is armed in the PHB's registers freezes the PE at once, not at the next access that
  matches.
- A fence is a freeze by a load that no device answered: skiboot makes a fence of that on a POWER9 DD2.0,
  which QEMU's processor says that it is. A device that is unplugged has no PE to freeze: what happens to it
  then fences the PHB.

Register layout: QEMU's include/hw/pci-host/pnv_phb4_regs.h and skiboot's include/phb4-regs.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

from harness.guest.machine import Machine
from harness.guest.qtest import Qtest

_REGISTERS, _REGISTERS_STRIDE = 0x600C3C0000000, 0x100000
_INTERRUPTS, _INTERRUPTS_STRIDE = 0x600C300000000, 0x20000000
_INTERRUPT_PAGE = 0x10000

_LSI_SOURCE = 0x100
_LSI_SHIFT, _LSI_MASK = 51, 0x1FF
_LSI_ERROR = 7  # of the eight, the one for errors
_CONFIG_DATA, _CONFIG_ADDRESS = 0x130, 0x140
_RTT_BAR, _PEST_BAR = 0x168, 0x1A8
_TABLE_ADDRESS, _TABLE_DATA = 0x220, 0x228
_PESTA, _PESTB, _TVT, _PEEV = 7, 8, 9, 20
_INJECTION, _OUTBOUND_ERROR = 0x2B0, 0xD10

_FIRST_BIT = 1 << 63
_FENCING_LOAD = _FIRST_BIT | 4 << 56 | 1 << 54  # frozen by a load that ended as an unsupported request
_ADDRESS_MASK = (1 << 56) - 1
_PES_PER_PEEV = 64
_RESERVED_PE = 0x1FF  # whose are all addresses that no device has
_SECONDARY_BUS, _DEVICE, _SHUTTER = 1, 0, 8

_PCI_COMMAND, _PCI_BAR, _PCI_ROM = 0x04, 0x10, 0x30
_MEMORY, _ROM_ENABLE = 2, 1
_TVES_PER_PE = 2


@dataclass(frozen=True, slots=True)
class Hiding:
    """The device below a PHB: the BAR that a ROM is laid over, the ROM's size, and whether it is its own."""

    bar: int
    rom_bytes: int
    is_own: bool = False


class Phb:
    """PHB `index` of the only chip, with one device below its root port.

    `on_freeze` is called after a freeze that the guest asked for by the PHB's registers, `on_thaw` after the
    end of any, from the thread that noticed.
    """

    def __init__(self, index: int, hiding: Hiding) -> None:
        self.index = index
        self.on_freeze: Callable[[], None] = _nothing
        self.on_thaw: Callable[[], None] = _nothing
        self.freezes = 0
        self._hiding = hiding
        self._base = _REGISTERS + index * _REGISTERS_STRIDE
        self._lock = RLock()
        self._pe: int | None = None
        self._rom: int | None = None  # what the ROM's register was before it was laid over the BAR
        self._translation: dict[int, int] = {}  # TVEs that were taken away

    def connect(self, machine: Machine, qtest: Qtest) -> None:
        """The PHB is one of this machine's. To be called before anything else."""
        self._machine = machine
        self._qtest = qtest

    @property
    def is_frozen(self) -> bool:
        """Whether the device's PE is frozen as far as the host knows."""
        return self._pe is not None

    @property
    def injection_registers(self) -> tuple[int, int]:
        """Addresses of the registers that are not zero when somebody asks for an error."""
        return self._base + _INJECTION, self._base + _OUTBOUND_ERROR

    def freeze(self) -> None:
        """Freeze the device's PE, and raise the error interrupt. Raises InfraError: QEMU is gone."""
        self._freeze(is_fence=False)

    def hold(self, pe: int) -> None:
        """Freeze PE `pe` as firmware does when it is asked to, which is no error. Raises InfraError.

        It need not be the device's any more: the kernel releases a PE in the middle of a recovery.
        """
        self._freeze(is_fence=False, held=pe)

    def fence(self) -> None:
        """Freeze it in a way that firmware makes a fence of the PHB of. Raises InfraError."""
        self._freeze(is_fence=True)

    def thaw(self) -> None:
        """End the freeze as if it had not been, behind the back of firmware and kernel. Raises InfraError."""
        with self._lock:
            if self._pe is None:
                return
            with self._still():
                self._write(_PESTA, self._pe, 0)
                self._write(_PESTB, self._pe, 0)
        self.look()

    def let_through(self, pe: int, *, is_mmio: bool, is_dma: bool) -> None:
        """Let through at once what firmware is about to thaw of `pe`; `look` notices it late.

        Raises InfraError. Another PE than the device's is none of our affair.
        """
        with self._lock:
            if self._pe != pe:
                return
            with self._still():
                if is_mmio:
                    self._expose()
                if is_dma:
                    self._let_dma()

    def inject(self, armed: int, outbound: int) -> None:
        """Do what was written to the injection registers; zero: nothing was. Raises InfraError."""
        for register, value, act in (
            (_INJECTION, armed, self.freeze),
            (_OUTBOUND_ERROR, outbound, self.fence),
        ):
            if value:
                self._qtest.writeq(self._base + register, 0)
                act()
                self.on_freeze()

    def look(self) -> None:
        """Notice what firmware has thawed meanwhile. Raises InfraError: QEMU is gone."""
        with self._lock:
            if self._pe is None:
                return
            with self._still():
                is_mmio_frozen = bool(self._read(_PESTA, self._pe))
                is_dma_frozen = bool(self._read(_PESTB, self._pe))
                if not is_mmio_frozen:
                    self._expose()
                if not is_dma_frozen:
                    self._let_dma()
                if is_mmio_frozen or is_dma_frozen:
                    return
                self._set_peev(self._pe, is_set=False)
                self._qtest.writeq(self._pest(self._pe), 0)
                self._pe = None
        self.on_thaw()

    @property
    def pe(self) -> int:
        """The number of the device's PE, which changes when it is plugged anew. Raises InfraError."""
        (rtt,) = self._qtest.readq(self._base + _RTT_BAR)
        return self._qtest.readw((rtt & _ADDRESS_MASK & ~0xFFFF) + 2 * (_SECONDARY_BUS << 8 | _DEVICE))

    # -------------------------------------------------------------------------------------------------------

    def _freeze(self, *, is_fence: bool, held: int | None = None) -> None:
        with self._lock:
            with self._still():
                pe = self.pe if held is None else held
                self._let_go_of_others(pe)
                self._pe = pe
                if is_fence or pe == _RESERVED_PE:
                    self._qtest.writeq(self._pest(pe), _FENCING_LOAD)
                self._write(_PESTA, pe, _FIRST_BIT)
                self._write(_PESTB, pe, _FIRST_BIT)
                self._set_peev(pe, is_set=True)
                self._hide()
                if not self._hiding.is_own:  # cards do no DMA
                    self._stop_dma(pe)
            self.freezes += held is None
        if held is None:
            self._interrupt()

    def _let_go_of_others(self, pe: int) -> None:
        """A PE that was thawed since the last look must not stay in the PEEV for ever."""
        before = self._pe
        if before in (None, pe):
            return
        assert before is not None
        if not self._read(_PESTA, before) and not self._read(_PESTB, before):
            self._set_peev(before, is_set=False)
            self._qtest.writeq(self._pest(before), 0)

    def _interrupt(self) -> None:
        (source,) = self._qtest.readq(self._base + _LSI_SOURCE)
        number = ((source >> _LSI_SHIFT & _LSI_MASK) << 3) + _LSI_ERROR
        self._qtest.writeq(_INTERRUPTS + self.index * _INTERRUPTS_STRIDE + number * _INTERRUPT_PAGE, 0)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """The guest stands still, and finds the registers that address others as they were."""
        with self._machine.standing_still():
            places = (self._base + _TABLE_ADDRESS, self._base + _CONFIG_ADDRESS)
            values = self._qtest.readq(*places)
            try:
                yield
            finally:
                for place, value in zip(places, values, strict=True):
                    self._qtest.writeq(place, value)

    # Tables ------------------------------------------------------------------------------------------------

    def _read(self, table: int, index: int) -> int:
        self._qtest.writeq(self._base + _TABLE_ADDRESS, table << 48 | index)
        return self._qtest.readq(self._base + _TABLE_DATA)[0]

    def _write(self, table: int, index: int, value: int) -> None:
        self._qtest.writeq(self._base + _TABLE_ADDRESS, table << 48 | index)
        self._qtest.writeq(self._base + _TABLE_DATA, value)

    def _set_peev(self, pe: int, *, is_set: bool) -> None:
        index, bit = pe // _PES_PER_PEEV, _FIRST_BIT >> pe % _PES_PER_PEEV
        others = self._read(_PEEV, index) & ~bit
        self._write(_PEEV, index, others | bit if is_set else others)

    def _pest(self, pe: int) -> int:
        """Address in memory of the first half of a PE's state, which tells why it froze."""
        (bar,) = self._qtest.readq(self._base + _PEST_BAR)
        return (bar & _ADDRESS_MASK & ~0xFFF) + 16 * pe

    # The device --------------------------------------------------------------------------------------------

    def _hide(self) -> None:
        """Lay the ROM over the BAR, unless the device has no address at the moment."""
        address = self._config(_DEVICE, _PCI_BAR + 4 * self._hiding.bar) & ~(self._hiding.rom_bytes - 1)
        if self._rom is None and address:
            owner = self._owner
            self._rom = self._config(owner, _PCI_ROM)
            self._set_config(owner, _PCI_ROM, address | _ROM_ENABLE)
            self._set_config(owner, _PCI_COMMAND, self._config(owner, _PCI_COMMAND) & 0xFFFF | _MEMORY)

    def _expose(self) -> None:
        """End that, unless a reset has ended it already."""
        before, self._rom = self._rom, None
        if before is not None and self._config(self._owner, _PCI_ROM) & _ROM_ENABLE:
            self._set_config(self._owner, _PCI_ROM, before)

    @property
    def _owner(self) -> int:
        """Whose ROM it is."""
        return _DEVICE if self._hiding.is_own else _SHUTTER

    def _stop_dma(self, pe: int) -> None:
        for entry in range(pe * _TVES_PER_PE, (pe + 1) * _TVES_PER_PE):
            if value := self._read(_TVT, entry):
                self._translation[entry] = value
                self._write(_TVT, entry, 0)

    def _let_dma(self) -> None:
        for entry, value in self._translation.items():
            if not self._read(_TVT, entry):  # firmware writes them anew when it resets the PHB
                self._write(_TVT, entry, value)
        self._translation.clear()

    def _config(self, device: int, register: int) -> int:
        self._address(device, register)
        return _swapped(self._qtest.readl(self._base + _CONFIG_DATA))

    def _set_config(self, device: int, register: int, value: int) -> None:
        self._address(device, register)
        self._qtest.writel(self._base + _CONFIG_DATA, _swapped(value))

    def _address(self, device: int, register: int) -> None:
        where = _SECONDARY_BUS << 52 | device << 44 | register << 32
        self._qtest.writeq(self._base + _CONFIG_ADDRESS, _FIRST_BIT | where)


def _swapped(value: int) -> int:
    """The four bytes the other way round: configuration space is little-endian, the PHB's registers not."""
    return int.from_bytes(value.to_bytes(4, "big"), "little")


def _nothing() -> None:
    pass
