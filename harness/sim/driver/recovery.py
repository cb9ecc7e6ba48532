"""The recovery method of the disclosure: what happens at interrupt level, and what is deferred.

The rules (IPCOM000249312D):
1. At interrupt level nothing is freed and nobody sleeps. Every active context is closed and put on the
   garbage list; its pending page faults are dropped, its interrupts masked and cleared, its MMIO translations
   purged. From then on loads give all Fs and stores are ignored.
2. Deallocation is a task of its own, outside interrupt level: it gives back interrupts, references and
   memory, and wakes whoever waits. A context whose file is open keeps its memory until the last close.
3. A reset comes only when no context is attached and the garbage list is empty.

Each method is one transition, so that a mutant can break exactly one.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import Context, DriverAfu, DriverCard, Page, Status
from harness.sim.machine import Machine
from harness.sim.scheduler import Flow, Wait, join

IDLE_TIMEOUT_US = 90_000_000
"""How long a recovery waits for detaches that are under way: longer than any hcall can be busy."""


class Recovery:
    """Purging, draining and freeing, the same above EEH and above PHYP."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard]) -> None:
        self.machine = machine
        self.cards = {card.name: card for card in cards}
        self.afus = {afu.name: afu for card in cards for afu in card.afus}

    # At interrupt level ----------------------------------------------------------------------------------

    def quiesce(self, afus: Sequence[DriverAfu]) -> Flow:
        """Purge all contexts of `afus`: the interrupt-level part as one task, then the deferred part.

        Returns when both are done and no attach or detach is under way.
        """
        top = self.machine.spawn(self.quiesce_at_interrupt_level(afus), is_hard_irq=True)
        yield from join(top)
        bottom = self.machine.spawn(self.drain_garbage(afus), "kworker/1:2")
        yield from join(bottom)
        yield from self.wait_until_idle(afus)

    def quiesce_at_interrupt_level(self, afus: Sequence[DriverAfu]) -> Flow:
        """Shut the AFUs, then purge context after context."""
        for afu in afus:
            self.machine.trace("cxl_context_detach_all", afu.name)
            self.shut(afu)
        for afu in afus:
            for context in self.contexts_to_purge(afu):
                yield "quiesce-context"
                yield from self.purge(context)

    def shut(self, afu: DriverAfu) -> None:
        """Let nothing in until resume, and tell attaches in flight."""
        afu.is_quiesced = True
        afu.generation += 1

    def contexts_to_purge(self, afu: DriverAfu) -> list[Context]:
        """All contexts of the AFU, oldest slot first."""
        return [afu.contexts[number] for number in sorted(afu.contexts)]

    def purge(self, context: Context) -> Flow:
        """Close one context; an active one goes on the garbage list, stripped of all that could act."""
        if context.status is not Status.STARTED:
            context.status = Status.CLOSED
            return
        context.status = Status.CLOSED
        self.add_to_garbage(context)
        yield "drop-faults"
        self.drop_pending_faults(context)
        yield "mask-interrupts"
        self.mask_interrupts(context)
        yield "unmap-mmio"
        self.unmap_mmio(context)
        self.machine.trace("cxl_detach", context.label)

    def add_to_garbage(self, context: Context) -> None:
        """Remember the context for the deferred part."""
        context.is_garbage = True
        context.afu.garbage.append(context)
        self.machine.trace("garbage_add", context.label)

    def drop_pending_faults(self, context: Context) -> None:
        """Forget the page faults that wait to be resolved."""
        context.faults.clear()

    def mask_interrupts(self, context: Context) -> None:
        """Mask and clear the context's interrupts at the host bridge."""
        for line in context.lines:
            self.machine.mask_and_clear_irq(line)
        self.machine.trace("afu_release_irqs", context.label)

    def unmap_mmio(self, context: Context) -> None:
        """Purge the translations of the device's MMIO; the next access is emulated."""
        for mapping in context.mappings:
            mapping.page = Page.ABSENT

    # Deferred --------------------------------------------------------------------------------------------

    def drain_garbage(self, afus: Sequence[DriverAfu]) -> Flow:
        """Deallocate what was purged, and wake everybody who waits on a closed context."""
        for afu in afus:
            while afu.garbage:
                context = afu.garbage.pop(0)
                yield "drain"
                yield from self.deallocate(context)
        for afu in afus:
            for context in self.contexts_to_purge(afu):
                yield "wake"
                self.wake_waiters(context)

    def deallocate(self, context: Context) -> Flow:
        """Give back what one purged context holds; its memory too, unless a file is still open on it."""
        self.release_interrupts(context)
        yield "put-references"
        self.put_references(context)
        self.wake_waiters(context)
        context.is_garbage = False
        if context.is_released:
            self.free(context)

    def release_interrupts(self, context: Context) -> None:
        """Give the interrupt lines back."""
        for line in context.lines:
            self.machine.free_irq(line)
        context.lines = []

    def put_references(self, context: Context) -> None:
        """Drop the pid, the memory map and the place in contexts_num that an attach takes."""
        if not context.has_references:
            return
        context.has_references = False
        self.put_pid(context)
        context.afu.card.contexts_num -= 1
        if context.afu.card.contexts_num == 0:
            self.machine.wake(context.afu.card.idle)

    def put_pid(self, context: Context) -> None:
        """Drop the references to the process that attached."""
        self.machine.slabs["pid"] -= 1
        self.machine.slabs["mm_struct"] -= 1

    def wake_waiters(self, context: Context) -> None:
        """Let blocked reads and polls return."""
        self.machine.wake(context.waiters)

    def free(self, context: Context) -> None:
        """Free the context's memory and its slot."""
        if context.is_freed:
            self.machine.oops("refcount_t: underflow; use-after-free", "reclaim_ctx")
        self.machine.trace("reclaim_ctx", context.label)
        if context.afu.contexts.get(context.number) is context:
            del context.afu.contexts[context.number]
        context.is_freed = True
        self.machine.slabs["kmalloc-1k"] -= 1
        self.machine.slabs["kmalloc-64"] -= 1

    def wait_until_idle(self, afus: Sequence[DriverAfu]) -> Flow:
        """Wait until nobody is attaching to or detaching from `afus`."""
        deadline_us = self.machine.now_us + IDLE_TIMEOUT_US
        while any(context.has_references for afu in afus for context in afu.contexts.values()):
            if self.machine.now_us >= deadline_us:
                self.machine.log(4, f"cxl {afus[0].name}: giving up waiting for its contexts")
                return
            yield Wait(afus[0].card.idle, 100_000, is_interruptible=False)

    def resume(self, afus: Sequence[DriverAfu]) -> None:
        """Let new contexts in again."""
        for afu in afus:
            afu.is_quiesced = False
