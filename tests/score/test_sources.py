"""The searches: each gives cases that the simulator plays, the same for a seed, and none that fails there."""

from __future__ import annotations

import pytest

from harness import registry
from harness.run.judge import judge
from harness.score.sources import MACHINE, OURS, SAVED, SOURCES, UNIFORM
from harness.score.stand import lowered, read, replies, topology_of
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case
from harness.vocab.history import History
from harness.vocab.topology import Platform
from harness.vocab.verdict import Verdict

COUNT = 12
PLATFORMS = pytest.mark.parametrize("platform", list(Platform), ids=lambda platform: platform.value)


def cases(name: str, platform: Platform, seed: int = 1, count: int = COUNT) -> list[Case]:
    feed = SOURCES[name].feed(seed, count, topology_of(platform))
    return [feed.next_case() for _ in range(count)]


def performed(platform: Platform, case: Case) -> History:
    play = lowered(case, topology_of(platform))
    said = read(play, replies(SimulatedHost(platform), play))
    assert not said.trouble
    return said.history


@PLATFORMS
@pytest.mark.parametrize("name", SOURCES)
def test_cases_are_played_and_the_healthy_host_passes(name: str, platform: Platform) -> None:
    oracles = tuple(registry.oracles().values())
    for case in cases(name, platform):
        assert judge(performed(platform, case), oracles).verdict is not Verdict.FAIL


@PLATFORMS
@pytest.mark.parametrize("name", [OURS, UNIFORM, "blind", MACHINE, SAVED])
def test_a_seed_stands_for_its_cases(name: str, platform: Platform) -> None:
    first = [case.id for case in cases(name, platform)]
    assert first == [case.id for case in cases(name, platform)]
    assert name == SAVED or first != [case.id for case in cases(name, platform, seed=2)]


@PLATFORMS
@pytest.mark.parametrize("name", [UNIFORM, MACHINE])
def test_what_ours_is_compared_with_does_something(name: str, platform: Platform) -> None:
    """A search that never attaches would make any other look good."""
    attached = 0
    for case in cases(name, platform, count=40):
        operations = performed(platform, case).operations
        attached += any(
            o.is_ok and o.args.get("name") == "START_WORK" and o.invoke.actor != "probe" for o in operations
        )
    assert attached >= 1
