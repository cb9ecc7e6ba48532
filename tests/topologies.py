"""Hosts to test with: one of each platform, two cards each, three AFUs; and one of PCI devices only."""

from __future__ import annotations

from harness.vocab.topology import Afu, Card, Device, Mode, Platform, Topology, Traffic

_FEATURES = frozenset({"debugfs", "kprobes", "virtual-time", "deterministic"})


def _directed(name: str, unit: int = 0) -> Afu:
    return Afu(name, f"card{name[3]}", (Mode.DIRECTED,), contexts_max=4, irqs_min=1, irqs_max=8, unit=unit)


POWERNV = Topology(
    Platform.POWERNV,
    "6.1.0",
    (
        Card("card0", (_directed("afu0.0"), _directed("afu0.1")), "0000:01:00.0", phb=0, eeh_pe=1),
        Card(
            "card1",
            (Afu("afu1.0", "card1", (Mode.DEDICATED,), contexts_max=1, irqs_min=1, irqs_max=8),),
            "0001:01:00.0",
            phb=1,
            eeh_pe=1,
        ),
    ),
    features=_FEATURES | {"hardware-console", "command-answers", "psl-interrupts"},
)

POWERVM = Topology(
    Platform.POWERVM,
    "6.1.0",
    (
        Card("card0", (_directed("afu0.0", 0x10), _directed("afu0.1", 0x11)), device="1000000.facility"),
        Card("card1", (_directed("afu1.0", 0x20),), device="2000000.facility"),
    ),
    poll_period_ms=3000,
    features=_FEATURES | {"phyp-console", "hold-points", "facility-removal"},
)

_PLAIN = (
    Device("e1000e-0", "0004:01:00.0", "e1000e", Traffic.FRAMES, 4, 1, address="192.0.2.7", peer="192.0.2.1"),
    Device("nvme-0", "0005:01:00.0", "nvme", Traffic.BLOCKS, 5, 1, range_bytes=1 << 20),
)
DEVICES = Topology(
    Platform.POWERNV,
    "6.1.0",
    (),
    features=_FEATURES | {"hardware-console"} | {device.feature for device in _PLAIN},
    devices=_PLAIN,
)
