"""What all parts of one simulated host share: clock, kernel log, trace, memory counts, interrupts."""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote

from harness.sim.scheduler import Decide, Flow, Scheduler, Task, WaitQueue

BEGIN_US = 88_000_000
"""Time since boot when a case begins, in the host's log and trace lines."""

IDLE = "<idle>"
_HARD_IRQ = f"{IDLE}-0 [000] d.h1."
INTERRUPT_US = 20
"""How long an interrupt is on its way from the device to the processor."""


class SystemCallError(Exception):
    """A system call that failed; `errno` is its name, such as ``EIO``."""

    def __init__(self, errno: str) -> None:
        super().__init__(errno)
        self.errno = errno


def _address(function: str, is_in_driver: bool) -> str:
    """A place in a function, as the kernel writes it."""
    return f"{function}+0x54/0x1a0{' [cxl]' if is_in_driver else ''}"


class InterruptLine:
    """One row of /proc/interrupts: its number, name, count and handler."""

    __slots__ = ("count", "handler", "is_masked", "name", "number", "pending")

    def __init__(self, number: int, name: str, handler: Callable[..., Flow]) -> None:
        self.number = number
        self.name = name
        self.handler = handler
        self.count = 0
        self.is_masked = False
        self.pending = 0


class Machine:
    """The parts of the kernel and the chipset that everything else stands on."""

    def __init__(self, decide: Decide, emit: Callable[[str], None]) -> None:
        self.scheduler = Scheduler(decide, BEGIN_US)
        self.emit = emit
        self.slabs = {"kmalloc-1k": 64, "kmalloc-64": 256, "mm_struct": 80, "pid": 150}
        self.lines: dict[int, InterruptLine] = {}
        self.watchers: list[Callable[[str, str], None]] = []
        self.open_files = 0
        self._log_number = 1000
        self._next_pid = 100
        self._next_line = 32

    @property
    def now_us(self) -> int:
        """Microseconds since boot."""
        return self.scheduler.now_us

    @property
    def case_us(self) -> int:
        """Microseconds since the case began."""
        return self.scheduler.now_us - BEGIN_US

    def new_pid(self) -> int:
        """A process number that nobody had before."""
        self._next_pid += 1
        return self._next_pid

    def spawn(self, body: Flow, comm: str = "kworker/0:1", is_hard_irq: bool = False) -> Task:
        """Start a kernel task."""
        return self.scheduler.spawn(body, comm, 0 if is_hard_irq else 23, is_hard_irq)

    def wake(self, queue: WaitQueue) -> None:
        """Let every task that waits on `queue` go on."""
        self.scheduler.wake(queue)

    def log(self, level: int, text: str) -> None:
        """Write a line to the kernel log. Levels: 2 critical, 3 error, 4 warning, 6 information."""
        self._log_number += 1
        raw = f"{level},{self._log_number},{self.now_us},-;{text}"
        self._say("log", raw)

    def trace(self, event: str, text: str) -> None:
        """Write a line to the trace, in the name of the task that runs."""
        scheduler = self.scheduler
        task, now_us = scheduler.current, scheduler.now_us
        who = f"{IDLE}-0 [000] ....."
        if task is not None:
            who = _HARD_IRQ if task.is_hard_irq else task.label
        self._say("trace", f"{who} {now_us // 1000000}.{now_us % 1000000:06d}: {event}: {text}")

    def _say(self, source: str, raw: str) -> None:
        case_us = self.scheduler.now_us - BEGIN_US
        self.emit(f'{{"t":{case_us},"is":"{source}","raw":{quote(raw)}}}')
        for watcher in tuple(self.watchers):
            watcher(source, raw)

    def warn(self, text: str, place: str) -> None:
        """A WARN of the kernel, at the place named: ``FILE:LINE FUNCTION``. A WARN_ON has no text."""
        file, _, function = place.partition(" ")
        where = _address(function, is_in_driver="/cxl/" in file)
        self.log(4, "------------[ cut here ]------------")
        if text:
            self.log(4, text)
        self.log(4, f"WARNING: CPU: 0 PID: {self._running()[1]} at {file} {where}")
        self._dump(where)

    def oops(self, text: str, function: str) -> None:
        """An oops in the driver's function named. The machine goes on, as Linux does."""
        self.log(1, f"BUG: {text}")
        self.log(4, "Oops: Kernel access of bad area, sig: 11 [#1]")
        self._dump(_address(function, is_in_driver=True))

    def _dump(self, where: str) -> None:
        """What follows both: who ran, and where."""
        comm, pid = self._running()
        self.log(4, "Modules linked in: cxl")
        self.log(4, f"CPU: 0 PID: {pid} Comm: {comm} Not tainted 6.1.0 #1")
        self.log(4, f"NIP [c008000000a41234] {where}")
        self.log(4, "---[ end trace 0000000000000000 ]---")

    def _running(self) -> tuple[str, str]:
        """The name and the number of the process that runs."""
        task = self.scheduler.current
        label = task.label if task is not None and not task.is_hard_irq else _HARD_IRQ
        comm, _, pid = label.partition(" [")[0].rpartition("-")
        return ("swapper/0" if comm == IDLE else comm), pid

    # Interrupts -----------------------------------------------------------------------------------------

    def request_irq(self, name: str, handler: Callable[..., Flow]) -> InterruptLine:
        """A new row of /proc/interrupts."""
        self._next_line += 1
        line = InterruptLine(self._next_line, name, handler)
        self.lines[line.number] = line
        return line

    def free_irq(self, line: InterruptLine) -> None:
        """Take the row away; what is pending on it is lost."""
        if self.lines.pop(line.number, None) is None:
            self.warn(f"Trying to free already-free IRQ {line.number}", "kernel/irq/manage.c:1887 free_irq")

    def mask_and_clear_irq(self, line: InterruptLine) -> None:
        """Deliver nothing on it any more, pending or to come."""
        line.is_masked = True
        line.pending = 0

    def raise_irq(self, line: InterruptLine, *details: object) -> None:
        """The device raises it; the handler runs later, at interrupt level, if it is not masked by then."""
        if not line.is_masked and line.number in self.lines:
            line.pending += 1
            self.spawn(self._deliver(line, details), is_hard_irq=True)

    def _deliver(self, line: InterruptLine, details: tuple[object, ...]) -> Flow:
        yield INTERRUPT_US
        if line.pending == 0 or line.is_masked or line.number not in self.lines:
            return
        line.pending -= 1
        line.count += 1
        yield from line.handler(*details)
