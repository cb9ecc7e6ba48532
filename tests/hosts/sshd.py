"""An SSH server on loopback, in a thread, that really executes what it is asked to, as subprocesses."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import asyncssh

from harness.hosts.login import Login


class _Server(asyncssh.SSHServer):
    def __init__(self, owner: Sshd) -> None:
        self.owner = owner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.owner.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "capi" and key.public_data == self.owner.client_key.public_data


class Sshd:
    """The server, with the keys of both sides. `environ` is added to what commands see."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.environ = environ
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.key_path = folder / "id"
        self.client_key.write_private_key(str(self.key_path))
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._acceptor.get_port()
        self.host_line = self.host_key.export_public_key().decode().strip()
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_line}\n")
        return self

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(self),
            server_host_keys=[self.host_key],
            process_factory=self._execute,
            encoding=None,
        )

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def login(self) -> Login:
        return Login("127.0.0.1", "capi", self.key_path, self.known_hosts, self.port)

    def drop(self) -> None:
        """Cut all connections."""
        for connection in self.connections:
            self._loop.call_soon_threadsafe(connection.abort)

    async def _stop(self) -> None:
        self._acceptor.close()
        for connection in self.connections:
            connection.abort()
        await asyncio.sleep(0.1)  # the commands of cut connections end

    async def _execute(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or "true"
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environ},
            start_new_session=True,
        )
        feeding = asyncio.ensure_future(_pump(process.stdin, child.stdin))
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            status = await child.wait()
            process.exit(status if status >= 0 else 128 - status)
        finally:
            feeding.cancel()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # as a session's end does, for our commands
            await child.wait()


async def _pump(source: Any, sink: Any) -> None:
    """Carry bytes until `source` ends, or `sink` takes no more; then say so to a process's input."""
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    if isinstance(sink, asyncio.StreamWriter):
        sink.close()
