"""Recovery on the simulated host, seen from outside: what applications and the kernel log say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sim.host import SimulatedHost
from harness.vocab.topology import Platform
from tests.sim.playing import (
    ALL_ONES,
    BDF,
    CHECK,
    IN_PLACE,
    LINK_DOWN,
    NV,
    VM,
    Item,
    Played,
    attached,
    load,
    play_line,
    sleep,
    store,
    wait,
)

RECOVERABLE = (
    "nemesis",
    "inject",
    {"what": "phyp_error", "with": {"afu": "afu0.0", "severity": "recoverable"}},
)


def error_on(platform: Platform) -> Item:
    return LINK_DOWN if platform is NV else RECOVERABLE


@pytest.mark.parametrize("platform", [NV, VM])
def test_application_survives_an_error_and_can_attach_again(platform: Platform) -> None:
    played = Played(
        platform,
        [
            *attached(),  # 0 1 2
            load(),
            wait(),
            error_on(platform),  # 5
            wait(),
            sleep(20_000),
            load(),  # 8
            store(0xBAD),
            ("a0", "ioctl", {"fd": "c0", "request": 0x4004CA01, "data": "00000000"}),  # 10
            ("a0", "poll", {"fd": "c0", "timeout_ms": 0}),
            *attached(fd="c1", wed=0x77),  # 12 13 14
            load(fd="c1"),
            load(fd="c1", offset=0x40, count=16),  # 16
            wait(),
        ],
    )
    assert played.values(3) == [0x5EED]
    assert played.values(8) == [ALL_ONES]
    assert played.answer(9)["is"] == "ok"
    assert played.answer(10)["errno"] == "EIO"
    assert played.answer(11)["revents"] == 8
    assert played.values(15) == [0x77]
    assert 0xBAD not in played.values(16)
    assert played.order("cxl_context_detach_all", "garbage_add", "afu_release_irqs", "cxl_detach: ")


@pytest.mark.parametrize("platform", [NV, VM])
def test_purge_is_at_interrupt_level_and_freeing_is_not(platform: Platform) -> None:
    played = Played(
        platform, [*attached(), wait(), error_on(platform), sleep(20_000), ("a0", "exit", {}), wait()]
    )
    garbage = [line for line in played.lines("trace") if "garbage_add" in line]
    freed = [line for line in played.lines("trace") if "reclaim_ctx" in line]
    assert len(garbage) == len(freed) == 1
    assert " d.h1. " in garbage[0]
    assert " d.h1. " not in freed[0]


def test_without_err_ff_a_lost_device_is_a_sigbus() -> None:
    played = Played(NV, [*attached(err_ff=False), wait(), LINK_DOWN, sleep(20_000), load(), wait()])
    assert played.answer(6) == {"is": "fail", "signal": "SIGBUS", "runs": []}


@pytest.mark.parametrize("platform", [NV, VM])
def test_blocked_read_returns_when_its_context_is_purged(platform: Platform) -> None:
    played = Played(
        platform, [*attached(), ("a0", "read", {"fd": "c0"}), wait(100), error_on(platform), wait()]
    )
    assert played.answer(3) == {"is": "fail", "errno": "EIO"}


def test_image_that_may_change_means_hotplug_and_a_kept_one_means_reset_in_place() -> None:
    hotplug = Played(NV, [*attached(), wait(), LINK_DOWN, sleep(20_000)])
    assert hotplug.order("opting out of EEH!", "EEH: Reset with hotplug", "EEH: Recovery successful.")
    in_place = Played(NV, [IN_PLACE, *attached(), wait(), LINK_DOWN, sleep(20_000)])
    assert in_place.order(
        "EEH: Reset without hotplug", "EEH: Beginning: 'slot_reset'", "EEH: Recovery successful."
    )


def test_register_that_holds_all_ones_starts_no_recovery() -> None:
    played = Played(NV, [*attached(), load(offset=0x20), wait(), CHECK, sleep(10_000), load(), wait()])
    assert played.values(3) == [ALL_ONES]
    assert played.says("frozen=0") == 1
    assert played.says("EEH: Recovering") == 0
    assert played.values(7) == [0x5EED]


def armed(func: int) -> Item:
    path = "/sys/kernel/debug/powerpc/PCI0000/err_injct"
    return ("nemesis", "write_file", {"path": path, "text": f"1:1:{func:x}:0:0"})


CONFIG = ("nemesis", "read_file", {"path": "/sys/bus/pci/devices/0000:01:00.0/config"})


@pytest.mark.parametrize(
    ("func", "access"),
    [(0, load()), (4, CONFIG), (6, store(5)), (12, store(2 << 56 | 0x1000, offset=0x18))],
)
def test_armed_freeze_acts_at_its_access_and_waits_for_a_look(func: int, access: Item) -> None:
    played = Played(
        NV, [*attached(), wait(), armed(func), wait(), access, wait(), load(), wait(), CHECK, sleep(10_000)]
    )
    assert played.values(8) == [ALL_ONES]
    assert played.order("frozen=1", "EEH: Frozen PHB#0-PE#1 detected", "EEH: Recovery successful.")


def test_command_that_times_out_is_a_detection() -> None:
    hang = ("nemesis", "inject", {"what": "hang_afu", "with": {"afu": "afu0.0"}})
    played = Played(
        NV,
        [
            ("a0", "open", {"fd": "c0", "path": "/dev/cxl/afu0.0m"}),
            wait(),
            hang,
            wait(),
            *attached()[1:2],
            wait(),
        ],
    )
    assert played.answer(4) == {"is": "fail", "errno": "EBUSY"}
    assert played.order("Process Element Command timed out!", "frozen=1", "EEH: Recovering PHB#0-PE#1")


def test_error_interrupt_that_reads_all_ones_is_a_detection() -> None:
    psl = ("nemesis", "inject", {"what": "psl_error", "with": {"afu": "afu0.1"}})
    played = Played(NV, [*attached(), wait(), psl, sleep(20_000)])
    assert played.order(
        "Ignoring slice interrupt(0) due to fenced card", "frozen=1", "EEH: Recovery successful."
    )


def test_what_is_lost_for_one_reason_is_waited_for_once() -> None:
    def opened(fd: str, path: str) -> Item:
        return ("a0", "open", {"fd": fd, "path": path, "retry_ms": 400, "retry_on": ["ENOENT"]})

    gone, there = "/dev/cxl/afu7.0s", "/dev/cxl/afu0.0s"
    played = Played(NV, [opened("c0", gone), opened("c1", gone), opened("c2", there), opened("c3", gone)])
    times = [reply["t"] for reply in played.replies if reply.get("who") == "a0"]
    waited_ms = [(end - begin) // 1000 for begin, end in zip(times[::2], times[1::2], strict=True)]
    assert waited_ms[0] >= 250
    assert waited_ms[1] < 250 <= waited_ms[3]  # the third was there, so that the fourth is waited for again


def test_freeze_limit_disables_for_good() -> None:
    limit = ("nemesis", "write_file", {"path": "/sys/kernel/debug/powerpc/eeh_max_freezes", "text": "1"})
    again = (
        "a0",
        "open",
        {"fd": "c9", "path": "/dev/cxl/afu0.0s", "retry_ms": 30_000, "retry_on": ["ENOENT"]},
    )
    played = Played(
        NV,
        [
            limit,
            *attached(),
            wait(),
            LINK_DOWN,
            sleep(20_000),
            LINK_DOWN,
            sleep(20_000),
            CHECK,
            again,
            wait(),
        ],
    )
    assert played.says("and has been permanently disabled") == 1
    assert played.says("EEH: Recovery successful.") == 1
    assert played.answer(10)["errno"] == "ENOENT"


def test_nested_freeze_is_recovered_too() -> None:
    when = {"sees": [["log", ["EEH: Beginning: 'slot_reset'"]]], "within_ms": 20_000}
    nested = (*LINK_DOWN, when)
    played = Played(
        NV,
        [
            IN_PLACE,
            *attached(),
            wait(),
            LINK_DOWN,
            nested,
            sleep(30_000),
            *attached(fd="c1"),
            load(fd="c1"),
            wait(),
        ],
    )
    assert played.says("EEH: Recovering PHB#0-PE#1") == 2
    assert played.values(11) == [0x5EED]


def test_other_card_notices_nothing() -> None:
    other = attached("a1", "c1", "afu1.0d", wed=0x99)
    played = Played(
        NV, [*attached(), *other, wait(), LINK_DOWN, sleep(20_000), load("a1", "c1", count=3), wait()]
    )
    assert played.values(9) == [0x99]
    assert played.says("cxl_detach: afu1.0") == 0


def test_guest_detects_within_its_poll_period() -> None:
    played = Played(VM, [*attached(), wait(), sleep(1500), RECOVERABLE, sleep(10_000)])
    injected = next(r["t"] for r in played.replies if r.get("step") == 5 and r["is"] == "ok")
    detected = next(r["t"] for r in played.replies if "R4: 0x2)): 0" in r.get("raw", ""))
    assert 0 < detected - injected <= 3_100_000
    assert played.order("R4: 0x2)): 0", "event=1 state=2", "garbage_add", "op=RESET", "event=2", "event=3")


def test_permanently_failed_afu_is_said_to_be_and_checked_no_more() -> None:
    dead = (
        "nemesis",
        "inject",
        {"what": "phyp_error", "with": {"afu": "afu0.0", "severity": "unrecoverable"}},
    )
    played = Played(
        VM,
        [
            *attached(),
            wait(),
            dead,
            sleep(30_000),
            load(),
            ("a0", "open", {"fd": "c2", "path": "/dev/cxl/afu0.0s"}),
            wait(),
        ],
    )
    assert played.says("AFU is in permanent error state") == 1
    assert played.values(6) == [ALL_ONES]
    assert played.answer(7)["errno"] == "EIO"
    polls = [line for line in played.lines("trace") if line.startswith("kworker/0:1") and "R4: 0x4" in line]
    assert len(polls) <= 2


def test_busy_hcall_is_waited_for_and_given_up_after_a_minute() -> None:
    def answer(rc: int, times: int) -> Item:
        details = {"hcall": "H_ATTACH_CA_PROCESS", "rc": rc, "times": times}
        return ("nemesis", "inject", {"what": "phyp_answer", "with": details})

    patient = Played(VM, [answer(9902, 3), wait(), *attached(), wait()])
    assert patient.answer(3)["is"] == "ok"
    hopeless = Played(VM, [answer(9905, 1), wait(), *attached(), wait()])
    assert hopeless.answer(3) == {"is": "fail", "errno": "EBUSY"}
    assert hopeless.says("Giving up waiting for CXL hcall") == 1


def test_fork_shares_the_context_until_the_last_reference_goes() -> None:
    played = Played(
        NV,
        [
            *attached(),
            ("a0", "fork", {"child": "a5"}),
            wait(),
            ("nemesis", "kill", {"actor": "a0"}),
            wait(),
            load("a5"),
            wait(),
            ("a5", "exit", {}),
            wait(),
        ],
    )
    assert played.values(7) == [0x5EED]
    assert played.order("cxl_detach: afu0.0 pe=0", "reclaim_ctx: afu0.0 pe=0")


def test_stale_work_and_bad_arguments_get_their_errnos() -> None:
    bad = {"fd": "c0", "request": 0x8040CA00, "data": "f0" + "00" * 63}
    played = Played(
        NV,
        [
            ("a0", "open", {"fd": "c0", "path": "/dev/cxl/afu0.0s"}),
            ("a0", "mmap", {"fd": "c0", "map": "m", "length": 4096}),
            ("a0", "ioctl", bad),
            *attached()[1:2],
            *attached()[1:2],
            ("a0", "open", {"fd": "x", "path": "/dev/cxl/afu7.0s"}),
            ("a0", "ioctl", {"fd": "c0", "request": 1, "data": ""}),
            ("a0", "read", {"fd": "c0", "timeout_ms": 5}),
            ("a0", "dance", {}),
            wait(),
        ],
    )
    errnos = [played.answer(step).get("errno") for step in range(1, 9)]
    assert errnos == ["EIO", "EINVAL", None, "EIO", "ENOENT", "EINVAL", "EAGAIN", "EOPNOTSUPP"]


@pytest.mark.parametrize("platform", [NV, VM])
def test_same_case_gives_the_same_bytes_in_any_process(platform: Platform) -> None:
    items = [
        *attached(),
        *attached("a1", "c1"),
        error_on(platform),
        load(count=9),
        load("a1", "c1", count=9),
        wait(),
    ]
    here = Played(platform, items, seed=5).raw
    assert here == Played(platform, items, seed=5).raw
    code = (
        "import sys; from harness.sim.host import SimulatedHost; from harness.vocab.topology import Platform;"
        f"sys.stdout.buffer.write(b'\\n'.join(SimulatedHost(Platform('{platform.value}')).play(sys.stdin.buffer.read())))"
    )
    line = play_line(items, 5)
    there = subprocess.run(
        [sys.executable, "-c", code],
        input=line,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert there.stdout == here
    assert len({Played(platform, items, seed=seed).raw for seed in range(5)}) == 5


def test_shell_shows_the_file_tree_and_the_log() -> None:
    host = SimulatedHost(NV)
    assert host.shell("cat /sys/class/cxl/afu0.0/mode") == (b"afu_directed\n", b"", 0)
    assert b"afu0.0m\nafu0.0s\n" in host.shell("ls /dev/cxl")[0]
    assert host.shell(f"echo {BDF} > /sys/kernel/debug/powerpc/eeh_dev_check") == (b"", b"", 0)
    assert host.shell("cat /proc/powerpc/eeh")[0].endswith(b"eeh_false_positives=1\neeh_slot_resets=0\n")
    assert host.shell("echo 0:1 > /sys/kernel/debug/powerpc/eeh_force_recover")[2] == 0
    host.shell("uname -a")
    assert b"EEH: Recovering PHB#0-PE#1" in host.shell("dmesg")[0]
    assert host.shell("cat /nowhere")[2] == 1
    assert host.shell("rm -rf /")[2] == 127
    assert host.shell("echo 'unclosed")[2] == 2


def test_simulated_host_knows_the_words_on_the_wire() -> None:
    vectors = json.loads(Path("fixtures/wire/requests.json").read_text())["vectors"]
    for vector in vectors:
        wire = vector["wire"]
        who = "harness" if wire["do"] == "wait" else "a0"
        played = Played(NV, [(who, wire["do"], wire["args"]), ("a7", "exit", {})])
        end = played.replies[-1]
        assert "error" not in end["got"], (vector["name"], end)
        assert played.answer(0).get("errno") != "EOPNOTSUPP" or wire["do"] == "inject", vector["name"]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[]", b'{"play": {}}', b'{"play": {"schedule": 1, "steps": [7]}}']
)
def test_line_that_is_no_case_is_answered_with_an_end(line: bytes) -> None:
    replies = b"".join(SimulatedHost(VM).play(line))
    assert "not a play line" in json.loads(replies)["got"]["error"]


def test_child_that_nobody_is_left_to_bear_never_comes() -> None:
    fork = [("a0", "fork", {"child": "a3"}), ("a3", "fork", {"child": "a4"}), ("a4", "exit", {}), wait()]
    played = Played(NV, [*attached(), ("a0", "exit", {}), wait(), *fork])
    assert [played.answer(step) for step in (5, 6, 7)] == [{"is": "info", "reason": "actor-gone"}] * 3
    assert "error" not in played.replies[-1]["got"]


def test_sysfs_says_modes_and_the_state_of_the_eeh_pe_as_linux_does() -> None:
    """Captured from Linux 6.1: the dedicated mode comes first, and a PE whose bus is known has 0x800."""
    modes = ("a0", "read_file", {"path": "/sys/class/cxl/afu0.1/modes_supported"})
    state = ("a0", "read_file", {"path": "/sys/bus/pci/devices/0000:01:00.0/eeh_pe_state"})
    played = Played(NV, [modes, state])
    assert played.answer(0)["text"] == "dedicated_process\nafu_directed\n"
    assert played.answer(1)["text"] == "0x00000078 0x00000800\n"


def test_of_recoveries_that_wait_the_last_one_asked_for_comes_first() -> None:
    """arch/powerpc/kernel/eeh_event.c adds an event at the head of its list, and takes it from there."""

    def force(phb: int) -> Item:
        path = "/sys/kernel/debug/powerpc/eeh_force_recover"
        return ("nemesis", "write_file", {"path": path, "text": f"{phb:x}:1"})

    played = Played(NV, [LINK_DOWN, sleep(1_000), force(1), force(5), sleep(40_000)])
    assert played.order("EEH: Recovering PHB#0", "EEH: Recovering PHB#5", "EEH: Recovering PHB#1")
