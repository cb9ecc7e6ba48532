"""Variations: the same kind of case, with names that stay unique, and as much as their parents had."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from harness import registry
from harness.events.fork import Fork
from harness.events.raise_correctable_error import RaiseCorrectableError
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.gen.vary import body, varied
from harness.vocab.case import Case, Step
from harness.vocab.event import NEMESIS, Role
from harness.vocab.topology import Platform
from harness.wire import casefile
from tests.topologies import POWERNV, POWERVM

EVENTS = tuple(registry.events().values())
RULES = DrawRules()
SAVED = Path(__file__).parents[2] / "fixtures" / "cases" / "regress"
both_hosts = pytest.mark.parametrize("topology", [POWERNV, POWERVM], ids=["powernv", "powervm"])


@cache
def parents(topology):
    """Drawn cases, and saved ones that were made small and so have gaps."""
    drawn = [case_from_seed(seed, topology, RULES, EVENTS) for seed in range(60)]
    files = sorted((SAVED / topology.platform.value).glob("*.json"))
    saved = [casefile.load(path.read_text(), registry.events()).case for path in files]
    return (*drawn, *(case for case in saved if case.needs <= topology.features))


@cache
def sample(topology):
    pool = parents(topology)
    pairs = [(pool[seed * 7 % len(pool)], pool[seed * 13 % len(pool)]) for seed in range(600)]
    return tuple((pair, varied(seed, pair, topology, RULES, EVENTS)) for seed, pair in enumerate(pairs))


@both_hosts
def test_a_variation_is_the_same_for_the_same_seed_and_another_case_than_its_parent(topology):
    different = 0
    for seed, (pair, case) in enumerate(sample(topology)[:100]):
        assert varied(seed, pair, topology, RULES, EVENTS) == case
        different += case.id != pair[0].id
    assert different > 90


@both_hosts
def test_every_way_is_gone(topology):
    ways = Counter(case.origin.split()[-1] for _, case in sample(topology))
    assert {way for way, count in ways.items() if count > 30} == {
        "rescheduled", "retrigger", "insert", "nest", "splice",
    }  # fmt: skip


@both_hosts
def test_names_and_markers_that_were_unique_stay_so(topology):
    def names(case):
        opened = [s.event.fd for s in case.steps if type(s.event).__name__ == "Open"]
        marked = [s.event.value for s in case.steps if type(s.event).__name__ == "Store"]
        wed = [s.event.wed for s in case.steps if type(s.event).__name__ == "Attach"]
        born = [s.event.child for s in case.steps if isinstance(s.event, Fork)]
        return (opened, marked, wed, born)

    for pair, case in sample(topology):
        for before, after in zip(names(pair[0]), names(case), strict=True):
            if len(set(before)) == len(before):
                assert len(set(after)) == len(after), (case.origin, after)


@both_hosts
def test_nothing_of_the_parent_is_lost_and_the_end_is_as_always(topology):
    for pair, case in sample(topology):
        events = Counter(repr(step.event) for step in body(pair[0]))
        kept = Counter(repr(step.event) for step in case.steps)
        assert all("RaiseCorrectableError" in lost for lost in events - kept), case.origin
        if not case.origin.endswith("rescheduled"):
            names = [type(step.event).__name__ for step in case.steps]
            assert names[:2] == ["Snapshot", "Await"]
            assert names[-1] == "Snapshot"
        assert case.needs <= topology.features


@both_hosts
def test_an_error_is_nested_after_another(topology):
    for pair, case in sample(topology):
        if case.origin.endswith("nest"):
            before, after = (sum(s.event.role is Role.ERROR for s in c.steps) for c in (pair[0], case))
            assert before <= after <= before + 1


def test_corrected_errors_of_two_cases_stay_below_the_threshold_together():
    def case(*counts):
        return Case(
            tuple(Step(NEMESIS, RaiseCorrectableError("afu0.0", n)) for n in counts),
            Platform.POWERVM,
            cards=2,
        )

    sums = Counter()
    for seed in range(200):
        new = varied(seed, (case(1), case(3, 1)), POWERVM, RULES, EVENTS)
        counts = [
            s.event.count
            for s in new.steps
            if s.event == RaiseCorrectableError("afu0.0", getattr(s.event, "count", 0))
        ]
        sums[sum(counts)] += 1
    assert set(sums) == {1, 2, 3}
