"""Holds each primitive of the agent, on files that stand for devices."""

from __future__ import annotations

import os
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.playing import AgentProcess, Steps, answers, kinds

PAGE = 4096
ALL_ONES = (1 << 64) - 1


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path_factory.mktemp("agent")) as process:
        yield process


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "device"
    path.write_bytes(struct.pack("=QQ", 0x1122334455667788, 7) + bytes(2 * PAGE - 16))
    return path


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield path, fd
    os.close(fd)


def mapped(path: Path) -> tuple[tuple[str, dict[str, object]], ...]:
    return ("open", {"fd": "f", "path": str(path)}), ("mmap", {"fd": "f", "map": "m", "length": 2 * PAGE})


def load(offset: int, width: int = 8, **more: int) -> tuple[str, dict[str, object]]:
    return "load", {"map": "m", "offset": offset, "width": width, **more}


def test_a_load_gives_what_the_device_holds_in_either_width(agent: AgentProcess, device: Path) -> None:
    steps = Steps()
    low = struct.unpack("=I", struct.pack("=Q", 0x1122334455667788)[:4])[0]
    step = steps.add("a0", *mapped(device), load(0), load(0, 4), load(8))
    got = [got["runs"] for kind, got in answers(agent.play(steps), step)[2:]]
    assert [[run[:2] for run in runs] for runs in got] == [[[0x1122334455667788, 1]], [[low, 1]], [[7, 1]]]


def test_a_store_reaches_the_device_even_after_the_descriptor_is_closed(
    agent: AgentProcess, device: Path
) -> None:
    steps = Steps()
    store = ("store", {"map": "m", "offset": 16, "width": 8, "value": ALL_ONES})
    narrow = ("store", {"map": "m", "offset": 24, "width": 4, "value": 0xABCD})
    step = steps.add("a0", *mapped(device), ("close", {"fd": "f"}), store, narrow, load(16))
    replies = agent.play(steps)
    assert kinds(replies, step) == ["ok"] * 6
    assert answers(replies, step)[-1][1]["runs"][0][0] == ALL_ONES
    assert struct.unpack_from("=QQ", device.read_bytes(), 16) == (ALL_ONES, 0xABCD)


def test_many_loads_are_answered_by_stretches_of_equal_values(agent: AgentProcess, device: Path) -> None:
    steps = Steps()
    step = steps.add("a0", *mapped(device), load(8, count=5000))
    runs = answers(agent.play(steps), step)[-1][1]["runs"]
    assert len(runs) == 1
    value, count, first_us, last_us = runs[0]
    assert (value, count) == (7, 5000)
    assert 0 < first_us < last_us


def test_a_changing_register_gives_a_new_stretch(agent: AgentProcess, device: Path) -> None:
    steps = Steps()
    step = steps.add("a0", *mapped(device), load(8, count=3_000_000))
    changed = steps.add(
        "a1",
        ("open", {"fd": "g", "path": str(device)}),
        ("mmap", {"fd": "g", "map": "m", "length": PAGE}),
        ("sleep", {"ms": 500}),
        ("store", {"map": "m", "offset": 8, "width": 8, "value": 9}),
    )
    replies = agent.play(steps)
    assert kinds(replies, changed)[-1] == "ok"
    runs = answers(replies, step)[-1][1]["runs"]
    assert [run[0] for run in runs] == [7, 9]
    assert sum(run[1] for run in runs) == 3_000_000
    assert runs[0][3] <= runs[1][2]


def test_sigbus_costs_the_load_and_nothing_else(agent: AgentProcess, device: Path) -> None:
    steps = Steps()
    first = steps.add("a0", *mapped(device), load(8))
    steps.wait()
    steps.add(
        "nemesis", ("write_file", {"path": str(device), "text": "x" * PAGE})
    )  # cuts the second page off
    steps.wait()
    second = steps.add("a0", load(PAGE), load(0), ("close", {"fd": "f"}, True))  # type: ignore[arg-type]
    third = steps.add("a0", load(0, count=3), ("munmap", {"map": "m"}), load(0))
    replies = agent.play(steps)
    assert kinds(replies, first) == ["ok"] * 3
    assert answers(replies, second) == [("fail", {"signal": "SIGBUS", "runs": []}), ("ok", {})]
    assert kinds(replies, third) == ["ok", "ok", "fail"]
    assert answers(replies, third)[-1] == ("fail", {"errno": "EFAULT"})


def test_loads_before_a_sigbus_are_told(agent: AgentProcess, device: Path) -> None:
    steps = Steps()
    step = steps.add("a0", *mapped(device), load(PAGE + 8, count=2_000_000_000))
    steps.add("nemesis", ("sleep", {"ms": 200}), ("write_file", {"path": str(device), "text": "x"}))
    kind, got = answers(agent.play(steps), step)[-1]
    assert (kind, got["signal"]) == ("fail", "SIGBUS")
    ((value, count, first_us, last_us),) = got["runs"]
    assert value == 0
    assert count > 1000
    assert last_us - first_us > 50_000


@pytest.mark.parametrize(
    ("part", "errno"),
    [
        (load(1, 4), "EINVAL"),
        (load(0, 2), "EINVAL"),
        (load(2 * PAGE), "EINVAL"),
        (("load", {"map": "x", "offset": 0, "width": 8}), "EFAULT"),
        (("close", {"fd": "x"}), "EBADF"),
        (("read", {"fd": "x"}), "EBADF"),
        (("poll", {"fd": "x", "timeout_ms": 1}), "EBADF"),
        (("ioctl", {"fd": "f", "request": 0x4004CA01, "data": "00"}), "ENOTTY"),
        (("ioctl", {"fd": "f", "request": 0x4004CA01, "data": "0g"}), "EINVAL"),
        (("open", {"fd": "f", "path": "/dev/null"}), "EBADF"),
        (("open", {"fd": "g", "path": "/nowhere/at/all"}), "ENOENT"),
        (("open", {"fd": "g", "path": "a\0b"}), "EINVAL"),
        (("mmap", {"fd": "x", "map": "n", "length": PAGE}), "EBADF"),
        (("mmap", {"fd": "f", "map": "m", "length": PAGE}), "EINVAL"),
        (("mmap", {"fd": "f", "map": "n", "length": 0}), "EINVAL"),
        (("munmap", {"map": "x"}), "EFAULT"),
        (("kill", {"actor": "nobody"}), "ESRCH"),
        (("read_file", {"path": "/nowhere/at/all"}), "ENOENT"),
        (("write_file", {"path": "/nowhere/at/all", "text": "1"}), "ENOENT"),
        (("inject", {"what": "link_down", "with": {"card": "card0"}}), "EOPNOTSUPP"),
        (("wait", {"actors": "all", "timeout_ms": 1}), "EOPNOTSUPP"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]}",
)
def test_what_cannot_be_done_fails_with_its_errno(
    agent: AgentProcess, device: Path, part: tuple[str, dict[str, object]], errno: str
) -> None:
    steps = Steps()
    step = steps.add("a0", *mapped(device), part, load(8))
    assert answers(agent.play(steps), step) == [("ok", {}), ("ok", {}), ("fail", {"errno": errno})]


def test_an_ioctl_gives_back_what_the_kernel_left(agent: AgentProcess, fifo: tuple[Path, int]) -> None:
    os.write(fifo[1], b"12345")
    steps = Steps()
    step = steps.add(
        "a0",
        ("open", {"fd": "f", "path": str(fifo[0])}),
        ("ioctl", {"fd": "f", "request": termios.FIONREAD, "data": "00000000"}),
    )
    assert answers(agent.play(steps), step)[-1] == ("ok", {"data": struct.pack("=I", 5).hex()})


def test_a_read_gives_what_is_there_or_waits_as_long_as_it_may(
    agent: AgentProcess, fifo: tuple[Path, int]
) -> None:
    os.write(fifo[1], b"\x01\xff")
    steps = Steps()
    step = steps.add(
        "a0",
        ("open", {"fd": "f", "path": str(fifo[0])}),
        ("poll", {"fd": "f", "timeout_ms": 0}),
        ("read", {"fd": "f"}),
        ("poll", {"fd": "f", "timeout_ms": 20}),
        ("read", {"fd": "f", "timeout_ms": 50}),
    )
    replies = agent.play(steps)
    assert answers(replies, step)[1:] == [
        ("ok", {"revents": 1}),
        ("ok", {"data": "01ff"}),
        ("ok", {"revents": 0}),
        ("fail", {"errno": "EAGAIN"}),
    ]
    times = {(r["is"], r["part"]): r["t"] for r in replies if r.get("step") == step}
    assert 50_000 <= times["fail", 4] - times["invoke", 4] < 1_000_000


def test_a_nonblocking_read_fails_at_once(agent: AgentProcess, fifo: tuple[Path, int]) -> None:
    steps = Steps()
    step = steps.add(
        "a0", ("open", {"fd": "f", "path": str(fifo[0]), "nonblock": True}), ("read", {"fd": "f"})
    )
    assert answers(agent.play(steps), step)[-1] == ("fail", {"errno": "EAGAIN"})


def test_a_file_is_read_as_text_whatever_it_holds(agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "good").write_text("afu_directed\n")
    (tmp_path / "bad").write_bytes(b"caf\xe9\xff\n")
    (tmp_path / "big").write_bytes(b"x" * (65 << 10))
    steps = Steps()
    step = steps.add(
        "probe", *(("read_file", {"path": str(tmp_path / name)}) for name in ("good", "bad", "big"))
    )
    good, bad, big = (got for _, got in answers(agent.play(steps), step))
    assert good == {"text": "afu_directed\n"}
    assert bad == {"text": "caf\\xe9\\xff\n"}
    assert (len(big["text"]), big["truncated"]) == (64 << 10, True)


def test_of_a_file_only_some_lines_are_read(agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / "alloc_traces"
    path.write_text("1 a [cxl] age=1\n" + "2 b age=1\n" * 20_000 + "3 c\r [cxl] age=1")
    reads = [{"path": str(path), "only": only} for only in ("[cxl] ", "nothing", "age")]
    steps = Steps()
    step = steps.add(
        "probe", *(("read_file", args) for args in reads), ("read_file", {**reads[0], "count": 2})
    )
    some, none, big, many = (got for _, got in answers(agent.play(steps), step))
    assert some == {"text": "1 a [cxl] age=1\n3 c\r [cxl] age=1\n"}
    assert none == {"text": ""}
    assert (len(big["text"]), big["truncated"]) == (64 << 10, True)
    assert many == {"runs": [[some["text"], 2]]}


def test_a_file_read_many_times_is_told_by_stretches(agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("0")
    steps = Steps()
    step = steps.add("probe", ("read_file", {"path": str(path), "count": 20_000}))
    steps.add("nemesis", ("sleep", {"ms": 50}), ("write_file", {"path": str(path), "text": "1"}))
    runs = answers(agent.play(steps), step)[-1][1]["runs"]
    assert sum(count for _, count in runs) == 20_000
    assert [text for text, _ in runs if text] == ["0", "1"]  # between them, it may be seen empty


def test_a_file_is_written_but_never_made(agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_text("a longer text")
    steps = Steps()
    step = steps.add("nemesis", ("write_file", {"path": str(path), "text": "1"}))
    other = steps.add("nemesis", ("write_file", {"path": str(tmp_path / "new"), "text": "1"}))
    replies = agent.play(steps)
    assert kinds(replies, step) + kinds(replies, other) == ["ok", "fail"]
    assert path.read_text() == "1"
    assert not (tmp_path / "new").exists()


def test_an_open_is_tried_again_as_long_as_it_may(agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / "node"
    steps = Steps()
    args = {"fd": "f", "path": str(path), "retry_ms": 5000, "retry_on": ["ENOENT"]}
    step = steps.add("a0", ("open", args))
    other = steps.add("a1", ("open", {**args, "retry_ms": 300}))
    strict = steps.add("a2", ("open", {**args, "retry_on": ["EIO"]}))
    agent.begin(steps)
    replies = agent.until(lambda reply: reply.get("step") == other and reply["is"] == "fail")
    path.touch()
    replies += agent.to_end()
    assert answers(replies, strict) == [("fail", {"errno": "ENOENT"})]
    assert answers(replies, other) == [("fail", {"errno": "ENOENT"})]
    ((kind, got),) = answers(replies, step)
    assert kind == "ok"
    assert got["tries"] >= 2


def test_what_is_lost_for_one_reason_is_waited_for_once(agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    steps = Steps()
    paths = [tmp_path / "gone", tmp_path / "gone", tmp_path / "there", tmp_path / "gone"]
    numbers = [
        steps.add("a0", ("open", {"fd": f"f{n}", "path": str(p), "retry_ms": 400, "retry_on": ["ENOENT"]}))
        for n, p in enumerate(paths)
    ]
    replies = agent.play(steps)
    spans = [[r["t"] for r in replies if r.get("step") == step] for step in numbers]
    waited_ms = [(end - begin) // 1000 for begin, end in spans]
    assert waited_ms[0] >= 250
    assert waited_ms[1] < 250 <= waited_ms[3]  # the third was there, so that the fourth is waited for again


def test_a_failing_part_leaves_out_the_others_except_those_marked(
    agent: AgentProcess, tmp_path: Path
) -> None:
    steps = Steps()
    step = steps.add(
        "a0",
        ("open", {"fd": "f", "path": "/nowhere/at/all"}),
        ("sleep", {"ms": 1}),
        ("sleep", {"ms": 2}, True),
    )  # type: ignore[arg-type]
    after = steps.add("a0", ("sleep", {"ms": 3}))
    replies = agent.play(steps)
    assert [(r["part"], r["is"]) for r in replies if r.get("step") == step] == [
        (0, "invoke"),
        (0, "fail"),
        (2, "invoke"),
        (2, "ok"),
    ]
    assert kinds(replies, after) == ["ok"]
