"""Interrupts and page faults of Linux 6.1 above PHYP (cxl/irq.c, cxl/fault.c, cxl/guest.c).

The rules:
1. PHYP is asked what a PSL interrupt is about at interrupt level. When it does not say, Linux warns, and the
   AFU waits for ever.
2. One fault of a context is worked on at a time; of two that come together the later one is handled.
3. A fault of a closed context is answered with an address error, and becomes an event all the same.
4. AFU interrupts are bits: the lowest pending one is read first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.sim.driver.context import Context, DriverAfu, Status
from harness.sim.driver.linux_hcalls import LinuxHcalls
from harness.sim.scheduler import Flow, Lock, Task, join

_NO_ELEMENT = (1 << 32) - 1
_DSISR_PAGE_FAULT = 1 << 62
_ACKNOWLEDGE, _ADDRESS_ERROR, _RESTART = 1 << 3, 1 << 1, 1 << 0
"""Bits of PSL_TFC_An, as H_CONTROL_CA_FAULTS takes them."""

_SLICE_ERRORS = {
    63: "AFU MMIO Timeout",
    62: "MMIO targeted Accelerator that was not enabled",
    61: "AFU CTAG Overflow",
    60: "Bad Interrupt Source",
    59: "Bad Context Handle",
    58: "LLCMD to Disabled AFU",
    57: "LLCMD Timeout to AFU",
    56: "AFU MMIO Parity Error",
    55: "AFU MMIO Duplicate CTAG Error",
    33: "AFU asserted JDONE with JERROR in AFU Directed Mode",
}
"""What Linux says for each bit of PSL_SERR_An."""


@dataclass(eq=False, slots=True)
class LinuxContext(Context):
    """What struct cxl_context has beyond a Context."""

    status_mutex: Lock = field(default_factory=Lock)
    external_pe: int = _NO_ELEMENT  # PHYP's name for the process element; -1 before the attach
    is_inserted: bool = False
    fault_work: Task | None = None
    fault: tuple[int, bool] = (0, False)  # address, and whether it is mapped
    ones: bytearray | None = None  # the page that takes the place of a lost device: ordinary memory


class LinuxInterrupts(LinuxHcalls):
    """Handlers and faults."""

    def take_interrupts(self, context: Context, irqs: int) -> None:
        """Request the interrupt lines, each with a name of its own (afu_register_irqs)."""
        super().take_interrupts(context, irqs)
        self.machine.slabs["kmalloc-64"] += len(context.lines)

    def release_interrupts(self, context: Context) -> None:
        """Free the interrupt lines and their names (afu_release_irqs)."""
        self.machine.trace("afu_release_irqs", context.label)
        self.machine.slabs["kmalloc-64"] -= len(context.lines)
        super().release_interrupts(context)

    def psl_interrupt(self, context: Context, what: str, value: int, is_mapped: bool) -> Flow:
        """A PSL interrupt: ask PHYP what it is about, then an AFU error or a fault. Interrupt level."""
        assert isinstance(context, LinuxContext)
        self.check_alive(context)
        errno, _ = yield from self.call(context.afu, "H_COLLECT_CA_INT_INFO", "COLLECT", context.token)
        if errno:
            where = "drivers/misc/cxl/guest.c:170 guest_psl_irq"
            self.machine.warn(f"Unable to get IRQ info: {_NUMBERS[errno]}", where)
            return
        dsisr = "AE" if what == "error" else "DM"
        self.machine.trace("cxl_psl_irq", f"{context.label} irq=1 dsisr={dsisr} dar=0x{value:016x}")
        if what == "error":
            yield from self.note_afu_error(context, value)
            return
        context.fault = (value, is_mapped)
        if context.fault_work is None:
            context.fault_work = self.machine.spawn(self.handle_fault(context))

    def note_afu_error(self, context: Context, error: int) -> Flow:
        """Keep an AFU error for a reader, unless one is kept already; acknowledge it in any case."""
        if context.pending_error is not None:
            text = f"CXL AFU Error undelivered to pe {context.number}: 0x{error:016x}"
            self.machine.log(3, f"cxl {context.afu.name}: {text}")
        else:
            context.pending_error = error
            self.wake_waiters(context)
        yield from self.respond(context, _ACKNOWLEDGE)

    def handle_fault(self, context: LinuxContext) -> Flow:
        """Resolve the fault that came last, outside interrupt level (cxl_handle_fault)."""
        yield "fault"
        address, is_mapped = context.fault
        if context.status is Status.CLOSED:
            yield from self.refuse_fault(context, address)
        else:
            self.machine.trace("cxl_pte_miss", f"{context.label} dsisr=DM dar=0x{address:016x}")
            yield 30
            if is_mapped:
                yield from self.respond(context, _RESTART)
            else:
                yield from self.refuse_fault(context, address)
        context.fault_work = None
        if context.fault != (address, is_mapped):  # another came meanwhile
            context.fault_work = self.machine.spawn(self.handle_fault(context))

    def refuse_fault(self, context: Context, address: int) -> Flow:
        """Tell the PSL that the address is wrong, then the application (cxl_ack_ae)."""
        yield from self.respond(context, _ADDRESS_ERROR)
        context.pending_fault = address
        self.wake_waiters(context)

    def respond(self, context: Context, control: int) -> Flow:
        """H_CONTROL_CA_FAULTS. What comes of it is said in the log only."""
        yield from self.call(context.afu, "H_CONTROL_CA_FAULTS", "RESPOND_PSL", context.token, control)

    def flush_fault(self, context: LinuxContext) -> Flow:
        """Wait until no fault of the context is worked on."""
        while context.fault_work is not None:
            yield from join(context.fault_work)

    def slice_interrupt(self, afu: DriverAfu) -> Flow:
        """A slice error: ask PHYP, say it, acknowledge it, all at interrupt level."""
        name, control, log = f"cxl {afu.name}", "H_CONTROL_CA_FUNCTION", self.machine.log
        errno, error = yield from self.call(afu, control, "GET_FUNCTION_ERR_INT")
        if errno:
            log(2, f"{name}: Couldn't read PSL_SERR_An: {_NUMBERS[errno]}")
            return
        log(2, f"{name}: PSL Slice error received. Check AFU for root cause.")
        log(2, f"{name}: PSL_SERR_An: 0x{error:016x}")
        for bit, text in _SLICE_ERRORS.items():
            if error >> bit & 1:
                log(2, f"{name}: {text}")
        log(2, f"{name}: AFU_ERR_An: 0x{0:016x}")
        log(2, f"{name}: PSL_DSISR_An: 0x{0:016x}")
        errno, _ = yield from self.call(afu, control, "ACK_FUNCTION_ERR_INT", error)
        if errno:
            log(2, f"{name}: Couldn't ack slice error interrupt: {_NUMBERS[errno]}")

    def take_event(self, context: Context) -> bytes:
        """The pending event that comes first; of AFU interrupts the lowest."""
        context.pending_irqs.sort()
        is_fault = not context.pending_irqs and context.pending_fault is not None
        event = super().take_event(context)
        # struct cxl_event_data_storage: the DSISR follows the header, the flags and the address.
        return event[:24] + _DSISR_PAGE_FAULT.to_bytes(8, "little") + event[32:] if is_fault else event


_NUMBERS = {"EINVAL": -22, "EBUSY": -16}
