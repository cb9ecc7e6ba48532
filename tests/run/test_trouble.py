"""Trouble on this side: a lane's process killed, a stop by a signal, a full disk, a run elsewhere."""

from __future__ import annotations

import errno
import os
import signal
from datetime import UTC, datetime

import pytest

from harness.hosts.inproc import InprocHost
from harness.plan.budget import Budget
from harness.run import planrun, prepare
from harness.run.campaign import Setup, perform
from harness.run.orders import Orders
from harness.run.store import RunDirectory
from harness.run.workers import Flag
from harness.vocab.campaign import Ended
from harness.vocab.errors import InfraError, UsageError
from tests.run.cases import NO_BAD_VALUE, OPEN, Drawn, case, pause
from tests.run.fake import FakeSimulated

PLAN = """
schema = 1
name = "tiny"
title = "A tiny plan"
hosts = ["sim://powervm"]
budget = "20cases"
[cases]
saved = [{saved}]
[gate]
known_issues = "{issues}"
"""


def draw(seed, _topology):
    return case(OPEN, pause(1), seed=seed)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_lane_whose_process_is_killed_is_lab_trouble_and_the_others_go_on(number, tmp_path) -> None:
    class Deadly(FakeSimulated):
        def play(self, line):
            if len(self.plays) == 3:
                os.kill(os.getpid(), number)
            return super().play(line)

    openers = (
        ("good:", lambda: InprocHost("good:", FakeSimulated())),
        ("bad:", lambda: InprocHost("bad:", Deadly())),
    )
    orders = Orders(seed=5, draw=Drawn(draw), oracles=(NO_BAD_VALUE,))
    directory = RunDirectory.create(datetime.now(UTC), root=tmp_path)
    campaign = perform(Setup("a-plan", "A plan", Budget(cases=40), openers, orders), directory)
    assert campaign.ended is Ended.BUDGET
    assert campaign.by_host["good:"] == {"pass": 20}
    assert campaign.by_host["bad:"]["unknown-infra"] == 1
    assert any("bad:: its process was killed" in sentence for sentence in campaign.trouble)


def test_a_signal_that_comes_while_the_flag_is_looked_at_does_not_hang() -> None:
    flag = Flag()
    signals = []
    before = signal.signal(signal.SIGALRM, lambda *_: (flag.set(), signals.append(1)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        while len(signals) < 300:  # an Event of multiprocessing, which has a lock, hangs here
            flag.is_set()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert flag.is_set()


def test_every_file_that_a_plan_names_and_that_is_not_there_is_said_at_once(tmp_path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(saved='"no-cases", "nor-these"', issues="no-issues.toml"))
    with pytest.raises(UsageError) as told:
        prepare.read_plan(plan)
    said = str(told.value)
    assert all(name in said for name in ("no-cases", "nor-these", "no-issues.toml", "cases.saved"))
    (tmp_path / "no-cases").mkdir()
    (tmp_path / "nor-these").mkdir()
    (tmp_path / "no-issues.toml").write_text("schema = 1\n")
    assert prepare.read_plan(plan).saved == ()


def test_a_run_directory_is_gated_and_reported_where_nothing_of_the_project_is(tmp_path, monkeypatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "cases").mkdir(parents=True)
    elsewhere.mkdir()
    (project / "issues.toml").write_text("schema = 1\n")
    (project / "plan.toml").write_text(PLAN.format(saved='"cases"', issues="issues.toml"))
    read = prepare.read_plan(project / "plan.toml")
    setup = prepare.setup(read)
    opener = ("sim://powervm", lambda: InprocHost("sim://powervm", FakeSimulated()))
    orders = Orders(seed=5, draw=Drawn(draw), oracles=(NO_BAD_VALUE,))
    setup = Setup(setup.plan, setup.title, setup.budget, (opener,), orders)
    outcome = planrun.run_plan(read, setup, planrun.new_directory(elsewhere / "out"))
    monkeypatch.chdir(elsewhere)
    assert planrun.decide_again(outcome.directory)[1].verdict is outcome.gate.verdict
    assert planrun.conclude_again(outcome.directory).reports


def test_a_full_disk_ends_a_campaign_with_words_that_name_the_directory(tmp_path, monkeypatch) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "issues.toml").write_text("schema = 1\n")
    (tmp_path / "plan.toml").write_text(PLAN.format(saved='"cases"', issues="issues.toml"))
    read = prepare.read_plan(tmp_path / "plan.toml")
    orders = Orders(seed=5, draw=Drawn(draw), oracles=(NO_BAD_VALUE,))
    opener = ("a:", lambda: InprocHost("a:", FakeSimulated()))
    directory = planrun.new_directory(tmp_path / "out")

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(directory, "record", full)
    with pytest.raises(InfraError, match=r"No space left on device.*harness judge") as told:
        planrun.run_plan(read, Setup("p", "P", Budget(cases=9), (opener,), orders), directory)
    assert str(directory.path) in str(told.value)


@pytest.mark.parametrize("place", ["/proc/nowhere/out", "/dev/null/out"])
def test_a_place_that_cannot_be_written_to_is_a_mistake_in_words(place) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        planrun.new_directory(planrun.Path(place))
    with pytest.raises(UsageError, match="cannot be made"):
        planrun.new_directory(root=planrun.Path(place))
