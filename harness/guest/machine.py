"""One QEMU that emulates a POWER8 partition: its command line, its process, and what we hold of it.

Everything between us and QEMU is a descriptor that it is born with: the monitor, the console and the agent's
port are pairs of sockets, so no path is too long, no port is taken, and each end sees the other's death. Only
the doors that others open too are files: `GuestFiles`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from typing import Protocol

from harness.guest import keeper
from harness.guest.files import AFU_BYTES, AFUS, MAILBOX_BYTES, GuestFiles
from harness.guest.qmp import Qmp
from harness.vocab.errors import InfraError

QEMU = "qemu-system-ppc64"
AGENT_PORT = "org.capi.agent"
SNAPSHOT = "ready"

# The kernel remembers who allocated each object that lives, so that a leak has a name; but not the whole call
# traces, which would make each reading ten times as long.
_KERNEL_WORDS = "console=hvc0 loglevel=7 panic=0 net.ifnames=0 slub_debug=U,kmalloc-* stack_depot_disable=on"

_MEMORY_MIB = 512
_FIRST_SHARED_SLOT = (
    0x10  # PCI slots by which the guest's module tells its devices apart: the mailbox, the AFUs
)
_CONSOLE_REGISTER = 0x30000000  # the lowest of all terminals is the console
_STOP_TIMEOUT_S = 10.0
_MONITOR_TIMEOUT_S = 30.0
_WORDS_SHOWN = 600
_SOCKETS = ("qmp", "console", "agent")
_FORWARD = re.compile(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")
_XIRR = re.compile(r"XIRR=[0-9a-f]{2}([0-9a-f]{6})")  # CPPR, then the source
_DISK_BYTES = 1 << 20  # of the disk proper, which nobody uses: snapshots lie behind it
_FORMAT = "format"
_USER_AND_SYSTEM_TIME = slice(11, 13)  # of /proc/PID/stat behind the name


class Clock(Enum):
    """Whose time the guest's is."""

    VIRTUAL = "virtual"
    REAL = "real"


# Virtual: an instruction takes 4 ns, and a guest that waits is at the end of its wait at once. Real: two
# processors at the same time, for races.
_PROCESSORS = {
    Clock.VIRTUAL: ("-smp", "1", "-accel", "tcg,thread=single", "-icount", "shift=2,sleep=off"),
    Clock.REAL: ("-smp", "2", "-accel", "tcg,thread=multi"),
}

_FIXED = (
    *("-name", "capi-guest", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "none"),
    # The capabilities that TCG cannot give are said to be missing; else QEMU warns of each.
    *("-M", "pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"),
    *("-cpu", "POWER8", "-m", f"{_MEMORY_MIB}M"),
    # The same boot every time: date and random seed are given.
    *("-rtc", "base=2026-01-01,clock=vm", "-seed", "1"),
    # A guest that panics, reboots or powers off stays as it is, to be looked at.
    *("-action", "panic=pause,shutdown=pause,reboot=shutdown"),
)


def command(
    files: GuestFiles, clock: Clock, fds: Mapping[str, int], firmware: Sequence[str], vmlinux: Path | None
) -> list[str]:
    """The command line. `fds` are the sockets called ``qmp``, ``console`` and ``agent``.

    `firmware` are the words that connect the guest to PHYP. A guest that is restored from a snapshot needs no
    `vmlinux`.
    """
    boot = ("-kernel", str(vmlinux), "-initrd", str(files.initramfs), "-append", _KERNEL_WORDS)
    return [
        QEMU,
        *_FIXED,
        *_PROCESSORS[clock],
        *(boot if vmlinux else ()),
        *(word for name, fd in fds.items() for word in ("-chardev", f"socket,id={name},fd={fd}")),
        *("-mon", "chardev=qmp,mode=control"),
        *("-device", f"spapr-vty,chardev=console,reg={_CONSOLE_REGISTER:#x}"),
        *firmware,
        *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        # No way out, and one way in, from this machine only, at a port that is free.
        *("-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.2.15:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *_shared_memory(files),
        "-S",
    ]


def _shared_memory(files: GuestFiles) -> Iterator[str]:
    """The mailbox, and a device for each AFU, whose ROM of all Fs can be laid over its memory."""
    devices = [(files.mailbox, MAILBOX_BYTES, "")]
    devices += [(files.afu_memory(n), AFU_BYTES, f",romfile={files.all_ones}") for n in range(AFUS)]
    for number, (path, size, rom) in enumerate(devices):
        yield from ("-object", f"memory-backend-file,id=shared{number},mem-path={path},size={size},share=on")
        slot = _FIRST_SHARED_SLOT + number
        yield from ("-device", f"ivshmem-plain,memdev=shared{number},master=on,addr={slot:#x}{rom}")


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

    `console` and `agent` are sockets whose users own them. The guest's processors do not run at first.
    """

    def __init__(
        self, files: GuestFiles, clock: Clock, firmware: Wiring, vmlinux: Path | None = None
    ) -> None:
        """Start QEMU, with a guest that is about to boot `vmlinux`, or to be restored. Raises InfraError."""
        self._files = files
        with ExitStack() as stack:
            pairs = {name: socket.socketpair() for name in _SOCKETS}
            ends = [stack.enter_context(end) for pair in pairs.values() for end in pair]
            fds = {name: far.fileno() for name, (_, far) in pairs.items()}
            words = command(files, clock, fds, firmware.arguments, vmlinux)
            self._process = _start_kept(files, words, (*fds.values(), *firmware.descriptors))
            stack.callback(self.stop)
            for far in ends[1::2]:
                far.close()
            self._monitor, self.console, self.agent = ends[::2]
            try:
                self.qmp = Qmp(self._monitor, _MONITOR_TIMEOUT_S)
                self.ssh_port = _forwarded_port(self.qmp.monitor("info usernet"))
                self._attach_snapshots()
            except InfraError as error:
                raise InfraError(f"QEMU did not start: {error}; it said: {self.words()}") from error
            stack.pop_all()

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

    def save(self) -> None:
        """Keep the state of the stopped guest. Raises InfraError."""
        self.qmp.monitor(f"savevm {SNAPSHOT}")

    def restore(self) -> None:
        """Take the guest, which does not run, to the state that was saved. Raises InfraError."""
        self.qmp.monitor(f"loadvm {SNAPSHOT}")

    @property
    def has_pending_interrupt(self) -> bool:
        """Whether an interrupt waits for a processor. QEMU forgets that when it restores a guest."""
        return any(match[1] != "000000" for match in _XIRR.finditer(self.qmp.monitor("info pic")))

    def words(self) -> str:
        """The last of what QEMU and its keeper said, on one line."""
        with suppress(OSError):
            return ascii(self._files.words.read_text(errors="replace")[-_WORDS_SHOWN:].strip())
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

    def _attach_snapshots(self) -> None:
        """Give QEMU the disk of snapshots. QEMU makes it the first time, so no other program is needed."""
        path = self._files.snapshots
        is_new = not path.exists()
        path.touch(0o600)
        self._add_node("disk", driver="file", filename=str(path))
        if is_new:
            options = {"driver": "qcow2", "file": "disk", "size": _DISK_BYTES}
            self.qmp.execute("blockdev-create", {"job-id": _FORMAT, "options": options})
            self._conclude(_FORMAT)
        self._add_node("snapshots", driver="qcow2", file="disk")

    def _add_node(self, name: str, **options: str) -> None:
        # Nothing is flushed: the disk need not outlive a loss of power.
        self.qmp.execute("blockdev-add", {"node-name": name, "cache": {"no-flush": True}, **options})

    def _conclude(self, job: str) -> None:
        """Wait for the end of a short job of QEMU's. Raises InfraError when it failed."""
        while (jobs := self.qmp.execute("query-jobs")) and jobs[0]["status"] != "concluded":
            pass
        if error := jobs and jobs[0].get("error"):
            raise InfraError(f"{self._files.snapshots}: {error}")
        self.qmp.execute("job-dismiss", {"id": job})


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
