"""The simulated host's file tree below /dev/cxl: sysfs, debugfs and proc, as text, by path.

Formats are those of drivers/misc/cxl/sysfs.c and arch/powerpc/platforms/powernv/eeh-powernv.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.sim.driver.context import DriverAfu, DriverCard
from harness.sim.driver.guest import GuestDriver
from harness.sim.driver.native import NativeDriver
from harness.sim.machine import Machine, SystemCallError
from harness.sim.scheduler import Flow

KERNEL = "6.1.0-sim-powerpc64le"

Reader = Callable[[], str]
Writer = Callable[[str], Flow]
Node = tuple[Reader | None, Writer | None]

_ONE_WORD = {"0": False, "1": True}
_MODES = ("dedicated_process", "afu_directed")  # in the order in which they are shown
_ARMS = {0: "load", 1: "load", 4: "config", 5: "config", 6: "store", 7: "store"}
_ARMS |= dict.fromkeys((12, 13, 14, 15), "dma")
_EEH_ACTIVE, _EEH_ISOLATED, _EEH_RECOVERING, _EEH_BUS_KNOWN = 0x78, 1, 2, 0x800


class FileTree:
    """Every file but the device nodes."""

    def __init__(self, machine: Machine, driver: NativeDriver | GuestDriver) -> None:
        self.machine = machine
        self.driver = driver
        self.nodes: dict[str, Node] = {
            "/proc/interrupts": (self._interrupts, None),
            "/proc/slabinfo": (self._slabinfo, None),
            "/proc/version": (lambda: f"Linux version {KERNEL}\n", None),
            "/sys/module/cxl/refcnt": (lambda: f"{1 + machine.open_files}\n", None),
        }
        for card in driver.cards.values():
            self._add_card(card)
            for afu in card.afus:
                self._add_afu(afu)
        if isinstance(driver, NativeDriver):
            self._add_eeh(driver)

    def read(self, path: str) -> Flow:
        """The text of a file. Raises SystemCallError."""
        yield "read-file"
        reader, _ = self._node(path)
        if reader is None:
            raise SystemCallError("EACCES")
        text = reader()
        card = self._configuration_of(path)
        if card is not None and isinstance(self.driver, NativeDriver) and card.hardware.is_frozen:
            yield from self.driver.eeh.check(card)
        return text

    def write(self, path: str, text: str) -> Flow:
        """Write to a file. Raises SystemCallError."""
        _, writer = self._node(path)
        if writer is None:
            raise SystemCallError("EACCES")
        yield from writer(text.strip())

    def _node(self, path: str) -> Node:
        node = self.nodes.get(path)
        if node is None or not self._is_there(path):
            raise SystemCallError("ENOENT")
        return node

    def _is_there(self, path: str) -> bool:
        """Whether the driver object that a path below /sys/class/cxl belongs to exists."""
        if not path.startswith("/sys/class/cxl/"):
            return True
        name = path.split("/")[4]
        card = self.driver.cards.get(name) or self.driver.afus[name].card
        return card.is_present

    def _configuration_of(self, path: str) -> DriverCard | None:
        if not path.endswith("/config"):
            return None
        cards = self.driver.cards.values()
        return next((card for card in cards if f"/{card.hardware.bdf}/" in path), None)

    # /proc -----------------------------------------------------------------------------------------------

    def _interrupts(self) -> str:
        rows = [
            f"{line.number:3d}: {line.count:10d}  XICS {line.number:4d} Edge      {line.name}\n"
            for line in self.machine.lines.values()
        ]
        return "           CPU0\n" + "".join(rows)

    def _slabinfo(self) -> str:
        rows = [f"{name} {count} {count} 64\n" for name, count in self.machine.slabs.items()]
        return "slabinfo - version: 2.1\n" + "".join(rows)

    # /sys/class/cxl --------------------------------------------------------------------------------------

    def _add_card(self, card: DriverCard) -> None:
        folder = f"/sys/class/cxl/{card.name}"

        def reset(text: str) -> Flow:
            if text not in ("1", "-1"):
                raise SystemCallError("EINVAL")
            yield from self.driver.reset_card(card, text == "-1")

        self.nodes |= {
            f"{folder}/caia_version": (lambda: "1.0\n", None),
            f"{folder}/psl_revision": (lambda: "1\n", None),
            f"{folder}/psl_timebase_synced": (lambda: "1\n", None),
            f"{folder}/tunneled_ops_supported": (lambda: "0\n", None),
            f"{folder}/reset": (None, reset),
        }
        if card.hardware.bdf:
            self._add_card_images(card, folder)

    def _add_card_images(self, card: DriverCard, folder: str) -> None:
        def write_same_image(text: str) -> Flow:
            yield "write-policy"
            if text not in _ONE_WORD:
                raise SystemCallError("EINVAL")
            card.perst_reloads_same_image = _ONE_WORD[text]

        def write_image(text: str) -> Flow:
            yield "write-policy"
            if text not in ("none", "user", "factory"):
                raise SystemCallError("EINVAL")
            card.load_image_on_perst = text

        self.nodes |= {
            f"{folder}/base_image": (lambda: "1\n", None),
            f"{folder}/image_loaded": (lambda: "user\n", None),
            f"{folder}/load_image_on_perst": (lambda: f"{card.load_image_on_perst}\n", write_image),
            f"{folder}/perst_reloads_same_image": (
                lambda: f"{int(card.perst_reloads_same_image)}\n",
                write_same_image,
            ),
        }

    def _add_afu(self, afu: DriverAfu) -> None:
        folder = f"/sys/class/cxl/{afu.name}"

        def write_mode(text: str) -> Flow:
            yield "write-mode"
            if afu.contexts:
                raise SystemCallError("EBUSY")
            if text not in (*afu.modes, "none"):
                raise SystemCallError("EINVAL")
            if not (yield from self.driver.link_ok(afu)) or afu.is_quiesced:
                raise SystemCallError("EIO")
            if afu.contexts:
                raise SystemCallError("EBUSY")
            afu.mode = text

        def write_irqs_max(text: str) -> Flow:
            yield "write-irqs"
            if not text.isdecimal() or not afu.irqs_min <= int(text) <= 8:
                raise SystemCallError("EINVAL")
            afu.irqs_max = int(text)

        self.nodes |= {
            f"{folder}/mmio_size": (lambda: "4096\n", None),
            f"{folder}/irqs_min": (lambda: f"{afu.irqs_min}\n", None),
            f"{folder}/irqs_max": (lambda: f"{afu.irqs_max}\n", write_irqs_max),
            f"{folder}/modes_supported": (lambda: _modes_text(afu.modes), None),
            f"{folder}/mode": (lambda: f"{afu.mode}\n", write_mode),
            f"{folder}/prefault_mode": (lambda: "none\n", None),
            f"{folder}/api_version": (lambda: "3\n", None),
            f"{folder}/api_version_compatible": (lambda: "1\n", None),
            f"{folder}/afu_err_buff": (lambda: self._error_buffer(afu), None),
            f"{folder}/reset": (None, lambda _text: self.driver.reset_afu(afu)),
        }

    def _error_buffer(self, afu: DriverAfu) -> str:
        if afu.card.hardware.is_frozen or afu.hardware.is_isolated:
            return "\\xff" * 16
        return "\\x00" * 16

    # EEH -------------------------------------------------------------------------------------------------

    def _add_eeh(self, driver: NativeDriver) -> None:
        eeh = driver.eeh
        debug = "/sys/kernel/debug/powerpc"
        counters = eeh.counters

        def write_limit(text: str) -> Flow:
            yield "write-limit"
            eeh.max_freezes = _number(text)

        self.nodes |= {
            "/proc/powerpc/eeh": (
                lambda: (
                    "EEH Subsystem is enabled\n" + "".join(f"{name}={n}\n" for name, n in counters.items())
                ),
                None,
            ),
            f"{debug}/eeh_enable": (lambda: "0x1\n", None),
            f"{debug}/eeh_max_freezes": (lambda: f"0x{eeh.max_freezes:x}\n", write_limit),
            f"{debug}/eeh_dev_check": (None, lambda text: eeh.check(self._by_bdf(text))),
            f"{debug}/eeh_force_recover": (None, self._force_recovery),
            "/sys/bus/pci/rescan": (None, lambda _text: eeh.replug()),
            "/sys/bus/pci/drivers/cxl-pci/bind": (None, self._bind),
            "/sys/bus/pci/drivers/cxl-pci/unbind": (None, self._unbind),
        }
        for card in driver.cards.values():
            self._add_pci_device(driver, card)

    def _add_pci_device(self, driver: NativeDriver, card: DriverCard) -> None:
        folder = f"/sys/bus/pci/devices/{card.hardware.bdf}"
        inject = f"/sys/kernel/debug/powerpc/PCI{card.hardware.index:04x}"
        eeh_pe = driver.eeh.eeh_pes[card.name]

        def state() -> str:
            firmware = 0x60 if card.hardware.is_frozen else _EEH_ACTIVE
            kernel = _EEH_ISOLATED * eeh_pe.is_isolated | _EEH_RECOVERING * eeh_pe.is_recovering
            return f"0x{firmware:08x} 0x{_EEH_BUS_KNOWN | kernel:08x}\n"

        def configuration() -> str:
            return "".join(
                f"\\x{byte:02x}" for byte in card.hardware.read_configuration().to_bytes(4, "little")
            )

        def arm(text: str) -> Flow:
            yield "arm"
            words = text.split(":")
            if len(words) != 5:
                raise SystemCallError("EINVAL")
            if int(words[0], 16) != eeh_pe.number:
                raise SystemCallError("ENODEV")
            access = _ARMS.get(int(words[2], 16))
            if access is None:
                raise SystemCallError("ERANGE")
            card.hardware.armed = access

        def fence(text: str) -> Flow:
            yield "fence"
            if int(text, 16) == 1 << 63:
                card.hardware.freeze(is_fenced=True)
                self.machine.spawn(driver.eeh.notify(card), "opal-eeh")

        def there(read: Reader) -> Reader:
            def shown() -> str:
                if not card.is_plugged:
                    raise SystemCallError("ENOENT")
                return read()

            return shown

        def act(flow: Callable[[DriverCard], Flow]) -> Writer:
            def write(_text: str) -> Flow:
                if not card.is_plugged:
                    raise SystemCallError("ENOENT")
                return flow(card)

            return write

        self.nodes |= {
            f"{folder}/config": (there(configuration), None),
            f"{folder}/eeh_mode": (there(lambda: "0x1\n"), None),
            f"{folder}/eeh_pe_config_addr": (there(lambda: f"0x{eeh_pe.number:x}\n"), None),
            f"{folder}/eeh_pe_state": (there(state), act(driver.eeh.thaw)),
            f"{folder}/remove": (None, act(driver.eeh.unplug)),
            f"{inject}/err_injct": (None, arm),
            f"{inject}/err_injct_outbound": (lambda: "0x0\n", fence),
        }

    def _by_bdf(self, text: str) -> DriverCard:
        for card in self.driver.cards.values():
            if card.hardware.bdf == text and card.is_plugged:
                return card
        raise SystemCallError("ENODEV")

    def _force_recovery(self, text: str) -> Flow:
        assert isinstance(self.driver, NativeDriver)
        phb, _, number = text.partition(":")
        for card in [card for card in self.driver.cards.values() if card.is_plugged]:
            eeh_pe = self.driver.eeh.eeh_pes[card.name]
            if _number(phb, 16) == eeh_pe.phb and _number(number, 16) == eeh_pe.number:
                yield from self.driver.eeh.force_recovery(card)
                return
        raise SystemCallError("ENODEV")

    def _bind(self, text: str) -> Flow:
        assert isinstance(self.driver, NativeDriver)
        card = self._by_bdf(text)
        if card.is_permanent or card.is_present:
            raise SystemCallError("ENODEV")
        if not (yield from self.driver.eeh.locked(card, self.driver.probe)):
            yield from self.driver.eeh.check(card)
            raise SystemCallError("ENODEV")

    def _unbind(self, text: str) -> Flow:
        assert isinstance(self.driver, NativeDriver)
        card = self._by_bdf(text)
        if not card.is_present:
            raise SystemCallError("ENODEV")
        yield from self.driver.eeh.locked(card, self.driver.remove)


def _number(text: str, base: int = 0) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise SystemCallError("EINVAL") from None


def _modes_text(modes: Iterable[str]) -> str:
    return "".join(f"{mode}\n" for mode in sorted(modes, key=_MODES.index))
