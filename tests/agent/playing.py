"""Plays cases on the real agent, started as a process by the bootstrap command."""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from harness.agent import agent as agent_module
from harness.hosts.ssh import BOOTSTRAP

SOURCE = Path(agent_module.__file__).read_bytes()
TIMEOUT_S = 20.0

Reply = dict[str, Any]
Part = tuple[str, dict[str, Any]]


class Steps:
    """Builds the steps of a play line."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._numbers = itertools.count()

    def add(
        self, who: str, *parts: Part | tuple[str, dict[str, Any], bool], when: dict[str, Any] | None = None
    ) -> int:
        step = next(self._numbers)
        for index, (do, args, *always) in enumerate(parts):
            entry = {"step": step, "part": index, "who": who, "do": do, "args": args}
            if always:
                entry["always"] = True
            if when is not None and index == 0:
                entry["when"] = when
            self.entries.append(entry)
        return step

    def wait(self, timeout_ms: int = 5000, actors: Any = "all", **more: Any) -> int:
        return self.add("harness", ("wait", {"actors": actors, "timeout_ms": timeout_ms, **more}))


class AgentProcess:
    """The agent, with its paths pointing into a folder of the test's."""

    _runs = itertools.count()

    def __init__(self, folder: Path, python: str = "python3", **environ: str) -> None:
        self.folder = folder
        paths = {
            "CAPI_AGENT_JOURNAL": str(folder / "journal"),
            "CAPI_AGENT_KMSG": str(folder / "no-kmsg"),
            "CAPI_AGENT_TRACEFS": str(folder / "no-tracefs"),
            "CAPI_AGENT_ROOT": str(folder),
        }
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", "exec " + BOOTSTRAP.replace("python3", python, 1)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **paths, **environ},
        )
        self.words = b""
        self._rest = b""
        self.send(b"%d\n%s" % (len(SOURCE), SOURCE))
        self.hello = self.line()["hello"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _end(self) -> str:
        """How the agent ended, if it did, and its last words."""
        with suppress(subprocess.TimeoutExpired):
            status = self.process.wait(1.0)
            assert self.process.stderr is not None
            return f"it ended with {status}: {self.process.stderr.read().decode(errors='replace')[-2000:]}"
        return "it still runs"

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self) -> Reply:
        assert self.process.stdout is not None
        deadline = time.monotonic() + TIMEOUT_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            assert chunk, f"the agent said nothing more after {self._rest[:200]!r}: {self._end()}"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply

    def begin(self, steps: Steps | Iterable[Any], run: str = "") -> str:
        run = run or f"r{next(self._runs)}"
        entries = steps.entries if isinstance(steps, Steps) else list(steps)
        self.send(json.dumps({"play": {"run": run, "schedule": 0, "steps": entries}}).encode() + b"\n")
        return run

    def until(self, is_last: Callable[[Reply], bool]) -> list[Reply]:
        replies = [self.line()]
        while not is_last(replies[-1]):
            replies.append(self.line())
        return replies

    def to_end(self) -> list[Reply]:
        return self.until(lambda reply: reply["is"] == "end")

    def play(self, steps: Steps | Iterable[Any], run: str = "") -> list[Reply]:
        self.begin(steps, run)
        return self.to_end()

    def leave(self) -> bytes:
        """Close the agent's input, wait for its end, and return what it wrote to standard error."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        if not self.process.stderr.closed:
            with self.process.stdout, self.process.stderr:
                self.words = self.process.stderr.read()
        return self.words


def answers(replies: Iterable[Reply], step: int) -> list[tuple[str, Any]]:
    """How each part of a step was answered, in order: ``ok``, ``fail`` or ``info`` with what it got."""
    return [(r["is"], r["got"]) for r in replies if r.get("step") == step and r["is"] != "invoke"]


def kinds(replies: Iterable[Reply], step: int) -> list[str]:
    return [kind for kind, _ in answers(replies, step)]


def interval_us(replies: Iterable[Reply], step: int, part: int = 0) -> tuple[int, int]:
    times = [r["t"] for r in replies if r.get("step") == step and r.get("part") == part]
    return times[0], times[-1]
