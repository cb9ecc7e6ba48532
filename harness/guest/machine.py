"""One running QEMU: its process, its monitor, and the sockets that it is born with.

Everything between us and QEMU is a descriptor that it is born with: the monitor, the console and the agent's
port are pairs of sockets, so no path is too long, no port is taken, and each end sees the other's death. Only
the doors that others open too are files: `GuestFiles`. Which machine QEMU emulates is said in `pseries.py`
and `powernv.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Protocol

from harness.guest import keeper
from harness.guest.files import GuestFiles
from harness.guest.qmp import Qmp
from harness.vocab.errors import InfraError

QEMU = "qemu-system-ppc64"
AGENT_PORT = "org.capi.agent"

KERNEL_WORDS = (
    "console=hvc0 loglevel=7 panic=0 net.ifnames=0 cryptomgr.notests "
    "slub_debug=U,kmalloc-* stack_depot_disable=on"
)
"""The kernel remembers who allocated each object that lives, so that a leak has a name; but not the whole
call traces, which would make each reading ten times as long. That its cryptography tests itself would take an
emulated processor a second."""

FIXED = (
    *("-name", "capi-guest", "-nodefaults", "-no-user-config", "-display", "none"),
    # The same boot every time: date and random seed are given.
    *("-rtc", "base=2026-01-01,clock=vm", "-seed", "1"),
    # A guest that panics, reboots or powers off stays as it is, to be looked at.
    *("-action", "panic=pause,shutdown=pause,reboot=shutdown"),
    "-S",
)
"""What is the same for every guest."""

NETWORK = ("-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.2.15:22")
"""No way out, and one way in, from this machine only, at a port that is free."""

_STOP_TIMEOUT_S = 10.0
_MONITOR_TIMEOUT_S = 30.0
_WORDS_SHOWN = 600
_SOCKETS = ("qmp", "console", "agent")
_FORWARD = re.compile(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")
_USER_AND_SYSTEM_TIME = slice(11, 13)  # of /proc/PID/stat behind the name

Words = Callable[[Mapping[str, int]], Sequence[str]]
"""Gives a command line, from the descriptors of the sockets by their names."""


class Wiring(Protocol):
    """What connects QEMU to the firmware below its guest."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU's process inherits."""
        ...

    @property
    def arguments(self) -> list[str]:
        """Words of QEMU's command line that name them."""
        ...


class Machine:
    """A running QEMU. It ends with `stop`, or when this process does, however that happens.

    `console` and `agent` are sockets whose users own them, and so are those named by `sockets`, in `others`.
    The guest's processors do not run at first.
    """

    def __init__(
        self, files: GuestFiles, words: Words, inherited: Sequence[int] = (), sockets: Sequence[str] = ()
    ) -> None:
        """Start QEMU by the command line that `words` gives. Raises InfraError."""
        self.files = files
        self._stillness = RLock()
        with ExitStack() as stack:
            pairs = {name: socket.socketpair() for name in (*_SOCKETS, *sockets)}
            ends = [stack.enter_context(end) for pair in pairs.values() for end in pair]
            fds = {name: far.fileno() for name, (_, far) in pairs.items()}
            self._process = _start_kept(files, words(fds), (*fds.values(), *inherited))
            stack.callback(self.stop)
            for far in ends[1::2]:
                far.close()
            self._monitor, self.console, self.agent, *others = ends[::2]
            self.others = dict(zip(sockets, others, strict=True))
            try:
                self.qmp = Qmp(self._monitor, _MONITOR_TIMEOUT_S)
                self.ssh_port = _forwarded_port(self.qmp.monitor("info usernet"))
                self._prepare()
            except InfraError as error:
                raise InfraError(f"QEMU did not start: {error}; it said: {self.words()}") from error
            stack.pop_all()

    def _prepare(self) -> None:
        """What a kind of machine needs once its monitor answers. Raises InfraError."""

    @property
    def is_alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process.poll() is None

    @property
    def worked_s(self) -> float:
        """How much of a processor's time QEMU has used, in seconds; none when it has ended."""
        keeper = self._process.pid
        with suppress(OSError, IndexError):
            child = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0]
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            return sum(map(int, fields[_USER_AND_SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def resume(self) -> None:
        """Let the guest's processors run. Raises InfraError."""
        self.qmp.execute("cont")

    def pause(self) -> None:
        """Stop the guest's processors. Raises InfraError."""
        self.qmp.execute("stop")

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """The guest's processors stand still meanwhile, unless they do anyway. Raises InfraError."""
        with self._stillness:
            is_running = self.qmp.execute("query-status")["running"]
            if is_running:
                self.pause()
            try:
                yield
            finally:
                if is_running:
                    self.resume()

    def words(self) -> str:
        """The last of what QEMU and its keeper said, on one line."""
        with suppress(OSError):
            return ascii(self.files.words.read_text(errors="replace")[-_WORDS_SHOWN:].strip())
        return "nothing"

    def stop(self) -> None:
        """End QEMU at once; the guest's files stay. Never raises."""
        assert self._process.stdin is not None
        with suppress(OSError):  # nobody is left to hear it
            self._process.stdin.write(keeper.KEEP_FILES)
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:  # QEMU dies with its keeper
            self._process.kill()
            self._process.wait()
        self._monitor.close()


def chardevs(fds: Mapping[str, int]) -> list[str]:
    """Words that give QEMU its sockets by their names, and make a monitor of the one called ``qmp``."""
    words = [word for name, fd in fds.items() for word in ("-chardev", f"socket,id={name},fd={fd}")]
    return [*words, "-mon", "chardev=qmp,mode=control"]


def boot(files: GuestFiles, vmlinux: Path, more: str = "") -> list[str]:
    """Words that let QEMU boot a kernel, which is given `more` words than others."""
    append = f"{KERNEL_WORDS} {more}".strip()
    return ["-kernel", str(vmlinux), "-initrd", str(files.initramfs), "-append", append]


def _start_kept(files: GuestFiles, words: Sequence[str], fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start QEMU under its keeper."""
    if shutil.which(QEMU) is None:
        raise InfraError(f"there is no {QEMU}; on Debian: apt install qemu-system-ppc")
    program = [sys.executable, "-I", "-S", str(Path(keeper.__file__)), str(files.directory), *words]
    with files.words.open("wb") as log:
        return subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C at a terminal is for us; we then end it in order
        )


def _forwarded_port(usernet: str) -> int:
    """The port of this machine that leads to the guest's SSH server. Raises InfraError."""
    match = _FORWARD.search(usernet)
    if not match:
        raise InfraError(f"QEMU does not say which port leads to the guest: {usernet[:_WORDS_SHOWN]!r}")
    return int(match[1])
