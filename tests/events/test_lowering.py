"""Every event lowers to requests that the vocabulary knows, and the ones with a format of their own to it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from harness import registry
from harness.events.attach import Attach
from harness.events.bind_driver import BindDriver
from harness.events.change_mode import ChangeMode
from harness.events.check_device import CheckDevice
from harness.events.exceed_correctable_errors import ExceedCorrectableErrors
from harness.events.fence_phb import FencePhb
from harness.events.force_device_recovery import ForceDeviceRecovery
from harness.events.force_recovery import ForceRecovery
from harness.events.freeze_device import FreezeDevice
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.load import Load
from harness.events.map import Map
from harness.events.open import Open
from harness.events.probe_availability import ProbeAvailability
from harness.events.probe_capacity import ProbeCapacity
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.raise_transient_error import RaiseTransientError
from harness.events.read_attributes import ReadAttributes
from harness.events.read_event import ReadEvent
from harness.events.remove_device import RemoveDevice
from harness.events.reset_card import ResetCard
from harness.events.rewrite_mode import RewriteMode
from harness.events.snapshot import Snapshot
from harness.events.start_traffic import StartTraffic
from harness.events.store import Store
from harness.vocab.request import VERBS, Request, Verb
from harness.vocab.topology import Subject
from tests.topologies import DEVICES, POWERNV, POWERVM

EVENTS = tuple(registry.events().values())


def misfits(request: Request) -> list[str]:
    """What is wrong with the arguments of `request`."""
    known = VERBS[request.verb]
    needed = {name for name in known if not name.endswith("?")}
    allowed = {name.rstrip("?"): kind for name, kind in known.items()}
    problems = [f"lacks {name}" for name in needed - set(request.args)]
    for name, value in request.args.items():
        if name not in allowed:
            problems.append(f"has an unknown {name}")
        elif not isinstance(value, allowed[name]) or (isinstance(value, bool) and allowed[name] is not bool):
            problems.append(f"has {name}={value!r}")
    return problems


def test_misfits_are_seen():
    assert misfits(Request(Verb.CLOSE)) == ["lacks fd"]
    assert misfits(Request(Verb.CLOSE, {"fd": 1})) == ["has fd=1"]
    assert misfits(Request(Verb.SLEEP, {"ms": True})) == ["has ms=True"]
    assert misfits(Request(Verb.EXIT, {"code": 1})) == ["has an unknown code"]


@pytest.mark.parametrize(
    ("cls", "topology"),
    [
        pytest.param(cls, topology, id=f"{cls.__name__}-{topology.platform.value}")
        for topology in (POWERNV, POWERVM)
        for cls in EVENTS
        if topology.platform in cls.platforms and Subject.CARDS in cls.subjects
    ]
    + [
        pytest.param(cls, DEVICES, id=f"{cls.__name__}-devices")
        for cls in EVENTS
        if Subject.DEVICES in cls.subjects
    ],
)
def test_event_lowers_to_known_requests(cls, topology, examples):
    events = examples(topology, cls)
    assert events, "no case of the sample has it"
    for event in events:
        requests = event.lower(topology)
        assert requests
        assert [problem for request in requests for problem in misfits(request)] == []


def with_interrupts(card):
    """The card with as many interrupts as a PSL9 has."""
    return replace(card, afus=tuple(replace(afu, irqs_max=4_087) for afu in card.afus))


PSL9 = replace(POWERNV, cards=tuple(map(with_interrupts, POWERNV.cards)))


@pytest.mark.parametrize(
    "topology", [POWERNV, PSL9, POWERVM, DEVICES], ids=["powernv", "PSL9", "powervm", "devices"]
)
def test_drawn_fields_are_plain_and_allowed(topology, examples):
    for cls in EVENTS:
        for event in examples(topology, cls):
            for item in fields(event):
                value = getattr(event, item.name)
                assert type(value) in (str, int, bool), (event, item.name)
                assert value in item.metadata.get("allowed", (value,)), (event, item.name)


@pytest.mark.parametrize("topology", [POWERNV, POWERVM, DEVICES], ids=["powernv", "powervm", "devices"])
def test_reach_names_afus_and_devices_of_the_host(topology, examples):
    names = {thing.name for thing in (*topology.afus, *topology.devices)}
    for cls in EVENTS:
        for event in examples(topology, cls):
            assert event.disturbs(topology) <= names


def only(event, topology=POWERNV) -> Request:
    (request,) = event.lower(topology)
    return request


def test_open_names_the_node():
    assert only(Open("c0", "afu0.1", "m")).args == {"fd": "c0", "path": "/dev/cxl/afu0.1m"}
    assert only(Open("c0", "afu1.0", "d", nonblock=True)).args["nonblock"] is True


def test_attach_sets_flags_and_interrupts():
    default = only(Attach("c0", err_ff=True, irqs=-1, wed=5)).args
    assert default == {"fd": "c0", "name": "START_WORK", "fields": {"flags": 4, "wed": 5}}
    chosen = only(Attach("c0", err_ff=False, irqs=3, wed=5)).args["fields"]
    assert chosen == {"flags": 2, "wed": 5, "num_interrupts": 3}


def test_accesses_have_offsets_of_the_register_map():
    load = only(Load("c0.mmio", "STATUS", 4, 10)).args
    assert load == {"map": "c0.mmio", "offset": 0x10, "width": 4, "count": 10}
    store = only(Store("c0.mmio", 77)).args
    assert store == {"map": "c0.mmio", "offset": 8, "width": 8, "value": 77}
    assert only(RaiseAfuInterrupt("c0.mmio", 3)).args["value"] == 0x0100_0000_0000_0003
    assert only(Map("c0", "c0.mmio")).args == {"fd": "c0", "map": "c0.mmio", "length": 4096}


def test_where_firmware_injects_into_configuration_space_only_a_freeze_is_asked_for_there():
    topology = replace(POWERNV, features=POWERNV.features | {"config-injection"})
    assert only(FreezeEehPe("card1", "dma"), topology).args["text"] == "1:1:4:0:0\n"


def test_read_without_a_timeout_waits_for_ever():
    assert only(ReadEvent("c0", 0)).args == {"fd": "c0"}
    assert only(ReadEvent("c0", 10)).args == {"fd": "c0", "timeout_ms": 10}


@pytest.mark.parametrize(
    ("event", "path", "text"),
    [
        (FreezeEehPe("card1", "load"), "/sys/kernel/debug/powerpc/PCI0001/err_injct", "1:1:0:0:0\n"),
        (FreezeEehPe("card0", "dma"), "/sys/kernel/debug/powerpc/PCI0000/err_injct", "1:1:c:0:0\n"),
        (
            FencePhb("card1"),
            "/sys/kernel/debug/powerpc/PCI0001/err_injct_outbound",
            "0x8000000000000000",
        ),
        (ForceRecovery("card1"), "/sys/kernel/debug/powerpc/eeh_force_recover", "1:1\n"),
        (CheckDevice("card1"), "/sys/kernel/debug/powerpc/eeh_dev_check", "0001:01:00.0"),
        (BindDriver("card0"), "/sys/bus/pci/drivers/cxl-pci/bind", "0000:01:00.0"),
        (ResetCard("card0", forced=True), "/sys/class/cxl/card0/reset", "-1"),
        (ResetCard("card0", forced=False), "/sys/class/cxl/card0/reset", "1"),
        (ChangeMode("afu0.1", "none"), "/sys/class/cxl/afu0.1/mode", "none"),
        (RewriteMode("afu0.1"), "/sys/class/cxl/afu0.1/mode", "afu_directed"),
        (RewriteMode("afu1.0"), "/sys/class/cxl/afu1.0/mode", "dedicated_process"),
    ],
)
def test_files_are_written_as_the_kernel_reads_them(event, path, text):
    assert only(event) == Request(Verb.WRITE_FILE, {"path": path, "text": text})


def test_phyp_is_told_of_errors():
    transient = only(RaiseTransientError("afu0.0", 100), POWERVM)
    details = {"afu": "afu0.0", "severity": "transient", "for_ms": 100}
    assert transient == Request(Verb.INJECT, {"what": "phyp_error", "with": details})
    assert len(ExceedCorrectableErrors("afu0.0").lower(POWERVM)) == 4


def test_attributes_are_those_of_subject_and_platform():
    def names(subject, topology):
        return {r.args["path"].rpartition("/")[2] for r in ReadAttributes(subject, 1).lower(topology)}

    assert "image_loaded" in names("card0", POWERNV)
    assert "image_loaded" not in names("card0", POWERVM)
    assert "mode" in names("afu0.0", POWERVM)
    assert all(r.is_always for r in ReadAttributes("card0", 5).lower(POWERNV))


def test_snapshot_reads_the_state_of_every_card():
    paths = [request.args["path"] for request in Snapshot().lower(POWERNV)]
    assert [path for path in paths if path.endswith("eeh_pe_state")] == [
        "/sys/bus/pci/devices/0000:01:00.0/eeh_pe_state",
        "/sys/bus/pci/devices/0001:01:00.0/eeh_pe_state",
    ]
    assert not any("eeh" in request.args["path"] for request in Snapshot().lower(POWERVM))


@pytest.mark.parametrize(("kind", "reads_log"), [("m", True), ("s", False)])
def test_availability_probe_undoes_what_it_did(kind, reads_log):
    requests = ProbeAvailability("afu0.0", kind, "p").lower(POWERNV)
    verbs = [request.verb for request in requests]
    assert verbs[:3] == [Verb.OPEN, Verb.IOCTL, Verb.MMAP]
    assert [r.verb for r in requests if r.is_always] == verbs[-2:] == [Verb.MUNMAP, Verb.CLOSE]
    assert Verb.READ in verbs
    assert any(r.args.get("offset") == 0x40 and r.args.get("count") == 16 for r in requests) is reads_log


def test_capacity_probe_takes_all_contexts_and_closes_them():
    requests = ProbeCapacity("afu0.0").lower(POWERNV)
    taken = [r.verb for r in requests if r.verb in (Verb.OPEN, Verb.IOCTL)]
    assert taken == [Verb.OPEN, Verb.IOCTL] * 4
    assert [r.verb for r in requests if r.is_always] == [Verb.MUNMAP] + [Verb.CLOSE] * 4
    assert len({r.args["fd"] for r in requests if r.verb is Verb.OPEN}) == 4
    assert requests[0].args["path"] == "/dev/cxl/afu0.0m"
    assert Verb.READ in {r.verb for r in requests}, "the first context is used"


def test_a_device_is_claimed_before_it_is_taken_away():
    """The agent refuses the claim of a device that the system uses, and the rest of the step is left out."""
    for event in (
        FreezeDevice("nvme-0", "now"),
        FreezeDevice("nvme-0", "config"),
        ForceDeviceRecovery("nvme-0"),
        RemoveDevice("nvme-0"),
    ):
        first, *others = event.lower(DEVICES)
        assert first == Request(Verb.CLAIM, {"device": "0005:01:00.0"})
        assert others
        assert not any(request.is_always for request in others)


def test_the_number_of_an_eeh_pe_is_filled_in_on_the_host():
    path = "/sys/kernel/debug/powerpc/PCI0005/err_injct"
    _, arm, access = FreezeDevice("nvme-0", "config").lower(DEVICES)
    assert arm.args == {"path": path, "text": "{eeh_pe}:1:4:0:0\n", "device": "0005:01:00.0"}
    assert access.args["path"].endswith("/0005:01:00.0/config")
    _, forced = ForceDeviceRecovery("e1000e-0").lower(DEVICES)
    assert forced.args["text"] == "4:{eeh_pe}\n"


def test_traffic_is_what_the_device_takes():
    blocks, frames = (only(StartTraffic(name, 9), DEVICES).args for name in ("nvme-0", "e1000e-0"))
    assert (blocks["kind"], blocks["bytes"], blocks["overwrite"]) == ("blocks", 1 << 20, False)
    assert (frames["kind"], frames["address"], frames["peer"]) == ("frames", "192.0.2.7", "192.0.2.1")


def test_everything_in_the_eeh_pe_is_disturbed():
    twin = replace(DEVICES.devices[1], name="nvme-1", bdf="0005:01:00.1")
    both = replace(DEVICES, devices=(*DEVICES.devices, twin))
    assert FreezeDevice("nvme-0", "now").disturbs(both) == {"nvme-0", "nvme-1"}
