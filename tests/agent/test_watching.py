"""Holds what the agent passes on of the kernel's log and trace, and the triggers that wait for it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent import agent as agent_module
from tests.agent.playing import AgentProcess, Reply, Steps, answers, interval_us, kinds

FROZEN = "4,{seq},88123456,-;EEH: Frozen PE#1 on PHB#0 detected"


class Host:
    """A folder with a kernel log and a trace that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.tracefs = folder / "tracefs"
        self.instance = self.tracefs / "instances" / "capi-test"
        events = [self.instance / "events" / "capi_test" / event for event in agent_module.PROBES]
        for path in (self.instance / "events" / "cxl", *events, folder / "proc"):
            path.mkdir(parents=True)
        for path in (
            *(event / name for event in events for name in ("enable", "filter")),
            self.instance / "trace_clock",
            self.instance / "events/cxl/enable",
            self.tracefs / "kprobe_events",
        ):
            path.touch()
        symbols = "".join(
            f"c0{n:014x} T {probe[2]}\n" for n, probe in enumerate(agent_module.PROBES.values())
        )
        (folder / "proc" / "kallsyms").write_text(symbols.replace(" T garbage_add", " T something_else"))
        for fifo in (folder / "kmsg", self.instance / "trace_pipe"):
            os.mkfifo(fifo)
        self._kmsg = os.open(folder / "kmsg", os.O_RDWR)
        self._trace = os.open(self.instance / "trace_pipe", os.O_RDWR)
        self.agent = AgentProcess(
            folder,
            CAPI_AGENT_KMSG=str(folder / "kmsg"),
            CAPI_AGENT_TRACEFS=str(self.tracefs),
            CAPI_AGENT_INSTANCE="capi-test",
        )

    def log(self, line: str) -> None:
        os.write(self._kmsg, line.encode() + b"\n")

    def trace(self, text: str, at: float | None = None, task: str = "kworker/0:1-23") -> None:
        at = time.monotonic() if at is None else at
        os.write(self._trace, f"  {task}    [000] d.h1.    {at:.6f}: {text}\n".encode())

    def close(self) -> None:
        self.agent.leave()
        os.close(self._kmsg)
        os.close(self._trace)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.close()


def started(host: Host, steps: Steps) -> list[Reply]:
    """Begin, and return once the case is under way: its first step is to be of the actor ``go``."""
    host.agent.begin(steps)
    return host.agent.until(lambda reply: reply.get("who") == "go" and reply["is"] == "ok")


def going() -> Steps:
    steps = Steps()
    steps.add("go", ("sleep", {"ms": 0}))
    return steps


def raws(replies: list[Reply], kind: str) -> list[str]:
    return [reply["raw"] for reply in replies if reply["is"] == kind]


def test_log_lines_of_the_case_are_passed_on_and_no_others(host: Host) -> None:
    host.log("6,1,1,-;before the case")
    steps = going()
    steps.add("harness", ("sleep", {"ms": 300}))
    replies = started(host, steps)
    host.log("6,2,2,-;one\n SUBSYSTEM=cxl\n DEVICE=+cxl:afu0.0")
    host.log("6,3,3,-;two")
    os.write(host._kmsg, b"6,4,4,-;caf\xff\n6,5,5,-;a half")
    replies += host.agent.to_end()
    assert raws(replies, "log") == ["6,2,2,-;one", "6,3,3,-;two", "6,4,4,-;caf\\xff"]


def test_a_step_waits_for_the_nth_line_and_then_for_its_delay(host: Host) -> None:
    steps = going()
    when = {
        "after_ms": 50,
        "sees": [["log", ["EEH: Frozen", "PHB#0"]], ["log", ["Fenced"]]],
        "nth": 2,
        "within_ms": 10_000,
    }
    step = steps.add("nemesis", ("sleep", {"ms": 0}), ("sleep", {"ms": 0}), when=when)
    replies = started(host, steps)
    for line in (
        FROZEN.format(seq=1),
        "4,2,2,-;EEH: Frozen PE#1 on PHB#7 detected",
        "4,3,3,-;EEH: Fenced PHB#0 detected",
    ):
        time.sleep(0.05)
        host.log(line)
    replies += host.agent.to_end()
    assert kinds(replies, step) == ["ok", "ok"]
    seen_us = [reply["t"] for reply in replies if reply["is"] == "log"][-1]
    assert 50_000 <= interval_us(replies, step)[0] - seen_us < 1_000_000


def test_a_step_whose_line_never_comes_is_not_performed(host: Host) -> None:
    steps = going()
    when = {"after_ms": 0, "sees": [["trace", ["EEH: Frozen"]]], "nth": 1, "within_ms": 80}
    step = steps.add("a0", ("sleep", {"ms": 0}), ("sleep", {"ms": 0}), when=when)
    after = steps.add("a0", ("sleep", {"ms": 0}))
    replies = started(host, steps)
    host.log(FROZEN.format(seq=1))  # the right words from the wrong source
    replies += host.agent.to_end()
    assert [(r["is"], r["part"], r.get("got")) for r in replies if r.get("step") == step] == [
        ("info", 0, {"reason": "not-triggered"})
    ]
    assert interval_us(replies, after)[0] >= 80_000


def test_lines_before_a_steps_turn_do_not_count(host: Host) -> None:
    steps = going()
    steps.add("harness", ("sleep", {"ms": 150}))
    when = {"sees": [["log", ["EEH: Frozen"]]], "within_ms": 100}
    step = steps.add("a0", ("sleep", {"ms": 0}), when=when)
    replies = started(host, steps)
    host.log(FROZEN.format(seq=1))
    replies += host.agent.to_end()
    assert len(raws(replies, "log")) == 1
    assert answers(replies, step) == [("info", {"reason": "not-triggered"})]


def test_a_delay_counts_from_the_steps_turn(host: Host) -> None:
    steps = going()
    busy = steps.add("a0", ("sleep", {"ms": 100}))
    past = steps.add("a0", ("sleep", {"ms": 0}), when={"after_ms": 20})
    later = steps.add("a1", ("sleep", {"ms": 0}), when={"after_ms": 150})
    replies = host.agent.play(steps)
    assert interval_us(replies, past)[0] - interval_us(replies, busy)[1] < 90_000
    assert interval_us(replies, later)[0] >= 150_000


def test_a_triggered_wait_of_the_harness_holds_everything_back(host: Host) -> None:
    steps = going()
    steps.add("harness", ("sleep", {"ms": 1}), when={"sees": [["log", ["EEH: Frozen"]]], "within_ms": 10_000})
    after = steps.add("a0", ("sleep", {"ms": 0}))
    replies = started(host, steps)
    time.sleep(0.1)
    host.log(FROZEN.format(seq=1))
    replies += host.agent.to_end()
    kinds_in_order = [reply["is"] if "raw" in reply else reply.get("step") for reply in replies]
    assert kinds_in_order.index("log") < kinds_in_order.index(after)


def test_trace_lines_bear_their_own_time_and_old_ones_are_left_out(host: Host) -> None:
    steps = going()
    steps.add("harness", ("sleep", {"ms": 300}))
    replies = started(host, steps)
    began = time.monotonic()
    host.trace("cxl_detach: afu0.0 pe=1", began - 3600)
    host.trace("cxl_detach: afu0.0 pe=2", began + 0.01)
    host.trace("cxl_detach: afu0.0 pe=3", began + 0.02)
    replies += host.agent.to_end()
    found = [reply for reply in replies if reply["is"] == "trace"]
    assert [reply["raw"].rpartition(": ")[2] for reply in found] == ["afu0.0 pe=2", "afu0.0 pe=3"]
    assert found[1]["t"] - found[0]["t"] == pytest.approx(10_000, abs=2)


def test_probes_are_told_in_the_protocols_words_and_trigger(host: Host) -> None:
    steps = going()
    when = {"sees": [["trace", ["capi_hcall_entry: H_DETACH_CA_PROCESS "]]], "within_ms": 10_000}
    step = steps.add("a0", ("sleep", {"ms": 500}), when=when)  # while the rest is written
    replies = started(host, steps)
    for text in (
        "capi_hcall: (plpar_hcall+0x0/0x80) opcode=0x348 unit=0x10 op=1",
        "capi_eeh_state: (eeh_ops_get_state+0x1/0x2 <- pnv_eeh_get_state) state=24",
        "capi_eeh_asked: (pnv_eeh_get_state+0x0/0x1) phb=3 pe=509",
        "capi_eeh_state: (eeh_ops_get_state+0x1/0x2 <- pnv_eeh_get_state) state=0",
        "capi_eeh_asked: (pnv_eeh_get_state+0x0/0x1) phb=(fault) pe=509",
        "capi_eeh_state: (eeh_ops_get_state+0x1/0x2 <- pnv_eeh_get_state) state=0",
        'capi_handlers: (pci_error_handlers+0x0/0x90 [cxl]) name="cxl-afu0.1-err" event=3 state=1',
        'capi_detach_all: (cxl_context_detach_all+0x0/0x90 [cxl]) name="cxl-afu1.0-err"',
        'capi_reclaim: (reclaim_ctx+0x0/0x90 [cxl]) name="cxl-afu0.0-err" pe=2',
        "capi_reclaim: (reclaim_ctx+0x0/0x90 [cxl]) name=(fault) pe=2",
        "capi_hcall9: (plpar_hcall9+0x0/0x80) opcode=0x34c unit=0x10 op=99",
        "capi_hcall: (plpar_hcall+0x0/0x80) unforeseen",
        "cxl_attach: afu0.0 pid=1 pe=1 wed=0x0 irqs=1 amr=0x0",
    ):
        host.trace(text)
    replies += host.agent.to_end()
    assert [raw.split(": ", 1)[1] for raw in raws(replies, "trace")] == [
        "capi_hcall_entry: H_CONTROL_CA_FUNCTION unit=0x10 op=RESET",
        "pnv_eeh_get_state: frozen=0",
        "pnv_eeh_get_state: PHB#3 PE#1fd frozen=1",
        "pnv_eeh_get_state: frozen=1",
        "pci_error_handlers: afu0.1 event=3 state=1",
        "cxl_context_detach_all: afu1.0",
        "reclaim_ctx: afu0.0 pe=2",
        "reclaim_ctx: name=(fault) pe=2",
        "capi_hcall_entry: H_DETACH_CA_PROCESS unit=0x10 op=DETACH",
        "capi_hcall_entry: unforeseen",
        "cxl_attach: afu0.0 pid=1 pe=1 wed=0x0 irqs=1 amr=0x0",
    ]
    assert kinds(replies, step) == ["ok"]


def test_what_a_task_asked_is_known_when_its_name_is_not_yet_and_never_of_another_task(host: Host) -> None:
    steps = going()
    steps.add("a0", ("sleep", {"ms": 200}))
    replies = started(host, steps)
    for task, text in (
        ("<...>-152", "capi_eeh_asked: (pnv_eeh_get_state+0x0/0x1) phb=0 pe=509"),
        ("eehd-33", "capi_eeh_state: (eeh_ops_get_state+0x1/0x2 <- pnv_eeh_get_state) state=24"),
        ("python3-152", "capi_eeh_state: (eeh_ops_get_state+0x1/0x2 <- pnv_eeh_get_state) state=0"),
    ):
        host.trace(text, task=task)
    replies += host.agent.to_end()
    assert [raw.split(": ", 1)[1] for raw in raws(replies, "trace")] == [
        "pnv_eeh_get_state: frozen=0",
        "pnv_eeh_get_state: PHB#0 PE#1fd frozen=1",
    ]


def test_the_trace_is_set_up_and_taken_away_again(host: Host) -> None:
    assert host.agent.hello["features"] == ["kernel-log", "tracepoints", "kprobes"]
    argument = "%gpr3" if platform.machine().startswith("ppc") else "$arg1"
    assert (host.instance / "trace_clock").read_text() == "mono\n"
    assert (host.instance / "events/cxl/enable").read_text() == "1\n"
    defined = (host.tracefs / "kprobe_events").read_text().splitlines()
    assert f"p:capi_test/capi_hcall plpar_hcall opcode={argument}:x64" in " ".join(defined)
    assert f"p:capi_test/capi_eeh_asked pnv_eeh_get_state phb=+592(+16({argument})):s32" in " ".join(defined)
    assert "r:capi_test/capi_eeh_state pnv_eeh_get_state state=$retval:s32" in defined
    assert not any("garbage_add" in line for line in defined)
    folder = host.instance / "events" / "capi_test"
    assert (folder / "capi_hcall" / "filter").read_text() == (
        "opcode >= 0x344 && opcode <= 0x368 && (opcode != 0x348 || op != 4)\n"
    )
    assert (folder / "capi_reclaim" / "enable").read_text() == "1\n"
    assert (folder / "capi_garbage_add" / "enable").read_text() == ""
    host.agent.process.kill()  # even then
    host.agent.process.wait()
    deadline = time.monotonic() + 10
    while len((host.tracefs / "kprobe_events").read_text().splitlines()) < 2 * len(defined):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    removed = (host.tracefs / "kprobe_events").read_text().splitlines()[len(defined) :]
    assert sorted(removed) == sorted("-" + line.split()[0][1:] for line in defined)
    assert (folder / "capi_reclaim" / "enable").read_text() == "1\n0\n"


def test_without_log_and_trace_the_features_are_absent(tmp_path: Path) -> None:
    with AgentProcess(tmp_path) as agent:
        assert agent.hello["features"] == []
        steps = Steps()
        step = steps.add("a0", ("sleep", {"ms": 0}))
        assert kinds(agent.play(steps), step) == ["ok"]


def test_a_line_of_the_log_bears_the_time_when_it_was_said_as_well_as_can_be_told() -> None:
    player = object.__new__(agent_module.Player)
    player.log_behind = float("inf")
    said = [("6,1,1000000,-;one", 11.5), ("6,2,2000000,-;read late", 13.0), ("6,3,3000000,-;read soon", 13.2)]
    assert [player._logged_at(line, now) for line, now in said] == [11.5, 12.5, 13.2]
    assert player._logged_at("6,4,4000000,-;read late again", 15.0) == pytest.approx(14.2)
    assert player._logged_at("no record", 16.0) == 16.0
