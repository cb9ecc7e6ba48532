"""Holds the agent's beginning: its source, its hello, what it refuses, and that nothing is played twice."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.agent import agent as agent_module
from harness.vocab.request import VERBS
from harness.wire import sysfs
from tests.agent.playing import SOURCE, AgentProcess, Steps, answers, kinds

WIRE = Path(__file__).parents[2] / "fixtures" / "wire"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path) as process:
        yield process


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """An agent for tests that leave no trace in it."""
    with AgentProcess(tmp_path_factory.mktemp("lasting")) as process:
        yield process


def vectors(name: str) -> list[Any]:
    return [pytest.param(v, id=v["name"]) for v in json.loads((WIRE / name).read_text())["vectors"]]


def one_step() -> Steps:
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 0}))
    return steps


def test_the_source_is_of_the_oldest_language_that_a_host_may_have() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 6))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith(("harness", ".")) for name in modules)
    assert "__future__" not in modules
    assert "dataclasses" not in modules


def other_pythons() -> Iterator[Any]:
    """Interpreters that this machine has beside ours, of the versions that a host may have."""
    for minor in range(6, 14):
        for python in (
            shutil.which(f"python3.{minor}"),
            *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3"),
        ):
            works = (
                python and not subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode
            )
            if works and minor != sys.version_info.minor:
                yield pytest.param(str(python), id=f"3.{minor}")
                break


@pytest.mark.parametrize("python", [*other_pythons()])
def test_it_runs_on_other_versions_of_python(tmp_path: Path, python: str) -> None:
    device = tmp_path / "device"
    device.write_bytes(bytes(4096))
    with AgentProcess(tmp_path, python) as agent:
        steps = Steps()
        step = steps.add(
            "a0",
            ("open", {"fd": "f", "path": str(device)}),
            ("mmap", {"fd": "f", "map": "m", "length": 4096}),
            ("load", {"map": "m", "offset": 0, "width": 8, "count": 10}),
            ("fork", {"child": "a1"}),
        )
        killed = steps.add("a1", ("sleep", {"ms": 60_000}))
        steps.wait(timeout_ms=100)
        steps.add("nemesis", ("kill", {"actor": "a1"}))
        broken = steps.add(
            "a0",
            ("write_file", {"path": str(device), "text": ""}),
            ("load", {"map": "m", "offset": 0, "width": 8}),
        )
        replies = agent.play(steps)
        assert kinds(replies, step) == ["ok"] * 4
        assert kinds(replies, killed) == ["info"]
        assert answers(replies, broken)[-1] == ("fail", {"signal": "SIGBUS", "runs": []})
        assert agent.leave() == b""


def test_hello_tells_the_host(tmp_path: Path) -> None:
    card, afu = tmp_path / "sys/class/cxl/card0", tmp_path / "sys/class/cxl/afu0.0"
    pci = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    for folder in (card, afu, pci, tmp_path / "sys/firmware/opal", tmp_path / "sys/kernel/debug/powerpc"):
        folder.mkdir(parents=True)
    (card / "psl_revision").write_text("8\n")
    (card / "device").symlink_to("../../../0000:01:00.0")
    (pci / "eeh_pe_config_addr").write_text("0x1\n")
    texts = {
        "mode": "afu_directed\n",
        "modes_supported": "afu_directed\n",
        "irqs_min": "1\n",
        "irqs_max": "8\n",
        "mmio_size": "4096\n",
    }
    for name, text in texts.items():
        (afu / name).write_text(text)
    (afu / "afu_err_buff").write_bytes(b"\xff\xfe")
    (afu / "reset").mkdir()
    cache = tmp_path / "sys/kernel/debug/slab/kmalloc-64"
    cache.mkdir(parents=True)
    (cache / "alloc_traces").touch()
    with AgentProcess(tmp_path) as agent:
        hello = agent.hello
    assert hello["platform"] == "powernv"
    assert hello["features"] == ["debugfs", "allocation-traces"]
    assert hello["uname"]["release"] == os.uname().release
    assert "/sys/class/cxl/afu0.0/afu_err_buff" not in hello["files"]
    topology = sysfs.topology({"hello": {**hello, "facts": {"afu0.0": {"contexts_max": 4}}}})
    assert (topology.card("card0").bdf, topology.card("card0").eeh_pe) == ("0000:01:00.0", 1)
    assert topology.afu("afu0.0").irqs_max == 8


def test_a_pseries_guest_is_powervm(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nplatform\t: pSeries\n")
    with AgentProcess(tmp_path) as agent:
        assert agent.hello["platform"] == "powervm"


def test_the_agent_knows_the_same_verbs_as_the_harness() -> None:
    assert set(agent_module.VERBS) == {verb.value for verb in VERBS}


@pytest.mark.parametrize("vector", vectors("requests.json"))
def test_the_parts_of_the_vectors_are_well_formed(vector: Any) -> None:
    part = {"step": 0, "part": 0, "who": "a0", **vector["wire"]}
    assert list(agent_module.part_problems(part)) == []


@pytest.mark.parametrize("vector", vectors("triggers.json"))
def test_the_triggers_of_the_vectors_are_well_formed(vector: Any) -> None:
    when = {"when": vector["wire"]} if vector["wire"] else {}
    part = {"step": 0, "part": 0, "who": "a0", "do": "exit", "args": {}, **when}
    assert list(agent_module.part_problems(part)) == []


@pytest.mark.parametrize("vector", vectors("play.json"))
def test_the_plays_of_the_vectors_are_well_formed(vector: Any) -> None:
    run, steps = agent_module.read_play(json.dumps(vector["wire"]).encode())
    assert run == vector["wire"]["play"]["run"]
    assert [step.number for step in steps] == sorted(
        {part["step"] for part in vector["wire"]["play"]["steps"]}
    )


def test_a_run_is_never_played_twice(agent: AgentProcess, tmp_path: Path) -> None:
    assert "error" not in agent.play(one_step(), "once")[-1]["got"]
    again = agent.play(one_step(), "once")
    assert len(again) == 1
    assert "once has been played before" in again[0]["got"]["error"]
    with AgentProcess(tmp_path) as another:
        assert "played before" in another.play(one_step(), "once")[0]["got"]["error"]
        assert kinds(another.play(one_step(), "twice"), 0) == ["ok"]


def test_the_journal_has_each_step_that_changes_the_host(agent: AgentProcess, tmp_path: Path) -> None:
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 0}))
    steps.add("nemesis", ("inject", {"what": "link_down"}))
    steps.add("nemesis", ("write_file", {"path": "/nowhere/x", "text": ""}), ("kill", {"actor": "a0"}))
    agent.play(steps, "written")
    folder = tmp_path / "journal"
    assert (folder / "written").read_text() == "1 inject\n2 write_file kill\n"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "written").stat().st_mode) == 0o600


def test_a_journal_in_the_hands_of_others_is_refused(agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o755)
    assert "mode 0700" in agent.play(one_step())[0]["got"]["error"]
    (tmp_path / "journal").rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")
    assert "mode 0700" in agent.play(one_step())[0]["got"]["error"]


def part(**more: Any) -> dict[str, Any]:
    return {"step": 0, "part": 0, "who": "a0", "do": "sleep", "args": {"ms": 0}, **more}


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([part(do="dance")], "steps[0]: do: 'dance' is none of open close"),
        ([part(args={})], "steps[0]: args.ms is missing"),
        ([part(args={"ms": -1})], "args.ms must not be negative"),
        ([part(args={"ms": True})], "args.ms must be int"),
        ([part(args={"ms": 0, "s": 1})], "args.'s' is unknown"),
        ([part(step="0")], "step must be int"),
        ([part(who=None)], "who must be str"),
        ([part(more=1)], "'more' is unknown"),
        ([part(when={"sees": [["dmesg", ["x"]]]})], "when.sees"),
        ([part(when={"sees": [["log", [1]]]})], "when.sees"),
        ([part(when={"after_ms": 1.5})], "when.after_ms must be int"),
        ([1], "steps[0]: no object"),
        ([part(), part(who="a1", part=1)], "step 0 has more than one actor"),
        ([part(who=f"a{n}", step=n) for n in range(200)], "200 actors"),
        ([part(args={})] * 50, "and more"),
    ],
)
def test_a_malformed_case_is_refused_whole(lasting: AgentProcess, steps: list[Any], says: str) -> None:
    (reply,) = lasting.play([*steps], "malformed")
    assert reply["is"] == "end"
    assert says in reply["got"]["error"]
    assert not (lasting.folder / "journal" / "malformed").exists()


@pytest.mark.parametrize("run", ["", "../x", "a/b", "x" * 200, ".hidden", "a b", "a\n"])
def test_a_run_whose_name_is_no_file_name_is_refused(lasting: AgentProcess, run: str) -> None:
    lasting.send(json.dumps({"play": {"run": run, "steps": []}}).encode() + b"\n")
    (reply,) = lasting.to_end()
    assert "allowed are" in reply["got"]["error"]


def test_garbage_is_answered_and_survived(lasting: AgentProcess) -> None:
    for garbage in (
        b"\xff\xfe\x00",
        b"{",
        b"[]",
        b"3",
        b'{"play":1}',
        b'{"play":{"run":1,"steps":[]}}',
        b"[" * 100_000,
    ):
        lasting.send(garbage + b"\n")
        (reply,) = lasting.to_end()
        assert reply["got"]["error"]
    assert kinds(lasting.play(one_step()), 0) == ["ok"]


def test_a_case_without_steps_ends_at_once(lasting: AgentProcess) -> None:
    (reply,) = lasting.play([])
    assert reply["got"] == {"performed": 0}


def test_the_next_case_may_be_sent_before_the_end_of_the_one_before(lasting: AgentProcess) -> None:
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 100}))
    lasting.begin(steps)
    lasting.begin(one_step())
    first, second = lasting.to_end(), lasting.to_end()
    assert kinds(first, 0) == kinds(second, 0) == ["ok"]
    assert second[0]["t"] < 100_000


def test_what_comes_together_with_the_source_is_not_lost(tmp_path: Path) -> None:
    play = json.dumps({"play": {"run": "early", "schedule": 0, "steps": one_step().entries}}).encode() + b"\n"
    process = AgentProcess.__new__(AgentProcess)
    sent: list[bytes] = []
    process.send = sent.append  # type: ignore[method-assign]
    process.line = lambda: {"hello": {}}  # type: ignore[method-assign]
    process.__init__(tmp_path)  # type: ignore[misc]
    del process.send, process.line
    process.send(sent[0] + play)
    assert "hello" in process.line()
    assert kinds(process.to_end(), 0) == ["ok"]
    process.leave()


def test_a_client_that_does_not_read_does_not_stop_the_clock(agent: AgentProcess, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_text("x" * 60_000)
    steps = Steps()
    for _ in range(20):
        steps.add("probe", ("read_file", {"path": str(big)}))
    last = steps.add("a0", ("sleep", {"ms": 200}), ("write_file", {"path": str(big), "text": "done"}))
    agent.begin(steps)
    for _ in range(500):
        if big.read_text() == "done":
            break
        steps_wait()
    assert big.read_text() == "done"
    replies = agent.to_end()
    assert kinds(replies, last) == ["ok", "ok"]


def steps_wait() -> None:
    subprocess.run(["sleep", "0.01"], check=True)
