"""Interrupts of the driver: from the hardware's signals to events of contexts, and page faults.

Handlers run at interrupt level, faults are resolved outside it (drivers/misc/cxl/irq.c and fault.c).
"""

from __future__ import annotations

from abc import abstractmethod

from harness.sim.driver.context import Context, DriverAfu, Status
from harness.sim.driver.recovery import Recovery
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow


class Interrupts(Recovery):
    """Lines, handlers and faults."""

    def take_interrupts(self, context: Context, irqs: int) -> None:
        """Request the PSL's line and `irqs` lines of the AFU."""

        def psl(what: str, value: int, is_mapped: bool) -> Flow:
            yield from self.psl_interrupt(context, what, value, is_mapped)

        def afu(irq: int) -> Flow:
            yield from self.afu_interrupt(context, irq)

        name = f"cxl-{context.afu.name}-pe{context.number}"
        request = self.machine.request_irq
        context.lines = [request(f"{name}-psl", psl), *(request(f"{name}-{n + 1}", afu) for n in range(irqs))]

    def connect(self, afu: DriverAfu) -> None:
        """Lead the hardware's signals of one AFU to the interrupt lines of its contexts."""

        def signal(number: int, line_index: int, *details: object) -> None:
            context = afu.contexts.get(number)
            if context is not None and line_index < len(context.lines):
                self.machine.raise_irq(context.lines[line_index], *details)

        hardware = afu.hardware
        hardware.on_afu_irq = lambda number, irq: signal(number, irq, irq)
        hardware.on_fault = lambda number, address, is_mapped: signal(number, 0, "fault", address, is_mapped)
        hardware.on_afu_error = lambda number, error: signal(number, 0, "error", error, False)
        line = self.machine.request_irq(f"cxl-{afu.name}-err", lambda: self.slice_interrupt(afu))
        hardware.on_slice_error = lambda: self.machine.raise_irq(line)

    @abstractmethod
    def slice_interrupt(self, afu: DriverAfu) -> Flow:
        """A slice error of the AFU. Interrupt level."""

    def afu_interrupt(self, context: Context, irq: int) -> Flow:
        """An AFU interrupt of `context`: remember it and wake whoever waits. Interrupt level."""
        self.check_alive(context)
        line = context.lines[irq] if irq < len(context.lines) else None
        number = line.number if line else 0
        self.machine.trace("cxl_afu_irq", f"{context.label} afu_irq={irq} virq={number} hwirq=0x{number:x}")
        if irq not in context.pending_irqs:
            context.pending_irqs.append(irq)
        yield "afu-irq"
        self.wake_waiters(context)

    def psl_interrupt(self, context: Context, what: str, value: int, is_mapped: bool) -> Flow:
        """A PSL interrupt of `context`: an AFU error, or a fault that is resolved later. Interrupt level."""
        self.check_alive(context)
        dsisr = "AE" if what == "error" else "DM"
        self.machine.trace("cxl_psl_irq", f"{context.label} irq=1 dsisr={dsisr} dar=0x{value:016x}")
        if what == "error":
            if context.pending_error is None:
                context.pending_error = value
            self.machine.trace("cxl_psl_irq_ack", f"{context.label} tfc=A")
            self.wake_waiters(context)
            return
        fault = self.machine.now_us
        context.faults[fault] = value
        self.machine.spawn(self.resolve_fault(context, fault, is_mapped))
        yield "psl-irq"

    def resolve_fault(self, context: Context, fault: int, is_mapped: bool) -> Flow:
        """Resolve a page fault outside interrupt level, unless it was dropped meanwhile."""
        yield "fault"
        yield from self.ask_about_fault(context)
        if fault not in context.faults:
            return
        address = context.faults[fault]
        self.machine.trace("cxl_pte_miss", f"{context.label} dsisr=DM dar=0x{address:016x}")
        yield 30
        if self.is_dropped(context, fault):
            return
        del context.faults[fault]
        if is_mapped:
            self.machine.trace("cxl_psl_irq_ack", f"{context.label} tfc=R")
            yield from self.answer_fault(context)
            return
        self.machine.trace("cxl_psl_irq_ack", f"{context.label} tfc=AE")
        context.pending_fault = address
        self.wake_waiters(context)

    def ask_about_fault(self, context: Context) -> Flow:
        """Learn what the fault is about, where that takes more than reading registers."""
        yield from ()

    def answer_fault(self, context: Context) -> Flow:
        """Tell the PSL to go on, where that takes more than writing a register."""
        yield from ()

    def is_dropped(self, context: Context, fault: int) -> bool:
        """Whether the context was purged or closed while its fault was being resolved."""
        return fault not in context.faults or context.status is not Status.STARTED

    def check_alive(self, context: Context) -> None:
        """Oops when the context's memory was freed: the kernel would read what is no longer its own."""
        if context.is_freed:
            self.machine.oops("Unable to handle kernel data access at 0x6b6b6b6b6b6b6b6b", "cxl_context")
            raise SystemCallError("EIO")
