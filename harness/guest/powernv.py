"""The machine of the powernv guest: a bare POWER9 with skiboot, and one device on each PHB of its chip.

Linux numbers PCI domains as the chip its PHBs: below PHB 4 is 0004:01:00.0. POWER9 takes a CAPI card at PHB 0
or 3 only. What carries the agent is on PHBs of its own, which no case freezes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.guest.files import MAILBOX_BYTES, GuestFiles, Layout
from harness.guest.machine import AGENT_PORT, FIXED, NETWORK, QEMU, Machine, Wiring, boot, chardevs
from harness.guest.phb import Hiding, Phb
from harness.guest.phbwatch import PhbWatch
from harness.guest.qtest import Qtest

PHBS = 6
CARD_PHBS = (0, 3)
AGENT_PHB, RTL8139_PHB, E1000E_PHB, NVME_PHB = 1, 2, 4, 5
CARD_BYTES = 4 << 20
MAILBOX_PLACE = f"bus=port{AGENT_PHB},addr=0.1"
DISK = "nvme"
DISK_BYTES = 32 << 20

HIDINGS: Mapping[int, Hiding] = {
    **{phb: Hiding(2, CARD_BYTES, is_own=True) for phb in CARD_PHBS},
    E1000E_PHB: Hiding(0, 512 << 10),  # its four BARs lie side by side in as many bytes
    NVME_PHB: Hiding(0, 16 << 10),
    RTL8139_PHB: Hiding(1, 4 << 10),  # a driver without error handlers: EEH unplugs it and plugs it in again
}
"""The PHBs whose devices can freeze, and what is hidden of them then."""

LAYOUT = Layout(
    {"mailbox": MAILBOX_BYTES, **{f"card{n}": CARD_BYTES for n in range(len(CARD_PHBS))}},
    tuple(sorted({hiding.rom_bytes for hiding in HIDINGS.values()})),
    {DISK: DISK_BYTES},
)


def _address(phb: int) -> str:
    return f"{phb:04x}:01:00.0"


DEVICES: Mapping[str, Mapping[str, object]] = {
    _address(E1000E_PHB): {"address": "10.0.3.15", "peer": "10.0.3.2"},
    _address(RTL8139_PHB): {"address": "10.0.13.15", "peer": "10.0.13.2"},
    _address(NVME_PHB): {"overwrite": True, "range_bytes": 1 << 20},
}
"""What cases may disturb besides cards, and how it is put under load: the fact ``devices`` of the host."""

_MEMORY_MIB = 1024  # skiboot runs at 768 MiB
_LAN = "user,id=lan{0},restrict=on,net=10.0.{0}3.0/24"  # nobody but QEMU is on it
_BARE_METAL = (
    *("-M", "powernv9", "-m", f"{_MEMORY_MIB}M"),
    *("-smp", "3", "-accel", "tcg,thread=multi"),
)


def command(files: GuestFiles, fds: Mapping[str, int], firmware: Sequence[str], vmlinux: Path) -> list[str]:
    """The command line. `fds` are the sockets called ``qmp``, ``console``, ``agent`` and ``qtest``.

    `firmware` are the words that connect the guest to what simulates its cards.
    """
    return [
        QEMU,
        *FIXED,
        *_BARE_METAL,
        *boot(files, vmlinux),
        *chardevs(fds),
        *("-serial", "chardev:console", "-qtest", "chardev:qtest", "-qtest-log", "none"),
        *_bridges(),
        *("-device", f"virtio-serial-pci,bus=port{AGENT_PHB},addr=0.0,multifunction=on"),
        *("-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        *firmware,
        *(*NETWORK, "-device", f"virtio-net-pci,netdev=net,romfile=,bus=port{AGENT_PHB},addr=0.2"),
        *_cards(files),
        *("-netdev", _LAN.format(0), "-device", f"e1000e,netdev=lan0,{_place(E1000E_PHB)}"),
        *("-netdev", _LAN.format(1), "-device", f"rtl8139,netdev=lan1,{_place(RTL8139_PHB)}"),
        *("-blockdev", f"driver=file,node-name={DISK},filename={files.disk(DISK)},cache.no-flush=on"),
        *("-device", f"nvme,drive={DISK},serial=capi,{_place(NVME_PHB)}"),
        *_shutters(files),
    ]


def _bridges() -> Iterator[str]:
    for phb in range(PHBS):
        yield from ("-device", f"pnv-phb,chip-id=0,index={phb},id=phb{phb}")
        yield from ("-device", f"pnv-phb-root-port,id=port{phb},bus=phb{phb}")


def _cards(files: GuestFiles) -> Iterator[str]:
    for number, phb in enumerate(CARD_PHBS):
        name, rom = f"card{number}", files.all_ones(CARD_BYTES)
        memory = f"id={name},mem-path={files.memory(name)},size={CARD_BYTES},share=on"
        yield from ("-object", f"memory-backend-file,{memory}")
        yield from ("-device", f"ivshmem-plain,memdev={name},master=on,romfile={rom},bus=port{phb}")


def _shutters(files: GuestFiles) -> Iterator[str]:
    """Devices that no guest sees, whose ROMs hide others: see `phb.py`."""
    for phb, hiding in HIDINGS.items():
        if not hiding.is_own:
            rom = files.all_ones(hiding.rom_bytes)
            yield from ("-device", f"pci-testdev,bus=port{phb},addr=1.0,romfile={rom}")


def _place(phb: int) -> str:
    """Where a device is that has no ROM of its own."""
    return f"romfile=,bus=port{phb}"


class PowernvMachine(Machine):
    """A running POWER9, whose PHBs do what QEMU's do not."""

    watch: PhbWatch | None = None

    def __init__(self, files: GuestFiles, firmware: Wiring, phbs: Mapping[int, Phb], vmlinux: Path) -> None:
        """Start QEMU, with a guest about to boot `vmlinux`; `phbs` are `bridges()`. Raises InfraError."""
        self.phbs = phbs
        super().__init__(
            files,
            lambda fds: command(files, fds, firmware.arguments, vmlinux),
            firmware.descriptors,
            ("qtest",),
        )

    def _prepare(self) -> None:
        self.qtest = Qtest(self.others["qtest"])
        for phb in self.phbs.values():
            phb.connect(self, self.qtest)
        self.watch = PhbWatch(tuple(self.phbs.values()), self.qtest)

    def stop(self) -> None:
        """End QEMU at once; the guest's files stay. Never raises."""
        super().stop()
        if self.watch:
            self.watch.stop()
            self.qtest.close()


def bridges() -> dict[int, Phb]:
    """The PHBs whose devices can freeze, before there is a machine."""
    return {index: Phb(index, hiding) for index, hiding in HIDINGS.items()}
