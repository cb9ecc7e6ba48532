"""A client of QMP, the protocol by which QEMU is told to stop, to go on, to save and to restore.

An own one: the official `qemu.qmp` lives in asyncio, and who asks here is a thread that waits for other
things too, over a socket that it was born with. What is needed of the protocol is one line of JSON out, one
in, and events between them.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Mapping
from threading import RLock
from typing import Any, NamedTuple

from harness.vocab.errors import InfraError

_CHUNK_BYTES = 64 << 10
_LINE_LIMIT_BYTES = 4 << 20
_EVENTS_KEPT = 256  # a guest can cause events without end
_SHOWN = 300


class Event(NamedTuple):
    """Something that QEMU said unasked, such as GUEST_PANICKED."""

    name: str
    data: dict[str, Any]


class QmpError(InfraError):
    """QEMU refused a command, gave no answer, or is gone."""


class Qmp:
    """One connected monitor. Its methods may be called by several threads."""

    def __init__(self, sock: socket.socket, timeout_s: float = 20.0) -> None:
        """Greet QEMU at the other end of `sock`. Raises QmpError."""
        self._sock = sock
        self._rest = b""
        self._lock = RLock()
        self._answers: dict[int, dict[str, Any]] = {}
        self._sent = 0
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._take(timeout_s)  # the greeting
        self.execute("qmp_capabilities", timeout_s=timeout_s)

    def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, timeout_s: float = 20.0
    ) -> Any:
        """Ask and wait for the answer; `timeout_s` is how long QEMU may say nothing at all.

        Raises QmpError when there is no answer, or when it is a refusal.
        """
        with self._lock:
            self._sent += 1
            message = {"execute": command, "arguments": arguments or {}, "id": self._sent}
            try:
                self._sock.settimeout(timeout_s)
                self._sock.sendall(json.dumps(message).encode() + b"\n")
            except OSError as error:
                raise QmpError(f"QEMU takes no command: {error}") from error
            while self._sent not in self._answers:
                self._take(timeout_s)
            answer = self._answers.pop(self._sent)
        if "error" in answer:
            raise QmpError(f"QEMU refused: {str(answer['error'].get('desc', answer['error']))[:_SHOWN]}")
        return answer["return"]

    def monitor(self, line: str, timeout_s: float = 60.0) -> str:
        """Ask the monitor for people, and return what it wrote. Raises QmpError when that is an error.

        For savevm and loadvm, whose counterparts of QMP are jobs: three more messages each, and no faster.
        """
        text = str(self.execute("human-monitor-command", {"command-line": line}, timeout_s)).strip()
        if text.startswith("Error"):
            raise QmpError(f"QEMU refused: {text[:_SHOWN]}")
        return text

    def events(self) -> list[Event]:
        """What QEMU has said unasked since the last call; does not wait. Raises QmpError: QEMU is gone."""
        with self._lock:
            while self._take(0.0):
                pass
            events = list(self._events)
            self._events.clear()
            return events

    def close(self) -> None:
        """Hang up. QEMU does not mind."""
        self._sock.close()

    def _take(self, timeout_s: float) -> bool:
        """Take in what comes within `timeout_s`; False when nothing does, and that is no error (0)."""
        try:
            self._sock.settimeout(timeout_s)
            chunk = self._sock.recv(_CHUNK_BYTES)
        except (TimeoutError, BlockingIOError):
            if timeout_s:
                raise QmpError(f"QEMU has said nothing for {timeout_s:g} s") from None
            return False
        except OSError as error:
            raise QmpError(f"QEMU cannot be heard: {error.strerror}") from error
        if not chunk:
            raise QmpError("QEMU has ended")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LINE_LIMIT_BYTES:
            raise QmpError(f"QEMU sent a line of more than {_LINE_LIMIT_BYTES} bytes")
        for line in filter(None, map(bytes.strip, lines)):
            self._note(line)
        return True

    def _note(self, line: bytes) -> None:
        try:
            message = dict(json.loads(line))
            if "event" in message:
                self._events.append(Event(str(message["event"]), dict(message.get("data", {}))))
            elif "id" in message:
                self._answers[message["id"]] = message
            elif "error" in message:
                raise QmpError(f"QEMU did not understand: {str(message['error'])[:_SHOWN]}")
        except (ValueError, TypeError) as error:
            raise QmpError(f"QEMU sent a line that makes no sense: {line[:_SHOWN]!r}") from error
