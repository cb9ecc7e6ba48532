"""What the player keeps: lanes, the parts that they perform, and the triggers that parts wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from harness.sim.machine import Machine
from harness.sim.process import Process
from harness.sim.scheduler import Flow, Task, Wait, WaitQueue, Wake


class Trigger:
    """A line that a step waits for."""

    def __init__(self, machine: Machine, when: Mapping[str, Any]) -> None:
        self.after_us = int(when.get("after_ms", 0)) * 1000
        self.patterns = when.get("sees") or []
        self.missing = int(when.get("nth", 1)) if self.patterns else 0
        self.armed_us = machine.now_us
        self.deadline_us = self.armed_us + int(when.get("within_ms", 20_000)) * 1000
        self.seen_us = self.armed_us
        self.queue = WaitQueue()
        self.machine = machine
        if self.patterns:
            machine.watchers.append(self.see)

    def see(self, source: str, raw: str) -> None:
        """Look at one line of the log or the trace."""
        for wanted, texts in self.patterns:
            if wanted == source and all(text in raw for text in texts):
                self.missing -= 1
                if self.missing <= 0:
                    self.seen_us = self.machine.now_us
                    self.machine.watchers.remove(self.see)
                    self.machine.wake(self.queue)
                return

    def wait(self) -> Flow:
        """Block until the moment has come; False when it does not come, or is given up."""
        while True:
            now_us = self.machine.now_us
            due_us = self.deadline_us if self.missing > 0 else self.seen_us + self.after_us
            if now_us >= due_us:
                return self.missing <= 0
            if (yield Wait(self.queue, due_us - now_us)) is Wake.INTERRUPTED:
                return False


class Part:
    """One primitive of one step."""

    __slots__ = ("args", "is_always", "number", "step", "trigger", "verb", "when")

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.step = int(item["step"])
        self.number = int(item["part"])
        self.verb = str(item["do"])
        self.args: dict[str, Any] = item.get("args", {})
        self.is_always = bool(item.get("always"))
        self.when: Mapping[str, Any] | None = item.get("when")
        self.trigger: Trigger | None = None


class Lane:
    """One actor: its process, and the parts that it still has to perform."""

    def __init__(self, name: str, process: Process | None) -> None:
        self.name = name
        self.process = process  # none: not yet born
        self.parts: deque[Part] = deque()
        self.wanted = WaitQueue()
        self.task: Task | None = None
        self.running: Part | None = None
        self.failing_since_us: int | None = None  # what is tried again until it succeeds
        self.is_waiting = False  # for a trigger
        self.is_announced = False  # its fork was dispatched
        self.is_killed = False
        self.is_dead = False

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do, and no exit is under way."""
        return not self.parts and self.running is None
