"""The way to a host over SSH, the only user of paramiko: one connection, one channel to the agent.

Rules that hold here:

1. The host's key is always verified against a given one; a stranger is refused, never remembered.
2. Nothing is ever sent twice. A lost connection is an InfraError that says what is known of the loss.
3. Whatever a host sends is bounded: a line, the standard error output, and the flow after each play line.
4. No call waits without a limit, `close` least of all.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import paramiko
from paramiko.pkey import UnknownKeyType

from harness.hosts.lines import FLOW_LIMIT_BYTES, LineBuffer, escaped
from harness.hosts.login import Login
from harness.vocab.errors import InfraError, ProtocolError

BOOTSTRAP = (
    "python3 -u -c "
    '\'import sys;s=sys.stdin.buffer;exec(compile(s.read(int(s.readline())),"capi-agent","exec"))\''
)
"""The command that starts the agent; its source follows on standard input."""

CLOSE_TIMEOUT_S = 2.0

_CHUNK_BYTES = 256 << 10
_WINDOW_BYTES = 8 << 20  # what the agent may send ahead of its reader
_PACKET_BYTES = 128 << 10  # fewer, larger packets: each one costs a decryption and a thread switch
_STDERR_KEPT_BYTES = 2000
_SLICE_S = 0.25  # how often a wait looks at the other stream
_KEEPALIVE_S = 15
_DEAD_PEER_MS = 60_000
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # one pass instead of cipher and hash

# Without a handler, paramiko's log would appear on the user's terminal. What matters is in our errors.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SilenceError(InfraError):
    """Nothing came in time. The connection may be as good as ever."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plain command left: its exit status (-1 if none was reported) and both of its outputs."""

    exit_status: int
    stdout: bytes
    stderr: bytes


class SshLink:
    """One verified SSH connection, over which commands are executed."""

    def __init__(self, login: Login, client: paramiko.SSHClient, sock: socket.socket) -> None:
        self.login = login
        self._client = client
        self._sock = sock

    @classmethod
    def open(cls, login: Login, timeout_s: float = 20.0) -> Self:
        """Connect and authenticate. Raises InfraError saying which of both failed, and what to check."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        with _translated(login):
            key = _private_key(login.key)
            _load_known_host(client, login)
            sock = _connected_socket(login, timeout_s)
            link = cls(login, client, sock)
            try:
                link._authenticate(key, timeout_s)
            except BaseException:
                link.close()
                raise
        return link

    def _authenticate(self, key: paramiko.PKey | None, timeout_s: float) -> None:
        self._client.connect(
            self.login.address,
            self.login.port,
            self.login.username,
            pkey=key,
            sock=self._sock,
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
            channel_timeout=timeout_s,
            allow_agent=key is None,
            look_for_keys=key is None,
            transport_factory=_transport,
        )
        self._transport.set_keepalive(_KEEPALIVE_S)

    @property
    def _transport(self) -> paramiko.Transport:
        transport = self._client.get_transport()
        if transport is None:
            raise InfraError(f"{self.login}: the SSH connection was closed before")
        return transport

    def channel(self, command: str, timeout_s: float) -> paramiko.Channel:
        """Start `command` and return the channel to it. Raises InfraError."""
        # paramiko waits without limit for the answer to an exec request: a timer ends the connection then.
        watchdog = threading.Timer(timeout_s, self.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            with _translated(self.login):
                channel = self._transport.open_session(_WINDOW_BYTES, _PACKET_BYTES, timeout_s)
                channel.exec_command(command)
        finally:
            watchdog.cancel()
        return channel

    def run(self, command: str, timeout_s: float = 20.0, limit_bytes: int = 4 << 20) -> Outcome:
        """Execute one command that only reads, and return what it gave.

        For reading only, because a failure leaves open whether the command ran. Raises InfraError when it
        takes longer than `timeout_s`, sends over `limit_bytes`, or the connection is lost.
        """
        deadline = time.monotonic() + timeout_s
        channel = self.channel(command, timeout_s)
        stdout, stderr = bytearray(), bytearray()
        try:
            with _translated(self.login):
                channel.shutdown_write()
                while True:
                    chunk = _received(channel, min(_SLICE_S, max(deadline - time.monotonic(), 0.001)))
                    _drain_stderr(channel, stderr)
                    stdout += chunk or b""
                    if chunk == b"":
                        return Outcome(_exit_status(channel), bytes(stdout), bytes(stderr))
                    if len(stdout) + len(stderr) > limit_bytes:
                        raise InfraError(f"{self.login}: {command!r} sent over {limit_bytes} bytes")
                    if time.monotonic() > deadline:
                        raise InfraError(f"{self.login}: {command!r} did not end within {timeout_s:g} s")
        finally:
            channel.close()

    def close(self) -> None:
        """Drop the connection within CLOSE_TIMEOUT_S. Never raises."""
        # paramiko's own close can wait for its thread or for a rekeying; it gets a thread and a moment.
        closing = threading.Thread(target=self._client.close, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S / 2)
        self._sock.close()


class SshAgentHost:
    """A Host over SSH: the agent was started at the other end and has said hello."""

    def __init__(
        self, url: str, link: SshLink, command: str, *, timeout_s: float, window: int, limit_bytes: int
    ) -> None:
        self.url = url
        self.window = window
        self._link = link
        self._timeout_s = timeout_s
        self._buffer = LineBuffer(limit_bytes)
        self._stderr = bytearray()
        self._channel = link.channel(command, timeout_s)
        self.hello = self._greet()

    @classmethod
    def open(
        cls,
        url: str,
        login: Login,
        *,
        timeout_s: float = 20.0,
        window: int = 1,
        limit_bytes: int = FLOW_LIMIT_BYTES,
        command: str = BOOTSTRAP,
    ) -> Self:
        """Connect, start the agent, and read its hello line.

        `timeout_s` bounds each stage, and later a send that makes no progress. `limit_bytes` bounds what the
        host may send after each play line. Raises InfraError.
        """
        link = SshLink.open(login, timeout_s)
        try:
            return cls(url, link, command, timeout_s=timeout_s, window=window, limit_bytes=limit_bytes)
        except BaseException:
            link.close()
            raise

    def begin(self, play: bytes) -> None:
        """Send one play line; a newline is added where it lacks one. Raises InfraError; never sends again."""
        self._buffer.begin_case()
        self._send(play if play.endswith(b"\n") else play + b"\n")

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one, without their newlines.

        Raises InfraError when the connection is lost, or SilenceError (which is one) when nothing has come
        within `timeout_s`; ProtocolError for a line or a flow over its limit.
        """
        deadline = time.monotonic() + timeout_s
        while not self._buffer.lines:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise SilenceError(self._explained(f"no line came within {timeout_s:g} s"))
            self._receive(min(left_s, _SLICE_S))
        return self._buffer.take()

    def run(self, command: str, timeout_s: float = 20.0) -> Outcome:
        """Execute one command that only reads, beside the agent: see SshLink.run."""
        return self._link.run(command, timeout_s)

    def close(self) -> None:
        """Drop the connection within CLOSE_TIMEOUT_S; the agent sees its input end. Never raises."""
        self._link.close()

    def _greet(self) -> bytes:
        source = _agent_source()
        self._send(b"%d\n%s" % (len(source), source))
        hello, *self._buffer.lines = self.replies(self._timeout_s)
        if not hello.startswith(b'{"hello"'):
            what = f"the first line is not the agent's hello but '{escaped(hello[:200])}'"
            advice = (
                "nothing may come before it: let the login shell print nothing when it is not interactive"
            )
            raise ProtocolError(self._explained(f"{what}; {advice}"))
        return hello

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        progress = time.monotonic()
        while view:
            # The other side may be unable to read because we do not: take in what it has sent.
            while self._channel.recv_ready():
                self._receive(0.0)
            self._channel.settimeout(_SLICE_S)
            try:
                sent = self._channel.send(bytes(view[:_CHUNK_BYTES]))
            except TimeoutError:
                if time.monotonic() - progress > self._timeout_s:
                    raise InfraError(self._explained("the agent has stopped reading")) from None
                continue
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise InfraError(self._explained(f"sending failed: {error}")) from error
            if not sent:
                raise InfraError(self._explained("the channel closed while a line was being sent"))
            view = view[sent:]
            progress = time.monotonic()

    def _receive(self, timeout_s: float) -> None:
        """Take in what has come, waiting at most `timeout_s` for it."""
        try:
            chunk = _received(self._channel, timeout_s)
            if chunk:
                self._buffer.feed(chunk)
            else:
                self._buffer.count(_drain_stderr(self._channel, self._stderr, _STDERR_KEPT_BYTES))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise InfraError(self._explained(f"receiving failed: {error}")) from error
        except ProtocolError as error:
            raise ProtocolError(self._explained(str(error))) from None
        if chunk == b"":
            raise InfraError(self._explained("the agent has ended, or the connection is lost"))

    def _explained(self, what: str) -> str:
        """`what`, and all that is known of the loss."""
        parts = [f"{self.url} ({self._link.login}): {what}"]
        status = _exit_status(self._channel) if self._channel.closed or self._channel.eof_received else -1
        if status >= 0:
            parts.append(f"the agent's exit status is {status}")
        _drain_stderr(self._channel, self._stderr, _STDERR_KEPT_BYTES)
        if self._stderr:
            parts.append(f"its last words: '{escaped(bytes(self._stderr))}'")
        if self._buffer.rest:
            parts.append(f"an unfinished line: '{escaped(self._buffer.rest[:200])}'")
        return "; ".join(parts)


@cache
def _agent_source() -> bytes:
    return resources.files("harness.agent").joinpath("agent.py").read_bytes()


def _transport(sock: Any, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    security.ciphers = (*_FAST_CIPHERS, *(name for name in security.ciphers if name not in _FAST_CIPHERS))
    return transport


def _connected_socket(login: Login, timeout_s: float) -> socket.socket:
    sock = socket.create_connection((login.address, login.port), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # paramiko leaves Nagle's algorithm on
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
    return sock


def _private_key(key: Path | str | None) -> paramiko.PKey | None:
    if key is None:
        return None
    if isinstance(key, Path):
        try:
            return paramiko.PKey.from_path(key)
        except (ValueError, TypeError, UnknownKeyType, paramiko.SSHException) as error:
            raise InfraError(f"{key}: not a private key that can be used: {error}") from error
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(key))
        except (paramiko.SSHException, ValueError):
            continue
    raise InfraError("the private key's text is not understood; allowed: Ed25519, ECDSA, RSA, no passphrase")


def _load_known_host(client: paramiko.SSHClient, login: Login) -> None:
    if isinstance(login.known_host, Path):
        client.load_host_keys(str(login.known_host))
        return
    line = login.known_host.strip()
    if line.startswith(("ssh-", "ecdsa-")):
        line = f"{login.known_name} {line}"
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
    except (paramiko.SSHException, ValueError):
        entry = None
    if entry is None or entry.key is None:
        raise InfraError(f"{login}: the known host key is not a line of a known_hosts file: {line[:80]!r}")
    client.get_host_keys().add(login.known_name, entry.key.get_name(), entry.key)


def _received(channel: paramiko.Channel, timeout_s: float) -> bytes | None:
    """What has come on standard output; None if nothing did in time, empty at its end."""
    channel.settimeout(timeout_s)
    try:
        return channel.recv(_CHUNK_BYTES)
    except TimeoutError:
        return None


def _drain_stderr(channel: paramiko.Channel, kept: bytearray, limit_bytes: int = 0) -> int:
    """Move what is there to the end of `kept`, of which `limit_bytes` stay if given; return how much came."""
    drained = 0
    while channel.recv_stderr_ready():
        chunk = channel.recv_stderr(_CHUNK_BYTES)
        drained += len(chunk)
        kept += chunk
        if limit_bytes:
            del kept[:-limit_bytes]
    return drained


def _exit_status(channel: paramiko.Channel) -> int:
    channel.status_event.wait(1.0)
    return channel.exit_status


_ADVICE: dict[type[Exception], str] = {  # the first that fits
    paramiko.BadHostKeyException: "the host's key is not the known one; find out why before trusting it",
    paramiko.AuthenticationException: "the login was refused; check username and key_file",
    paramiko.SSHException: "the SSH connection failed",
    TimeoutError: "no answer in time; check address, port and network",
    ConnectionError: "the connection failed; check address, port and whether an SSH server listens",
    OSError: "the connection failed; check address, port and files",
    EOFError: "the other side closed the connection",
}


@contextmanager
def _translated(login: Login) -> Iterator[None]:
    """Turn what paramiko and sockets raise into an InfraError with a sentence of advice."""
    try:
        yield
    except tuple(_ADVICE) as error:
        advice = next(text for kind, text in _ADVICE.items() if isinstance(error, kind))
        raise InfraError(f"{login}: {advice} ({type(error).__name__}: {error})") from error
