"""``sim://powernv`` and ``sim://powervm``: a simulated host, in a process of its own, reached over real SSH.

The client is the same as for a lab host, and verifies the host's key. ``?mutant=NAME`` plants a defect,
``?driver=NAME`` has another driver than the reference.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from harness.hosts.login import Login
from harness.hosts.ssh import Outcome, SshAgentHost
from harness.vocab.errors import InfraError

WINDOW = 4
"""Cases under way at once. Each is played on a fresh machine, so this changes no result, only the waiting."""

_ADDRESS = "127.0.0.1"
_USERNAME = "capi"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_WORDS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Door:
    """Where a simulated host listens, and the files that a client needs."""

    port: int
    host_key: str
    client_key_path: Path
    known_hosts_path: Path

    @property
    def login(self) -> Login:
        """What the SSH client must know."""
        return Login(_ADDRESS, _USERNAME, self.client_key_path, self.host_key, self.port)

    @property
    def ssh_command(self) -> str:
        """The line by which a person looks around."""
        return (
            f"ssh -i {self.client_key_path} -o UserKnownHostsFile={self.known_hosts_path} "
            f"-o IdentitiesOnly=yes -p {self.port} {_USERNAME}@{_ADDRESS}"
        )


class SimulatedServer:
    """The server process. It ends with `stop`, or when this process does, however that happens."""

    def __init__(self, process: subprocess.Popen[bytes], door: Door) -> None:
        self.process = process
        self.door = door

    @classmethod
    def start(
        cls,
        platform: str,
        mutant: str = "",
        port: int = 0,
        program: Sequence[str] | None = None,
        driver: str = "",
    ) -> Self:
        """Start a server and wait until it listens. `port` 0 lets the system choose.

        `program` is the command line that the options are appended to. Raises InfraError.
        """
        program = program or (sys.executable, "-m", "harness.hosts.simserver")
        command = [*program, "--platform", platform, "--port", str(port)]
        if mutant:
            command += ["--mutant", mutant]
        if driver:
            command += ["--driver", driver]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at a terminal is for us; we then end it in order
        )
        words = _Drain(process.stderr)
        try:
            return cls(process, _door(process, words))
        except InfraError:
            _end(process)
            raise

    def stop(self) -> None:
        """End the process and remove its files. Never raises."""
        _end(self.process)
        directory = self.door.client_key_path.parent
        shutil.rmtree(directory, ignore_errors=True)  # it does so itself, unless it was killed


class _Drain:
    """Keeps the end of what a stream says, so that its writer is never blocked by it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes] | None) -> None:
        for line in stream or ():
            self._kept = (self._kept + line)[-_WORDS_MAX:]

    def words(self) -> str:
        """What it said last, escaped, on one line."""
        self._thread.join(1.0)
        return self._kept.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


def _door(process: subprocess.Popen[bytes], words: _Drain) -> Door:
    """Read the line that says where the server listens."""
    assert process.stdout is not None
    watchdog = threading.Timer(_START_TIMEOUT_S, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    try:
        ready = json.loads(line)
        return Door(
            int(ready["port"]),
            str(ready["host_key"]),
            Path(ready["client_key_path"]),
            Path(ready["known_hosts_path"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        _end(process)
        said = words.words() or "nothing"
        raise InfraError(f"the simulated host did not start; its last words: {said}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the process's input, which ends it; kill it when that is not enough."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


class SimulatedSshHost:
    """A Host: the agent of a simulated host behind SSH, and the server process, which ends with it."""

    def __init__(self, url: str, server: SimulatedServer, agent: SshAgentHost) -> None:
        self.url = url
        self.window = WINDOW
        self.hello = agent.hello
        self.server = server
        self._agent = agent

    @classmethod
    def open(
        cls,
        url: str,
        platform: str,
        mutant: str = "",
        program: Sequence[str] | None = None,
        driver: str = "",
    ) -> Self:
        """Start a server and connect to it. Raises InfraError."""
        server = SimulatedServer.start(platform, mutant, program=program, driver=driver)
        try:
            return cls(url, server, SshAgentHost.open(url, server.door.login, window=WINDOW))
        except BaseException:
            server.stop()
            raise

    def begin(self, play: bytes) -> None:
        """Send one play line. Raises InfraError; it is never sent again."""
        self._agent.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one. Raises InfraError."""
        return self._agent.replies(timeout_s)

    def run(self, command: str, timeout_s: float = 20.0) -> Outcome:
        """Execute one command that looks around, on the same connection. Raises InfraError."""
        return self._agent.run(command, timeout_s)

    def close(self) -> None:
        """Drop the connection and end the server. Never raises."""
        self._agent.close()
        self.server.stop()
