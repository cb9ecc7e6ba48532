"""The race: mutants are killed by the case that shows them; what breaks the simulator is named and is out."""

from __future__ import annotations

import pytest

from harness import registry
from harness.score import race as racing
from harness.score.race import StuckError, limit, run_race
from harness.score.sources import OURS, SAVED, SOURCES
from harness.score.stand import topology_of
from harness.sim.driver.context import Context
from harness.vocab.oracle import Mutant
from harness.vocab.topology import BOTH_PLATFORMS, Platform

PLATFORM = Platform.POWERVM
TOPOLOGY = topology_of(PLATFORM)


def feed(name: str = OURS):
    return SOURCES[name].feed(1, 100, TOPOLOGY)


def planted(override: type) -> Mutant:
    return Mutant("Planted", "a test", BOTH_PLATFORMS, ("contexts_purged",), "driver", override)


class Raises:
    """A transition that breaks the simulator."""

    def unmap_mmio(self, context: Context) -> None:
        raise ZeroDivisionError("a mutant with a mistake")


class Loops:
    """A transition that does not end."""

    def unmap_mmio(self, context: Context) -> None:
        while True:
            pass


class Same:
    """A transition that is as it was."""

    def unmap_mmio(self, context: Context) -> None:
        super().unmap_mmio(context)  # type: ignore[misc]


def test_a_mutant_is_killed_by_the_oracles_that_it_is_made_for() -> None:
    mutants = [registry.mutant(name) for name in ("PurgesTwice", "LeaksPids")]
    race = run_race(PLATFORM, feed(), 60, mutants)
    assert {kill.mutant for kill in race.kills} == {"PurgesTwice", "LeaksPids"}
    for kill in race.kills:
        assert kill.signatures[0].partition("/")[0] in registry.mutant(kill.mutant).killed_by
        assert 1 <= kill.number <= race.cases
        assert 0 < kill.seconds <= race.seconds
    assert not race.false_alarms


def test_the_race_is_over_when_all_are_killed() -> None:
    assert run_race(PLATFORM, feed(), 60, [registry.mutant("PurgesTwice")]).cases < 60


def test_a_mutant_that_is_none_survives() -> None:
    race = run_race(PLATFORM, feed(), 8, [planted(Same)])
    assert race.cases == 8
    assert not race.kills
    assert not race.broken


@pytest.mark.parametrize(
    ("override", "words"), [(Raises, "a mutant with a mistake"), (Loops, "did not go on")]
)
def test_a_mutant_that_breaks_the_simulator_is_out_and_said_to(
    override: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(racing, "CASE_S", 0.3)
    race = run_race(PLATFORM, feed(), 20, [planted(override), registry.mutant("PurgesTwice")])
    assert words in race.broken["Planted"]
    assert [kill.mutant for kill in race.kills] == ["PurgesTwice"]


def test_the_saved_cases_kill_their_mutants() -> None:
    assert run_race(PLATFORM, feed(SAVED), 200, [registry.mutant("StaleMmio")]).kills


def test_what_does_not_end_is_broken_off() -> None:
    def loop() -> None:
        with limit(0.05):
            while True:
                pass

    with pytest.raises(StuckError):
        loop()
