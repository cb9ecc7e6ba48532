"""Contexts of Linux 6.1 in a PowerVM guest, from open to release (cxl/file.c, cxl/context.c, cxl/guest.c).

The rules, where they are others than the reference driver's:
1. A detach says so first, asks whether the AFU is NORMAL, and calls PHYP only then. When that fails and the
   AFU is NORMAL, it is a WARN; nothing is tried again.
2. Only contexts that were attached wake their waiters when all contexts are detached.
3. After the loss of the device, a context with ERR_FF has a page of memory in its place, full of Fs at first.
   A store to it stays in it.
4. An open that finds no slot has allocated its context in vain, and forgets it.
5. A read asks for the AFU's state again before and after each sleep, even when a signal has ended that, and
   with interrupts off.
6. A master maps the AFU as a whole. At its beginning there are no registers of any process, but memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.driver.context import Context, DriverAfu, DriverCard, File, Mapping, Page, Status
from harness.sim.driver.fileops import GET_PROCESS_ELEMENT, BusError
from harness.sim.driver.linux_interrupts import LinuxContext, LinuxInterrupts
from harness.sim.machine import Machine, SystemCallError
from harness.sim.phyp import Phyp
from harness.sim.scheduler import Flow, Wait, Wake
from harness.vocab.registers import all_ones

_NO_PROCESS = -1

RCU_US = 20_000
"""How long it takes until nobody reads what was taken off a list any more."""


class LinuxContexts(LinuxInterrupts):
    """Detach, and the file operations on contexts."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], phyp: Phyp) -> None:
        self.beginnings: dict[str, bytearray] = {}
        super().__init__(machine, cards, phyp)

    # Detach ----------------------------------------------------------------------------------------------

    def detach_all(self, afu: DriverAfu) -> Flow:
        """cxl_context_detach_all: nobody opens or closes a context of the AFU meanwhile."""
        self.machine.trace("cxl_context_detach_all", afu.name)
        yield from afu.lock.acquire()
        for context in self.contexts_to_purge(afu):
            yield from self.detach(context)
            self.unmap_node(afu, context.kind)
        afu.lock.release(self.machine.scheduler)

    def detach(self, context: Context) -> Flow:
        """cxl_context_detach: close a context; an attached one gives back what its attach took."""
        assert isinstance(context, LinuxContext)
        yield from context.status_mutex.acquire()
        before, context.status = context.status, Status.CLOSED
        context.status_mutex.release(self.machine.scheduler)
        if before is not Status.STARTED:
            return
        is_detached = yield from self.detach_process(context)
        if not is_detached and (yield from self.link_ok(context.afu)):
            self.machine.warn("", "drivers/misc/cxl/context.c:248 __detach_context")
        yield from self.flush_fault(context)
        self.put_references(context)
        self.release_interrupts(context)
        self.wake_waiters(context)

    def detach_process(self, context: Context) -> Flow:
        """guest_detach_process: gives whether PHYP has no process element of the context any more."""
        assert isinstance(context, LinuxContext)
        self.machine.trace("cxl_detach", context.label)
        if not (yield from self.link_ok(context.afu)):
            return False
        if not context.is_inserted:
            return True
        errno, _ = yield from self.call(context.afu, "H_DETACH_CA_PROCESS", "DETACH", context.token)
        return not errno

    def unmap_node(self, afu: DriverAfu, kind: str) -> None:
        """Drop the translations of all mappings of one device node; contexts that are started fault again."""
        for context in afu.contexts.values():
            if context.kind == kind:
                self.unmap_mmio(context)

    # File operations -------------------------------------------------------------------------------------

    def open(self, afu: DriverAfu, kind: str, is_nonblocking: bool) -> Flow:
        """afu_open."""
        yield from afu.card.lock.acquire()
        afu.card.lock.release(self.machine.scheduler)
        if not (yield from self.link_ok(afu)):
            raise SystemCallError("EIO")
        self.machine.slabs["kmalloc-1k"] += 1
        yield from afu.lock.acquire()
        try:
            number = self.free_slot(afu)
            context = afu.contexts[number] = LinuxContext(afu, number, kind)
        finally:
            afu.lock.release(self.machine.scheduler)
        return File(context, is_nonblocking)

    def ioctl(self, file: File, request: int, data: bytes, pid: int) -> Flow:
        """afu_ioctl: the process element is PHYP's, and none before the attach."""
        answer = yield from super().ioctl(file, request, data, pid)
        if request == GET_PROCESS_ELEMENT:
            assert isinstance(file.context, LinuxContext)
            return file.context.external_pe.to_bytes(4, "little")
        return answer

    def start_work(self, context: Context, data: bytes, pid: int) -> Flow:
        """afu_ioctl_start_work: no detach of this context comes between."""
        assert isinstance(context, LinuxContext)
        yield from context.status_mutex.acquire()
        try:
            yield from super().start_work(context, data, pid)
        finally:
            context.status_mutex.release(self.machine.scheduler)

    def is_overtaken(self, context: Context, generation: int) -> bool:
        """Never: whoever detaches waits until the attach is over."""
        return False

    def attach_process(self, context: Context, wed: int) -> Flow:
        """attach_afu_directed."""
        assert isinstance(context, LinuxContext)
        errno, token = yield from self.call(context.afu, "H_ATTACH_CA_PROCESS", "ATTACH", context.number, wed)
        self.demand(errno)
        context.token = token
        context.external_pe = token & 0xFFFFFFFF
        context.is_inserted = True

    def release(self, file: File) -> Flow:
        """afu_release: detach, take the context off the list, and free it when nobody reads it any more."""
        context, afu = file.context, file.context.afu
        self.check_alive(context)
        yield from self.detach(context)
        yield from afu.lock.acquire()
        del afu.contexts[context.number]
        afu.lock.release(self.machine.scheduler)
        context.is_released = True
        self.machine.spawn(self.reclaim(context), "ksoftirqd/0")

    def reclaim(self, context: Context) -> Flow:
        """reclaim_ctx, after a grace period."""
        yield RCU_US
        self.free(context)

    def free(self, context: Context) -> None:
        """Free the context's memory. Its slot is free already."""
        self.machine.trace("reclaim_ctx", context.label)
        context.is_freed = True
        self.machine.slabs["kmalloc-1k"] -= 1

    def read(self, file: File, timeout_us: int) -> Flow:
        """afu_read: looks at the AFU's state before each sleep, and after it."""
        context = file.context
        self.check_alive(context)
        if not (yield from self.link_ok(context.afu)):
            raise SystemCallError("EIO")
        deadline_us = self.machine.now_us + timeout_us
        woken = Wake.WOKEN
        while not self.is_readable(context):
            if not (yield from self.with_interrupts_off(self.link_ok(context.afu))):
                raise SystemCallError("EIO")
            if self.is_readable(context):
                break  # nothing can come between the look and the sleep
            left_us = max(0, deadline_us - self.machine.now_us) if timeout_us >= 0 else -1
            if woken is Wake.INTERRUPTED:
                raise SystemCallError("EINTR")
            if file.is_nonblocking or left_us == 0:
                raise SystemCallError("EAGAIN")
            woken = yield Wait(context.waiters, left_us)
        if not context.has_event:
            raise SystemCallError("EIO")
        return self.take_event(context)

    def is_readable(self, context: Context) -> bool:
        """Whether a read has something to say."""
        return context.has_event or context.status is Status.CLOSED

    def load(self, mapping: Mapping, offset: int, width_bytes: int) -> int:
        """A load; from the page that took the device's place it gives what is in there."""
        if offset + width_bytes <= mapping.length and self.translate(mapping) is Page.ALL_ONES:
            return int.from_bytes(self.ones(mapping)[offset : offset + width_bytes], "little")
        context = mapping.file.context
        if offset + width_bytes > mapping.length or context.kind != "m":
            return super().load(mapping, offset, width_bytes)
        if not context.afu.hardware.is_reached(_NO_PROCESS, "load"):
            return all_ones(width_bytes)
        return int.from_bytes(self.beginning(context.afu)[offset : offset + width_bytes], "little")

    def store(self, mapping: Mapping, offset: int, width_bytes: int, value: int) -> None:
        """A store; the page that took the device's place keeps it."""
        if offset + width_bytes > mapping.length:
            raise BusError
        data = (value & (1 << 8 * width_bytes) - 1).to_bytes(width_bytes, "little")
        afu = mapping.file.context.afu
        if self.translate(mapping) is Page.ALL_ONES:
            self.ones(mapping)[offset : offset + width_bytes] = data
        elif mapping.file.context.kind != "m":
            super().store(mapping, offset, width_bytes, value)
        elif afu.hardware.is_reached(_NO_PROCESS, "store"):
            self.beginning(afu)[offset : offset + width_bytes] = data

    def beginning(self, afu: DriverAfu) -> bytearray:
        """The memory at the beginning of the whole AFU."""
        return self.beginnings.setdefault(afu.name, bytearray(4096))

    def ones(self, mapping: Mapping) -> bytearray:
        """The page that took the device's place (ff_page): one for all mappings of a context."""
        context = mapping.file.context
        assert isinstance(context, LinuxContext)
        if context.ones is None:
            context.ones = bytearray(b"\xff" * 4096)
        return context.ones
