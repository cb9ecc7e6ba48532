"""EEH of devices without CAPI, beside that of cards: one thread and one freeze limit for all of them.

What it says and when is from Linux 6.1 (arch/powerpc/kernel/eeh_driver.c, eeh_handle_normal_event), but for
one thing: Linux does not tell drivers of a permanent failure (docs/findings.md). The rules of `eeh.py` hold;
in addition:
1. A driver without error handlers is "not EEH aware". The device is removed, reset, and found anew.
2. Over the limit, or when nothing helps, the device is told so and removed for good. A rescan of the bus
   finds it again, unfrozen and as a new one: its failures are not counted on (A).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.sim.driver.context import DriverCard
from harness.sim.eeh import HOTPLUG_US, EehCore, EehPe
from harness.sim.machine import Machine, SystemCallError
from harness.sim.plain import PlainDevice, PlainDrivers
from harness.sim.scheduler import Flow

GIVEN_UP = "error_detected(permanent failure)"

Callback = Callable[[PlainDevice], Flow]


class PlainEeh(EehCore):
    """The EEH core of a host that has plain devices, too."""

    drivers: PlainDrivers

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], devices: Sequence[PlainDevice]) -> None:
        super().__init__(machine, (*cards, *devices))

    def recover(self, eeh_pe: EehPe) -> Flow:
        """One recovery, of a card or of a device. True: the PE froze again and another one has to follow."""
        device = eeh_pe.card
        if not isinstance(device, PlainDevice):
            return (yield from super().recover(eeh_pe))
        if device.is_present and eeh_pe.is_isolated and not device.is_permanent:
            return (yield from self.recover_device(eeh_pe, device))
        eeh_pe.is_isolated = False  # an empty PE, or a device that was found anew: nothing to recover
        return False

    def recover_device(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """One recovery of a device."""
        machine = self.machine
        machine.log(3, f"EEH: Recovering {eeh_pe.label}")
        machine.log(3, "EEH: PE location: N/A, PHB location: N/A")
        if eeh_pe.has_stack:
            machine.log(3, f"EEH: Frozen {eeh_pe.label} detected")
            machine.log(3, "EEH: Call Trace:")
            machine.log(3, "EEH: [00000000a41234de] eeh_dev_check_failure+0x214/0x5a0")
            eeh_pe.has_stack = False
        eeh_pe.freezes += 1
        times = f"has failed {eeh_pe.freezes} times in the last hour"
        if self.is_over_limit(eeh_pe):
            machine.log(3, f"EEH: {eeh_pe.label} {times} and has been permanently disabled.")
            return (yield from self.lose(eeh_pe, device))
        after = f"will be permanently disabled after {self.max_freezes} failures."
        machine.log(4, f"EEH: This PCI device {times} and {after}")
        machine.log(6, "EEH: Notify device drivers to shutdown")
        name = "error_detected(IO frozen)"
        result = yield from self.report(eeh_pe, name, self.drivers.error_detected)
        yield 100_000
        machine.log(6, "EEH: Collect temporary log")
        if result == "need reset":
            return (yield from self.reset_in_place(eeh_pe, device))
        return (yield from self.reset_with_hotplug(eeh_pe, device))

    def reset_in_place(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """Reset under a driver that has error handlers."""
        self.machine.log(6, "EEH: Reset without hotplug activity")
        if not (yield from self.reset(eeh_pe)):
            return (yield from self.lose(eeh_pe, device))
        result = yield from self.report(eeh_pe, "slot_reset", self.drivers.slot_reset)
        if result == "disconnect" or device.hardware.is_frozen:
            return self.begin_again(eeh_pe)
        yield from self.finish(eeh_pe, device)
        return False

    def reset_with_hotplug(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """Remove the device, reset it, and find it anew."""
        self.machine.log(6, "EEH: Reset with hotplug activity")
        yield from self.drivers.remove(device)
        if not (yield from self.reset(eeh_pe)):
            return (yield from self.lose(eeh_pe, device))
        self.machine.log(6, "EEH: Sleep 5s ahead of complete hotplug")
        yield HOTPLUG_US
        if not (yield from self.drivers.probe(device)):
            device.is_present = True  # it is there, and frozen again
            return self.begin_again(eeh_pe)
        yield from self.finish(eeh_pe, device)
        return False

    def finish(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """The end of a recovery that has helped."""
        self.machine.log(6, "EEH: Notify device driver to resume")
        eeh_pe.is_isolated = False
        yield from self.report(eeh_pe, "resume", self.drivers.resume)
        self.machine.log(6, "EEH: Recovery successful.")

    def lose(self, eeh_pe: EehPe, device: PlainDevice) -> Flow:
        """Nothing helps, or nothing is tried any more: the device is removed for good."""
        machine = self.machine
        advice = "\\x0aPlease try reseating or replacing it"
        machine.log(3, f"EEH: Unable to recover from failure from {eeh_pe.label}.{advice}")
        device.is_permanent = True
        device.hardware.freeze()
        yield from self.report(eeh_pe, GIVEN_UP, self.drivers.failed)
        yield from self.drivers.remove(device)
        return False

    def report(self, eeh_pe: EehPe, name: str, callback: Callback) -> Flow:
        """Call the driver; gives its answer, ``none`` when it has no error handlers."""
        machine, device = self.machine, eeh_pe.card
        assert isinstance(device, PlainDevice)
        machine.log(6, f"EEH: Beginning: '{name}'")
        head = f"PCI {device.bdf}#{eeh_pe.number:04x}: EEH: "
        result = "none"
        yield from device.lock.acquire()
        if not device.is_present:
            machine.log(6, f"{head}no driver")
        elif not device.plan.has_handlers:
            machine.log(6, f"{head}driver not EEH aware")
        else:
            call = name if "(" in name else f"{name}()"
            machine.log(6, f"{head}Invoking {device.plan.driver}->{call}")
            result = (yield from callback(device)) or "none"
            machine.log(6, f"{head}{device.plan.driver} driver reports: '{result}'")
        device.lock.release(machine.scheduler)
        whole = name not in ("resume", GIVEN_UP)
        total = f" with aggregate recovery state:'{result}'" if whole else ""
        machine.log(6, f"EEH: Finished:'{name}'{total}")
        return result

    # What an administrator asks for -----------------------------------------------------------------------

    def remove_device(self, device: PlainDevice) -> Flow:
        """A write to ``remove``. Raises SystemCallError when the device is not there."""
        yield "remove-device"
        if not device.is_present:
            raise SystemCallError("ENOENT")
        yield from self.bus_lock.acquire()
        if device.is_present:
            yield from self.drivers.remove(device)
        self.bus_lock.release(self.machine.scheduler)

    def force_recovery(self, card: DriverCard) -> Flow:
        """An administrator's eeh_force_recover, which leaves a call trace as a detection does."""
        yield from super().force_recovery(card)
        if isinstance(card, PlainDevice):
            self.eeh_pes[card.name].has_stack = True

    def rescan(self) -> Flow:
        """A write to ``rescan``: every device that is away is found again."""
        yield from self.bus_lock.acquire()
        for device in self.drivers.devices.values():
            if not device.is_present:
                device.is_permanent = False
                device.hardware.thaw()
                eeh_pe = self.eeh_pes[device.name]
                eeh_pe.is_isolated, eeh_pe.freezes = False, 0
                yield from self.drivers.probe(device)
        self.bus_lock.release(self.machine.scheduler)
