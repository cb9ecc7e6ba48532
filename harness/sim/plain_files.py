"""Files of the simulated host's devices without CAPI: sysfs of PCI, and EEH's debugfs where it names them."""

from __future__ import annotations

from collections.abc import Callable

from harness.sim.files import Reader, Writer
from harness.sim.machine import SystemCallError
from harness.sim.plain import PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.scheduler import Flow

PCI = "/sys/bus/pci/devices"
RESCAN = "/sys/bus/pci/rescan"
DEBUG = "/sys/kernel/debug/powerpc"
_ARMS = {0: "load", 4: "config", 6: "store", 12: "dma"}
_OK, _FROZEN = 0x78, 0x60
_ISOLATED, _RECOVERING, _BUS_KNOWN = 1, 2, 0x800

Nodes = dict[str, tuple[Reader | None, Writer | None]]


def add_devices(nodes: Nodes, eeh: PlainEeh) -> None:
    """Add what the devices of `eeh` show to a host's files."""
    for device in eeh.drivers.devices.values():
        nodes |= _device(device, eeh)
    for name, act in (("eeh_dev_check", eeh.check), ("eeh_force_recover", eeh.force_recovery)):
        path = f"{DEBUG}/{name}"
        _, of_cards = nodes[path]
        assert of_cards is not None
        nodes[path] = (None, _either(eeh, act, of_cards))
    _, of_cards = nodes[RESCAN]
    assert of_cards is not None
    nodes[RESCAN] = (None, _both(eeh, of_cards))


def _both(eeh: PlainEeh, of_cards: Writer) -> Writer:
    """A writer that finds cards and devices."""

    def write(text: str) -> Flow:
        yield from of_cards(text)
        yield from eeh.rescan()

    return write


def _either(eeh: PlainEeh, act: Callable[[PlainDevice], Flow], of_cards: Writer) -> Writer:
    """A writer of a file that names a device by its PCI address or its EEH PE, or else a card."""

    def write(text: str) -> Flow:
        for device in eeh.drivers.devices.values():
            if text in (device.bdf, _eeh_pe_name(eeh, device)):
                if not device.is_present:
                    yield "no-device"
                    raise SystemCallError("ENODEV")
                return (yield from act(device))
        return (yield from of_cards(text))

    return write


def _eeh_pe_name(eeh: PlainEeh, device: PlainDevice) -> str:
    eeh_pe = eeh.eeh_pes[device.name]
    return f"{eeh_pe.phb:x}:{eeh_pe.number:x}"


def _device(device: PlainDevice, eeh: PlainEeh) -> Nodes:
    folder, plan, eeh_pe = f"{PCI}/{device.bdf}", device.plan, eeh.eeh_pes[device.name]

    def shown(text: Callable[[], str]) -> Reader:
        def read() -> str:
            if not device.is_present:
                raise SystemCallError("ENOENT")
            return text()

        return read

    def state() -> str:
        firmware = _FROZEN if device.hardware.is_frozen else _OK
        kernel = _ISOLATED * eeh_pe.is_isolated | _RECOVERING * eeh_pe.is_recovering
        return f"0x{firmware:08x} 0x{_BUS_KNOWN | kernel:08x}\n"

    def configuration() -> str:
        word = device.hardware.read_configuration()
        if device.hardware.is_frozen:
            eeh.machine.spawn(eeh.check(device))  # the kernel looks when it reads all Fs
        return "".join(f"\\x{byte:02x}" for byte in word.to_bytes(4, "little"))

    def arm(text: str) -> Flow:
        yield "arm"
        words = text.split(":")
        if len(words) != 5 or int(words[0], 16) != eeh_pe.number or int(words[2], 16) not in _ARMS:
            raise SystemCallError("EINVAL")
        device.hardware.armed = _ARMS[int(words[2], 16)]

    return {
        f"{folder}/class": (shown(lambda: f"0x{plan.pci_class:06x}\n"), None),
        f"{folder}/vendor": (shown(lambda: f"0x{plan.ids & 0xFFFF:04x}\n"), None),
        f"{folder}/device": (shown(lambda: f"0x{plan.ids >> 16:04x}\n"), None),
        f"{folder}/config": (shown(configuration), None),
        f"{folder}/eeh_mode": (shown(lambda: "0x1\n"), None),
        f"{folder}/eeh_pe_config_addr": (shown(lambda: f"0x{eeh_pe.number:x}\n"), None),
        f"{folder}/eeh_pe_state": (shown(state), lambda _text: eeh.thaw(device)),
        f"{folder}/remove": (None, lambda _text: eeh.remove_device(device)),
        f"{DEBUG}/PCI{plan.phb:04x}/err_injct": (None, arm),
    }
