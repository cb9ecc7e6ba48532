"""Campaigns: budgets, shares, seeds, bugs found and made small, lab trouble, interruption, bounded memory."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime

import pytest

from harness.events.attach import Attach
from harness.events.open import Open
from harness.events.pause import Pause
from harness.hosts.inproc import InprocHost
from harness.plan.budget import Budget
from harness.registry import events
from harness.run import lane as lane_module
from harness.run import newbug
from harness.run.campaign import Setup, perform, share
from harness.run.deadline import Deadline
from harness.run.lane import case_seed
from harness.run.orders import Orders
from harness.run.store import RunDirectory
from harness.run.tally import KeepRules, Tally
from harness.vocab.campaign import Ended
from harness.vocab.case import Step
from harness.vocab.errors import InfraError
from harness.vocab.run import Run
from harness.vocab.verdict import Finding, Verdict
from harness.wire import casefile, histfile
from harness.wire.campaignfile import campaign_from_json
from tests.run.cases import BAD_CASE, GOOD_CASE, NO_BAD_VALUE, OPEN, RAISES, Drawn, case, pause
from tests.run.fake import FakeSimulated


@pytest.fixture
def directory(tmp_path) -> RunDirectory:
    return RunDirectory.create(datetime.now(UTC), root=tmp_path)


def draw_distinct(seed, _topology):
    return case(OPEN, pause(1), seed=seed)


def setup(
    *openers, budget=None, draw=draw_distinct, saved=(), oracles=(NO_BAD_VALUE,), keep=None, **more
) -> Setup:
    return Setup(
        plan="a-plan",
        title="A plan",
        budget=budget or Budget(cases=10),
        openers=openers,
        orders=Orders(seed=5, draw=Drawn(draw), oracles=oracles, saved=saved, **more),
        keep=keep or KeepRules(),
    )


def host(url: str = "inproc:", mutant: str = ""):
    return url, lambda: InprocHost(url, FakeSimulated(mutant=mutant))


def runs_of(directory) -> list[dict]:
    return [json.loads(line) for line in (directory.path / "runs.jsonl").read_text().splitlines()]


def test_a_budget_of_cases_is_shared_and_used_up_exactly(directory) -> None:
    campaign = perform(setup(host("a:"), host("b:"), host("c:"), budget=Budget(cases=11)), directory)
    assert campaign.counts == {"pass": 11}
    assert {url: sum(counts.values()) for url, counts in campaign.by_host.items()} == {
        "a:": 4,
        "b:": 4,
        "c:": 3,
    }
    assert campaign.ended is Ended.BUDGET
    assert sorted(run["run"] for run in runs_of(directory)) == list(range(1, 12))


@pytest.mark.parametrize(("cases", "lanes"), [(10, 3), (1, 4), (500, 2), (7, 7)])
def test_shares_add_up_and_differ_by_one_at_most(cases, lanes) -> None:
    shares = [share(cases, lanes, index) for index in range(lanes)]
    assert sum(shares) == cases
    assert max(shares) - min(shares) <= 1


def test_a_budget_of_seconds_ends(directory) -> None:
    campaign = perform(setup(host(), budget=Budget(seconds=0.3)), directory)
    assert campaign.ended is Ended.BUDGET
    assert 0.3 <= campaign.duration_s < 3
    assert campaign.runs > 1


def test_seeds_depend_on_the_campaign_the_host_and_the_number_but_not_on_the_mutant() -> None:
    base = case_seed(1, "sim://powernv", 0, 1)
    assert base == case_seed(1, "sim://powernv?mutant=X", 0, 1)
    others = [(2, "sim://powernv", 0, 1), (1, "sim://powervm", 0, 1), (1, "sim://powernv", 1, 1)]
    assert base not in {case_seed(*other) for other in others}
    assert base < 1 << 48


def test_the_same_seed_draws_the_same_cases(directory, tmp_path) -> None:
    perform(setup(host()), directory)
    again = RunDirectory.create(datetime.now(UTC), root=tmp_path)
    perform(setup(host()), again)
    digests = [[(run["case"], run["seed"], run["digest"]) for run in runs_of(d)] for d in (directory, again)]
    assert digests[0] == digests[1]


def test_saved_cases_come_first_and_those_for_other_hosts_are_left_out(directory) -> None:
    needy = case(OPEN, pause(8))
    object.__setattr__(needy, "needs", frozenset({"kprobes"}))
    perform(setup(host(), saved=(GOOD_CASE, needy)), directory)
    ids = [run["case"] for run in runs_of(directory)]
    assert ids[0] == GOOD_CASE.id
    assert needy.id not in ids


class SlowHost(InprocHost):
    def begin(self, play: bytes) -> None:
        time.sleep(0.05)
        super().begin(play)


def test_saved_cases_leave_time_for_drawn_ones_on_a_slow_host(directory) -> None:
    saved = tuple(case(OPEN, pause(10 + number)) for number in range(40))
    slow = ("slow:", lambda: SlowHost("slow:", FakeSimulated()))
    campaign = perform(setup(slow, saved=saved, budget=Budget(seconds=0.8)), directory)
    performed = [run["case"] for run in runs_of(directory) if run["seed"] == 0]
    assert 2 <= len(performed) <= 9
    assert performed != [case.id for case in saved[: len(performed)]]  # another night begins with others
    assert campaign.runs > len(performed)
    assert campaign.search["saved cases that the time was too short for"] == 40 - len(performed)


def test_saved_cases_in_which_cards_are_used_come_first_and_none_comes_twice(directory) -> None:
    used = case(OPEN, Step("a0", Attach("c0", True, -1, 7)))
    idle = tuple(case(OPEN, pause(10 + number)) for number in range(9))
    perform(setup(host(), saved=(*idle, used, *idle), budget=Budget(cases=12)), directory)
    ids = [run["case"] for run in runs_of(directory)]
    assert ids[0] == used.id
    assert sorted(ids[1:10]) == sorted(case.id for case in idle)


def test_a_case_that_was_just_performed_is_not_performed_again(directory) -> None:
    campaign = perform(setup(host(), draw=lambda seed, _: case(OPEN, pause(seed % 3))), directory)
    assert campaign.runs == 3
    assert campaign.ended is Ended.EXHAUSTED


def test_a_new_bug_is_made_small_saved_and_recorded(directory) -> None:
    campaign = perform(setup(host("inproc:?mutant=bad", "bad"), saved=(BAD_CASE,)), directory)
    (bug,) = campaign.bugs
    assert bug.signature == "no_bad_value/bad-value"
    assert (bug.count, bug.minimised_from, bug.steps, bug.is_one_minimal) == (1, 6, 2, True)
    assert "--host 'inproc:?mutant=bad'" in bug.replay
    saved = casefile.load((directory.path / bug.case_path).read_text(), events())
    assert saved.signature == bug.signature
    assert [type(step.event).__name__ for step in saved.case.steps] == ["Store", "Load"]
    history = histfile.load((directory.path / bug.case_path).with_suffix(".jsonl").read_bytes())
    assert history.case_id == saved.case.id
    assert history.is_complete
    kept = directory.path / bug.run_path
    assert casefile.load((kept / "case.json").read_text(), events()).case.id == BAD_CASE.id
    assert json.loads((kept / "verdict.json").read_text())["findings"][0]["signature"] == bug.signature
    assert list((directory.path / "inflight").iterdir()) == []


def test_a_bug_on_a_host_too_slow_for_minimising_is_saved_as_it_was_found(directory, monkeypatch) -> None:
    monkeypatch.setattr(newbug, "MINIMISE_S", 0.1)
    slow = ("slow:", lambda: SlowHost("slow:", FakeSimulated(mutant="bad")))
    campaign = perform(setup(slow, saved=(BAD_CASE,), budget=Budget(cases=1)), directory)
    (bug,) = campaign.bugs
    assert (bug.steps, bug.is_one_minimal, campaign.runs) == (len(BAD_CASE.steps), False, 1)
    assert campaign.search["bugs whose case was left as it was found, for want of time"] == 1
    history = histfile.load((directory.path / bug.case_path).with_suffix(".jsonl").read_bytes())
    assert (history.case_id, history.is_complete) == (BAD_CASE.id, True)


def test_kept_runs_are_few_whatever_happens(directory) -> None:
    def draw(seed, _topology):
        return case(*BAD_CASE.steps, seed=seed)

    campaign = perform(
        setup(host(mutant="bad"), host("good:"), budget=Budget(cases=60), draw=draw, keep=KeepRules(2, 5)),
        directory,
    )
    verdicts = [run.verdict for run in campaign.kept]
    assert verdicts.count(Verdict.FAIL) == 3
    assert verdicts.count(Verdict.PASS) == 2
    assert campaign.counts == {"fail": 30, "pass": 30}
    assert campaign.bugs[0].count == 30


def test_an_oracle_that_breaks_is_counted_and_kept(directory) -> None:
    campaign = perform(setup(host(), oracles=(RAISES,)), directory)
    assert campaign.counts == {"unknown-oracle-error": 10}
    assert len(campaign.kept) == 3
    assert campaign.bugs == ()


def test_a_host_that_is_lost_is_reopened_and_its_cases_are_unknown(directory) -> None:
    """Each time the stand-in plays its third case it says garbage; three more cases were sent behind it."""
    campaign = perform(setup(host(mutant="garbage"), budget=Budget(cases=12)), directory)
    assert campaign.runs == 12
    assert campaign.counts["pass"] >= 4
    assert campaign.counts["unknown-infra"] >= 4
    assert campaign.ended is Ended.BUDGET
    assert any("login" in sentence for sentence in campaign.trouble)


def test_the_campaign_goes_on_with_the_hosts_that_are_left(directory) -> None:
    def broken():
        raise InfraError("nobody answers")

    campaign = perform(setup(("dead:", broken), host()), directory)
    assert campaign.by_host == {"dead:": {}, "inproc:": {"pass": 5}}
    assert campaign.ended is Ended.BUDGET
    assert "nobody answers" in campaign.trouble


def test_without_any_host_the_campaign_ends_by_infrastructure(directory) -> None:
    def broken():
        raise InfraError("nobody answers")

    campaign = perform(setup(("dead:", broken)), directory)
    assert campaign.ended is Ended.INFRA
    assert campaign.runs == 0


def test_a_host_that_never_works_is_given_up(directory) -> None:
    class Deaf(InprocHost):
        def begin(self, play: bytes) -> None:
            raise InfraError("deaf")

    opened = []

    def opener():
        opened.append(1)
        return Deaf("deaf:", FakeSimulated())

    campaign = perform(setup(("deaf:", opener), budget=Budget(cases=100)), directory)
    assert campaign.ended is Ended.INFRA
    assert len(opened) == 1 + lane_module.REOPENS_MAX
    assert campaign.counts == {"unknown-infra": 1 + lane_module.REOPENS_MAX}


def test_a_mistake_in_the_harness_is_not_swallowed_by_a_lane(directory) -> None:
    def draw(_seed, _topology):
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        perform(setup(host(), draw=draw), directory)


def test_an_interrupted_campaign_is_summed_up_and_what_was_under_way_stays_on_disk(
    directory, monkeypatch
) -> None:
    """The host falls silent in the third case; the campaign is stopped, and the lane abandoned."""
    silent = threading.Event()
    stops = []

    class Silent(InprocHost):
        def replies(self, timeout_s: float):
            if len(runs_of(directory)) == 2:
                stops[0].set()
                silent.wait(10)
                raise InfraError("closed")
            return super().replies(timeout_s)

        def close(self) -> None:
            silent.set()

    class Lane(lane_module.Lane):
        def __init__(self, *given, **named) -> None:
            stops.append(named["stop"])
            super().__init__(*given, **named)

    monkeypatch.setattr("harness.run.campaign.Lane", Lane)
    monkeypatch.setattr("harness.run.campaign.STOP_GRACE_S", 0.1)
    campaign = perform(setup(("silent:", lambda: Silent("silent:", FakeSimulated()))), directory)
    assert campaign.ended is Ended.INTERRUPTED
    assert campaign.counts == {"pass": 2}
    assert len(list((directory.path / "inflight").iterdir())) == 4
    assert campaign.duration_s < 5


def test_the_summary_on_disk_is_the_one_returned(directory) -> None:
    campaign = perform(setup(host()), directory)
    assert campaign_from_json((directory.path / "campaign.json").read_text()) == campaign


def test_what_was_seen_is_counted_for_each_host(directory) -> None:
    campaign = perform(setup(host("a:"), host("b:")), directory)
    assert campaign.seen["event:Open"] == 10
    assert campaign.seen["event:Open@a:"] == 5
    assert f"event:{Pause.__name__}@b:" in campaign.seen
    assert campaign.hosts[0].hostname == "fake"


def test_what_shows_a_new_bug_is_kept_however_many_failed_before() -> None:
    tally = Tally(["a:"], KeepRules(failing=1))
    for number, kind in enumerate(["old", "old", "new", "new"]):
        run = Run(number, "c", "a:", 0, Verdict.FAIL, findings=(Finding("o", kind, "m"),))
        assert tally.wants(run) == (number in (0, 2))
        tally.count(run, ["o"])


def test_a_long_campaign_gives_bugs_more_time_but_not_all_of_it() -> None:
    day_s = 24 * 3600.0
    bugs = newbug.NewBugs("a:", None, None, None, None, Deadline.after(day_s), day_s)  # type: ignore[arg-type]
    assert bugs._time_s == day_s * newbug.MINIMISE_SHARE
    bugs.spent_s = day_s * newbug.MINIMISE_SHARE_OF_ALL
    assert bugs._time_s == newbug.MINIMISE_S


def test_the_tally_does_not_grow_with_the_runs(directory) -> None:
    tally = Tally(["a:"], KeepRules())
    for number in range(5000):
        finding = Finding(f"o{number}", "k", "m")
        run = Run(number, "c", "a:", 0, Verdict.FAIL, findings=(finding,), path="p" if number < 9 else "")
        tally.wants(run)
        tally.count(run, ["o"])
        tally.trouble(f"trouble {number}")
    facts = tally.facts()
    assert facts.counts == {"fail": 5000}
    assert (len(facts.bugs), len(facts.trouble), len(facts.kept)) == (200, 20, 9)
    assert len(tally._kept_counts.by_kind) < 300


def test_a_host_for_which_no_drawn_case_fits_does_not_go_on_for_ever(directory, monkeypatch) -> None:
    monkeypatch.setattr(lane_module, "_REFUSED_MAX", 7)

    def draw(seed, _topology):
        return case(Step("a0", Open("c0", "afu9.9", "s")), seed=seed)

    campaign = perform(setup(host(), draw=draw), directory)
    assert campaign.runs == 0
    assert len(campaign.trouble) == 7
    assert campaign.ended is Ended.EXHAUSTED
