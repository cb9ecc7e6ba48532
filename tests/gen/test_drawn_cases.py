"""Drawn cases: well-formed, within their bounds, the same for the same seed, and as varied as needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from harness import registry
from harness.events.fork import Fork
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.vocab.errors import UsageError
from harness.vocab.event import HARNESS, NEMESIS, PROBE, RESERVED_ACTORS, Role
from harness.vocab.phase import Phase, phases
from harness.vocab.request import Verb
from harness.vocab.topology import Platform, Subject
from tests.topologies import POWERNV, POWERVM

EVENTS = tuple(registry.events().values())
both_hosts = pytest.mark.parametrize("topology", [POWERNV, POWERVM], ids=["powernv", "powervm"])


@cache
def sample(topology, count=2000):
    return tuple(case_from_seed(seed, topology, DrawRules(), EVENTS) for seed in range(count))


def closing_index(case):
    """Where the closing steps begin: at the last wait but one."""
    waits = [
        i for i, s in enumerate(case.steps) if s.actor == HARNESS and "timeout_ms=20000" in repr(s.event)
    ]
    return waits[-2]


@both_hosts
def test_fds_are_opened_by_their_actor_before_use(topology):
    for case in sample(topology, 500):
        owned: dict[str, set[str]] = {}
        for step in case.steps:
            mine = owned.setdefault(step.actor, set())
            for request in step.event.lower(topology):
                name = request.args.get("fd") or request.args.get("map")
                if request.verb is Verb.OPEN:
                    assert name not in mine, "an fd's name is used twice"
                    mine.add(name)
                elif name:
                    assert name.removesuffix(".mmio") in mine, (step, mine)
                if request.verb is Verb.CLOSE:
                    owned["closed"] = owned.get("closed", set()) | {name}
                    if step.actor in RESERVED_ACTORS:
                        mine.discard(name)
            if isinstance(step.event, Fork):
                owned[step.event.child] = set(mine)


@both_hosts
def test_names_are_unique(topology):
    for case in sample(topology, 300):
        opened = [s.event.fd for s in case.steps if type(s.event).__name__ == "Open"]
        stored = [s.event.value for s in case.steps if type(s.event).__name__ == "Store"]
        wed = [s.event.wed for s in case.steps if type(s.event).__name__ == "Attach"]
        for names in (opened, stored, wed):
            assert len(set(names)) == len(names)


@both_hosts
def test_free_steps_and_errors_stay_within_bounds(topology):
    rules = DrawRules(steps=(3, 9), errors=(2, 2), overlap_percent=0)
    set_up = {"SetFreezeLimit", "SetPerstPolicy", "Open", "Attach", "Map", "Await", "Snapshot"}
    for seed in range(300):
        case = case_from_seed(seed, topology, rules, EVENTS)
        before = case.steps[: closing_index(case)]
        errors = [s for s in before if s.event.role is Role.ERROR]
        others = [s for s in before if type(s.event).__name__ not in set_up and s not in errors]
        assert len(errors) == 2
        assert len(others) <= 9 + sum(isinstance(s.event, FreezeEehPe) for s in errors)


@both_hosts
def test_a_fixed_number_of_steps_is_met_exactly(topology):
    without_set_up = {"Open": 0, "SetPerstPolicy": 0, "SetFreezeLimit": 0, "Await": 0}
    rules = DrawRules(steps=(7, 7), errors=(0, 0), overlap_percent=0, weights=without_set_up)
    for seed in range(200):
        case = case_from_seed(seed, topology, rules, EVENTS)
        assert len(case.steps[2 : closing_index(case)]) == 7


@both_hosts
def test_free_steps_are_spread_between_their_bounds(topology):
    weights = {"Open": 0, "SetPerstPolicy": 0, "SetFreezeLimit": 0, "Await": 0}
    rules = DrawRules(steps=(2, 12), errors=(0, 0), overlap_percent=0, weights=weights)
    lengths = Counter()
    for seed in range(500):
        case = case_from_seed(seed, topology, rules, EVENTS)
        lengths[len(case.steps[2 : closing_index(case)])] += 1
    assert min(lengths) >= 2
    assert max(lengths) <= 12
    assert 5 < sum(length * count for length, count in lengths.items()) / 500 < 9


@both_hosts
def test_the_end_waits_exits_probes_and_looks(topology):
    for case in sample(topology, 200):
        names = [type(s.event).__name__ for s in case.steps]
        closing = names[closing_index(case) :]
        assert names[:2] == ["Snapshot", "Await"]
        assert closing[-1] == "Snapshot"
        assert closing.count("ProbeCapacity") == 3
        alive = {s.actor for s in case.steps} - RESERVED_ACTORS
        alive |= {s.event.child for s in case.steps if isinstance(s.event, Fork)}
        exits = {s.actor for s in case.steps[closing_index(case) :] if type(s.event).__name__ == "ExitActor"}
        assert exits == alive
        assert all(s.when.phase == "" and s.when.after_ms == 0 for s in case.steps[closing_index(case) :])


def test_the_end_lets_time_pass_only_where_it_is_virtual():
    real = replace(POWERNV, features=POWERNV.features - {"virtual-time"})
    for topology, expected in ((POWERNV, [15_000]), (real, []), (POWERVM, [4_000])):
        case = case_from_seed(1, topology, DrawRules(), EVENTS)
        pauses = [s.event.ms for s in case.steps if type(s.event).__name__ == "Pause"]
        assert pauses == expected


def test_settings_are_undone_at_the_end():
    undone = {"UnbindDriver": "BindDriver", "SetFreezeLimit": "SetFreezeLimit", "ChangeMode": "RewriteMode"}
    seen = Counter()
    for case in sample(POWERNV):
        end = closing_index(case)
        probed = next(i for i, s in enumerate(case.steps) if type(s.event).__name__ == "ProbeCapacity")
        for step in case.steps[:end]:
            if undo := undone.get(type(step.event).__name__):
                seen[undo] += 1
                assert any(type(s.event).__name__ == undo for s in case.steps[end:probed])
    assert set(seen) == set(undone.values())


@both_hosts
def test_a_case_is_the_same_for_the_same_seed(topology):
    again = [case_from_seed(seed, topology, DrawRules(), EVENTS) for seed in range(50)]
    assert tuple(again) == sample(topology)[:50]
    assert len({case.id for case in again}) == 50


def test_cases_of_a_few_seeds_are_pinned():
    """With a few events only, so that a new one does not change the pins."""
    names = ("Open", "Attach", "Map", "Load", "Store", "Detach", "DropLink", "RaiseRecoverableError")
    few = tuple(registry.event(name) for name in names)
    ids = {
        topology.platform.value: [case_from_seed(seed, topology, DrawRules(), few).id for seed in (0, 1, 2)]
        for topology in (POWERNV, POWERVM)
    }
    assert ids == PINNED_IDS


PINNED_IDS = {
    "powernv": ["8378af035051", "7ccefa89be5a", "48c736211812"],
    "powervm": ["044f20898c59", "925a2786061c", "0d9c98e98939"],
}


@both_hosts
def test_every_event_of_the_platform_is_drawn(topology):
    """A host with an AFU of many contexts is needed too: it is probed by other events than a small one."""
    afu = replace(topology.cards[0].afus[0], contexts_max=500)
    card = replace(topology.cards[0], afus=(afu, *topology.cards[0].afus[1:]))
    large = case_from_seed(0, replace(topology, cards=(card, *topology.cards[1:])), DrawRules(), EVENTS)
    drawn = {type(step.event) for case in (*sample(topology), large) for step in case.steps}
    here = {cls for cls in EVENTS if topology.platform in cls.platforms and Subject.CARDS in cls.subjects}
    assert drawn == here


@both_hosts
def test_every_phase_that_can_happen_is_waited_for(topology):
    waited = {step.when.phase for case in sample(topology) for step in case.steps}
    never = {"hcall:H_DOWNLOAD_CA_FACILITY", Phase.ERROR_DETECTED.value}  # nobody calls it; devices only
    assert waited == {"", *phases(topology.platform)} - never


@both_hosts
def test_steps_wait_in_ambush_before_the_error_and_errors_wait_for_the_one_before(topology):
    ambushes = nested = 0
    for case in sample(topology):
        errors = [i for i, s in enumerate(case.steps) if s.event.role is Role.ERROR]
        first = errors[0]
        ambushes += any(s.when.phase and s.actor != NEMESIS for s in case.steps[:first])
        nested += any(case.steps[i].when.phase for i in errors[1:])
        waited = {s.when.phase for s in case.steps[: first + 1] if s.actor == NEMESIS}
        assert not any(phase and not phase.startswith("hcall:") for phase in waited)
    assert ambushes > 200
    assert nested > 200


@both_hosts
def test_somebody_is_free_to_notice_the_first_error(topology):
    for case in sample(topology, 500):
        first = next(i for i, s in enumerate(case.steps) if s.event.role is Role.ERROR)
        openers = [s.actor for s in case.steps if type(s.event).__name__ == "Open"]
        assert not any(s.when.phase and s.actor == openers[0] for s in case.steps[:first])


def test_an_armed_freeze_is_mostly_set_off_by_an_access_of_its_card():
    verbs = {"load": "Load", "store": "Store", "dma": "TouchMemory"}
    armed = set_off = 0
    for case in sample(POWERNV):
        for index, step in enumerate(case.steps):
            if isinstance(step.event, FreezeEehPe):
                follower = case.steps[index + 1]
                armed += 1
                afus = {s.event.fd: s.event.afu for s in case.steps if type(s.event).__name__ == "Open"}
                if type(follower.event).__name__ == verbs[step.event.access] and follower.when.after_ms:
                    afu = afus[follower.event.map.removesuffix(".mmio")]
                    set_off += POWERNV.afu(afu).card == step.event.card
    assert armed > 300
    assert set_off > 0.6 * armed


@both_hosts
def test_most_errors_hit_an_afu_in_use(topology):
    hits = total = 0
    for case in sample(topology, 500):
        used = {s.event.afu for s in case.steps if type(s.event).__name__ == "Open"}
        for step in case.steps:
            reach = step.event.disturbs(topology)
            if step.event.role is Role.ERROR and reach:
                total += 1
                hits += bool(used & reach)
    assert hits > 0.8 * total


@both_hosts
def test_needs_are_those_of_events_and_triggers(topology):
    for case in sample(topology, 300):
        of_events = frozenset().union(*(step.event.needs for step in case.steps))
        assert of_events <= case.needs <= of_events | {"kprobes"}
        assert case.needs <= topology.features
        assert case.cards == 2
        assert case.platform is topology.platform


@both_hosts
def test_a_host_without_features_gets_only_what_it_can_do(topology):
    poor = replace(topology, features=frozenset())
    for seed in range(200):
        case = case_from_seed(seed, poor, DrawRules(), EVENTS)
        assert case.needs == frozenset()
        assert {step.when.phase for step in case.steps} <= _visible_without_probes(topology.platform)


def _visible_without_probes(platform):
    if platform is Platform.POWERVM:
        return {"", "detected", "failed-permanently", "context-purged"}
    return {"", *phases(platform)} - {"quiesce", "confirmed"}


def test_an_afu_without_test_registers_is_never_mapped():
    blind = replace(
        POWERNV,
        cards=tuple(
            replace(card, afus=tuple(replace(afu, has_test_registers=False) for afu in card.afus))
            for card in POWERNV.cards
        ),
    )
    for seed in range(100):
        case = case_from_seed(seed, blind, DrawRules(), EVENTS)
        requests = [r for s in case.steps for r in s.event.lower(blind)]
        assert not any(r.verb in (Verb.LOAD, Verb.STORE) for r in requests)


def test_weights_leave_events_out_and_prefer_them():
    rules = DrawRules(weights={"Load": 0, "DropLink": 1000})
    drawn = Counter(
        type(step.event).__name__
        for seed in range(200)
        for step in case_from_seed(seed, POWERNV, rules, EVENTS).steps
    )
    assert drawn["Load"] == 0
    assert drawn["DropLink"] > 10 * drawn["FencePhb"]


def test_no_error_is_drawn_when_none_is_asked_for():
    rules = DrawRules(errors=(0, 0))
    roles = {s.event.role for seed in range(50) for s in case_from_seed(seed, POWERVM, rules, EVENTS).steps}
    assert Role.ERROR not in roles


def test_all_wrong_rules_are_said():
    with pytest.raises(UsageError) as caught:
        DrawRules(steps=(5, 2), errors=(-1, 0), overlap_percent=101, weights={"Load": -1})
    places = [problem.where for problem in caught.value.problems]
    assert places == ["draw.steps", "draw.errors", "draw.overlap", "draw.weights.Load"]


def test_unknown_events_in_weights_are_said():
    with pytest.raises(UsageError) as caught:
        case_from_seed(1, POWERNV, DrawRules(weights={"Laod": 1, "Sotre": 1}), EVENTS)
    assert [problem.where for problem in caught.value.problems] == ["draw.weights.Laod", "draw.weights.Sotre"]
    assert "Load" in caught.value.problems[0].allowed


def test_probes_are_by_the_probe_and_waits_by_the_harness():
    lanes = {"Snapshot": PROBE, "ProbeCapacity": PROBE, "Await": HARNESS, "Pause": HARNESS}
    for case in sample(POWERNV, 100):
        for step in case.steps:
            assert lanes.get(type(step.event).__name__, step.actor) == step.actor
