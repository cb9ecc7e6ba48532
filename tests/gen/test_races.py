"""Races: each kind is really set up in drawn cases, close to an error or a reset, and only with overlap."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from harness import registry
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW
from harness.vocab.event import NEMESIS, Fate, Role
from tests.topologies import POWERNV, POWERVM

EVENTS = tuple(registry.events().values())
COUNT = 800
RESETTING = {"H_CONTROL_CA_FACILITY", "H_CONTROL_CA_FUNCTION"}
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


def met_at_its_moment(step, before, _after):
    """What is done at the very moment of a disturbance."""
    if not step.when.after_ms or step.when.phase:
        return set()
    return {name(s) for s in before if s.when == step.when}


def is_early(step):
    return step.when.phase in {"detected", "quiesce", "context-purged"}


def is_late(step):
    return step.when.phase in {"resume", "recovered"} and step.actor != NEMESIS


AROUND = {
    "join": lambda step, before, after: "Attach" in met_at_its_moment(step, before, after),
    "meet": lambda step, before, after: met_at_its_moment(step, before, after) - {"Attach"},
    "catch": lambda step, _, after: step.when.phase.startswith("hcall:") and not after[0].when.phase,
    "ambush": lambda _, before, __: any(is_early(s) and s.actor != NEMESIS for s in before),
    "come again": lambda _, before, __: any(is_late(s) for s in before),
    "fall asleep": lambda _, before, __: any(
        name(s) == "ReadEvent" and s.event.timeout_ms == 0 for s in before[-3:]
    ),
    "kill": lambda _, __, after: any(name(s) == "KillActor" and is_early(s) for s in after),
    "unbind": lambda _, __, after: any(name(s) == "UnbindDriver" and s.when.phase for s in after),
    "look back": lambda _, __, after: any(
        name(s) == "Load" and s.event.register == "STORE_LOG" and s.event.count == 16 for s in after
    ),
    "refuse": lambda _, before, __: name(before[-1]) == "AnswerHcall" and before[-1].event.hcall in RESETTING,
}
ANYWHERE = {
    "leave": lambda step, before, _: (
        name(step) == "Detach" and [name(s) for s in before[-3:]] == ["TouchMemory", "Load", "Unmap"]
    ),
    "inherit": lambda step, before, after: (
        name(step) == "Fork"
        and [name(s) in {"Load", "Store"} and s.actor == step.event.child for s in after[1:3]] == [True, True]
        and after[2].when != NOW
    ),
    "hold an attach": lambda step, _, __: (
        name(step) == "AnswerHcall" and step.event.hcall == "H_ATTACH_CA_PROCESS" and step.event.times > 3
    ),
    "neighbours": lambda step, _, after: name(step) == "RaiseAfuInterrupt" and name(after[0]) == "ReadEvent",
}


def shown(case):
    """The races that a case plainly has."""
    found = set()
    for index, step in enumerate(case.steps[:-1]):
        before, after = case.steps[max(0, index - 8) : index], case.steps[index + 1 : index + 7]
        looks = {**ANYWHERE, **AROUND} if is_disturbance(step) and before else ANYWHERE
        found |= {race for race, look in looks.items() if look(step, before, after)}
    return found


@both_hosts
def test_every_race_is_set_up_and_none_without_overlap(topology):
    counts = Counter(race for case in sample(topology) for race in shown(case))
    races = {"join", "meet", "ambush", "come again", "fall asleep", "kill", "look back", "neighbours"}
    races |= {"leave", "unbind", "inherit"}
    races |= {"catch", "hold an attach", "refuse"} if topology is POWERVM else set()
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
