"""A client of QTest, the protocol by which QEMU lets one look at and change a machine's memory and registers.

It works beside a guest that runs: an access is made between two of the guest's own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from threading import Lock

from harness.vocab.errors import InfraError

_CHUNK_BYTES = 64 << 10
_LINE_LIMIT_BYTES = 64 << 10
_SHOWN = 200
_UNASKED = b"IRQ"


class QtestError(InfraError):
    """QEMU refused an access, gave no answer, or is gone."""


class Qtest:
    """One connected socket. Its methods may be called by several threads."""

    def __init__(self, sock: socket.socket, timeout_s: float = 20.0) -> None:
        self._sock = sock
        self._sock.settimeout(timeout_s)
        self._rest = b""
        self._lock = Lock()

    def readq(self, *addresses: int) -> list[int]:
        """The 64-bit values at `addresses`, as the processor reads them. Raises QtestError."""
        return self._numbers([f"readq {address:#x}" for address in addresses])

    def readl(self, address: int) -> int:
        """The 32-bit value at `address`. Raises QtestError."""
        return self._numbers([f"readl {address:#x}"])[0]

    def readw(self, address: int) -> int:
        """The 16-bit value at `address`. Raises QtestError."""
        return self._numbers([f"readw {address:#x}"])[0]

    def writeq(self, address: int, value: int) -> None:
        """Store 64 bits. Raises QtestError."""
        self._ask([f"writeq {address:#x} {value:#x}"])

    def writel(self, address: int, value: int) -> None:
        """Store 32 bits. Raises QtestError."""
        self._ask([f"writel {address:#x} {value:#x}"])

    def close(self) -> None:
        """Hang up. QEMU does not mind."""
        self._sock.close()

    def _numbers(self, commands: Sequence[str]) -> list[int]:
        said = self._ask(commands)
        try:
            return [int(words[0], 0) for words in said]
        except (ValueError, IndexError) as error:
            raise QtestError(
                f"QEMU's answer to {commands[0]!r} makes no sense: {said!r:.{_SHOWN}}"
            ) from error

    def _ask(self, commands: Sequence[str]) -> list[list[str]]:
        """Send commands at once, and return the words of each answer after its OK."""
        with self._lock:
            try:
                self._sock.sendall("".join(f"{command}\n" for command in commands).encode())
                answers = [self._line().split() for _ in commands]
            except OSError as error:
                raise QtestError(f"QEMU does not answer by QTest: {error}") from error
        for command, answer in zip(commands, answers, strict=True):
            if answer[:1] != ["OK"]:
                raise QtestError(f"QEMU refused {command!r}: {' '.join(answer):.{_SHOWN}}")
        return [answer[1:] for answer in answers]

    def _line(self) -> str:
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if not newline:
                chunk = self._sock.recv(_CHUNK_BYTES)
                if not chunk or len(self._rest) > _LINE_LIMIT_BYTES:
                    raise QtestError("QEMU has ended" if not chunk else "QEMU sent a line without an end")
                self._rest += chunk
                continue
            self._rest = rest
            if not line.startswith(_UNASKED):
                return line.decode("utf-8", "backslashreplace")
