"""The machine of the powervm guest: a POWER8 partition, whose state can be saved and restored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

from harness.guest.files import MAILBOX_BYTES, GuestFiles, Layout
from harness.guest.machine import AGENT_PORT, FIXED, NETWORK, QEMU, Machine, Wiring, boot, chardevs
from harness.vocab.errors import InfraError

SNAPSHOT = "ready"
AFU_BYTES = 1 << 20
AFUS = 3
LAYOUT = Layout({"mailbox": MAILBOX_BYTES, **{f"afu{n}": AFU_BYTES for n in range(AFUS)}}, (AFU_BYTES,))

_MEMORY_MIB = 512
_FIRST_SHARED_SLOT = (
    0x10  # PCI slots by which the guest's module tells its devices apart: the mailbox, the AFUs
)
_CONSOLE_REGISTER = 0x30000000  # the lowest of all terminals is the console
_XIRR = re.compile(r"XIRR=[0-9a-f]{2}([0-9a-f]{6})")  # CPPR, then the source
_DISK_BYTES = 1 << 20  # of the disk proper, which nobody uses: snapshots lie behind it
_FORMAT = "format"


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

_PARTITION = (
    # The capabilities that TCG cannot give are said to be missing; else QEMU warns of each.
    *("-M", "pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"),
    *("-cpu", "POWER8", "-m", f"{_MEMORY_MIB}M", "-serial", "none"),
)


def command(
    files: GuestFiles, clock: Clock, fds: Mapping[str, int], firmware: Sequence[str], vmlinux: Path | None
) -> list[str]:
    """The command line. `fds` are the sockets called ``qmp``, ``console`` and ``agent``.

    `firmware` are the words that connect the guest to PHYP. A guest that is restored from a snapshot needs no
    `vmlinux`.
    """
    return [
        QEMU,
        *FIXED,
        *_PARTITION,
        *_PROCESSORS[clock],
        *(boot(files, vmlinux) if vmlinux else ()),
        *chardevs(fds),
        *("-device", f"spapr-vty,chardev=console,reg={_CONSOLE_REGISTER:#x}"),
        *firmware,
        *("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        *(*NETWORK, "-device", "virtio-net-pci,netdev=net,romfile="),
        *_shared_memory(files),
    ]


def _shared_memory(files: GuestFiles) -> Iterator[str]:
    """The mailbox, and a device for each AFU, whose ROM of all Fs can be laid over its memory."""
    rom = f",romfile={files.all_ones(AFU_BYTES)}"
    devices = [(files.memory("mailbox"), MAILBOX_BYTES, "")]
    devices += [(files.memory(f"afu{n}"), AFU_BYTES, rom) for n in range(AFUS)]
    for number, (path, size, rom) in enumerate(devices):
        yield from ("-object", f"memory-backend-file,id=shared{number},mem-path={path},size={size},share=on")
        slot = _FIRST_SHARED_SLOT + number
        yield from ("-device", f"ivshmem-plain,memdev=shared{number},master=on,addr={slot:#x}{rom}")


class PseriesMachine(Machine):
    """A running partition, with the disk that its state is kept on."""

    def __init__(
        self, files: GuestFiles, clock: Clock, firmware: Wiring, vmlinux: Path | None = None
    ) -> None:
        """Start QEMU, with a guest that is about to boot `vmlinux`, or to be restored. Raises InfraError."""
        super().__init__(
            files, lambda fds: command(files, clock, fds, firmware.arguments, vmlinux), firmware.descriptors
        )

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

    def _prepare(self) -> None:
        """Give QEMU the disk of snapshots. QEMU makes it the first time, so no other program is needed."""
        path = self.files.snapshots
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
            raise InfraError(f"{self.files.snapshots}: {error}")
        self.qmp.execute("job-dismiss", {"id": job})
