"""PCI devices without CAPI on the simulated bare-metal host: what they are, and what their drivers do.

The rules (drivers/nvme/host/pci.c, drivers/net/ethernet/intel/e1000e/netdev.c; what is assumed is marked A):
1. A frozen device completes nothing: a read waits in its queue, an echo request is lost.
2. Whoever has waited too long lets the driver read a register, which gives all Fs, and so EEH looks: nvme's
   requests after IO_TIMEOUT_US, which fail after TIMEOUTS_MAX of these (A), and the network drivers' watchdog
   every WATCHDOG_US while there is traffic (A).
3. A driver with error handlers stops its queues in error_detected and starts them in resume; what waited is
   done then. One without is removed, and probed anew after the reset: what waited fails.
4. What is read is the device's contents, or the read fails. All Fs of a frozen device are never data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.sim.card import CardHardware
from harness.sim.driver.context import DriverCard
from harness.sim.eeh import EehCore
from harness.sim.machine import Machine
from harness.sim.scheduler import Flow, Wait, WaitQueue, Wake

READ_US = 80
ECHO_US = 300
LOST_US = 100_000
"""How long an echo is waited for before it counts as lost."""
IO_TIMEOUT_US = 30_000_000
TIMEOUTS_MAX = 3
WATCHDOG_US = 2_000_000
RESTART_US = 200_000
"""How long a driver takes to start its device after a reset, or a probe."""

GOOD, LOST, ALL_ONES, WRONG = "good", "lost", "all-ones", "wrong"


class Plan(NamedTuple):
    """What one simulated device is built like; `phb` is also its PCI domain."""

    phb: int
    driver: str
    pci_class: int
    ids: int  # device and vendor
    has_handlers: bool
    is_network: bool


PLANS = (
    Plan(4, "e1000e", 0x020000, 0x10D3_8086, has_handlers=True, is_network=True),
    Plan(5, "nvme", 0x010802, 0x0010_1B36, has_handlers=True, is_network=False),
    Plan(6, "8139cp", 0x020000, 0x8139_10EC, has_handlers=False, is_network=True),
)
ADDRESS, PEER = "192.0.2.15", "192.0.2.2"


@dataclass(eq=False, slots=True)
class PlainDevice(DriverCard):
    """A PCI device and what its driver keeps. It is a card without AFUs to EEH, in an EEH PE of its own.

    `is_present`: the PCI device is there, with its driver; `is_up`: the driver does I/O.
    """

    plan: Plan = PLANS[0]
    is_up: bool = True
    changed: WaitQueue = field(default_factory=WaitQueue)
    looked_us: int = 0  # when the watchdog looked last

    @property
    def bdf(self) -> str:
        """Its PCI address."""
        return self.hardware.bdf

    @property
    def is_working(self) -> bool:
        """Whether a request given to the driver now would be completed."""
        return self.is_present and self.is_up and not self.hardware.is_frozen


def build() -> list[PlainDevice]:
    """All devices of a host."""
    devices = []
    for plan in PLANS:
        hardware = CardHardware(plan.driver, plan.phb, (), f"{plan.phb:04x}:01:00.0")
        devices.append(PlainDevice(f"{plan.driver}-0", hardware, plan=plan))
    return devices


class PlainDrivers:
    """The drivers of all plain devices: what EEH asks of them, and the requests of processes."""

    def __init__(self, machine: Machine, devices: Sequence[PlainDevice], eeh: EehCore) -> None:
        self.machine = machine
        self.eeh = eeh
        self.devices = {device.bdf: device for device in devices}

    # What EEH asks for -----------------------------------------------------------------------------------

    def error_detected(self, device: PlainDevice) -> Flow:
        """Stop all queues."""
        yield "stop-queues"
        if not device.plan.is_network:
            text = "frozen state error detected, reset controller"
            self.machine.log(4, f"nvme nvme0: {text}")
        self.stop(device)
        return "need reset"

    def failed(self, device: PlainDevice) -> Flow:
        """The device is lost for good."""
        yield "fail-queues"
        if not device.plan.is_network:
            self.machine.log(4, "nvme nvme0: failure state error detected, request disconnect")
        self.stop(device)
        return "disconnect"

    def slot_reset(self, device: PlainDevice) -> Flow:
        """The device was reset: set it up."""
        yield "set-up-device"
        if device.hardware.is_frozen:
            return "disconnect"
        if not device.plan.is_network:
            self.machine.log(6, "nvme nvme0: restart after slot reset")
        return "recovered"

    def resume(self, device: PlainDevice) -> Flow:
        """Start the queues again."""
        yield RESTART_US
        if not device.hardware.is_frozen:
            self.start(device)

    def remove(self, device: PlainDevice) -> Flow:
        """The PCI device goes away, and what waited for it fails."""
        yield "remove-device"
        device.is_present = False
        self.stop(device)

    def probe(self, device: PlainDevice) -> Flow:
        """The PCI device is found."""
        yield RESTART_US
        if not device.hardware.is_frozen and not device.is_present:
            device.is_present = True
            self.start(device)
        return device.is_present

    def stop(self, device: PlainDevice) -> None:
        """No request is given to the device any more."""
        device.is_up = False
        self.machine.wake(device.changed)

    def start(self, device: PlainDevice) -> None:
        """Requests are given to the device again, and those that waited."""
        device.is_up = True
        device.looked_us = self.machine.now_us
        if device.plan.is_network:
            words = "NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx"
            self.machine.log(6, f"{device.plan.driver} {device.bdf} eth0: {words}")
        self.machine.wake(device.changed)

    # Requests --------------------------------------------------------------------------------------------

    def request(self, device: PlainDevice) -> Flow:
        """One read or one echo; gives ``good``, ``lost``, ``all-ones``, ``wrong`` or an errno's name."""
        if not device.is_present:
            yield "no-device"
            return "ENODEV"
        accesses = ("store", "dma", "load") if device.plan.is_network else ("store", "dma")
        for access in accesses:  # nvme loads no register as long as requests are completed
            device.hardware.touch(access, is_hung=False)
        if device.plan.is_network:
            return (yield from self._echo(device))
        return (yield from self._read(device))

    def contents(self, device: PlainDevice) -> str:
        """What a read that the device completed gives."""
        return GOOD

    def read_while_frozen(self, device: PlainDevice) -> str:
        """What a read gives that a frozen device did not complete; nothing: it waits."""
        return ""

    def _read(self, device: PlainDevice) -> Flow:
        yield READ_US
        timeouts = 0
        while not device.is_working:
            if not device.is_present:
                return "EIO"
            if device.hardware.is_frozen and (given := self.read_while_frozen(device)):
                return given
            wake = yield Wait(device.changed, IO_TIMEOUT_US, is_interruptible=False)
            if wake is Wake.TIMED_OUT:
                timeouts += 1
                if timeouts == TIMEOUTS_MAX:
                    return "EIO"
                yield from self.suspect(device)
        return self.contents(device)

    def _echo(self, device: PlainDevice) -> Flow:
        yield ECHO_US
        if device.is_working:
            device.looked_us = self.machine.now_us
            return GOOD
        yield LOST_US
        if not device.is_present:
            return "ENODEV"
        if device.is_up and self.machine.now_us - device.looked_us >= WATCHDOG_US:
            device.looked_us = self.machine.now_us
            yield from self.suspect(device)
        return LOST

    def suspect(self, device: PlainDevice) -> Flow:
        """A register gave all Fs, or a request took too long: let EEH look."""
        yield from self.eeh.check(device)
