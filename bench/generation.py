"""Cases drawn from a seed, against the same cases drawn step by step by Hypothesis."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, Phase, given, settings

from bench.figure import Figure, in_turn
from harness import registry
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.gen.strategy import cases
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case
from harness.vocab.topology import Platform
from harness.wire import sysfs


def bulk_against_hypothesis(drawn: int, rounds: int) -> Figure:
    topology = sysfs.topology(SimulatedHost(Platform.POWERNV).hello())
    events, rules = tuple(registry.events().values()), DrawRules()

    def by_seed() -> float:
        before = time.perf_counter()
        for seed in range(drawn):
            case_from_seed(seed, topology, rules, events)
        return drawn / (time.perf_counter() - before)

    def by_hypothesis() -> float:
        examples = max(20, drawn // 20)

        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases(topology, rules, events))
        def draw(case: Case) -> None:
            assert case.steps

        before = time.perf_counter()
        draw()
        return examples / (time.perf_counter() - before)

    bulk, hypothesis, ratio = in_turn(by_seed, by_hypothesis, rounds)
    return Figure(
        "bulk generation ÷ Hypothesis-drawn generation", ratio, 10, f"{bulk:,.0f} ÷ {hypothesis:,.0f} cases/s"
    )
