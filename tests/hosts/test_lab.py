"""Holds lab hosts: opened by name from an inventory, over real SSH, and never disturbed beyond their list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.hosts import inventory, lab
from harness.hosts.host import Host
from harness.vocab.errors import InfraError, ProtocolError, UsageError
from harness.wire import sysfs
from tests.agent.playing import Steps, kinds
from tests.hosts.sshd import Sshd
from tests.topologies import DEVICES, POWERNV

ENTRY = """
[hosts.p8]
address = "127.0.0.1"
port = {port}
username = "capi"
known_hosts = "known_hosts"
key_file = "id"
platform = "powernv"
allow_destructive = ["card0"]
[hosts.p8.afus."afu0.0"]
contexts_max = 4
test_registers = true
[hosts.p8.console]
command = ["true"]
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    afu = folder / "sys/class/cxl/afu0.0"
    card = folder / "sys/class/cxl/card0"
    pci = folder / "sys/bus/pci/devices/0000:01:00.0"
    for made in (afu, card, pci):
        made.mkdir(parents=True)
    for name, text in (
        ("mode", "afu_directed\n"),
        ("irqs_min", "1\n"),
        ("irqs_max", "8\n"),
        ("mmio_size", "4096\n"),
    ):
        (afu / name).write_text(text)
    (card / "device").symlink_to("../../../0000:01:00.0")
    (pci / "eeh_pe_config_addr").write_text("0x1\n")
    paths = {"JOURNAL": "journal", "KMSG": "none", "TRACEFS": "none"}
    environ = {f"CAPI_AGENT_{key}": f"{folder}/{name}" for key, name in paths.items()}
    with Sshd(folder, CAPI_AGENT_ROOT=str(folder), **environ) as server:
        (folder / "inventory.toml").write_text(ENTRY.format(port=server.port))
        yield server


@pytest.fixture
def hosts(sshd: Sshd) -> inventory.Inventory:
    return inventory.load(sshd.folder / "inventory.toml")


def entry(text: str = ENTRY) -> inventory.LabHost:
    return inventory.parse(text.format(port=22), Path("x.toml")).host("p8")


def hello(**more: object) -> bytes:
    return json.dumps({"hello": {"protocol": 1, "platform": "", "facts": {}, **more}}).encode()


def test_a_lab_host_tells_a_topology_and_plays_a_case(hosts: inventory.Inventory) -> None:
    host = lab.open_lab("ssh://p8", hosts)
    try:
        assert isinstance(host, Host)
        assert (host.url, host.window, host.allowed) == ("ssh://p8", 1, {"card0"})
        assert host.console_command == ("true",)
        topology = sysfs.topology(host.hello)
        assert topology.platform.value == "powernv"
        assert topology.afu("afu0.0").contexts_max == 4
        assert topology.afu("afu0.0").has_test_registers
        steps = Steps()
        step = steps.add("a0", ("sleep", {"ms": 1}))
        host.begin(json.dumps({"play": {"run": "lab", "schedule": 0, "steps": steps.entries}}).encode())
        replies = []
        while not replies or replies[-1]["is"] != "end":
            replies += [json.loads(line) for line in host.replies(10)]
        assert kinds(replies, step) == ["ok"]
        assert host.run("uname").exit_status == 0
    finally:
        host.close()


def test_the_inventory_is_found_by_itself(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPI_INVENTORY", str(sshd.folder / "inventory.toml"))
    assert list(lab.check_name("p8")) == []
    assert "no host is called" in str(next(iter(lab.check_name("p9"))))
    lab.open_lab("ssh://p8").close()
    with pytest.raises(UsageError, match="no host is called 'p9'"):
        lab.open_lab("ssh://p9")


def test_a_host_that_contradicts_the_inventory_is_left(sshd: Sshd, hosts: inventory.Inventory) -> None:
    (sshd.folder / "proc").mkdir()
    cpuinfo = sshd.folder / "proc" / "cpuinfo"
    cpuinfo.write_text("platform : pSeries\n")
    with pytest.raises(InfraError, match="says that it is powervm, the inventory says powernv"):
        lab.open_lab("ssh://p8", hosts)
    cpuinfo.unlink()


def test_facts_of_the_inventory_win_and_others_stay() -> None:
    told = hello(platform="powernv", facts={"afu0.0": {"contexts_max": 1, "more": 2}, "afu0.1": {"unit": 3}})
    line = json.loads(lab.merged(told, entry(), "ssh://p8"))["hello"]
    registers = {"test_registers": True, "master_registers": True}
    assert line["facts"]["afu0.0"] == {"contexts_max": 4, "unit": 0, **registers, "more": 2}
    assert line["facts"]["afu0.1"] == {"unit": 3}
    assert json.loads(lab.merged(hello(), entry(), "ssh://p8"))["hello"]["platform"] == "powernv"


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"hello":1}', b'{"hello":{"facts":1}}', b"\xff\x1b[0m"])
def test_a_hello_that_makes_no_sense_is_refused_and_shown_escaped(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="makes no sense") as caught:
        lab.merged(line, entry(), "ssh://p8")
    assert str(caught.value).isprintable()


def test_a_card_that_is_not_on_the_list_is_not_disturbed() -> None:
    afus = {card.name: [afu.name for afu in card.afus] for card in POWERNV.cards}
    everything = [name for names in afus.values() for name in names]
    assert lab.refusals(POWERNV, [], []) == []
    assert lab.refusals(POWERNV, afus["card0"], ["card0"]) == []
    assert lab.refusals(POWERNV, everything, ["card0", "card1"]) == []
    (problem,) = lab.refusals(POWERNV, everything, ["card0"])
    assert "card1 must not be disturbed" in str(problem)
    assert "allowed: card0" in str(problem)
    assert "add card1 to allow_destructive" in str(problem)
    assert len(lab.refusals(POWERNV, everything, [])) == 2


def test_an_afu_that_the_host_has_not_is_a_problem() -> None:
    (problem,) = lab.refusals(POWERNV, ["afu7.0"], ["card7"])
    assert "the host has no afu7.0" in str(problem)


def test_a_device_in_the_topology_is_on_the_list() -> None:
    """Only what the inventory allows gets there; a name that is nowhere is still refused."""
    assert lab.refusals(DEVICES, {"nvme-0"}, ()) == []
    (problem,) = lab.refusals(DEVICES, {"nvme-9"}, ())
    assert "no nvme-9" in str(problem)
