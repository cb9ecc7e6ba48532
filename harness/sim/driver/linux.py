"""The cxl driver of Linux 6.1 in a PowerVM guest, as its source says (drivers/misc/cxl, guest.c above all).

The rules, where they are others than the reference driver's:
1. An AFU's state is acted upon only when it is not the one found before. TEMP_UNAVAILABLE is noted and no
   more. PERM_UNAVAILABLE is said and ends the checks; contexts stay started. DISABLE detaches all contexts,
   resets, looks again, and forgets what was found: while the reset does not help, the next check does it all
   again.
2. A polite reset of a card that succeeds locks it against attaches for ever.
3. The close of a flash node resets the card and tells nobody.
4. PHYP's most interrupts of a process include the PSL's; Linux takes them all for the AFU's (cxl/of.c).

What Linux guards by a lock is held as long here: `DriverAfu.lock` is contexts_lock, `DriverCard.lock` is
afu_list_lock, and the cards' flash nodes share one semaphore. `DriverCard.is_locked` is a contexts_num of -1.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import DriverAfu, DriverCard
from harness.sim.driver.guest import FIRST_CHECK_US
from harness.sim.driver.linux_contexts import LinuxContexts
from harness.sim.machine import Machine, SystemCallError
from harness.sim.phyp import Phyp, State
from harness.sim.scheduler import Flow, Lock, Wait, Wake

_ERROR_DETECTED, _SLOT_RESET, _RESUME = 1, 2, 3
_NORMAL, _FROZEN, _PERM_FAILURE = 1, 2, 3
_DIRECTED = "afu_directed"
_WRITTEN_MODES = ("dedicated_process", _DIRECTED, "none")


class LinuxGuestDriver(LinuxContexts):
    """Linux 6.1 above PHYP."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], phyp: Phyp) -> None:
        self.previous_states: dict[str, State | None] = {}  # of each AFU; none: nothing was found yet
        self.flash = Lock()
        for card in cards:
            for afu in card.afus:
                afu.irqs_max += 1
        super().__init__(machine, cards, phyp)

    # The periodic check ----------------------------------------------------------------------------------

    def check_periodically(self, afu: DriverAfu) -> Flow:
        """afu_handle_errstate, until the AFU is found to have failed for good."""
        yield FIRST_CHECK_US
        while True:
            is_known = yield from self.update_state(afu)
            if is_known and self.previous_states.get(afu.name) is State.PERM_UNAVAILABLE:
                return
            yield self.poll_us(afu)

    def update_state(self, afu: DriverAfu) -> Flow:
        """afu_update_state: act on a state that is another than before; gives whether PHYP said it."""
        state = yield from self.read_state(afu)
        if state is None:
            return False
        if state is self.previous_states.get(afu.name):
            return True
        self.previous_states[afu.name] = state
        if state is State.DISABLE:
            return (yield from self.recover(afu))
        if state is State.PERM_UNAVAILABLE:
            self.machine.log(3, f"cxl {afu.name}: AFU is in permanent error state")
            self.tell(afu, _ERROR_DETECTED, _PERM_FAILURE)
        return True

    def recover(self, afu: DriverAfu) -> Flow:
        """Detach everything, reset, look again; gives whether PHYP said what came of it."""
        self.tell(afu, _ERROR_DETECTED, _FROZEN)
        yield from self.detach_all(afu)
        yield from self.reset_function(afu)
        state = yield from self.read_state(afu)
        if state is State.NORMAL:
            self.tell(afu, _SLOT_RESET, _NORMAL)
            self.tell(afu, _RESUME, 0)
        self.previous_states[afu.name] = None
        return state is not None

    # What the administrator asks for ---------------------------------------------------------------------

    def open_card_node(self, card: DriverCard) -> Flow:
        """device_open: one opener at a time, for all cards; whoever is interrupted meanwhile gets EPERM."""
        yield "open"
        while self.flash.is_held:
            if (yield Wait(self.flash.queue)) is Wake.INTERRUPTED:
                raise SystemCallError("EPERM")
        self.flash.is_held = True

    def close_card_node(self, card: DriverCard) -> Flow:
        """device_close: reset the card, and tell nobody: contexts stay started."""
        self.flash.release(self.machine.scheduler)
        yield from self.reset_facility(card)

    def reset_facility(self, card: DriverCard) -> Flow:
        """H_CONTROL_CA_FACILITY RESET; gives the errno."""
        errno, _ = yield from self.call(card.afus[0], "H_CONTROL_CA_FACILITY", "RESET")
        return errno

    def reset_card(self, card: DriverCard, is_forced: bool) -> Flow:
        """reset_adapter_store and guest_reset."""
        yield "reset-card"
        if not is_forced:
            if card.contexts_num or card.is_locked:
                raise SystemCallError("EBUSY")
            card.is_locked = True
        yield from card.lock.acquire()
        for afu in card.afus:
            self.tell(afu, _ERROR_DETECTED, _FROZEN)
            yield from self.detach_all(afu)
        errno = yield from self.reset_facility(card)
        for afu in card.afus if not errno else ():
            self.tell(afu, _SLOT_RESET, _NORMAL)
            self.tell(afu, _RESUME, 0)
        card.lock.release(self.machine.scheduler)
        if errno and not is_forced:
            card.is_locked = False
        self.demand(errno)

    def reset_afu(self, afu: DriverAfu) -> Flow:
        """reset_store_afu."""
        yield from afu.lock.acquire()
        try:
            if afu.contexts:
                raise SystemCallError("EBUSY")
            errno, _ = yield from self.call(afu, "H_CONTROL_CA_FUNCTION", "RESET")
            self.demand(errno)
        finally:
            afu.lock.release(self.machine.scheduler)

    def change_mode(self, afu: DriverAfu, text: str) -> Flow:
        """mode_store: the old mode is left, with a reset, before anybody asks whether the new one exists."""
        yield from afu.lock.acquire()
        wanted = next((mode for mode in _WRITTEN_MODES if text.startswith(mode)), "")
        is_busy, before = bool(afu.contexts), afu.mode
        if not is_busy and wanted:
            afu.mode = "none"
        afu.lock.release(self.machine.scheduler)
        if is_busy or not wanted:
            raise SystemCallError("EBUSY" if is_busy else "EINVAL")
        slice_number = afu.name.partition(".")[2]
        if before == _DIRECTED:
            self.machine.log(6, f"cxl {afu.name}: Deactivating AFU({slice_number}) directed mode")
            yield from self.reset_function(afu)
        if wanted == "none":
            return
        if wanted not in afu.modes:
            raise SystemCallError("EINVAL")
        self.machine.log(6, f"cxl {afu.name}: Activating AFU({slice_number}) directed mode")
        afu.mode = wanted

    def read_error_buffer(self, afu: DriverAfu) -> Flow:
        """guest_afu_read_err_buffer: PHYP fills a buffer, and Linux says that it has no bytes."""
        errno, _ = yield from self.call(afu, "H_CONTROL_CA_FUNCTION", "GET_AFU_ERR")
        self.demand(errno)
        return ""
