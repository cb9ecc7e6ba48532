"""Cases drawn by Hypothesis: the same kind as the seeded ones, and short once shrunk."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, find, given, settings

from harness import registry
from harness.gen.rules import DrawRules
from harness.gen.strategy import cases, seeds
from harness.vocab.event import Role
from tests.topologies import POWERNV, POWERVM

EVENTS = tuple(registry.events().values())
RULES = DrawRules(steps=(1, 16), errors=(1, 2))
QUICK = settings(
    max_examples=60,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def drawn_cases(topology):
    found = []

    @QUICK
    @given(cases(topology, RULES, EVENTS))
    def collect(case):
        found.append(case)

    collect()
    return found


def test_hypothesis_draws_the_same_kind_of_case():
    for topology in (POWERNV, POWERVM):
        found = drawn_cases(topology)
        assert len({case.id for case in found}) > 25  # Hypothesis repeats itself when it mutates
        for case in found:
            names = [type(step.event).__name__ for step in case.steps]
            assert names[0] == names[-1] == "Snapshot"
            assert 1 <= sum(step.event.role is Role.ERROR for step in case.steps) <= 2
            assert case.needs <= topology.features


def test_a_planted_property_shrinks_to_a_short_case():
    def stores_and_detaches_late(case):
        return any(type(s.event).__name__ == "Detach" and s.when.phase for s in case.steps) and any(
            type(s.event).__name__ == "Store" for s in case.steps
        )

    shrinking = settings(QUICK, max_examples=5000, phases=[Phase.generate, Phase.shrink])
    case = find(cases(POWERVM, RULES, EVENTS), stores_and_detaches_late, settings=shrinking)
    free = [s for s in case.steps if s.event.role is not Role.CLOSING]
    names = [type(s.event).__name__ for s in free if type(s.event).__name__ != "ExitActor"]
    assert len(names) <= 16, names  # of 40: three contexts, errors, the two that were planted, two more


def test_seeds_are_spread_evenly():
    found = []

    @settings(QUICK, max_examples=300)
    @given(seeds())
    def collect(seed):
        found.append(seed)

    collect()
    assert all(0 <= seed < 1 << 32 for seed in found)
    assert len(set(found)) > 290
    assert sum(seed >= 1 << 31 for seed in found) > 90
