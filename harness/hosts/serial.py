"""The fast door to a guest: the agent on a serial port that QEMU leads to a socket.

The agent that was started before a snapshot is there after it, too: whoever restores the guest connects a new
door to it, and goes on without a greeting.
"""

from __future__ import annotations

import marshal
import socket
import time
from binascii import b2a_base64
from collections.abc import Sequence
from functools import cache
from importlib import resources

from harness.guest.userland import is_compiled
from harness.hosts.lines import FLOW_LIMIT_BYTES, LineBuffer, escaped
from harness.vocab.errors import InfraError, ProtocolError

_CHUNK_BYTES = 256 << 10


class SerialDoor:
    """Lines of the agent protocol over the socket at the near end of the port."""

    def __init__(self, sock: socket.socket, limit_bytes: int = FLOW_LIMIT_BYTES) -> None:
        self._sock = sock
        self._buffer = LineBuffer(limit_bytes)

    def send_agent(self) -> None:
        """Send the agent; it answers with its hello line. Raises InfraError."""
        program = _agent_program()
        self._send(b"%d\n%s" % (len(program), program), 20.0)

    def begin(self, play: bytes, timeout_s: float = 20.0) -> None:
        """Send one play line. A guest that stands still finds it when it goes on. Raises InfraError."""
        self._buffer.begin_case()
        self._send(play if play.endswith(b"\n") else play + b"\n", timeout_s)

    def lines(self, timeout_s: float) -> Sequence[bytes]:
        """The whole lines that have come, without their newlines; none when none came within `timeout_s`.

        Raises InfraError when QEMU has ended, ProtocolError for a line or a flow over its limit.
        """
        deadline = time.monotonic() + timeout_s
        while not self._buffer.lines and (left_s := deadline - time.monotonic()) > 0:
            self._sock.settimeout(left_s)
            try:
                chunk = self._sock.recv(_CHUNK_BYTES)
            except TimeoutError:
                break
            except ConnectionResetError:  # it left something unread
                chunk = b""
            except OSError as error:
                raise InfraError(f"the agent's port cannot be read: {error}") from error
            if not chunk:
                raise InfraError("the agent's port was closed: QEMU has ended")
            self._buffer.feed(chunk)
        return self._buffer.take()

    def greeting(self, timeout_s: float) -> bytes:
        """The agent's hello line, or nothing when it does not come within `timeout_s`. Raises InfraError."""
        found = self.lines(timeout_s)
        if not found:
            return b""
        if len(found) > 1 or not found[0].startswith(b'{"hello"'):
            raise ProtocolError(f"the first line is not the agent's hello but '{escaped(found[0][:200])}'")
        return found[0]

    def close(self) -> None:
        """Hang up. Never raises."""
        self._sock.close()

    def _send(self, data: bytes, timeout_s: float) -> None:
        try:
            self._sock.settimeout(timeout_s)
            self._sock.sendall(data)
        except OSError as error:
            raise InfraError(f"the agent's port takes nothing: {error}") from error


@cache
def _agent_program() -> bytes:
    """The agent's source; compiled already, when our Python is the guest's, which would take it a second."""
    source = resources.files("harness.agent").joinpath("agent.py").read_bytes()
    if not is_compiled():
        return source
    code = b2a_base64(marshal.dumps(compile(source, "capi-agent", "exec")), newline=False)
    return b"import binascii,marshal\nexec(marshal.loads(binascii.a2b_base64(b'%s')))\n" % code
