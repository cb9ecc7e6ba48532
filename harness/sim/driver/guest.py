"""The reference driver above PHYP: hcalls with their waits, and the periodic check of each AFU's state.

The rules (drivers/misc/cxl/guest.c and hcalls.c for the calls; what is done with them is the disclosure's):
1. Nobody tells a guest that an AFU's state has changed, so each AFU is checked FIRST_CHECK_US after its probe
   and then POLL_US after the end of each check. That check is detection and confirmation in one.
2. DISABLE: quiesce, reset by hcall, read the state again, and resume only when it is NORMAL. A reset that
   fails is tried again at the next check.
3. TEMP_UNAVAILABLE: quiesce, and resume when a check finds the AFU NORMAL again.
4. PERM_UNAVAILABLE: quiesce, say so, and check no more.
5. Every file operation asks for the state first; that it is not NORMAL is an EIO, never a recovery.
6. An hcall that is busy is repeated after the time that PHYP asks for, HCALL_TIMEOUT_US in all. The interrupt
   and fault hcalls are never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import Context, DriverAfu, DriverCard
from harness.sim.driver.fileops import FileOperations
from harness.sim.machine import Machine, SystemCallError
from harness.sim.phyp import H_BUSY, H_PARAMETER, H_SUCCESS, Answer, Phyp, State
from harness.sim.scheduler import Flow

FIRST_CHECK_US = 1_000_000
POLL_US = 3_000_000
HCALL_TIMEOUT_US = 60_000_000
DETACH_ATTEMPTS = 30
HOLD_LOOK_US = 1_000
"""How soon a held hcall notices that it was released."""
HCALL_US = 4
"""How long the way back from PHYP takes, so that others act meanwhile."""

_BUSY_US = {H_BUSY: 10_000} | {9900 + order: 1000 * 10**order for order in range(6)}
_NEVER_REPEATED = frozenset({"H_COLLECT_CA_INT_INFO", "H_CONTROL_CA_FAULTS"})
_ERRNOS = {-4: "EINVAL", -2: "EINVAL", -7: "EINVAL", 3: "EINVAL", -72: "EINVAL", -70: "EINVAL"}
_ERROR_DETECTED, _SLOT_RESET, _RESUME = 1, 2, 3
_CHANNEL_NORMAL, _CHANNEL_FROZEN, _CHANNEL_PERM_FAILURE = 1, 2, 3
HCALL_EVENTS = {
    "H_COLLECT_CA_INT_INFO": "cxl_hcall_collect_int_info",
    "H_CONTROL_CA_FAULTS": "cxl_hcall_control_faults",
    "H_ATTACH_CA_PROCESS": "cxl_hcall_attach",
    "H_DETACH_CA_PROCESS": "cxl_hcall_detach",
    "H_CONTROL_CA_FUNCTION": "cxl_hcall_control_function",
    "H_CONTROL_CA_FACILITY": "cxl_hcall_control_facility",
}
_OF_A_PROCESS = frozenset({"H_DETACH_CA_PROCESS", "H_COLLECT_CA_INT_INFO", "H_CONTROL_CA_FAULTS"})
HCALL_FUNCTIONS = {
    "H_COLLECT_CA_INT_INFO": "cxl_h_collect_int_info",
    "H_CONTROL_CA_FAULTS": "cxl_h_control_faults",
    "H_ATTACH_CA_PROCESS": "cxl_h_attach_process",
    "H_DETACH_CA_PROCESS": "cxl_h_detach_process",
    "H_CONTROL_CA_FUNCTION": "cxl_h_control_function",
    "H_CONTROL_CA_FACILITY": "cxl_h_control_facility",
}


class GuestDriver(FileOperations):
    """The cxl driver in a PowerVM guest."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], phyp: Phyp) -> None:
        super().__init__(machine, cards)
        self.phyp = phyp
        for card in cards:
            for afu in card.afus:
                self.connect(afu)
                machine.spawn(self.check_periodically(afu))

    # Hcalls ----------------------------------------------------------------------------------------------

    def hcall(self, afu: DriverAfu, name: str, op: str, *args: int) -> Flow:
        """Perform one hcall to its end, with all the waiting that PHYP asks for; gives its Answer."""
        machine = self.machine
        if op != "READ_ERR_STATE":
            machine.trace("capi_hcall_entry", f"{name} unit=0x{afu.unit:x} op={op}")
        hold = self.phyp.hold(name, op, machine.now_us) if self.may_sleep() else None
        while hold is not None and machine.now_us < hold.until_us:
            yield min(HOLD_LOOK_US, hold.until_us - machine.now_us)
        waited_us = 0
        while True:
            yield "hcall"
            answer = self.phyp.hcall(name, op, afu.unit, args, machine.now_us)
            wait_us = _BUSY_US.get(answer.rc)
            if wait_us is None or name in _NEVER_REPEATED:
                break
            waited_us += wait_us
            if waited_us > HCALL_TIMEOUT_US:
                self.give_up(name, waited_us)
                answer = Answer(H_BUSY)
                break
            yield from self.sleep(wait_us)
        yield HCALL_US
        self.trace_answer(afu, name, op, args, answer)
        return answer

    def may_sleep(self) -> bool:
        """Whether the caller of an hcall can be held in it."""
        return True

    def give_up(self, name: str, waited_us: int) -> None:
        """PHYP was busy for too long."""
        text = f"Warning: Giving up waiting for CXL hcall {name} after {waited_us // 1000} msec"
        self.machine.log(4, text)

    def sleep(self, length_us: int) -> Flow:
        """Wait as long as PHYP asks for."""
        yield length_us

    def trace_answer(self, afu: DriverAfu, name: str, op: str, args: tuple[int, ...], answer: Answer) -> None:
        """What the kernel says of an hcall that has ended."""
        event = HCALL_EVENTS[name]
        if name == "H_ATTACH_CA_PROCESS":
            token = f"token=0x{answer.r4:08x} mmio_addr=0x0 mmio_size=0x1000"
            text = f"phys_addr=0x{args[1]:016x} {token} rc={answer.rc}"
        elif name in _OF_A_PROCESS:
            text = f"process_token=0x{args[0]:016x} rc={answer.rc}"
        else:
            text = f"{op}(0x0, 0x0, 0x0, 0x0, R4: 0x{answer.r4:x})): {answer.rc}"
        self.machine.trace(event, f"unit_address=0x{afu.unit:016x} {text}")
        if answer.rc:
            self.machine.log(3, f"{HCALL_FUNCTIONS[name]}(0x{afu.unit:016x}, {op}): {answer.rc}")

    def read_state(self, afu: DriverAfu) -> Flow:
        """The State of the AFU, or None when PHYP does not say."""
        answer = yield from self.hcall(afu, "H_CONTROL_CA_FUNCTION", "READ_ERR_STATE")
        return State(answer.r4) if answer.rc == H_SUCCESS else None

    # What file operations ask for ------------------------------------------------------------------------

    def link_ok(self, afu: DriverAfu) -> Flow:
        """Whether PHYP says that the AFU is NORMAL."""
        return (yield from self.read_state(afu)) is State.NORMAL

    def attach_process(self, context: Context, wed: int) -> Flow:
        """Add the process element by hcall."""
        afu = context.afu
        answer = yield from self.hcall(afu, "H_ATTACH_CA_PROCESS", "ATTACH", context.number, wed)
        if answer.rc:
            raise SystemCallError(_ERRNOS.get(answer.rc, "EBUSY"))
        context.token = answer.r4

    def detach_process(self, context: Context) -> Flow:
        """Remove the process element by hcall, as often as it takes; PHYP may have forgotten it already."""
        for _ in range(DETACH_ATTEMPTS):
            if not (yield from self.link_ok(context.afu)):
                return
            answer = yield from self.hcall(context.afu, "H_DETACH_CA_PROCESS", "DETACH", context.token)
            if answer.rc in (H_SUCCESS, H_PARAMETER):
                return
            yield 1_000_000

    def ask_about_fault(self, context: Context) -> Flow:
        """H_COLLECT_CA_INT_INFO, which is never repeated."""
        yield from self.hcall(context.afu, "H_COLLECT_CA_INT_INFO", "COLLECT", context.token)

    def answer_fault(self, context: Context) -> Flow:
        """H_CONTROL_CA_FAULTS, which is never repeated."""
        yield from self.hcall(context.afu, "H_CONTROL_CA_FAULTS", "RESPOND_PSL", context.token)

    def slice_interrupt(self, afu: DriverAfu) -> Flow:
        """A slice error. PHYP is asked outside interrupt level, because it may be busy."""
        yield "slice-irq"
        self.machine.spawn(self.report_slice_error(afu))

    def report_slice_error(self, afu: DriverAfu) -> Flow:
        """Read the slice error, say it, acknowledge it."""
        answer = yield from self.hcall(afu, "H_CONTROL_CA_FUNCTION", "GET_FUNCTION_ERR_INT")
        if answer.rc:
            self.machine.log(2, f"cxl {afu.name}: Couldn't read PSL_SERR_An: {answer.rc}")
            return
        self.machine.log(2, f"cxl {afu.name}: PSL Slice error received. Check AFU for root cause.")
        self.machine.log(2, f"cxl {afu.name}: PSL_SERR_An: 0x0000000000800000")
        yield from self.hcall(afu, "H_CONTROL_CA_FUNCTION", "ACK_FUNCTION_ERR_INT")

    # The periodic check ----------------------------------------------------------------------------------

    def check_periodically(self, afu: DriverAfu) -> Flow:
        """Check the AFU for as long as it may come back."""
        yield FIRST_CHECK_US
        while not afu.is_permanent:
            yield from self.check(afu)
            yield self.poll_us(afu)

    def poll_us(self, afu: DriverAfu) -> int:
        """How long to rest between two checks."""
        return POLL_US

    def check(self, afu: DriverAfu) -> Flow:
        """Read the AFU's state and act on it."""
        state = yield from self.read_state(afu)
        if state is None or (state is State.NORMAL and not afu.is_quiesced):
            return
        yield from afu.lock.acquire()
        state = yield from self.read_state(afu)
        if state is not None:
            yield from getattr(self, _ACTIONS[state])(afu)
        afu.lock.release(self.machine.scheduler)

    def on_normal(self, afu: DriverAfu) -> Flow:
        """The AFU is back: let new contexts in, if it was shut."""
        yield "normal"
        if afu.is_quiesced:
            self.tell_resume(afu)

    def on_disable(self, afu: DriverAfu) -> Flow:
        """Quiesce, reset, and resume if that has helped."""
        yield from self.quiesce_once(afu)
        if not (yield from self.reset_function(afu)):
            return
        if (yield from self.read_state(afu)) is State.NORMAL:
            self.tell_resume(afu)

    def on_temporarily_unavailable(self, afu: DriverAfu) -> Flow:
        """Quiesce, and wait for a later check."""
        yield from self.quiesce_once(afu)

    def on_permanently_unavailable(self, afu: DriverAfu) -> Flow:
        """Quiesce, and give the AFU up."""
        yield from self.quiesce_once(afu, _CHANNEL_PERM_FAILURE)
        self.machine.log(3, f"cxl {afu.name}: AFU is in permanent error state")
        afu.is_permanent = True

    def quiesce_once(self, afu: DriverAfu, channel: int = _CHANNEL_FROZEN) -> Flow:
        """Purge all contexts of the AFU, unless that is done already."""
        if not afu.is_quiesced:
            self.tell(afu, _ERROR_DETECTED, channel)
            yield from self.quiesce([afu])

    def reset_function(self, afu: DriverAfu) -> Flow:
        """H_CONTROL_CA_FUNCTION RESET; gives whether it has worked."""
        answer = yield from self.hcall(afu, "H_CONTROL_CA_FUNCTION", "RESET")
        return answer.rc == H_SUCCESS

    def tell_resume(self, afu: DriverAfu) -> None:
        """Tell the drivers above, and let new contexts in."""
        self.tell(afu, _SLOT_RESET, _CHANNEL_NORMAL)
        self.tell(afu, _RESUME, 0)
        self.resume([afu])

    def tell(self, afu: DriverAfu, event: int, channel: int) -> None:
        """Call the error handlers of the drivers above (guest.c, pci_error_handlers)."""
        self.machine.trace("pci_error_handlers", f"{afu.name} event={event} state={channel}")

    # What the administrator asks for ---------------------------------------------------------------------

    def open_card_node(self, card: DriverCard) -> Flow:
        """Somebody opens the flash node."""
        yield "open"

    def close_card_node(self, card: DriverCard) -> Flow:
        """The flash node is closed: the card is reset, with everything that belongs to it."""
        yield from self.reset_card(card, is_forced=True)

    def reset_card(self, card: DriverCard, is_forced: bool) -> Flow:
        """Reset the facility, all its AFUs quiesced; those that failed for good stay out of it."""
        yield "reset-card"
        if not is_forced and (card.contexts_num or card.is_locked):
            raise SystemCallError("EBUSY")
        card.is_locked = True
        afus = [afu for afu in card.afus if not afu.is_permanent]
        for afu in afus:
            yield from afu.lock.acquire()
        for afu in afus:
            yield from self.quiesce_once(afu)
        answer = yield from self.hcall(card.afus[0], "H_CONTROL_CA_FACILITY", "RESET")
        for afu in afus:
            if answer.rc == H_SUCCESS and (yield from self.link_ok(afu)):
                self.tell_resume(afu)
            afu.lock.release(self.machine.scheduler)
        card.is_locked = False
        if answer.rc:
            raise SystemCallError("EIO")

    def reset_afu(self, afu: DriverAfu) -> Flow:
        """Reset one AFU that nobody uses."""
        yield "reset-afu"
        if afu.contexts or afu.lock.is_held:
            raise SystemCallError("EBUSY")
        if not (yield from self.link_ok(afu)) or afu.is_quiesced:
            raise SystemCallError("EIO")
        yield from afu.lock.acquire()
        afu.is_quiesced = True
        if (yield from self.reset_function(afu)):
            afu.is_quiesced = False
        afu.lock.release(self.machine.scheduler)
        if afu.is_quiesced:
            raise SystemCallError("EIO")


_ACTIONS = {
    State.NORMAL: "on_normal",
    State.DISABLE: "on_disable",
    State.TEMP_UNAVAILABLE: "on_temporarily_unavailable",
    State.PERM_UNAVAILABLE: "on_permanently_unavailable",
}
