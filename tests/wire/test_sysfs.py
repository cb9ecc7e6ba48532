"""Tests of reading a host's hello: all that is wrong is said at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.vocab.errors import ProtocolError
from harness.wire import sysfs

HELLOS = json.loads((Path(__file__).parents[2] / "fixtures" / "wire" / "hello.json").read_text())["vectors"]


def hello(index: int) -> dict[str, Any]:
    return copy.deepcopy(HELLOS[index]["wire"])


def test_all_that_is_missing_or_wrong_is_said_at_once() -> None:
    value = hello(0)
    body = value["hello"]
    body["protocol"] = 2
    body["platform"] = ""
    del body["facts"]["afu0.0"]["contexts_max"]
    body["facts"]["afu1.0"]["test_registers"] = "yes"
    body["files"]["/sys/class/cxl/afu1.0/irqs_min"] = "\x1b[31mmany"
    body["files"]["/sys/class/cxl/card1/device"] = "../../etc/passwd"
    body["files"]["/sys/class/cxl/afu0.1/modes_supported"] = "shared\n"
    with pytest.raises(ProtocolError) as caught:
        sysfs.topology(value)
    message = str(caught.value)
    for place in (
        "hello.protocol",
        "hello.platform",
        "hello.facts.afu0.0.contexts_max",
        "hello.facts.afu1.0.test_registers",
        "afu1.0/irqs_min",
        "card1/device",
        "afu0.1/modes_supported",
    ):
        assert place in message
    assert "\x1b" not in message


def test_powervm_needs_unit_addresses() -> None:
    value = hello(1)
    del value["hello"]["facts"]["afu0.1"]["unit"]
    with pytest.raises(ProtocolError, match=r"afu0\.1\.unit"):
        sysfs.topology(value)


@pytest.mark.parametrize("line", [b"", b"bash: python3: command not found\n", b"[]", b'{"hello":3}', b"{}"])
def test_what_is_no_hello_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        sysfs.topology(line)


def test_cards_and_afus_come_in_numerical_order() -> None:
    value = hello(1)
    files, facts = value["hello"]["files"], value["hello"]["facts"]
    for path in [path for path in files if "afu0.0/" in path]:
        files[path.replace("afu0.0", "afu10.0")] = files[path]
        files[path.replace("afu0.0", "afu2.0")] = files[path]
    facts["afu10.0"] = facts["afu2.0"] = facts["afu0.0"]
    assert [card.name for card in sysfs.topology(value).cards] == ["card0", "card2", "card10"]


PCI = "/sys/bus/pci/devices"
DISK, NIC = "0005:01:00.0", "0004:01:00.0"


def with_devices(**facts: dict[str, Any]) -> dict[str, Any]:
    """The hello of a bare-metal host with an NVMe disk, a network device and something else under EEH."""
    value = hello(0)
    classes = {NIC: "0x020000", DISK: "0x010802", "0006:01:00.0": "0x030000"}
    for bdf, pci_class in classes.items():
        value["hello"]["files"][f"{PCI}/{bdf}/class"] = f"{pci_class}\n"
        value["hello"]["files"][f"{PCI}/{bdf}/eeh_pe_config_addr"] = "0xfd\n"
        value["hello"]["files"][f"{PCI}/{bdf}/driver"] = "../../../../bus/pci/drivers/some"
    value["hello"]["facts"]["devices"] = facts
    return value


def test_only_devices_that_the_facts_allow_are_in_the_topology() -> None:
    assert sysfs.topology(with_devices()).devices == ()
    found = sysfs.topology(with_devices(**{DISK: {"overwrite": True, "range_bytes": 8192}}))
    (disk,) = found.devices
    assert (disk.name, disk.bdf, disk.phb, disk.eeh_pe) == ("some-0", DISK, 5, 0xFD)
    assert (disk.traffic.value, disk.range_bytes, disk.may_overwrite) == ("blocks", 8192, True)
    assert "device:some-0" in found.features


def test_devices_are_numbered_in_the_order_of_their_addresses() -> None:
    net = {"address": "192.0.2.7", "peer": "192.0.2.1"}
    found = sysfs.topology(with_devices(**{DISK: {}, NIC: net})).devices
    assert [(device.name, device.bdf) for device in found] == [("some-0", NIC), ("some-1", DISK)]


@pytest.mark.parametrize(
    ("bdf", "facts", "says"),
    [
        ("0009:01:00.0", {}, "no such PCI device"),
        ("/etc/passwd", {}, "no such PCI device"),
        ("0006:01:00.0", {}, "nothing is known that keeps this device busy"),
        (NIC, {}, "is no address"),
        (NIC, {"address": "192.0.2.7", "peer": "gateway"}, "'gateway' is no address"),
        (DISK, {"overwrite": "yes"}, "wrong type"),
    ],
)
def test_an_allowed_device_that_cannot_be_used_is_refused(bdf: str, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        sysfs.topology(with_devices(**{bdf: facts}))


def test_a_device_that_the_host_itself_uses_is_refused_whoever_allows_it() -> None:
    value = with_devices(**{DISK: {}})
    value["hello"]["in_use"] = {DISK: f"{DISK} is mounted on /"}
    with pytest.raises(ProtocolError, match=r"the host itself uses this device: .* is mounted on /"):
        sysfs.topology(value)
    value["hello"]["facts"]["devices"] = {}
    assert sysfs.topology(value).devices == ()
