"""The driver's file operations on ``/dev/cxl/afu*``, from open to close.

Errnos and structs are those of drivers/misc/cxl/file.c and include/uapi/misc/cxl.h. What depends on the
platform (is the link fine, how is a process element added and removed) is left to the classes below.
"""

from __future__ import annotations

import struct
from abc import abstractmethod

from harness.sim.driver.context import Context, DriverAfu, File, Mapping, Page, Status
from harness.sim.driver.interrupts import Interrupts
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow, Wait, Wake
from harness.vocab.registers import all_ones

START_WORK = 0x8040CA00
GET_PROCESS_ELEMENT = 0x4004CA01
GET_AFU_ID = 0x4040CA02

_WORK = struct.Struct("<QQQhHi4Q")
_FLAG_IRQS, _FLAG_ERR_FF, _FLAGS = 2, 4, 0xF
_AFU_IRQ, _DATA_STORAGE, _AFU_ERROR = 1, 2, 3
POLLIN, POLLERR = 1, 8


class BusError(Exception):
    """SIGBUS."""


class FileOperations(Interrupts):
    """What applications do with contexts."""

    # What the platform adds ------------------------------------------------------------------------------

    @abstractmethod
    def link_ok(self, afu: DriverAfu) -> Flow:
        """Whether the device can be reached, as far as the driver knows."""

    @abstractmethod
    def attach_process(self, context: Context, wed: int) -> Flow:
        """Add the process element at the device. Raises SystemCallError."""

    @abstractmethod
    def detach_process(self, context: Context) -> Flow:
        """Remove the process element from the device, as far as it can be reached."""

    # Life of a context -----------------------------------------------------------------------------------

    def open(self, afu: DriverAfu, kind: str, is_nonblocking: bool) -> Flow:
        """Open a context and give its File."""
        if not (yield from self.link_ok(afu)) or afu.is_quiesced:
            raise SystemCallError("EIO")
        yield "open"
        if not afu.card.is_present:
            raise SystemCallError("ENODEV")
        if afu.is_quiesced:
            raise SystemCallError("EIO")
        number = self.free_slot(afu)
        context = afu.contexts[number] = Context(afu, number, kind)
        self.machine.slabs["kmalloc-1k"] += 1
        self.machine.slabs["kmalloc-64"] += 1
        return File(context, is_nonblocking)

    def free_slot(self, afu: DriverAfu) -> int:
        """The lowest slot that no context has. Raises SystemCallError ENOSPC."""
        for number in range(afu.contexts_max if afu.mode != "dedicated_process" else 1):
            if number not in afu.contexts:
                return number
        raise SystemCallError("ENOSPC")

    def ioctl(self, file: File, request: int, data: bytes, pid: int) -> Flow:
        """Perform an ioctl; gives the struct as it is copied back."""
        context = file.context
        self.check_alive(context)
        self.refuse_closed(context)
        if not (yield from self.link_ok(context.afu)):
            raise SystemCallError("EIO")
        if request == START_WORK:
            yield from self.start_work(context, data, pid)
            return data
        if request == GET_PROCESS_ELEMENT:
            return struct.pack("<I", context.number)
        if request == GET_AFU_ID:
            return self.afu_id(context)
        raise SystemCallError("EINVAL")

    def refuse_closed(self, context: Context) -> None:
        """A closed context is dead for ever. Raises SystemCallError EIO."""
        if context.status is Status.CLOSED:
            raise SystemCallError("EIO")

    def afu_id(self, context: Context) -> bytes:
        """struct cxl_afu_id."""
        card, slice_number = context.afu.name.removeprefix("afu").split(".")
        mode = 1 if context.kind == "d" else 2
        return struct.pack("<QIIII5Q", context.kind == "s", int(card), int(slice_number), mode, 0, *(0,) * 5)

    def start_work(self, context: Context, data: bytes, pid: int) -> Flow:
        """Attach: check the arguments, take what it needs, add the process element; or leave no trace."""
        if len(data) != _WORK.size:
            raise SystemCallError("EFAULT")
        flags, wed, amr, wanted, _tid, _r1, *reserved = _WORK.unpack(data)
        if context.status is not Status.OPENED or context.has_references:
            raise SystemCallError("EIO")
        if flags & ~_FLAGS or any(reserved):
            raise SystemCallError("EINVAL")
        afu = context.afu
        irqs = wanted if flags & _FLAG_IRQS else afu.irqs_min
        if not afu.irqs_min <= irqs <= afu.irqs_max:
            raise SystemCallError("EINVAL")
        generation = afu.generation
        yield "start-work"
        if afu.card.is_locked or afu.is_quiesced or context.status is not Status.OPENED:
            raise SystemCallError("EBUSY" if afu.card.is_locked else "EIO")
        context.is_err_ff = bool(flags & _FLAG_ERR_FF)
        self.take_references(context, pid)
        self.take_interrupts(context, irqs)
        work = f"wed=0x{wed:016x} irqs={irqs} amr=0x{amr:x}"
        self.machine.trace("cxl_attach", f"{afu.name} pid={pid} pe={context.number} {work}")
        try:
            yield from self.attach_process(context, wed)
            yield from self.give_way(context, generation)
        except SystemCallError:
            self.release_interrupts(context)
            self.put_references(context)
            raise
        context.status = Status.STARTED

    def give_way(self, context: Context, generation: int) -> Flow:
        """Undo the attach when a quiesce came while it was in flight. Raises SystemCallError EIO then."""
        if self.is_overtaken(context, generation):
            yield from self.detach_process(context)
            raise SystemCallError("EIO")

    def is_overtaken(self, context: Context, generation: int) -> bool:
        """Whether a quiesce came while the attach was in flight."""
        return context.afu.generation != generation or context.status is not Status.OPENED

    def take_references(self, context: Context, pid: int) -> None:
        """Take a pid, a memory map and a place in contexts_num."""
        context.has_references = True
        context.pid = pid
        context.afu.card.contexts_num += 1
        self.machine.slabs["pid"] += 1
        self.machine.slabs["mm_struct"] += 1

    def release(self, file: File) -> Flow:
        """The last reference to the file is gone: detach if it is attached, and free what may be freed."""
        context = file.context
        self.check_alive(context)
        if context.status is Status.STARTED:
            context.status = Status.CLOSED
            self.machine.trace("cxl_detach", context.label)
            self.drop_pending_faults(context)
            self.mask_interrupts(context)
            yield "detach"
            yield from self.detach_process(context)
            self.release_interrupts(context)
            self.put_references(context)
            self.wake_waiters(context)
        yield "release"
        context.status = Status.CLOSED
        context.is_released = True
        if not context.is_garbage:  # else the deferred part frees it
            self.free(context)

    # MMIO ------------------------------------------------------------------------------------------------

    def mmap(self, file: File, length: int, offset: int) -> Flow:
        """Map the problem state area; nothing is translated before the first access."""
        context = file.context
        self.check_alive(context)
        if context.status is not Status.STARTED or not (yield from self.link_ok(context.afu)):
            raise SystemCallError("EIO")
        if length <= 0 or offset + length > 4096:
            raise SystemCallError("EINVAL")
        file.references += 1
        mapping = Mapping(file, length)
        context.mappings.append(mapping)
        return mapping

    def translate(self, mapping: Mapping) -> Page:
        """The page that an access goes to, after the fault if there is one. Raises BusError."""
        context = mapping.file.context
        self.check_alive(context)
        if mapping.page is Page.ABSENT:
            if context.status is Status.STARTED:
                mapping.page = Page.DEVICE
            elif context.is_err_ff:
                mapping.page = Page.ALL_ONES
            else:
                raise BusError
        return mapping.page

    def load(self, mapping: Mapping, offset: int, width_bytes: int) -> int:
        """One load by the application. Raises BusError."""
        if offset + width_bytes > mapping.length:
            raise BusError
        if self.translate(mapping) is Page.ALL_ONES:
            return all_ones(width_bytes)
        context = mapping.file.context
        return context.afu.hardware.load(context.number, offset, width_bytes)

    def store(self, mapping: Mapping, offset: int, width_bytes: int, value: int) -> None:
        """One store by the application. Raises BusError."""
        if offset + width_bytes > mapping.length:
            raise BusError
        if self.translate(mapping) is Page.DEVICE:
            context = mapping.file.context
            context.afu.hardware.store(context.number, offset, width_bytes, value)

    # Events ----------------------------------------------------------------------------------------------

    def read(self, file: File, timeout_us: int) -> Flow:
        """Give one event, as the kernel's struct; block for `timeout_us` at most unless that is negative."""
        context = file.context
        self.check_alive(context)
        if not (yield from self.link_ok(context.afu)):
            raise SystemCallError("EIO")
        deadline_us = self.machine.now_us + timeout_us
        while not context.has_event:
            if context.status is Status.CLOSED:
                raise SystemCallError("EIO")
            left_us = max(0, deadline_us - self.machine.now_us) if timeout_us >= 0 else -1
            if file.is_nonblocking or left_us == 0:
                raise SystemCallError("EAGAIN")
            if (yield Wait(context.waiters, left_us)) is Wake.INTERRUPTED:
                raise SystemCallError("EINTR")
        self.check_alive(context)
        return self.take_event(context)

    def take_event(self, context: Context) -> bytes:
        """The pending event that comes first: an AFU interrupt, a fault, an AFU error."""
        if context.pending_irqs:
            irq = context.pending_irqs.pop(0)
            return struct.pack("<HHHHHHI", _AFU_IRQ, 16, context.number, 0, 0, irq, 0)
        if context.pending_fault is not None:
            address, context.pending_fault = context.pending_fault, None
            return struct.pack("<HHHHHHIQQQ", _DATA_STORAGE, 40, context.number, 0, 0, 0, 0, address, 0, 0)
        error, context.pending_error = context.pending_error or 0, None
        return struct.pack("<HHHHHHIQ", _AFU_ERROR, 24, context.number, 0, 0, 0, 0, error)

    def poll(self, file: File, timeout_us: int) -> Flow:
        """Give the events of poll(2): POLLIN with an event, POLLERR on a closed context without one."""
        context = file.context
        self.check_alive(context)
        deadline_us = self.machine.now_us + timeout_us
        while True:
            yield "poll"
            if context.has_event:
                return POLLIN
            if context.status is Status.CLOSED:
                return POLLERR
            left_us = deadline_us - self.machine.now_us
            if left_us <= 0:
                return 0
            if (yield Wait(context.waiters, left_us)) is Wake.INTERRUPTED:
                raise SystemCallError("EINTR")
