"""A host's console, the only user of pexpect: lines as they come, and answers to commands typed there.

The console shows what the kernel says when nothing else works any more. Its lines are evidence of last
resort: other people's output is mixed into them, so an answer is found between random markers.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import pexpect

from harness.hosts.lines import LINE_LIMIT_BYTES
from harness.vocab.errors import InfraError

_CHUNK_BYTES = 64 << 10
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
