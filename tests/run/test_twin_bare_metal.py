"""Two bare-metal hosts side by side: recoveries instead of periodic checks, and PCI devices without CAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.events.attach import Attach
from harness.events.await_ import Await
from harness.events.check_device import CheckDevice
from harness.events.check_pci_device import CheckPciDevice
from harness.events.drop_link import DropLink
from harness.events.force_recovery import ForceRecovery
from harness.events.freeze_device import FreezeDevice
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.load import Load
from harness.events.map import Map
from harness.events.open import Open
from harness.events.pause import Pause
from harness.events.probe_device import ProbeDevice
from harness.events.query_context import QueryContext
from harness.events.read_config_space import ReadConfigSpace
from harness.events.read_error_buffer import ReadErrorBuffer
from harness.events.snapshot import Snapshot
from harness.events.store import Store
from harness.events.unbind_driver import UnbindDriver
from harness.hosts.inproc import InprocHost
from harness.run import twin
from harness.run.runner import Runner
from harness.run.twin import Twins
from harness.run.twinallowed import read
from harness.run.twincourse import Moment
from harness.run.twindiff import compare
from harness.run.twindifference import Compared
from harness.run.twinoutcome import outcome
from harness.run.twinrun import Asked, compare_hosts
from harness.run.twinstory import Story
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case, Step, When
from harness.vocab.history import History, Operation, Record
from harness.vocab.phase import Phase
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Platform
from harness.vocab.verdict import ExitCode
from tests.run.twins import host, rules

ROOT = Path(__file__).parents[2]
AFU, CARD, NVME = "afu0.0", "card0", "nvme-0"
HEALTHY = host(platform=Platform.POWERNV)
OPEN = Step("a0", Open("c0", AFU, "s"))
ATTACHED = (OPEN, Step("a0", Attach("c0", True, -1, 0xC0DE)), Step("a0", Map("c0", "c0.mmio")))
DROP = Step("nemesis", DropLink(CARD))
LONG = Step("harness", Pause(12_000))
WAIT = Step("harness", Await("all", 30_000, False))
QUERY = Step("a0", QueryContext("c0", "GET_AFU_ID"))


def perform(*steps: Step, opener: Callable = HEALTHY) -> History:
    case = Case(steps, Platform.POWERNV, schedule=Schedule.of_seed(1), cards=2, origin="a test")
    return Runner(opener).perform(case).history


def mutant(name: str) -> Callable[[], InprocHost]:
    return host(name, platform=Platform.POWERNV)


def compared(*steps: Step, b: Callable = HEALTHY) -> Compared:
    return compare(perform(*steps), perform(*steps, opener=b))


def moments(*steps: Step, verb: str = "ioctl") -> list[Moment]:
    story = Story(perform(*steps))
    return [story.moment(op) for op in story.history.operations if op.verb == verb]


# When an operation lies -------------------------------------------------------------------------------------


def test_a_freeze_waits_until_somebody_notices_and_a_recovery_has_an_end() -> None:
    freeze = Step("nemesis", FreezeEehPe(CARD, "load"))
    load = Step("a0", Load("c0.mmio", "WED", 8, 1))
    look = Step("nemesis", CheckDevice(CARD))
    pause = Step("harness", Pause(1_000))
    steps = (*ATTACHED, WAIT, QUERY, WAIT, pause, freeze, WAIT, pause, load, WAIT, look, WAIT, pause, QUERY)
    again = Step("a1", Open("c1", AFU, "s")), Step("a1", QueryContext("c1", "GET_AFU_ID"))
    found = moments(*steps, WAIT, LONG, *again)
    assert found == [Moment.CALM, Moment.CALM, Moment.MOVING, Moment.SETTLED]  # the attach is the first
    assert moments(*steps, verb="load") == [Moment.MOVING]  # what is armed acts when the host has it act


def test_an_open_right_after_a_lost_link_is_left_to_chance() -> None:
    quick = Step("a1", Open("c1", AFU, "s"), When(after_ms=60))
    assert moments(OPEN, WAIT, Step("harness", Pause(500)), DROP, quick, verb="open")[-1] is Moment.MOVING


def test_what_an_unbind_does_comes_to_an_end_without_a_recovery() -> None:
    unbind = Step("nemesis", UnbindDriver(CARD))
    late = Step("a1", Open("c1", AFU, "s"))
    assert moments(unbind, WAIT, LONG, late, verb="open") == [Moment.SETTLED]


def test_what_is_done_to_one_card_leaves_the_other_calm() -> None:
    story = Story(perform(DROP, LONG, Step("probe", Snapshot())))
    states = [op for op in story.history.operations if str(op.args.get("path", "")).endswith("eeh_pe_state")]
    assert [story.afus(op) for op in states] == [("afu0.0", "afu0.1"), ("afu1.0",)]
    assert [story.moment(op) for op in states] == [Moment.SETTLED, Moment.CALM]


# What is a difference, and what is none ---------------------------------------------------------------------


def test_a_recovery_that_comes_on_one_host_only_is_a_difference() -> None:
    found = compared(*ATTACHED, WAIT, DROP, LONG, b=mutant("ForgetsSecondAfu"))
    assert "recovery/first-quiesce-not-nothing" in found.signatures
    assert compared(*ATTACHED, WAIT, DROP, LONG).differences == ()


def test_a_recovery_by_force_is_compared_unless_it_meets_another_trouble() -> None:
    force = Step("nemesis", ForceRecovery(CARD))
    broken = mutant("ForgetsSecondAfu")
    alone = compared(force, LONG, LONG, b=broken)
    assert "recovery/first-quiesce-not-nothing" in alone.signatures
    met = compared(Step("nemesis", DropLink("card1")), force, LONG, LONG, b=broken)
    assert "overlap" in rules(met)
    assert not {item for item in met.signatures if item.startswith("recovery/")}
    later = compared(Step("nemesis", DropLink("card1")), LONG, force, LONG, LONG, b=broken)
    assert "recovery/first-quiesce-not-nothing" in later.signatures


def test_what_a_kernel_reports_of_itself_is_a_difference_whatever_came_before() -> None:
    """Chance decides what comes first, the open or the loss of the link."""
    second = (Step("a2", Open("c2", AFU, "s")), Step("a2", Attach("c2", True, -1, 2)))
    steps = (*ATTACHED, *second, WAIT, DROP, Step("a1", Open("c1", AFU, "s")), LONG)
    story = Story(perform(*steps))
    assert any(story.moment(op) is Moment.MOVING for op in story.history.operations if op.verb == "open")
    result = compared(*steps, b=mutant("WarnsInRecovery"))
    assert "log/says-nothing-not-warning-in-cxl_adapter_context_unlock" in result.signatures


def test_a_life_on_one_card_is_compared_while_the_other_is_in_doubt() -> None:
    """The second open ends as chance has it, on the other card."""
    in_doubt = (Step("nemesis", DropLink("card1")), Step("a1", Open("c1", "afu1.0", "d")))
    result = compared(*ATTACHED, WAIT, *in_doubt, LONG, DROP, LONG, b=mutant("PurgesTwice"))
    assert "context/life-nothing-not-attach-release-irqs-detach-detach" in result.signatures


def test_a_load_of_the_log_of_stores_follows_from_a_store_in_doubt() -> None:
    """What the load gave on the second host is exchanged: somebody's store arrived there."""

    def result(*stores: Step) -> Compared:
        newcomer = (Step("a1", Open("c1", AFU, "s")), Step("a1", Attach("c1", True, -1, 2)))
        load = Step("a1", Load("c1.mmio", "STORE_LOG", 8, 1))
        history = perform(
            *ATTACHED, WAIT, DROP, *stores, LONG, *newcomer, Step("a1", Map("c1", "c1.mmio")), load
        )
        other = [
            record._replace(data={"runs": [[7, 1, 0, 0]]}) if "runs" in record.data else record
            for record in history.records
        ]
        return compare(history, replace(history, records=tuple(other)))

    assert "value/load-settled-zero-not-value" in result().signatures
    in_doubt = result(Step("a0", Store("c0.mmio", 0xCA91)))
    assert "consequence" in rules(in_doubt)
    assert not in_doubt.differences


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0x00000078 0x00000800", "fine"),
        ("0x00000078 0x00000802", "recovering"),
        ("0x00000060 0x00000801", "isolated-frozen"),
        ("nonsense", "text"),
    ],
)
def test_the_state_of_an_eeh_pe_is_told_in_words(text: str, word: str) -> None:
    history = perform(Step("probe", Snapshot()))
    [op, *_] = [op for op in history.operations if str(op.args.get("path", "")).endswith("eeh_pe_state")]
    assert op.end is not None
    assert outcome(Story(history), _answering(op, text)).value == word


def _answering(op: Operation, text: str) -> Operation:
    assert op.end is not None
    return op._replace(end=op.end._replace(data={"text": f"{text}\n"}))


def test_configuration_space_is_told_by_whether_the_device_answers() -> None:
    read_it = Step("a0", ReadConfigSpace(CARD))
    history = perform(read_it, WAIT, Step("nemesis", DropLink(CARD)), Step("a0", ReadConfigSpace(CARD)))
    story = Story(history)
    values = [outcome(story, op).value for op in history.operations if op.verb == "read_file"]
    assert values == ["device", "all-ones"]


# Which cases ------------------------------------------------------------------------------------------------


def _without(*names: str, limits: bool = False) -> Callable[[], InprocHost]:
    """A simulated host that lacks devices, and perhaps cannot inject but into configuration space."""

    class Lacking(SimulatedHost):
        def hello(self) -> bytes:
            hello = super().hello()
            for name in names:
                hello = hello.replace(name.encode(), b"nobody")
            return (
                hello.replace(b'"debugfs"', b'"debugfs","config-injection","emulated"') if limits else hello
            )

    return lambda: InprocHost("sim://powernv", Lacking(Platform.POWERNV, "", ""))


def test_cases_are_for_devices_and_injections_that_both_hosts_have() -> None:
    twins = Twins((HEALTHY, _without("drivers/8139cp", limits=True)), {})
    try:
        assert [device.name for device in twins.topology.devices] == ["e1000e-0", NVME]
        assert twins.topology.features >= twin.LIMITS
    finally:
        twins.close()


def test_a_plan_about_devices_draws_cases_about_devices(tmp_path: Path) -> None:
    hosts = ("sim://powernv", "sim://powernv")
    asked = Asked(hosts, ROOT / "testplans/eeh.toml", budget="4cases", seed=3, out=tmp_path / "out")
    written = compare_hosts(asked)
    assert written.result.exit_code is ExitCode.PASS
    assert written.result.operations > 40


FROZEN_DEVICE = (
    Step("probe", ProbeDevice(NVME, 10_000)),
    WAIT,
    Step("nemesis", FreezeDevice(NVME, "now")),
    Step("nemesis", CheckPciDevice(NVME)),
    LONG,
    Step("probe", ProbeDevice(NVME, 10_000)),
    WAIT,
)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("OverlooksFrozenDevices", "recovery/first-error-detected-not-nothing"),
        ("SkipsSlotReset", "recovery/after-reset-slot-reset-not-recovered"),
        ("LeavesQueuesStopped", "value/traffic-settled-good-not-"),
    ],
)
def test_a_defect_of_a_devices_recovery_is_a_difference(name: str, signature: str) -> None:
    found = compared(*FROZEN_DEVICE, b=mutant(name)).signatures
    assert any(item.startswith(signature) for item in found), found


def test_the_list_of_bare_metal_is_for_any_such_guest_and_the_healthy_simulator() -> None:
    folder = ROOT / "fixtures/twin"
    for url in ("qemu://powernv", "qemu://powernv?mend=cdev"):
        assert "context/life-nothing-not-attach-release-irqs-detach" in read(folder, (url, "sim://powernv"))
    assert not read(folder, ("qemu://powernv", "sim://powernv?mutant=SkipsReset"))


def test_what_an_error_buffer_holds_is_each_cards_own() -> None:
    read_it = Step("a0", ReadErrorBuffer(AFU))
    history = perform(read_it, WAIT, DROP, Step("a0", ReadErrorBuffer(AFU)))
    story = Story(history)
    values = [outcome(story, op).value for op in history.operations if op.verb == "read_file"]
    assert values == ["device", "all-ones"]


def test_a_probe_that_waits_for_eeh_lies_where_it_ends() -> None:
    freeze, look = Step("nemesis", FreezeDevice(NVME, "now")), Step("nemesis", CheckPciDevice(NVME))
    probe = Step("probe", ProbeDevice(NVME, 60_000))
    assert moments(freeze, look, WAIT, probe, verb="traffic") == [Moment.SETTLED]


def test_what_came_before_a_second_error_is_compared_although_that_came_elsewhere() -> None:
    """On the second host the second freeze comes earlier, and the driver was not told of the first reset."""
    freeze, look = Step("nemesis", FreezeDevice(NVME, "now")), Step("nemesis", CheckPciDevice(NVME))
    history = perform(freeze, look, LONG, freeze, look, LONG)
    [told, _] = history.marked(Phase.SLOT_RESET)

    def other(record: Record) -> Record:
        if record is told:
            return record._replace(phase=Phase.RECOVERED)
        return record._replace(time_us=told.time_us + 1) if record.step == 3 else record

    records = tuple(other(record) for record in history.records)
    found = compare(history, replace(history, records=records))
    assert "recovery/after-reset-slot-reset-not-recovered" in found.signatures
