"""Where a lane runs: in a thread when there is one host, in a process of its own when there are several.

Performing and judging keep a processor busy, and two threads of one interpreter share one. So with several
hosts each lane is forked; only what it counts comes back, by a pipe, and is added to the one Tally here.

The rules:
1. A lane in a process tells what it has counted, and waits for an answer only where it needs one.
2. A lane's process that is killed is lab trouble of the whole campaign: nobody knows what it had under way.
3. It ignores SIGINT: whoever oversees the campaign says when to stop. It ends when its pipe is closed, so
   that it does not outlive a harness that was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from ctypes import c_bool
from multiprocessing.connection import Connection
from typing import Any, Protocol

from harness.run.lane import Lane
from harness.run.orders import Counting, Stopping
from harness.run.tally import Tally
from harness.vocab.campaign import HostIdentity
from harness.vocab.run import Run
from harness.vocab.verdict import Finding, Verdict


class MakeLane(Protocol):
    """Makes the lane of one host."""

    def __call__(self, *, tally: Counting, stop: Stopping) -> Lane:
        """Return a lane that counts with `tally` and looks at `stop`."""
        ...


_FORK = multiprocessing.get_context("fork")  # what a lane is made of holds functions, which cannot be sent


class Flag:
    """Stops lanes in processes. It has no lock: a signal handler sets it, and whoever looks may be killed."""

    def __init__(self) -> None:
        self._is_set = _FORK.RawValue(c_bool, False)

    def is_set(self) -> bool:
        """Whether to stop."""
        return bool(self._is_set.value)

    def set(self) -> None:
        """Stop."""
        self._is_set.value = True


_COUNTING = frozenset({"identify", "trouble", "effort", "wants", "count", "minimised"})


class Worker(Protocol):
    """A lane under way. After its end `trouble` and `is_spent` are the lane's, `error` what it raised.

    `is_dead` says that it was killed, and left no word.
    """

    trouble: str
    is_spent: bool
    is_dead: bool
    error: BaseException | None

    def start(self) -> None:
        """Begin."""
        ...

    def is_alive(self) -> bool:
        """Whether it is still under way."""
        ...

    def join(self, timeout_s: float) -> None:
        """Wait for its end, `timeout_s` at most."""
        ...

    def abandon(self) -> None:
        """Drop its host at once."""
        ...


class ThreadWorker:
    """A lane in a thread."""

    def __init__(self, make: MakeLane, tally: Tally, stop: Stopping) -> None:
        self.trouble = ""
        self.is_spent = False
        self.is_dead = False
        self.error: BaseException | None = None
        self._lane = make(tally=tally, stop=stop)
        self._thread = threading.Thread(target=self._run, name=self._lane.url, daemon=True)
        self.start = self._thread.start
        self.is_alive = self._thread.is_alive
        self.join: Callable[[float], None] = self._thread.join
        self.abandon = self._lane.abandon

    def _run(self) -> None:
        try:
            self._lane.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that oversees the lanes
            self.error = error
        self.trouble, self.is_spent = self._lane.trouble, self._lane.is_spent


class ProcessWorker:
    """A lane in a process; a thread here counts for it."""

    def __init__(
        self, make: MakeLane, tally: Tally, stop: Stopping, others: Sequence[ProcessWorker], lanes: int
    ) -> None:
        """`others` were made before: their pipes must not be kept open by this one's process.

        `lanes` is how many there will be, so that each can number its runs by itself.
        """
        self.trouble = ""
        self.is_spent = False
        self.error: BaseException | None = None
        self.is_dead = False
        self._tally = tally
        self._stop = stop
        self._pipe, far_end = _FORK.Pipe()
        near_ends = [self._pipe, *(other._pipe for other in others)]
        self._far_end = far_end
        self._process = _FORK.Process(
            target=_main, args=(make, stop, far_end, near_ends, (len(others) + 1, lanes)), daemon=True
        )
        self._thread = threading.Thread(target=self._count, daemon=True)

    def start(self) -> None:
        """Fork the lane, and count for it."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._process.start()
        self._far_end.close()
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the lane has not ended, or its last words were not heard yet."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the lane."""
        self._thread.join(timeout_s)

    def abandon(self) -> None:
        """End the process; its host notices that."""
        self._process.terminate()

    def _count(self) -> None:
        try:
            while True:
                name, args, named, is_asked = self._pipe.recv()
                if name == "end":
                    self.trouble, self.is_spent, self.error = args
                    break
                if name not in _COUNTING:
                    raise ValueError(f"a lane asked for {name}")
                answer = getattr(self._tally, name)(*args, **named)
                if is_asked:
                    self._pipe.send(answer)
        except (EOFError, OSError):
            self._process.join()
            self.is_dead = not self._stop.is_set()
            if self.is_dead:
                self.trouble = f"its process was killed (exit code {self._process.exitcode})"
        self._process.join()


class RemoteTally:
    """The Tally as a lane's process sees it. Only what the lane has to know is waited for."""

    def __init__(self, pipe: Connection, first: int, stride: int) -> None:
        """Its runs have the numbers `first`, `first` + `stride`, …, which no other lane's have."""
        self._pipe = pipe
        self._number = first - stride
        self._stride = stride
        self._has_enough = False  # of passing runs with their history

    def _tell(self, name: str, *args: Any, **named: Any) -> None:
        self._pipe.send((name, args, named, False))

    def _ask(self, name: str, *args: Any, **named: Any) -> Any:
        self._pipe.send((name, args, named, True))
        return self._pipe.recv()

    def next_number(self) -> int:
        """See Tally."""
        self._number += self._stride
        return self._number

    def identify(self, identity: HostIdentity) -> None:
        """See Tally."""
        self._tell("identify", identity)

    def trouble(self, sentence: str) -> None:
        """See Tally."""
        self._tell("trouble", sentence)

    def effort(self, what: str, count: int = 1) -> None:
        """See Tally."""
        self._tell("effort", what, count)

    def wants(self, run: Run) -> bool:
        """See Tally."""
        if run.verdict is not Verdict.PASS:
            return bool(self._ask("wants", run))
        self._has_enough = self._has_enough or not self._ask("wants", run)
        return not self._has_enough

    def count(self, run: Run, oracles: Sequence[str]) -> list[Finding]:
        """See Tally."""
        if run.verdict is not Verdict.FAIL:
            self._tell("count", run, oracles)
            return []
        found: list[Finding] = self._ask("count", run, oracles)
        return found

    def minimised(self, signature: str, **facts: str | int | bool) -> None:
        """See Tally."""
        self._tell("minimised", signature, **facts)


def _main(
    make: MakeLane,
    stop: Stopping,
    pipe: Connection,
    others: Sequence[Connection],
    numbers: tuple[int, int],
) -> None:
    """What the process of a lane does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    lane = make(tally=RemoteTally(pipe, *numbers), stop=stop)
    error: BaseException | None = None
    try:
        try:
            lane.run()
        except (EOFError, ConnectionError):
            raise
        except Exception as raised:  # noqa: BLE001 - raised again in the process that oversees the lanes
            error = raised
        pipe.send(("end", (lane.trouble, lane.is_spent, error), {}, False))
    except (EOFError, ConnectionError):
        os._exit(1)  # nobody counts any more: the harness was killed


def workers(makers: Sequence[MakeLane], tally: Tally) -> tuple[list[Worker], Stopping]:
    """A worker for each lane, and what stops them all."""
    if len(makers) == 1:
        stop: Stopping = threading.Event()
        return [ThreadWorker(makers[0], tally, stop)], stop
    stop = Flag()
    made: list[ProcessWorker] = []
    for make in makers:
        made.append(ProcessWorker(make, tally, stop, made, len(makers)))
    return list(made), stop
