"""Holds the life of actors: lanes that overlap, forks, deaths, waits and interruptions."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.playing import AgentProcess, Steps, answers, interval_us, kinds


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path_factory.mktemp("agent")) as process:
        yield process


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[str, int]]:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield str(path), fd
    os.close(fd)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_lanes_overlap_and_the_parts_of_one_do_not(agent: AgentProcess) -> None:
    steps = Steps()
    one = steps.add("a0", ("sleep", {"ms": 60}))
    two = steps.add("a1", ("sleep", {"ms": 60}))
    after = steps.add("a0", ("sleep", {"ms": 1}))
    replies = agent.play(steps)
    assert interval_us(replies, two)[0] < interval_us(replies, one)[1]
    assert interval_us(replies, after)[0] >= interval_us(replies, one)[1]


def test_a_sleep_of_the_harness_holds_everything_back(agent: AgentProcess) -> None:
    steps = Steps()
    pause = steps.add("harness", ("sleep", {"ms": 80}))
    after = steps.add("a0", ("sleep", {"ms": 0}))
    replies = agent.play(steps)
    assert interval_us(replies, after)[0] >= interval_us(replies, pause)[1] >= 80_000


def test_a_wait_ends_with_the_lanes_that_it_names(agent: AgentProcess) -> None:
    steps = Steps()
    short = steps.add("a0", ("sleep", {"ms": 20}))
    long = steps.add("a1", ("sleep", {"ms": 300}))
    wait = steps.wait(actors=["a0"])
    replies = agent.play(steps)
    assert answers(replies, wait) == [("ok", {"interrupted": []})]
    assert interval_us(replies, short)[1] <= interval_us(replies, wait)[1] < interval_us(replies, long)[1]


def test_a_wait_that_takes_too_long_fails_and_says_for_whom(agent: AgentProcess) -> None:
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 300}))
    steps.add("a1", ("sleep", {"ms": 1}))
    wait = steps.wait(timeout_ms=60)
    replies = agent.play(steps)
    assert answers(replies, wait) == [("fail", {"errno": "ETIMEDOUT", "pending": ["a0"]})]
    assert interval_us(replies, wait)[1] >= 60_000


def test_an_interrupting_wait_ends_whatever_blocks(agent: AgentProcess, fifo: tuple[str, int]) -> None:
    steps = Steps()
    read = steps.add("a0", ("open", {"fd": "f", "path": fifo[0]}), ("read", {"fd": "f"}))
    again = steps.add("a0", ("read", {"fd": "f"}))
    poll = steps.add(
        "a1", ("open", {"fd": "f", "path": fifo[0]}), ("poll", {"fd": "f", "timeout_ms": 60_000})
    )
    steps.add("a2", ("sleep", {"ms": 1}))
    held = steps.add("a3", ("sleep", {"ms": 1}), when={"sees": [["log", ["never"]]], "within_ms": 60_000})
    wait = steps.wait(timeout_ms=100, interrupt=True)
    alive = steps.add("a0", ("close", {"fd": "f"}))
    began = time.monotonic()
    replies = agent.play(steps)
    assert time.monotonic() - began < 5
    assert answers(replies, read)[-1] == ("fail", {"errno": "EINTR"})
    assert answers(replies, again) == [("fail", {"errno": "EINTR"})]
    assert answers(replies, poll)[-1] == ("fail", {"errno": "EINTR"})
    assert answers(replies, held) == [("info", {"reason": "not-triggered"})]
    assert answers(replies, wait) == [("ok", {"interrupted": ["a0", "a1"]})]
    assert kinds(replies, alive) == ["ok"]


def test_a_load_loop_can_be_interrupted_and_the_mapping_stays(agent: AgentProcess, tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_bytes(struct.pack("=Q", 5) + bytes(4088))
    steps = Steps()
    load = {"map": "m", "offset": 0, "width": 8}
    loop = steps.add(
        "a0",
        ("open", {"fd": "f", "path": str(device)}),
        ("mmap", {"fd": "f", "map": "m", "length": 4096}),
        ("load", {**load, "count": 10**12}),
    )
    steps.wait(timeout_ms=100, interrupt=True)
    once = steps.add("a0", ("load", load))
    replies = agent.play(steps)
    assert answers(replies, loop)[-1][0] == "fail"
    assert answers(replies, loop)[-1][1]["errno"] == "EINTR"
    assert answers(replies, once)[0][1]["runs"][0][:2] == [5, 1]


def test_a_child_has_descriptors_and_mappings_of_its_own(agent: AgentProcess, tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_bytes(struct.pack("=Q", 5) + bytes(4088))
    steps = Steps()
    load = ("load", {"map": "m", "offset": 0, "width": 8})
    steps.add(
        "a0",
        ("open", {"fd": "f", "path": str(device)}),
        ("mmap", {"fd": "f", "map": "m", "length": 4096}),
        load,
    )
    fork = steps.add("a0", ("fork", {"child": "a1"}))
    parent = steps.add("a0", ("munmap", {"map": "m"}), ("close", {"fd": "f"}), ("exit", {}))
    steps.wait(actors=["a0"])
    child = steps.add(
        "a1",
        load,
        ("ioctl", {"fd": "f", "request": 0x4004CA01, "data": "00"}, True),
        ("fork", {"child": "a2"}, True),
    )  # type: ignore[arg-type]
    grandchild = steps.add("a2", load)
    replies = agent.play(steps)
    ((kind, got),) = answers(replies, fork)
    assert kind == "ok"
    assert got["pid"] > 1
    assert kinds(replies, parent) == ["ok"] * 3
    assert kinds(replies, child) == ["ok", "fail", "ok"]
    assert answers(replies, child)[1] == ("fail", {"errno": "ENOTTY"})
    assert answers(replies, grandchild)[0][1]["runs"][0][0] == 5
    assert not is_running(got["pid"])


def test_parts_for_a_child_that_is_never_born_are_given_up(agent: AgentProcess) -> None:
    steps = Steps()
    early = steps.add("a1", ("sleep", {"ms": 1}), ("sleep", {"ms": 1}))
    steps.wait()
    failing = steps.add("a0", ("close", {"fd": "x"}), ("fork", {"child": "a1"}))
    waiting = steps.add("a1", ("sleep", {"ms": 1}))
    replies = agent.play(steps)
    gone = ("info", {"reason": "actor-gone"})
    assert answers(replies, early) == [gone, gone]
    assert kinds(replies, failing) == ["fail"]
    assert answers(replies, waiting) == [gone]


def test_actors_that_would_bear_each_other_are_never_born(agent: AgentProcess) -> None:
    steps = Steps()
    one = steps.add("a1", ("fork", {"child": "a2"}))
    two = steps.add("a2", ("fork", {"child": "a1"}))
    own = steps.add("a3", ("fork", {"child": "a3"}))
    replies = agent.play(steps)
    assert [answers(replies, step) for step in (one, two, own)] == [[("info", {"reason": "actor-gone"})]] * 3


def test_a_chain_of_children_is_born_one_after_the_other(agent: AgentProcess) -> None:
    steps = Steps()
    first = steps.add("a0", ("sleep", {"ms": 50}), ("fork", {"child": "a1"}))
    last = steps.add("a2", ("sleep", {"ms": 0}))
    middle = steps.add("a1", ("fork", {"child": "a2"}))
    late = steps.add("a2", ("sleep", {"ms": 0}))
    replies = agent.play(steps)
    assert kinds(replies, first) == ["ok", "ok"]
    assert kinds(replies, last) == ["info"]  # nobody was to bear it when it was its turn
    assert kinds(replies, middle) == kinds(replies, late) == ["ok"]


def test_two_children_cannot_have_one_name(agent: AgentProcess) -> None:
    steps = Steps()
    step = steps.add("a0", ("fork", {"child": "a1"}), ("fork", {"child": "a1"}))
    assert answers(agent.play(steps), step)[-1] == ("fail", {"errno": "EEXIST"})


def test_a_kill_ends_the_running_part_and_what_waits(agent: AgentProcess, fifo: tuple[str, int]) -> None:
    steps = Steps()
    running = steps.add(
        "a0", ("open", {"fd": "f", "path": fifo[0]}), ("read", {"fd": "f"}), ("sleep", {"ms": 1})
    )
    waiting = steps.add("a0", ("sleep", {"ms": 1}))
    kill = steps.add("nemesis", ("sleep", {"ms": 50}), ("kill", {"actor": "a0"}))
    steps.wait()
    late = steps.add("a0", ("sleep", {"ms": 1}))
    twice = steps.add("nemesis", ("kill", {"actor": "a0"}))
    replies = agent.play(steps)
    gone = ("info", {"reason": "actor-gone"})
    assert answers(replies, running)[1:] == [("info", {"reason": "killed"}), gone]
    assert answers(replies, waiting) == [gone]
    assert kinds(replies, kill) == ["ok", "ok"]
    assert answers(replies, late) == [gone]
    assert answers(replies, twice) == [("fail", {"errno": "ESRCH"})]


def test_a_killed_actor_is_told_of_when_all_it_had_is_gone(agent: AgentProcess, tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_bytes(bytes(4096))
    steps = Steps()
    pid_of = steps.add("a0", ("fork", {"child": "a1"}))
    steps.add(
        "a1",
        ("open", {"fd": "f", "path": str(device)}),
        ("mmap", {"fd": "f", "map": "m", "length": 4096}),
        ("load", {"map": "m", "offset": 0, "width": 8, "count": 10**12}),
    )
    steps.wait(timeout_ms=100)
    kill = steps.add("nemesis", ("kill", {"actor": "a1"}))
    steps.add("harness", ("sleep", {"ms": 300}))
    agent.begin(steps)
    replies = agent.until(lambda reply: reply.get("step") == kill and reply["is"] == "ok")
    maps = [p for p in Path("/proc").glob("[0-9]*/maps") if str(device) in _text(p)]
    replies += agent.to_end()
    assert maps == []
    assert not is_running(answers(replies, pid_of)[0][1]["pid"])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_an_actor_may_kill_itself_and_the_killer_may_die(agent: AgentProcess) -> None:
    steps = Steps()
    own = steps.add("a0", ("kill", {"actor": "a0"}), ("sleep", {"ms": 1}))
    steps.add("a1", ("sleep", {"ms": 30}), ("kill", {"actor": "a2"}))
    steps.add("a2", ("sleep", {"ms": 30}), ("kill", {"actor": "a1"}))
    replies = agent.play(steps)
    assert answers(replies, own) == [("ok", {}), ("info", {"reason": "actor-gone"})]
    assert replies[-1]["got"]["performed"] >= 4


def test_no_process_of_a_case_survives_it(agent: AgentProcess) -> None:
    steps = Steps()
    fork = steps.add("a0", ("fork", {"child": "a1"}))
    steps.wait()
    replies = agent.play(steps)
    assert replies[-1]["is"] == "end"
    assert not is_running(answers(replies, fork)[0][1]["pid"])


def test_times_are_of_the_hosts_monotonic_clock_since_the_beginning(agent: AgentProcess) -> None:
    steps = Steps()
    step = steps.add("a0", ("sleep", {"ms": 30}))
    began = time.monotonic()
    replies = agent.play(steps)
    took_us = (time.monotonic() - began) * 1e6
    first, last = interval_us(replies, step)
    assert 0 <= first < 2_000_000
    assert 30_000 <= last - first <= took_us
    assert replies[-1]["t"] >= last


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_agents_end_is_the_end_of_all_its_processes(tmp_path: Path, ending: int | None) -> None:
    process = AgentProcess(tmp_path)
    steps = Steps()
    fork = steps.add("a0", ("fork", {"child": "a1"}), ("sleep", {"ms": 600_000}))
    steps.add("a1", ("sleep", {"ms": 600_000}))
    process.begin(steps)
    replies = process.until(lambda reply: reply.get("who") == "a1")
    child = answers(replies, fork)[0][1]["pid"]
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    assert is_running(child)
    if ending is None:
        process.leave()
    else:
        process.process.send_signal(ending)
    deadline = time.monotonic() + 10
    while (is_running(child) or is_running(parent)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)
    assert not is_running(parent)
    if ending is not None:
        process.leave()
