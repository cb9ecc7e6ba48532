"""Tasks in virtual time: the schedule decides who runs next, so a case always gives the same history.

The rules:
1. A task is a generator. It runs alone until it yields; what it yields says how it wants to go on:
   a ``str`` names a point where anybody may go first, an ``int`` is a sleep in microseconds, and a `Wait`
   blocks until its queue is woken, its time is over, or (where the wait allows it) it is interrupted.
2. Each resumption costs one microsecond. Time jumps only when nobody can run.
3. Where several tasks can run, the schedule decides (see `deciding`); there is no other source of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from heapq import heappop, heappush
from typing import Any


class Wake(Enum):
    """Why a blocked task goes on."""

    WOKEN = "woken"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"


class WaitQueue:
    """Tasks that wait for something to happen, in the order of their coming."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: list[Task] = []


class Wait:
    """A request to block on `queue`, for `timeout_us` at most when that is not negative."""

    __slots__ = ("is_interruptible", "queue", "timeout_us")

    def __init__(self, queue: WaitQueue, timeout_us: int = -1, is_interruptible: bool = True) -> None:
        self.queue = queue
        self.timeout_us = timeout_us
        self.is_interruptible = is_interruptible


Flow = Generator[str | int | Wait, Any, Any]
"""What a task's body is; a `Wait` answers with a Wake, the other yields with nothing."""


class Task:
    """One thread of control of the simulated host, as ``comm-pid`` in a trace line."""

    __slots__ = ("body", "ended", "is_done", "is_hard_irq", "label", "sleep_id", "wait")

    def __init__(self, body: Flow, comm: str, pid: int, is_hard_irq: bool) -> None:
        self.body = body
        self.label = f"{comm}-{pid} [000] ....."  # how its trace lines begin
        self.is_hard_irq = is_hard_irq
        self.is_done = False
        self.ended = WaitQueue()
        self.wait: Wait | None = None
        self.sleep_id = 0  # tells a timer that its sleeper has gone on meanwhile


Ready = Sequence[tuple[Task, Wake | None]]
"""Tasks that can go on, in the order of their becoming ready."""

Decide = Callable[[Ready, Task | None], int]
"""Gives the place in what is ready, two tasks or more, of the one that goes next; told which one ran last."""


def join(task: Task) -> Flow:
    """Wait until `task` has ended."""
    if not task.is_done:
        yield Wait(task.ended, is_interruptible=False)


class Lock:
    """A sleeping lock. Hold it with ``yield from lock.acquire()`` and give it back with `release`."""

    __slots__ = ("is_held", "queue")

    def __init__(self) -> None:
        self.is_held = False
        self.queue = WaitQueue()

    def acquire(self) -> Flow:
        """Wait until nobody holds it, then hold it."""
        while self.is_held:
            yield Wait(self.queue, is_interruptible=False)
        self.is_held = True

    def release(self, scheduler: Scheduler) -> None:
        """Let the next one have it."""
        self.is_held = False
        scheduler.wake(self.queue)


class Scheduler:
    """All tasks of one simulated host, and its clock."""

    def __init__(self, decide: Decide, begin_us: int = 0) -> None:
        self.now_us = begin_us
        self.current: Task | None = None
        self.steps = 0
        self.is_over = False
        self.decide = decide
        self._ready: list[tuple[Task, Wake | None]] = []
        self._timers: list[tuple[int, int, Task, int]] = []
        self._timer_number = 0

    def spawn(self, body: Flow, comm: str, pid: int, is_hard_irq: bool = False) -> Task:
        """Add a task that can run at once."""
        task = Task(body, comm, pid, is_hard_irq)
        self._ready.append((task, None))
        return task

    def wake(self, queue: WaitQueue) -> None:
        """Let every task that waits on `queue` go on."""
        for task in queue.tasks:
            self._resume(task, Wake.WOKEN)
        queue.tasks = []

    def interrupt(self, task: Task) -> bool:
        """Let `task` go on as interrupted, when it is blocked in a wait that allows it."""
        if task.wait is None or not task.wait.is_interruptible:
            return False
        task.wait.queue.tasks.remove(task)
        self._resume(task, Wake.INTERRUPTED)
        return True

    def run(self, steps: int) -> bool:
        """Run for `steps` resumptions; False when `is_over`, or when nobody can ever run again."""
        ready, timers, decide = self._ready, self._timers, self.decide
        for _ in range(steps):
            if self.is_over or (not ready and not self._jump()):
                return False
            self.now_us += 1
            task, why = ready.pop(decide(ready, self.current)) if len(ready) > 1 else ready.pop()
            self.current = task
            try:
                wish = task.body.send(why)
            except StopIteration:
                task.is_done = True
                self.wake(task.ended)
            else:
                if isinstance(wish, str):
                    ready.append((task, None))
                else:
                    self._rest(task, wish)
            if timers and timers[0][0] <= self.now_us:
                self._wake_sleepers()
        self.steps += steps
        return True

    def _rest(self, task: Task, wish: int | Wait) -> None:
        """Let `task` sleep or wait, as it wishes."""
        if isinstance(wish, int):
            self._sleep(task, wish)
            return
        task.wait = wish
        wish.queue.tasks.append(task)
        if wish.timeout_us >= 0:
            self._sleep(task, wish.timeout_us)

    def _sleep(self, task: Task, length_us: int) -> None:
        self._timer_number += 1
        heappush(self._timers, (self.now_us + length_us, self._timer_number, task, task.sleep_id))

    def _jump(self) -> bool:
        """Go to the moment when the next sleeper wakes; False when nobody sleeps."""
        timers = self._timers
        while timers:
            due_us, _, task, sleep_id = timers[0]
            if sleep_id == task.sleep_id and not task.is_done:
                self.now_us = max(self.now_us, due_us)
                self._wake_sleepers()
                return True
            heappop(timers)
        return False

    def _wake_sleepers(self) -> None:
        """Move the sleepers whose time has come to the ready ones."""
        timers = self._timers
        while timers and timers[0][0] <= self.now_us:
            _, _, task, sleep_id = heappop(timers)
            if sleep_id != task.sleep_id or task.is_done:
                continue  # it was woken before its time
            if task.wait is None:
                self._resume(task, None)
            else:
                task.wait.queue.tasks.remove(task)
                self._resume(task, Wake.TIMED_OUT)

    def _resume(self, task: Task, why: Wake | None) -> None:
        task.wait = None
        task.sleep_id += 1
        self._ready.append((task, why))
