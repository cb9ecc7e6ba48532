"""The simulated host's PCI devices without CAPI: each driver's way through a recovery."""

from __future__ import annotations

import pytest

from harness import registry
from harness.events.await_ import Await
from harness.events.check_pci_device import CheckPciDevice
from harness.events.force_device_recovery import ForceDeviceRecovery
from harness.events.freeze_device import FreezeDevice
from harness.events.pause import Pause
from harness.events.probe_device import ProbeDevice
from harness.events.remove_device import RemoveDevice
from harness.events.rescan_devices import RescanDevices
from harness.events.set_freeze_limit import SetFreezeLimit
from harness.events.start_traffic import StartTraffic
from harness.events.stop_traffic import StopTraffic
from harness.hosts.inproc import InprocHost
from harness.run.judge import judge
from harness.run.runner import Performance, Runner
from harness.sim.host import SimulatedHost
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE, Event
from harness.vocab.history import History
from harness.vocab.phase import Phase
from harness.vocab.schedule import ANY, Schedule, Strategy
from harness.vocab.topology import Platform
from harness.vocab.verdict import Verdict

IN_PLACE = ["detected", "error-detected", "reset", "slot-reset", "resume", "recovered"]
BY_HOTPLUG = ["detected", "error-detected", "reset", "resume", "recovered"]
ORACLES = tuple(registry.oracles().values())


def perform(
    *events: tuple[Event, When], device: str, mutant: str = "", schedule: Schedule = ANY
) -> Performance:
    """Traffic through a device, what the nemesis does meanwhile, and a probe."""
    steps = [Step(PROBE, ProbeDevice(device, 10_000)), Step(HARNESS, Await(PROBE, 20_000, interrupt=False))]
    steps += [Step("a0", StartTraffic(device, 300_000)), Step(HARNESS, Pause(100))]
    steps += [Step(NEMESIS, event, when) for event, when in events]
    steps += [Step(HARNESS, Await(NEMESIS, 200_000, interrupt=False)), Step(NEMESIS, CheckPciDevice(device))]
    steps += [
        Step(PROBE, ProbeDevice(device, 120_000)),
        Step(HARNESS, Await(PROBE, 130_000, interrupt=False)),
    ]
    steps += [Step(NEMESIS, StopTraffic("a0"))]
    host = SimulatedHost(Platform.POWERNV, mutant)
    return Runner(lambda: InprocHost("sim://powernv", host)).perform(
        Case(tuple(steps), Platform.POWERNV, schedule, cards=0)
    )


def phases(history: History, device: str) -> list[str]:
    marks = sorted(m for found in history.marks.values() for m in found if m.subject == device)
    return [m.phase.value for m in marks if m.phase is not None and m.phase is not Phase.CONFIRMED]


def outcomes(history: History) -> list[str]:
    """What the application's requests came to, stretch by stretch."""
    traffic = next(o for o in history.operations if o.intent.event == "StartTraffic")
    return [run[0] for run in traffic.answer["runs"]]


@pytest.mark.parametrize("access", ["now", "config", "store", "dma"])
@pytest.mark.parametrize(
    ("device", "way", "meanwhile"),
    [
        ("nvme-0", IN_PLACE, ["good"]),  # its requests wait, and are done in the end
        ("e1000e-0", IN_PLACE, ["good", "lost", "good"]),
        ("8139cp-0", BY_HOTPLUG, ["good", "ENODEV", "good"]),
    ],
)
def test_a_frozen_device_comes_back_the_way_its_driver_knows(
    device: str, way: list[str], meanwhile: list[str], access: str
) -> None:
    history = perform(
        (FreezeDevice(device, access), NOW), (CheckPciDevice(device), When(after_ms=500)), device=device
    ).history
    assert phases(history, device) == way
    seen = outcomes(history)
    assert [o for o in seen if o in meanwhile] == meanwhile
    assert set(seen) <= {*meanwhile, "lost"}
    assert judge(history, ORACLES).verdict is Verdict.PASS


@pytest.mark.parametrize("device", ["nvme-0", "e1000e-0", "8139cp-0"])
def test_a_driver_finds_out_by_itself(device: str) -> None:
    """After the time-out of a request, or by the watchdog of a network driver; nobody else looks."""
    history = perform(
        (FreezeDevice(device, "now"), NOW), (ForceNothing, When(after_ms=50_000)), device=device
    ).history
    assert phases(history, device) in (IN_PLACE, BY_HOTPLUG)


ForceNothing = SetFreezeLimit(5)  # what takes time, and changes nothing


def test_over_the_limit_a_device_is_gone_until_the_bus_is_scanned() -> None:
    history = perform(
        (SetFreezeLimit(0), NOW),
        (FreezeDevice("nvme-0", "now"), NOW),
        (CheckPciDevice("nvme-0"), NOW),
        (RescanDevices(), When(after_ms=20_000)),
        device="nvme-0",
    ).history
    assert phases(history, "nvme-0")[:2] == ["detected", "failed-permanently"]
    assert [o for o in outcomes(history) if o != "EIO"] == ["good", "ENODEV", "good"]
    assert judge(history, ORACLES).verdict is Verdict.PASS


def test_a_removed_device_fails_its_requests_and_is_found_again() -> None:
    history = perform(
        (RemoveDevice("nvme-0"), NOW), (RescanDevices(), When(after_ms=1000)), device="nvme-0"
    ).history
    assert phases(history, "nvme-0") == []
    assert outcomes(history) == ["good", "ENODEV", "good"]


def test_a_removal_waits_for_the_recovery() -> None:
    history = perform(
        (FreezeDevice("nvme-0", "now"), NOW),
        (CheckPciDevice("nvme-0"), NOW),
        (RemoveDevice("nvme-0"), When(phase="reset")),
        (RescanDevices(), NOW),
        device="nvme-0",
    ).history
    removal = next(o for o in history.operations if str(o.args.get("path", "")).endswith("/remove"))
    assert removal.ended_us >= history.marked(Phase.RECOVERED, "nvme-0")[0].time_us


def test_a_device_that_was_found_anew_is_recovered_once_for_each_freeze() -> None:
    history = perform(
        (FreezeDevice("nvme-0", "now"), NOW),
        (CheckPciDevice("nvme-0"), NOW),
        (RemoveDevice("nvme-0"), NOW),  # comes before the recovery, which then finds nobody
        (RescanDevices(), NOW),
        (FreezeDevice("nvme-0", "now"), NOW),
        (CheckPciDevice("nvme-0"), NOW),
        device="nvme-0",
        schedule=Schedule(Strategy.DECISIONS),  # each task until it must wait
    ).history
    assert phases(history, "nvme-0") == IN_PLACE
    assert not [f for f in judge(history, ORACLES).findings if f.oracle == "device_phases_in_order"]


def test_an_administrator_recovers_a_healthy_device() -> None:
    history = perform(
        (ForceDeviceRecovery("e1000e-0"), NOW), (ForceNothing, When(after_ms=20_000)), device="e1000e-0"
    ).history
    assert phases(history, "e1000e-0") == IN_PLACE
    assert judge(history, ORACLES).verdict is Verdict.PASS


def test_another_device_does_not_notice() -> None:
    history = perform(
        (FreezeDevice("nvme-0", "now"), NOW), (CheckPciDevice("nvme-0"), NOW), device="e1000e-0"
    ).history
    assert outcomes(history) == ["good"]
