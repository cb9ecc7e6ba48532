"""A host's console, the only user of pexpect: lines as they come, and answers to commands typed there.

The console shows what the kernel says when nothing else works any more. Its lines are evidence of last
resort: other people's output is mixed into them, so an answer is found between random markers.

A Console starts the command that shows it, and reads only what is asked for. A ConsoleWatch reads a stream
that is there already, such as a virtual machine's, and never stops: a machine whose console is full stands
still.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import stat
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import NamedTuple, Self

import pexpect
from pexpect.fdpexpect import fdspawn

from harness.hosts.lines import LINE_LIMIT_BYTES
from harness.vocab.errors import InfraError

_CHUNK_BYTES = 64 << 10
_KEPT_BYTES = 1 << 20
_FLOOD_BYTES = 8 << 20
_LINE_COST_BYTES = 128  # of memory, beside its text: short lines fill memory, too
_LOOK_UP_S = 0.1  # how long a watch reads before it looks whether it is closed
# Control sequences of terminals: CSI … letter, OSC … BEL or ST, and two-byte escapes.
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(data: bytes) -> str:
    """One console line as text: escape sequences removed, other invisible bytes as ``\\xNN``."""
    text = _ANSI.sub(b"", data).rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    text = text.rpartition("\r")[2]  # what a carriage return has overwritten is not seen on a terminal
    return _INVISIBLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Console:
    """A console, reached by a command such as ``ipmitool … sol activate`` or ``virsh console``.

    Only what is asked for is read: between two calls the terminal holds a little, and then the command waits.
    """

    def __init__(self, command: Sequence[str], timeout_s: float = 10.0) -> None:
        self._name = command[0]
        self._timeout_s = timeout_s
        self._rest = b""
        self._lines: deque[str] = deque()
        self._is_over = False
        try:
            self._child: pexpect.spawn[bytes] = pexpect.spawn(
                command[0], list(command[1:]), timeout=timeout_s, echo=False
            )
        except pexpect.ExceptionPexpect as error:
            raise InfraError(f"the console's command {command[0]} cannot be started: {error}") from error
        self._child.delaybeforesend = None  # the default costs 50 ms for each line sent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def lines(self, for_s: float) -> Iterator[str]:
        """The lines of the next `for_s` seconds, clean, as they come; ends early when the console does."""
        deadline = time.monotonic() + for_s
        while True:
            while self._lines:
                yield self._lines.popleft()
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._is_over:
                return
            self._read(left_s)

    def wait_for(self, text: str, timeout_s: float) -> str:
        """The next line that contains `text`; those before it are used up. Raises InfraError."""
        last = ""
        for last in self.lines(timeout_s):
            if text in last:
                return last
        why = "the console has ended" if self._is_over else f"it did not come within {timeout_s:g} s"
        raise InfraError(f"{self._name}: waiting for {text!r}: {why}; the last line was {last!r}")

    def run(self, command: str, timeout_s: float | None = None) -> list[str]:
        """Type a shell command that only reads, and return its output's lines. Raises InfraError.

        The marker is typed in two halves, so that the echo of the command is not taken for its answer. Lines
        of the kernel that come meanwhile are part of the answer.
        """
        first, second = secrets.token_hex(6), secrets.token_hex(6)
        begin, end = f"begin-{first}{second}", f"end-{first}{second}"
        halves = f"{first}''{second}"
        typed = f"echo begin-{halves}; {command}; echo end-{halves}"
        try:
            self._child.sendline(typed)
        except OSError as error:
            raise InfraError(f"{self._name}: the console takes no input: {error}") from error
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        self.wait_for(begin, timeout_s)
        answer: list[str] = []
        for line in self.lines(deadline - time.monotonic()):
            before, marker, after = line.partition(end)
            if marker:
                if after:
                    self._lines.appendleft(after)
                return [*answer, before] if before else answer
            answer.append(line)
        raise InfraError(f"{self._name}: {command!r} was not answered within {timeout_s:g} s")

    def close(self) -> None:
        """End the command that shows the console. Never raises."""
        self._is_over = True
        with suppress(pexpect.ExceptionPexpect, OSError):  # it would not die: nothing more can be done here
            self._child.close(force=True)

    def _read(self, timeout_s: float) -> None:
        """Take in what comes within `timeout_s`."""
        try:
            chunk = self._child.read_nonblocking(_CHUNK_BYTES, timeout_s)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self._is_over = True
            chunk = b"\n" if self._rest else b""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT_BYTES:  # no newline for so long: cut it here
            whole.append(self._rest)
            self._rest = b""
        self._lines += [clean(line) for line in whole]


class ConsoleLine(NamedTuple):
    """A clean line, and when its end came by this machine's monotonic clock."""

    received_ns: int
    text: str


class ConsoleWatch:
    """Reads a console in a thread of its own from now to `close()`, with a bound on what it keeps.

    Of a long story the first and the last lines are kept, `keep_bytes` together: the first trouble explains
    the others, and the last line says how far the machine came. After `limit_bytes` it is a flood: it is
    drained still, but nothing more is kept. `begin()` starts afresh.
    """

    def __init__(
        self, descriptor: int, name: str, *, keep_bytes: int = _KEPT_BYTES, limit_bytes: int = _FLOOD_BYTES
    ) -> None:
        self.name = name
        self._half_bytes = keep_bytes // 2
        self._limit_bytes = limit_bytes
        self._stream: fdspawn[bytes] = fdspawn(descriptor, use_poll=True)
        self._changed = Condition()
        self._is_closing = False
        self._is_over = False
        self._forget()
        self._thread = Thread(target=self._read_on, name=f"console of {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_over(self) -> bool:
        """Whether the other side has closed the console."""
        return self._is_over

    @property
    def is_flooded(self) -> bool:
        """Whether more came since `begin()` than is reasonable; nothing is kept of the rest."""
        return self._bytes > self._limit_bytes

    @property
    def bytes_read(self) -> int:
        """How much came since `begin()`."""
        return self._bytes

    @property
    def last_received_ns(self) -> int:
        """When something came last, 0 when nothing did since `begin()`."""
        return self._last_ns

    def begin(self) -> None:
        """Forget what came; a half line is not the beginning of what comes next."""
        with self._changed:
            self._forget()

    def lines(self) -> list[ConsoleLine]:
        """What is kept since `begin()`, a half line at the end too; one line stands for those left out."""
        with self._changed:
            last = [ConsoleLine(self._last_ns, clean(self._rest))] if self._rest else []
            gap = []
            if self._left_out:
                gap = [ConsoleLine(self._tail[0].received_ns, f"... {self._left_out} lines left out ...")]
            return [*self._head, *gap, *self._tail, *last]

    def wait_for(self, *texts: str, timeout_s: float) -> ConsoleLine:
        """The first line since `begin()` that contains any of `texts`, when it comes. Raises InfraError."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._changed:
            while True:
                lines = self.lines()
                new = self._count - seen + 1  # and the half line
                seen = self._count
                for line in lines[-new:]:
                    if any(text in line.text for text in texts):
                        return line
                left_s = deadline - time.monotonic()
                if self._is_over or left_s <= 0:
                    break
                self._changed.wait(left_s)
        why = "the console has ended" if self._is_over else f"it did not come within {timeout_s:g} s"
        said = f"the last line was {lines[-1].text!r}" if lines else "nothing was said"
        raise InfraError(f"{self.name}: waiting for {' or '.join(map(repr, texts))}: {why}; {said}")

    def close(self) -> None:
        """End the thread and close the stream. Never raises."""
        self._is_closing = True
        self._thread.join()

    def _forget(self) -> None:
        self._head: list[ConsoleLine] = []
        self._tail: deque[ConsoleLine] = deque()
        self._head_bytes = self._tail_bytes = 0
        self._rest = b""
        self._bytes = self._count = self._last_ns = self._left_out = 0

    def _read_on(self) -> None:
        """The thread: take in what comes, until the end of the stream or of the watch."""
        with suppress(pexpect.EOF, OSError):  # a connection that is reset is an end too
            while not self._is_closing:
                with suppress(pexpect.TIMEOUT):
                    self._take(self._stream.read_nonblocking(_CHUNK_BYTES, _LOOK_UP_S))
        with suppress(OSError):
            self._stream.close()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _take(self, chunk: bytes) -> None:
        now_ns = time.monotonic_ns()
        with self._changed:
            self._bytes += len(chunk)
            self._last_ns = now_ns
            if not self.is_flooded:
                *whole, self._rest = (self._rest + chunk).split(b"\n")
                if len(self._rest) > LINE_LIMIT_BYTES:  # no newline for so long: cut it here
                    whole.append(self._rest)
                    self._rest = b""
                for line in whole:
                    self._keep(ConsoleLine(now_ns, clean(line)))
            self._changed.notify_all()

    def _keep(self, line: ConsoleLine) -> None:
        size = len(line.text) + _LINE_COST_BYTES
        self._count += 1
        if not self._tail and self._head_bytes + size <= self._half_bytes:
            self._head.append(line)
            self._head_bytes += size
            return
        self._tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > self._half_bytes and len(self._tail) > 1:
            self._tail_bytes -= len(self._tail.popleft().text) + _LINE_COST_BYTES
            self._left_out += 1


def connect(path: str | Path, timeout_s: float = 10.0) -> int:
    """A descriptor of the console at `path`: a Unix socket, a terminal or a FIFO. Raises InfraError.

    What is not there yet is waited for, because the machine makes it when it starts.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return _open(Path(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if time.monotonic() > deadline:
                raise InfraError(f"no console at {path} within {timeout_s:g} s: {error}") from error
            time.sleep(0.02)
        except OSError as error:
            raise InfraError(f"the console at {path} cannot be opened: {error}") from error


def _open(path: Path) -> int:
    if stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            return connection.detach()
    # For writing too: a FIFO that nobody writes to yet would otherwise block, or be at its end.
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
