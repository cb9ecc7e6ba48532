"""The runner: in order, pipelined, sent once, and typed trouble whatever a host does."""

from __future__ import annotations

import json

import pytest

from harness.events.reset_afu import ResetAfu
from harness.hosts.inproc import InprocHost
from harness.hosts.lab import LabHost
from harness.run import runner as runner_module
from harness.run.runner import Runner
from harness.vocab.case import Step
from harness.vocab.errors import InfraError, ProtocolError, UsageError
from harness.wire import histfile
from tests.run.cases import GOOD_CASE, OPEN, case, pause
from tests.run.fake import FakeSimulated


class Script:
    """A host that answers with given batches of lines; an exception among them is raised."""

    window = 4
    url = "script:"

    def __init__(self, *batches) -> None:
        self.hello = FakeSimulated().hello()
        self.sent: list[bytes] = []
        self.batches = list(batches)
        self.is_closed = False

    def begin(self, play: bytes) -> None:
        self.sent.append(play)

    def replies(self, timeout_s: float):
        if not self.batches:
            raise InfraError("nothing more to say")
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch

    def close(self) -> None:
        self.is_closed = True


def replies_of(*cases) -> list[bytes]:
    """All reply lines of the stand-in host to `cases`, one after the other."""
    recorder = Recorder()
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated()))
    for item in cases:
        runner.begin(item, record=recorder)
        runner.collect()
    return [line for recording in recorder.recordings for line in recording.lines]


class Recording:
    def __init__(self, number: int, case_text: str, header: bytes) -> None:
        self.number, self.case_text, self.header = number, case_text, header
        self.lines: list[bytes] = []

    def append(self, lines) -> None:
        self.lines += lines


class Recorder:
    def __init__(self) -> None:
        self.recordings: list[Recording] = []

    def __call__(self, *given) -> Recording:
        self.recordings.append(Recording(*given))
        return self.recordings[-1]


CASES = [case(OPEN, pause(n)) for n in range(5)]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 1000])
def test_histories_come_in_order_however_the_lines_are_batched(size) -> None:
    lines = replies_of(*CASES[:4])
    batches = [lines[n : n + size] for n in range(0, len(lines), size)]
    runner = Runner(lambda: Script(*batches))
    for number, item in enumerate(CASES[:4]):
        runner.begin(item, number)
    found = [runner.collect() for _ in CASES[:4]]
    assert [p.case for p in found] == CASES[:4]
    assert [p.number for p in found] == [0, 1, 2, 3]
    assert all(p.history.is_complete and not p.trouble for p in found)
    assert [r.data["ms"] for p in found for r in p.history.records if r.name == "sleep" and r.data] == [
        0,
        1,
        2,
        3,
    ]


def test_no_more_than_the_window_is_under_way() -> None:
    runner = Runner(Script)
    while runner.has_room:
        runner.begin(GOOD_CASE)
    assert runner.under_way == 4


def test_equal_cases_have_equal_digests_and_others_do_not() -> None:
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated()))
    first, again, other = (runner.perform(item).digest for item in (CASES[1], CASES[1], CASES[2]))
    assert first == again != other
    assert len(first) == 64


def test_run_names_are_never_used_twice() -> None:
    simulated = FakeSimulated()
    for _ in range(2):
        runner = Runner(lambda: InprocHost("inproc:", simulated))
        runner.perform(GOOD_CASE)
        runner.perform(GOOD_CASE)
    assert len({play["run"] for play in simulated.plays}) == 4


def test_what_is_recorded_is_a_history_that_can_be_loaded() -> None:
    recorder = Recorder()
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated()))
    runner.begin(GOOD_CASE, 3, record=recorder)
    performance = runner.collect()
    (recording,) = recorder.recordings
    assert recording.number == 3
    assert histfile.load(recording.header + b"\n".join((*recording.lines, b""))) == performance.history


LOSSES = {
    "connection": InfraError("the cable was pulled"),
    "garbage": [b"\x1b[31mlogin: \xff"],
    "other-json": [b"[1, 2]"],
    "unknown-reply": [b'{"is": "gossip", "t": 1}'],
    "flow": ProtocolError("over 100 bytes"),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_lost_host_costs_all_cases_under_way_and_keeps_their_prefix(loss) -> None:
    lines = replies_of(CASES[0])
    script = Script(lines[:3], loss)
    recorder = Recorder()
    runner = Runner(lambda: script)
    for item in CASES[:3]:
        runner.begin(item, record=recorder)
    found = [runner.collect() for _ in range(3)]
    assert all(p.trouble for p in found)
    assert [len(p.history.records) for p in found] == [3, 0, 0]
    assert recorder.recordings[0].lines == lines[:3]
    assert script.is_closed
    assert runner.is_lost
    assert not runner.has_room
    assert len(script.sent) == 3  # and nothing was sent again


def test_a_lost_host_can_be_reopened_and_nothing_is_sent_again() -> None:
    hosts = [Script(InfraError("gone")), Script(replies_of(CASES[1]))]
    left = iter(hosts)
    runner = Runner(lambda: next(left))
    assert runner.perform(CASES[0]).trouble == "gone"
    runner.reopen()
    assert not runner.perform(CASES[1]).trouble
    assert [len(host.sent) for host in hosts] == [1, 1]


def test_a_host_that_says_too_much_is_lost(monkeypatch) -> None:
    monkeypatch.setattr(runner_module, "RECORDS_MAX", 50)
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated(mutant="flood")))
    runner._unread = []
    flood = [b'{"is": "log", "t": 1, "raw": "6,1,1,-;x"}'] * 51
    runner.host = Script(flood)
    assert "too much was said" in runner.perform(GOOD_CASE).trouble


def test_a_case_that_the_agent_refuses_is_trouble() -> None:
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated(mutant="refuses")))
    assert "I would rather not" in runner.perform(GOOD_CASE).trouble
    assert not runner.is_lost


def test_a_case_has_a_deadline(monkeypatch) -> None:
    monkeypatch.setattr(runner_module, "DEADLINE_S", 0.0)
    runner = Runner(lambda: Script(replies_of(GOOD_CASE)))
    assert "not ended in time" in runner.perform(GOOD_CASE).trouble


def test_a_host_whose_hello_makes_no_sense_is_closed_at_once() -> None:
    script = Script()
    script.hello = b'{"hello": {"protocol": 99}}'
    with pytest.raises(ProtocolError):
        Runner(lambda: script)
    assert script.is_closed


class Lab(LabHost):
    """A lab host on the inventory's terms, without a network."""

    def __init__(self, allowed: set[str]) -> None:
        self.script = Script(replies_of(GOOD_CASE))
        self.url, self.hello, self.allowed = "ssh://lab", self.script.hello, frozenset(allowed)
        self._agent = self.script


def test_a_card_that_must_not_be_disturbed_is_not() -> None:
    harmful = case(Step("nemesis", ResetAfu("afu0.0")))
    host = Lab(set())
    runner = Runner(lambda: host)
    with pytest.raises(UsageError, match="card0 must not be disturbed"):
        runner.begin(harmful)
    assert (host.script.sent, runner.under_way) == ([], 0)
    assert runner.drawable.cards == ()
    assert not runner.perform(GOOD_CASE).trouble
    allowed = Runner(lambda: Lab({"card0"}))
    allowed.begin(harmful)
    assert allowed.under_way == 1
    assert allowed.drawable == allowed.topology


def test_a_lab_host_whose_cards_changed_names_is_opened_anew() -> None:
    said = ["cxl-pci 0003:01:00.0: Device uses a PSL9", "cxl afu0.0: Activating AFU directed mode"]
    raw = [f"6,{number},{number},-;{text}" for number, text in enumerate(said)]
    log = [json.dumps({"is": "log", "t": 90, "raw": line}).encode() for line in raw]
    hosts: list[Lab] = []

    def opened() -> Lab:
        hosts.append(Lab({"card0"}))
        return hosts[-1]

    runner = Runner(opened)
    hosts[0].script.batches[0][-1:-1] = log
    performance = runner.perform(GOOD_CASE)
    assert (performance.trouble, runner.is_lost) == ("", True)
    assert performance.history.renaming
    runner.reopen()
    assert not runner.perform(GOOD_CASE).history.renaming
    assert not runner.is_lost
