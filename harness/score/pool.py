"""Performs tasks in forked processes, as many at once as there are processors, each within its time.

The rules:

1. A task is a function without arguments and a key. What it returns comes back by a pipe: it is plain data.
2. A task that raises, is killed, or does not end in time gives a `Failed` with what happened; others go on.
3. Children ignore SIGINT: whoever waits for the results decides. `Pool.close` ends all that are under way.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

from harness.run.deadline import Deadline

_FORK = multiprocessing.get_context("fork")  # tasks hold functions and what they were made from
_TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do in a process of its own, within `limit_s` seconds."""

    key: str
    do: Callable[[], Any]
    limit_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no result."""

    why: str


@dataclass(slots=True)
class _UnderWay:
    task: Task
    process: ForkProcess
    pipe: Connection
    deadline: Deadline


class Pool:
    """Tasks under way and to come. New ones may be added while results are taken."""

    def __init__(self, jobs: int = 0) -> None:
        """`jobs` at once; 0 stands for the processors that this process may use."""
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self._todo: deque[Task] = deque()
        self._under_way: list[_UnderWay] = []

    def add(self, task: Task, is_next: bool = False) -> None:
        """Queue a task, at the end or as the next one."""
        if is_next:
            self._todo.appendleft(task)
        else:
            self._todo.append(task)

    @property
    def waiting(self) -> int:
        """How many tasks have not ended."""
        return len(self._todo) + len(self._under_way)

    def results(self) -> Iterator[tuple[str, Any]]:
        """Keys and results in the order in which tasks end, and ``("", None)`` about every second."""
        while self._todo or self._under_way:
            while self._todo and len(self._under_way) < self.jobs:
                self._start(self._todo.popleft())
            ready = wait([item.pipe for item in self._under_way], timeout=_TICK_S)
            ended = [i for i in self._under_way if i.pipe in ready or i.deadline.is_over]
            for item in ended:
                self._under_way.remove(item)
                yield item.task.key, _result(item)
            if not ended:
                yield "", None

    def close(self) -> None:
        """End what is under way, and forget what is to come."""
        self._todo.clear()
        for item in self._under_way:
            item.process.kill()
            item.process.join()
        self._under_way.clear()

    def _start(self, task: Task) -> None:
        near, far = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_main, args=(task.do, far), daemon=True)
        process.start()
        far.close()
        self._under_way.append(_UnderWay(task, process, near, Deadline.after(task.limit_s)))


def _result(item: _UnderWay) -> Any:
    try:
        if item.pipe.poll():
            return item.pipe.recv()
        return Failed(f"it did not end within {item.task.limit_s:g} s")
    except (EOFError, OSError):
        item.process.join()
        return Failed(f"its process was killed (exit code {item.process.exitcode})")
    finally:
        item.process.kill()
        item.process.join()
        item.pipe.close()


def _main(do: Callable[[], Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        result = do()
    except Exception as error:  # noqa: BLE001 - told to whoever waits for the result
        result = Failed(f"{type(error).__name__}: {error}"[:2000])
    pipe.send(result)
    pipe.close()
