"""The process that offers a simulated host over SSH: ``python -m harness.hosts.simserver --platform NAME``.

It listens on 127.0.0.1 only, with a host key and a client key that exist for its own life. When it is ready
it prints one JSON line on standard output: ``port``, ``host_key``, ``client_key_path``, ``known_hosts_path``.
It ends when its standard input ends, so that it never outlives who started it, or on SIGTERM.

What a client can execute: the agent's bootstrap command (the source that follows is not used: the simulated
host has an agent of its own), a few commands to look around, or a small shell over the same commands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import asyncssh

from harness.vocab.topology import Platform

ADDRESS = "127.0.0.1"
USERNAME = "capi"
DIRECTORY_PREFIX = "capi-sim-"

_AGENT_MARK = "capi-agent"
_WRITE_BYTES = 64 << 10
_LINE_LIMIT_BYTES = 32 << 20
_SOURCE_LIMIT_BYTES = 8 << 20
_STUCK_S = 3.0
# The first that the client also knows is taken. On loopback secrecy costs time and protects nothing.
_CIPHERS = ("aes128-gcm@openssh.com", "aes128-ctr", "chacha20-poly1305@openssh.com")


class Simulated(Protocol):
    """What is needed of a simulated host."""

    def hello(self) -> bytes:
        """The agent's hello line, without a newline."""
        ...

    def play(self, line: bytes) -> Iterator[bytes]:
        """The reply lines of one case, on a fresh machine; several may come joined by newlines."""
        ...

    def shell(self, command: str) -> tuple[bytes, bytes, int]:
        """Output, error output and exit status of a command that looks around."""
        ...


def main(argv: Sequence[str] | None = None, make: Callable[[Platform, str], Simulated] | None = None) -> int:
    """Serve until standard input ends. `make` makes another host of a platform and a mutant's name."""
    parser = argparse.ArgumentParser(prog="harness.hosts.simserver", description=__doc__.splitlines()[0])
    parser.add_argument("--platform", required=True, choices=[platform.value for platform in Platform])
    parser.add_argument("--mutant", default="")
    parser.add_argument("--driver", default="")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    make = make or partial(_simulated, driver=options.driver)
    simulated = make(Platform(options.platform), options.mutant)
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))  # mode 0700
    try:
        asyncio.run(_serve(simulated, directory, options.port))
    except OSError as error:
        print(f"the simulated host cannot listen on {ADDRESS}:{options.port}: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _simulated(platform: Platform, mutant: str, driver: str) -> Simulated:
    from harness.sim.host import SimulatedHost  # noqa: PLC0415 - a test serves another one without it

    return SimulatedHost(platform, mutant, driver)


async def _serve(simulated: Simulated, directory: Path, port: int) -> None:
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.listen(
        ADDRESS,
        port,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(client_key.export_public_key().decode()),
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        allow_scp=False,
        agent_forwarding=False,
        encryption_algs=list(_CIPHERS),
        compression_algs=["none"],
        # Bytes that are not UTF-8 pass through unchanged; only a text channel has a line editor for people.
        encoding="utf-8",
        errors="surrogateescape",
        process_factory=lambda process: _session(process, simulated),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    threading.Thread(target=_watch_parent, args=(loop, stop, directory), daemon=True).start()
    print(json.dumps(_ready(acceptor.get_port(), host_key, client_key, directory)), flush=True)
    await stop.wait()
    acceptor.close()


def _ready(
    port: int, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey, directory: Path
) -> dict[str, str | int]:
    """Write the client's files, readable by their owner only, and return what a client must know."""
    key_path, known_hosts_path = directory / "id_ed25519", directory / "known_hosts"
    public = " ".join(host_key.export_public_key().decode().split()[:2])
    for path, data in (
        (key_path, client_key.export_private_key()),
        (known_hosts_path, f"[{ADDRESS}]:{port} {public}\n".encode()),
    ):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    return {
        "port": port,
        "host_key": public,
        "client_key_path": str(key_path),
        "known_hosts_path": str(known_hosts_path),
    }


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, directory: Path) -> None:
    """Wait for the end of standard input, then stop; a loop that is too busy to stop is ended from here."""
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)
    time.sleep(_STUCK_S)
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(1)


async def _session(process: asyncssh.SSHServerProcess[str], simulated: Simulated) -> None:
    """One channel of a client: the agent, one command, or a shell."""
    status = 0
    try:
        command = process.command
        if command is None:
            await _shell(process, simulated)
        elif _AGENT_MARK in command:
            await _agent(process, simulated)
        else:
            status = _execute(process, simulated, command)
    except (BrokenPipeError, ConnectionError, asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
        pass  # the client has left, which is its right
    except Exception:  # noqa: BLE001 - a defect of the simulator is told to the client, and ends this channel
        process.stderr.write(traceback.format_exc(limit=-5))
        status = 70
    process.exit(status)


async def _agent(process: asyncssh.SSHServerProcess[str], simulated: Simulated) -> None:
    """Speak the agent protocol: the source, hello, then one play line after the other."""
    received = _Received(process)
    first = await received.line()
    if not first.isdigit() or int(first) > _SOURCE_LIMIT_BYTES:
        raise ValueError(f"the length of the agent's source is not a number below {_SOURCE_LIMIT_BYTES}")
    await received.exactly(int(first))
    _write(process, [simulated.hello().rstrip(b"\n")])
    async for play in received.lines():
        batch: list[bytes] = []
        size = 0
        for line in simulated.play(play):
            if line:
                batch.append(line)
            size += len(line) + 1
            if size >= _WRITE_BYTES:
                _write(process, batch)
                batch.clear()
                size = 0
                await process.stdout.drain()
        if batch:
            _write(process, batch)
        await process.stdout.drain()


def _write(process: asyncssh.SSHServerProcess[str], lines: Sequence[bytes]) -> None:
    process.stdout.write((b"\n".join(lines) + b"\n").decode("utf-8", "surrogateescape"))


class _Received:
    """What a client sends, cut into lines; bounded."""

    def __init__(self, process: asyncssh.SSHServerProcess[str]) -> None:
        self._stdin = process.stdin
        self._buffer = b""

    async def _more(self) -> bool:
        text = await self._stdin.read(_WRITE_BYTES)
        self._buffer += text.encode("utf-8", "surrogateescape")
        if len(self._buffer) > _LINE_LIMIT_BYTES:
            raise ValueError(f"a line is longer than {_LINE_LIMIT_BYTES} bytes")
        return bool(text)

    async def line(self) -> bytes:
        """The next line without its newline; what is left at the end of input, perhaps nothing."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not await self._more():
                line, self._buffer = self._buffer, b""
                return line
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line

    async def exactly(self, size: int) -> None:
        """Pass over `size` bytes."""
        while len(self._buffer) < size:
            if not await self._more():
                return
        self._buffer = self._buffer[size:]

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines that follow, empty ones left out."""
        while True:
            line = await self.line()
            if line:
                yield line
            elif self._stdin.at_eof() and not self._buffer:
                return


def _execute(process: asyncssh.SSHServerProcess[str], simulated: Simulated, command: str) -> int:
    out, err, status = simulated.shell(command)
    process.stdout.write(out.decode("utf-8", "surrogateescape"))
    process.stderr.write(err.decode("utf-8", "surrogateescape"))
    return status


async def _shell(process: asyncssh.SSHServerProcess[str], simulated: Simulated) -> None:
    """A prompt, a command, its output, until ``exit`` or the end of input."""
    is_terminal = process.term_type is not None
    while True:
        if is_terminal:
            process.stdout.write("capi# ")
        line = await process.stdin.readline()
        command = line.strip()
        if not line or command == "exit":
            return
        if command:
            _execute(process, simulated, command)
            await process.stdout.drain()


if __name__ == "__main__":
    sys.exit(main())
