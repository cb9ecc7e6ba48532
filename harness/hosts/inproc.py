"""A simulated host in this very process, without SSH: for tests and benchmarks only.

What it is asked and answers is byte for byte what the simulated host behind SSH is asked and answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.vocab.errors import InfraError


class Simulated(Protocol):
    """What is needed of a simulated host."""

    def hello(self) -> bytes:
        """The agent's hello line, without a newline."""
        ...

    def play(self, line: bytes) -> Iterator[bytes]:
        """The reply lines of one case, on a fresh machine; several may come joined by newlines."""
        ...


class InprocHost:
    """A Host over a simulated host in this process."""

    def __init__(self, url: str, simulated: Simulated, window: int = 4) -> None:
        self.url = url
        self.window = window
        self.hello = simulated.hello().rstrip(b"\n")
        self._simulated = simulated
        self._plays: deque[bytes] = deque()
        self._batches: Iterator[bytes] | None = None
        self._is_closed = False

    def begin(self, play: bytes) -> None:
        """Take one play line; it is played when its replies are asked for."""
        if self._is_closed:
            raise InfraError(f"{self.url}: the host is closed")
        self._plays.append(play.rstrip(b"\n"))

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """The next lines. `timeout_s` has no meaning here: nothing to say is an InfraError at once."""
        if self._is_closed:
            raise InfraError(f"{self.url}: the host is closed")
        while True:
            if self._batches is None:
                if not self._plays:
                    raise InfraError(f"{self.url}: replies were asked for and no case is under way")
                self._batches = iter(self._simulated.play(self._plays.popleft()))
            batch = next(self._batches, None)
            if batch is None:
                self._batches = None
            elif batch:
                return batch.split(b"\n")

    def close(self) -> None:
        """Forget everything that is under way."""
        self._is_closed = True
        self._plays.clear()
        self._batches = None
