"""Holds the agent's traffic, claims and stops, on files that stand for PCI devices and their disks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.agent import agent as agent_module
from tests.agent.playing import AgentProcess, Steps, answers

DISK, NIC = "0005:01:00.0", "0004:01:00.0"
BLOCK = agent_module.BLOCK_BYTES
FINE = "0x00000078 0x00000800\n"


def put(root: Path, path: str, text: str) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def takes_direct_reads(folder: Path) -> bool:
    path = folder / "probe"
    path.write_bytes(bytes(BLOCK))
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with an NVMe disk and a network device, each under EEH, that nobody uses."""
    for bdf, kind, pe in ((DISK, "0x010802", "0xfd"), (NIC, "0x020000", "0xfd")):
        real = f"sys/devices/pci{bdf[:4]}:00/{bdf}"
        put(tmp_path, f"{real}/class", f"{kind}\n")
        put(tmp_path, f"{real}/eeh_pe_config_addr", f"{pe}\n")
        put(tmp_path, f"{real}/eeh_pe_state", FINE)
        (tmp_path / "sys/bus/pci/devices").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/bus/pci/devices" / bdf).symlink_to(tmp_path / real)
    put(tmp_path, f"sys/devices/pci0005:00/{DISK}/nvme/nvme0/nvme0n1/dev", "259:0\n")
    put(tmp_path, f"sys/devices/pci0004:00/{NIC}/net/eth1/mtu", "1500\n")
    for folder in ("sys/block", "sys/class/block", "sys/class/net/eth1", "dev"):
        (tmp_path / folder).mkdir(parents=True)
    for place in ("sys/block/nvme0n1", "sys/class/block/nvme0n1"):
        (tmp_path / place).symlink_to(tmp_path / f"sys/devices/pci0005:00/{DISK}/nvme/nvme0/nvme0n1")
    (tmp_path / "dev/nvme0n1").write_bytes(bytes(8 * BLOCK))
    return tmp_path


@pytest.fixture
def agent(root: Path) -> Iterator[AgentProcess]:
    with AgentProcess(root) as process:
        yield process


def blocks(for_ms: int, **more: Any) -> tuple[str, dict[str, Any]]:
    args = {"device": DISK, "kind": "blocks", "for_ms": for_ms, "bytes": 4 * BLOCK}
    return "traffic", {**args, "pause_ms": 1, **more}


def ran(agent: AgentProcess, steps: Steps, step: int) -> dict[str, Any]:
    """The answer of the first part of `step`, which was performed."""
    ((kind, got), *_) = answers(agent.play(steps), step)
    assert kind == "ok", got
    return got


def test_the_hello_tells_of_devices_and_of_their_use(root: Path) -> None:
    put(root, "proc/self/mountinfo", "23 1 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n")
    with AgentProcess(root) as process:
        hello = process.hello
    assert hello["files"][f"/sys/bus/pci/devices/{DISK}/class"] == "0x010802\n"
    assert hello["files"][f"/sys/bus/pci/devices/{NIC}/eeh_pe_config_addr"] == "0xfd\n"
    assert hello["in_use"] == {DISK: f"{DISK} is mounted on /data"}


def test_what_is_read_once_is_expected_for_ever(root: Path, agent: AgentProcess) -> None:
    if not takes_direct_reads(root):
        pytest.skip("this file system takes no direct reads")
    (root / "dev/nvme0n1").write_bytes(os.urandom(4 * BLOCK))
    steps = Steps()
    step = steps.add("a0", blocks(5000, good=9))
    got = ran(agent, steps, step)
    assert [run[:2] for run in got["runs"]] == [["good", 9]]
    assert "blank" not in got


def test_a_disk_that_may_be_written_holds_a_pattern_and_else_may_be_blank(
    root: Path, agent: AgentProcess
) -> None:
    if not takes_direct_reads(root):
        pytest.skip("this file system takes no direct reads")
    steps = Steps()
    first = steps.add("a0", blocks(5000, good=4))
    second = steps.add("a0", blocks(5000, good=9, overwrite=True))
    replies = agent.play(steps)
    assert answers(replies, first)[0][1]["blank"] is True
    assert "blank" not in answers(replies, second)[0][1]
    written = (root / "dev/nvme0n1").read_bytes()
    assert written[: 4 * BLOCK] == b"".join(agent_module.pattern(n, BLOCK) for n in range(4))
    assert written[4 * BLOCK :] == bytes(4 * BLOCK), "nothing beyond the range is written"


@pytest.mark.parametrize(("byte", "outcome"), [(b"\xff", "all-ones"), (b"\x5a", "wrong")])
def test_other_contents_are_told_as_what_they_are(root: Path, byte: bytes, outcome: str) -> None:
    if not takes_direct_reads(root):
        pytest.skip("this file system takes no direct reads")
    disk = root / "dev/nvme0n1"
    disk.write_bytes(os.urandom(BLOCK))
    reader = agent_module.Blocks(str(root), {"device": DISK, "bytes": BLOCK})
    assert [reader.request(), reader.request()] == ["good", "good"]
    disk.write_bytes(byte * BLOCK)
    assert reader.request() == outcome
    reader.close()


def test_a_disk_that_is_gone_fails_each_request_and_may_come_back(root: Path) -> None:
    if not takes_direct_reads(root):
        pytest.skip("this file system takes no direct reads")
    reader = agent_module.Blocks(str(root), {"device": DISK, "bytes": BLOCK})
    link = root / "sys/block/nvme0n1"
    target = link.readlink()
    link.unlink()
    assert reader.request() == "ENODEV"
    link.symlink_to(target)
    assert reader.request() == "good"
    reader.close()


def test_traffic_ends_when_it_is_stopped_and_tells_what_it_was(root: Path, agent: AgentProcess) -> None:
    steps = Steps()
    step = steps.add("a0", blocks(60_000))
    steps.add("nemesis", ("stop", {"actor": "a0"}), when={"after_ms": 300})
    got = ran(agent, steps, step)
    assert sum(run[1] for run in got["runs"]) > 1
    assert got["runs"][-1][3] < 20_000_000


def test_a_stop_of_nobody_fails_and_of_an_idle_actor_does_nothing(agent: AgentProcess) -> None:
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 1}))
    steps.wait()
    idle = steps.add("nemesis", ("stop", {"actor": "a0"}))
    nobody = steps.add("nemesis", ("stop", {"actor": "a7"}))
    again = steps.add("a0", ("sleep", {"ms": 1}))
    replies = agent.play(steps)
    assert [answers(replies, step)[0][0] for step in (idle, nobody, again)] == ["ok", "fail", "ok"]


def test_a_probe_waits_until_eeh_is_done(root: Path, agent: AgentProcess) -> None:
    """Here it never is: nothing is asked of the device."""
    put(root, f"sys/devices/pci0005:00/{DISK}/eeh_pe_state", "0x00000060 0x00000003\n")
    steps = Steps()
    step = steps.add("probe", blocks(700, good=1, settle=True))
    assert ran(agent, steps, step)["runs"] == []


USES = {
    "a mounted partition": ("proc/1/mountinfo", "23 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n", DISK),
    "swap": ("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme0n1 partition 1 0 -2\n", DISK),
    "a volume": (f"sys/devices/pci0005:00/{DISK}/nvme/nvme0/nvme0n1/holders/dm-0", "", DISK),
    "a route": ("proc/net/route", "Iface Destination\neth1 00000000 0102000A\n", NIC),
    "an IPv6 address": ("proc/net/if_inet6", "fd000000000000000000000000000001 03 40 00 80 eth1\n", NIC),
    "a bridge": ("sys/class/net/eth1/upper_br0", "", NIC),
}


@pytest.mark.parametrize("use", USES)
def test_what_the_system_uses_is_not_claimed_and_not_kept_busy(root: Path, use: str) -> None:
    path, text, device = USES[use]
    put(root, f"sys/devices/pci0005:00/{DISK}/nvme/nvme0/nvme0n1/nvme0n1p1/dev", "259:1\n")
    (root / "sys/class/block/nvme0n1p1").symlink_to(
        root / f"sys/devices/pci0005:00/{DISK}/nvme/nvme0/nvme0n1/nvme0n1p1"
    )
    put(root, path, text)
    steps = Steps()
    claim = steps.add("nemesis", ("claim", {"device": device}), ("sleep", {"ms": 1}))
    kind = "blocks" if device == DISK else "frames"
    busy = steps.add("a0", ("traffic", {"device": device, "kind": kind, "for_ms": 10}))
    with AgentProcess(root) as process:
        replies = process.play(steps)
    assert answers(replies, claim) == [("fail", {"errno": "EBUSY"})], "the rest of the step is left out"
    assert answers(replies, busy) == [("fail", {"errno": "EBUSY"})]


def test_a_device_that_shares_the_eeh_pe_counts(root: Path, agent: AgentProcess) -> None:
    """A function of the same card, with a disk that is mounted: a freeze would take it along."""
    put(root, "proc/self/mountinfo", "23 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n")
    twin = "0005:01:00.1"
    put(root, f"sys/devices/pci0005:00/{twin}/eeh_pe_config_addr", "0xfd\n")
    (root / "sys/bus/pci/devices" / twin).symlink_to(root / f"sys/devices/pci0005:00/{twin}")
    steps = Steps()
    shared = steps.add("nemesis", ("claim", {"device": twin}))
    other = steps.add("nemesis", ("claim", {"device": NIC}))
    gone = steps.add("nemesis", ("claim", {"device": "0009:01:00.0"}))
    replies = agent.play(steps)
    assert [answers(replies, step) for step in (shared, other, gone)] == [
        [("fail", {"errno": "EBUSY"})],
        [("ok", {})],
        [("fail", {"errno": "ENODEV"})],
    ]


def test_link_local_and_advertised_addresses_are_no_use(root: Path, agent: AgentProcess) -> None:
    lines = "fe800000000000000000000000000001 03 40 20 80 eth1\n"
    put(root, "proc/net/if_inet6", lines + "fec00000000000000000000000000001 03 40 40 00 eth1\n")
    steps = Steps()
    step = steps.add("nemesis", ("claim", {"device": NIC}))
    assert ran(agent, steps, step) == {}


def test_a_text_is_given_the_present_number_of_the_eeh_pe(root: Path, agent: AgentProcess) -> None:
    put(root, "err_injct", "")
    put(root, f"sys/devices/pci0005:00/{DISK}/eeh_pe_config_addr", "0x1fd\n")
    steps = Steps()
    args = {"path": str(root / "err_injct"), "text": "{eeh_pe}:1:4:0:0\n", "device": DISK}
    ran(agent, steps, steps.add("nemesis", ("write_file", args)))
    assert (root / "err_injct").read_text() == "1fd:1:4:0:0\n"


def test_the_internet_checksum() -> None:
    header = bytes.fromhex("450000730000400040110000c0a80001c0a800c7")
    assert agent_module.checksum(header) == 0xB861
