"""Races: each kind is really set up in drawn cases, close to an error or a reset, and only with overlap."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from harness import registry
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.vocab.event import NEMESIS, Fate, Role
from tests.topologies import POWERNV, POWERVM

EVENTS = tuple(registry.events().values())
COUNT = 800
both_hosts = pytest.mark.parametrize("topology", [POWERNV, POWERVM], ids=["powernv", "powervm"])


@cache
def sample(topology, overlap=40):
    rules = DrawRules(overlap_percent=overlap)
    return tuple(case_from_seed(seed, topology, rules, EVENTS) for seed in range(COUNT))


def name(step):
    return type(step.event).__name__


def is_disturbance(step):
    is_reset = step.event.role is Role.CONTROL and step.event.fate is not Fate.HARMLESS
    return step.event.role is Role.ERROR or is_reset


def shown(case):
    """The races that a case plainly has."""
    found = set()
    steps = case.steps
    for index, step in enumerate(steps):
        before, after = steps[max(0, index - 8) : index], steps[index + 1 : index + 4]
        if is_disturbance(step):
            moments = {s.when.after_ms for s in before if s.when.after_ms and not s.when.phase}
            if step.when.after_ms in moments and not step.when.phase:
                kinds = {name(s) for s in before if s.when.after_ms == step.when.after_ms}
                found.add("join" if "Attach" in kinds else "meet")
            if step.when.phase.startswith("hcall:") and after and not after[0].when.phase:
                found.add("catch")
            purges = {"detected", "quiesce", "context-purged"}
            if any(s.when.phase in purges and s.actor != NEMESIS for s in before):
                found.add("ambush")
            if any(s.when.phase in {"resume", "recovered"} and s.actor != NEMESIS for s in before):
                found.add("come again")
            if any(name(s) == "ReadEvent" and s.event.timeout_ms == 0 for s in before[-3:]):
                found.add("fall asleep")
            if any(name(s) == "KillActor" and s.when.phase in purges for s in after):
                found.add("kill")
            if any(
                name(s) == "Load" and s.event.register == "STORE_LOG" and s.event.count == 16 for s in steps
            ):
                found.add("look back")
        if name(step) == "AnswerHcall" and step.event.hcall == "H_ATTACH_CA_PROCESS" and step.event.times > 3:
            found.add("hold an attach")
        if name(step) == "RaiseAfuInterrupt" and after and name(after[0]) == "ReadEvent":
            found.add("neighbours")
    return found


@both_hosts
def test_every_race_is_set_up_and_none_without_overlap(topology):
    counts = Counter(race for case in sample(topology) for race in shown(case))
    races = {"join", "meet", "ambush", "come again", "fall asleep", "kill", "look back", "neighbours"}
    races |= {"catch", "hold an attach"} if topology is POWERVM else set()
    few = {race: counts[race] for race in races if counts[race] < COUNT // 100}
    assert not few, "each race is in one case of a hundred, at the least"
    calm = Counter(race for case in sample(topology, overlap=0) for race in shown(case))
    assert not calm.keys() & {"join", "meet", "catch", "hold an attach", "look back", "ambush", "kill"}


@both_hosts
def test_races_leave_slots_empty_instead_of_making_cases_longer(topology):
    lengths = [sum(len(case.steps) for case in sample(topology, overlap)) / COUNT for overlap in (0, 40)]
    assert lengths[1] < 1.3 * lengths[0]


@both_hosts
def test_schedules_are_of_more_than_one_strategy(topology):
    strategies = Counter(case.schedule.strategy.value for case in sample(topology))
    assert set(strategies) == {"random", "priority"}
    assert min(strategies.values()) > COUNT // 4
