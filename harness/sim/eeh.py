"""The kernel's EEH core on bare metal, with the firmware below it: detection, recovery, the freeze limit.

The rules (arch/powerpc/kernel/eeh.c and eeh_driver.c; what is assumed is marked A):
1. A suspicion is settled by reading the state of the EEH PE. Only a frozen one starts a recovery; a healthy
   one counts as a false positive.
2. One thread, eehd, handles one event at a time: driver told, reset, driver told again, resume.
3. Every recovery counts; over eeh_max_freezes within the hour the device is disabled for good.
4. The firmware notifies of a fence or a lost link after NOTIFY_US, and of other freezes not at all (A): those
   wait for a suspicion.
5. Recoveries, removals and scans of the bus exclude each other (pci_lock_rescan_remove).
6. A freeze that comes after the reset of a recovery ends that recovery and begins the next, which counts (A).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from harness.sim.driver.context import DriverAfu, DriverCard
from harness.sim.machine import Machine
from harness.sim.scheduler import Flow, Lock, Wait, WaitQueue

NOTIFY_US = 20_000
RESET_HOLD_US = 250_000
RESET_SETTLE_US = 1_800_000
HOTPLUG_US = 5_000_000
RESET_ATTEMPTS = 3
MAX_FREEZES = 5
CAPP_RECOVERY_US = 168_000


class ErrorHandlers(Protocol):
    """What EEH asks of a driver (struct pci_error_handlers, and probe and remove)."""

    def error_detected(self, card: DriverCard) -> Flow:
        """Stop using the device; gives ``need reset`` or ``none``."""

    def slot_reset(self, card: DriverCard) -> Flow:
        """The device was reset; gives ``recovered`` or ``disconnect``."""

    def resume(self, afus: Sequence[DriverAfu]) -> None:
        """Go on."""

    def remove(self, card: DriverCard) -> Flow:
        """Leave the device."""

    def probe(self, card: DriverCard) -> Flow:
        """Take the device; gives whether that was possible."""


class EehPe:
    """The EEH PE of one card: the card's PHB and a PE number."""

    def __init__(self, card: DriverCard) -> None:
        self.card = card
        self.phb = card.hardware.index
        self.number = 1
        self.is_isolated = False
        self.is_recovering = False
        self.has_stack = False  # detected by a check, not by the firmware: said at the start of the recovery
        self.freezes = 0

    @property
    def label(self) -> str:
        """How the EEH core calls it in most lines."""
        return f"PHB#{self.phb:x}-PE#{self.number:x}"


class EehCore:
    """All EEH PEs of one host."""

    driver: ErrorHandlers

    def __init__(self, machine: Machine, cards: Sequence[DriverCard]) -> None:
        self.machine = machine
        self.cards = cards
        self.eeh_pes = {card.name: EehPe(card) for card in cards}
        self.max_freezes = MAX_FREEZES
        self.counters = {"eeh_total_mmio_ffs": 0, "eeh_false_positives": 0, "eeh_slot_resets": 0}
        self.queue: list[EehPe] = []
        self.waiting = WaitQueue()
        self.bus_lock = Lock()
        machine.spawn(self.eehd(), "eehd")

    # Detection -------------------------------------------------------------------------------------------

    def read_state(self, eeh_pe: EehPe) -> bool:
        """Ask the firmware whether the PE is frozen."""
        is_frozen = eeh_pe.card.hardware.is_frozen
        text = f"PHB#{eeh_pe.phb:x} PE#{eeh_pe.number:x} frozen={int(is_frozen)}"
        self.machine.trace("pnv_eeh_get_state", text)
        return is_frozen

    def check(self, card: DriverCard) -> Flow:
        """Settle a suspicion: all Fs, or a command that timed out. Gives whether there is an error."""
        eeh_pe = self.eeh_pes[card.name]
        self.counters["eeh_total_mmio_ffs"] += 1
        yield "eeh-check"
        card.hardware.read_configuration()
        if eeh_pe.is_isolated:
            return True
        if not self.read_state(eeh_pe):
            self.counters["eeh_false_positives"] += 1
            return False
        self.counters["eeh_slot_resets"] += 1
        eeh_pe.has_stack = True
        self.send_event(eeh_pe)
        return True

    def notify(self, card: DriverCard, delay_us: int = NOTIFY_US) -> Flow:
        """The firmware's interrupt: something has happened to the card."""
        yield delay_us
        eeh_pe = self.eeh_pes[card.name]
        if eeh_pe.is_isolated or not self.read_state(eeh_pe):
            return
        self.say_detected(eeh_pe)
        self.send_event(eeh_pe)

    def say_detected(self, eeh_pe: EehPe) -> None:
        """The line of a detection that came from the firmware."""
        if eeh_pe.card.hardware.is_fenced:
            self.machine.log(3, f"EEH: Fenced PHB#{eeh_pe.phb:x} detected, location: N/A")
        else:
            self.machine.log(3, f"EEH: Frozen PE#{eeh_pe.number:x} on PHB#{eeh_pe.phb:x} detected")

    def send_event(self, eeh_pe: EehPe) -> None:
        """Queue a recovery."""
        eeh_pe.is_isolated = True
        self.queue.append(eeh_pe)
        self.machine.wake(self.waiting)

    def force_recovery(self, card: DriverCard) -> Flow:
        """An administrator's eeh_force_recover: recover, whether the PE is frozen or not."""
        yield "force-recovery"
        eeh_pe = self.eeh_pes[card.name]
        if not eeh_pe.is_isolated:
            self.read_state(eeh_pe)
            self.send_event(eeh_pe)

    def thaw(self, card: DriverCard) -> Flow:
        """A write to eeh_pe_state: a PE that is isolated is thawed behind the driver's back."""
        yield "thaw"
        if self.eeh_pes[card.name].is_isolated and not self.eeh_pes[card.name].is_recovering:
            card.hardware.thaw()

    # Recovery --------------------------------------------------------------------------------------------

    def eehd(self) -> Flow:
        """The thread that recovers."""
        while True:
            while not self.queue:
                yield Wait(self.waiting, is_interruptible=False)
            eeh_pe = self.queue.pop()  # the last comes first: list_add in eeh_event.c
            eeh_pe.is_recovering = True
            is_again = True
            while is_again:
                yield from self.bus_lock.acquire()
                is_again = yield from self.recover(eeh_pe)
                self.bus_lock.release(self.machine.scheduler)
            eeh_pe.is_recovering = False

    def recover(self, eeh_pe: EehPe) -> Flow:
        """One recovery. Gives True when the PE froze again and another one has to follow."""
        machine, card = self.machine, eeh_pe.card
        if card.is_permanent:
            return False
        if card.hardware.is_fenced:
            machine.log(3, f"EEH: Recovering PHB#{eeh_pe.phb:x}, location: N/A")
        else:
            machine.log(3, f"EEH: Recovering {eeh_pe.label}")
            machine.log(3, "EEH: PE location: N/A, PHB location: N/A")
        if eeh_pe.has_stack:
            machine.log(3, f"EEH: Frozen {eeh_pe.label} detected")
            eeh_pe.has_stack = False
        eeh_pe.freezes += 1
        if self.is_over_limit(eeh_pe):
            times = f"has failed {eeh_pe.freezes} times in the last hour"
            machine.log(3, f"EEH: {eeh_pe.label} {times} and has been permanently disabled.")
            yield from self.disable(eeh_pe)
            return False
        machine.log(
            4,
            f"EEH: This PCI device has failed {eeh_pe.freezes} times in the last hour and will be "
            f"permanently disabled after {self.max_freezes} failures.",
        )
        result = yield from self.tell_error_detected(eeh_pe)
        yield 100_000
        machine.log(6, "EEH: Collect temporary log")
        if result == "need reset":
            return (yield from self.recover_in_place(eeh_pe))
        return (yield from self.recover_with_hotplug(eeh_pe))

    def is_over_limit(self, eeh_pe: EehPe) -> bool:
        """Whether the device has failed too often."""
        return eeh_pe.freezes > self.max_freezes

    def tell_error_detected(self, eeh_pe: EehPe) -> Flow:
        """Tell the driver, and give its answer."""
        card = eeh_pe.card
        self.machine.log(6, "EEH: Notify device drivers to shutdown")
        card.is_channel_ok = False
        return (yield from self.call(eeh_pe, "error_detected(IO frozen)", self.driver.error_detected))

    def call(self, eeh_pe: EehPe, name: str, callback: Callable[[DriverCard], Flow]) -> Flow:
        """Call the driver, if there is one, under the device's lock; gives its answer, else ``none``."""
        machine, card = self.machine, eeh_pe.card
        machine.log(6, f"EEH: Beginning: '{name.removesuffix('()')}'")
        device = f"PCI {card.hardware.bdf}#{eeh_pe.number:04x}: EEH: "
        result = "none"
        yield from card.lock.acquire()
        if card.is_present:
            machine.log(6, f"{device}Invoking cxl-pci->{name}")
            result = yield from callback(card)
            machine.log(6, f"{device}cxl-pci driver reports: '{result}'")
        else:
            machine.log(6, f"{device}no driver")
        card.lock.release(machine.scheduler)
        machine.log(6, f"EEH: Finished:'{name.removesuffix('()')}' with aggregate recovery state:'{result}'")
        return result

    def recover_in_place(self, eeh_pe: EehPe) -> Flow:
        """Reset under the driver, which keeps its card."""
        machine, card = self.machine, eeh_pe.card
        machine.log(6, "EEH: Reset without hotplug activity")
        if not (yield from self.reset(eeh_pe)):
            return (yield from self.give_up(eeh_pe))
        card.is_channel_ok = True
        result = yield from self.call(eeh_pe, "slot_reset()", self.driver.slot_reset)
        yield "resume"
        if result == "disconnect" or card.hardware.is_frozen:
            return self.begin_again(eeh_pe)
        machine.log(6, "EEH: Notify device driver to resume")
        machine.log(6, "EEH: Beginning: 'resume'")
        eeh_pe.is_isolated = False
        if card.is_present:
            self.driver.resume(card.afus)
        machine.log(6, "EEH: Finished:'resume'")
        machine.log(6, "EEH: Recovery successful.")
        return False

    def recover_with_hotplug(self, eeh_pe: EehPe) -> Flow:
        """Remove the driver, reset, and probe it anew, as for a device that was just plugged in."""
        machine, card = self.machine, eeh_pe.card
        machine.log(6, "EEH: Reset with hotplug activity")
        yield from self.locked(card, self.driver.remove)
        if not (yield from self.reset(eeh_pe)):
            return (yield from self.give_up(eeh_pe))
        machine.log(6, "EEH: Sleep 5s ahead of complete hotplug")
        yield HOTPLUG_US
        card.is_plugged = card.is_channel_ok = True
        is_probed = yield from self.locked(card, self.driver.probe)
        if not is_probed or card.hardware.is_frozen:
            return self.begin_again(eeh_pe)
        machine.log(6, "EEH: Notify device driver to resume")
        eeh_pe.is_isolated = False
        machine.log(6, "EEH: Recovery successful.")
        return False

    def unplug(self, card: DriverCard) -> Flow:
        """An administrator's remove: the driver leaves, and the PCI core forgets the device."""
        yield from self.bus_lock.acquire()
        if card.is_plugged:
            yield from self.locked(card, self.driver.remove)
            card.is_plugged = False
        self.bus_lock.release(self.machine.scheduler)

    def replug(self) -> Flow:
        """A scan of the bus: finds what was removed and answers. All Fs are a suspicion here, too (A)."""
        yield "rescan"
        yield from self.bus_lock.acquire()
        for card in [card for card in self.cards if not card.is_plugged and not card.is_permanent]:
            if card.hardware.is_frozen:
                yield from self.check(card)
            else:
                card.is_plugged = card.is_channel_ok = True
                yield from self.locked(card, self.driver.probe)
        self.bus_lock.release(self.machine.scheduler)

    def locked(self, card: DriverCard, callback: Callable[[DriverCard], Flow]) -> Flow:
        """Perform `callback` under the device's lock; an administrator's bind and unbind do so too."""
        yield from card.lock.acquire()
        result = yield from callback(card)
        card.lock.release(self.machine.scheduler)
        return result

    def begin_again(self, eeh_pe: EehPe) -> bool:
        """The PE froze again after its reset: confirm that, and recover once more."""
        self.read_state(eeh_pe)
        self.say_detected(eeh_pe)
        return True

    def reset(self, eeh_pe: EehPe) -> Flow:
        """Hold the reset, let the link settle, look; False when the PE stays frozen."""
        for attempt in range(1, RESET_ATTEMPTS + 1):
            yield RESET_HOLD_US
            self.reset_hardware(eeh_pe)
            yield RESET_SETTLE_US
            if not eeh_pe.card.hardware.is_frozen:
                return True
            self.machine.log(3, f"EEH: Failure 2 resetting {eeh_pe.label} (attempt {attempt})")
        return False

    def reset_hardware(self, eeh_pe: EehPe) -> None:
        """PERST."""
        eeh_pe.card.hardware.reset()

    def give_up(self, eeh_pe: EehPe) -> Flow:
        """No reset has helped."""
        self.machine.log(3, f"EEH: Unable to recover from failure from {eeh_pe.label}.")
        yield from self.disable(eeh_pe)
        return False

    def disable(self, eeh_pe: EehPe) -> Flow:
        """The device is lost for good: the driver is removed and the PE stays isolated."""
        card = eeh_pe.card
        card.is_permanent = True
        card.is_channel_ok = False
        card.hardware.freeze()
        self.machine.log(6, "EEH: Beginning: 'error_detected(permanent failure)'")
        yield from self.locked(card, self.driver.remove)
        self.machine.log(6, "EEH: Finished:'error_detected(permanent failure)'")
