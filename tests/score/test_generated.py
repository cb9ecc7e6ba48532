"""Generated mutants: stable names, changes that compile, and the three words that a trial can end with."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from harness.score import operators, trial
from harness.score.operators import Generated, generated, sample
from harness.score.pool import Pool, Task
from harness.score.scoring import equivalent
from harness.score.trial import Outcome, reference
from harness.vocab.topology import Platform

CASES = 25
ALL = generated()


@pytest.fixture(scope="module")
def references():
    return [reference(platform, 1, CASES) for platform in Platform]


def tried(mutant: Generated, references) -> Outcome:
    """In a process of its own, as a trial must be."""
    pool = Pool(1)
    pool.add(Task("it", partial(trial.try_mutant, mutant, references), limit_s=60))
    outcome = dict(pool.results())["it"]
    assert isinstance(outcome, Outcome), outcome
    return outcome


def named(name: str) -> Generated:
    return next(mutant for mutant in ALL if mutant.id == name)


def test_ids_are_unique_and_all_files_have_mutants() -> None:
    assert len({mutant.id for mutant in ALL}) == len(ALL)
    assert {mutant.file for mutant in ALL} >= {"driver/recovery.py", "driver/guest.py", "phyp.py", "eeh.py"}


def test_what_nobody_reads_is_not_mutated() -> None:
    assert not [m for m in ALL if m.operator == "string" and m.change.startswith('"mask-interrupts"')]


def test_a_sample_is_the_same_every_time_and_of_all_strata_in_proportion() -> None:
    size = len(ALL) // 8
    drawn = sample(ALL, size)
    assert drawn == sample(tuple(reversed(ALL)), size)
    assert len(drawn) == size
    everything, mine = Counter(m.file for m in ALL), Counter(m.file for m in drawn)
    assert all(abs(mine[file] - count / 8) <= 10 for file, count in everything.items())
    assert set(sample(ALL, size // 2)) <= set(drawn)


def test_a_defect_is_killed(references) -> None:
    outcome = tried(named("driver/recovery.py:Recovery.resume:name:1"), references)  # stays quiesced
    assert outcome.word == "killed"
    assert "availability_returns" in {signature.partition("/")[0] for signature in outcome.signatures}
    assert 1 <= outcome.number <= CASES


def test_what_breaks_the_simulator_is_broken_and_no_kill(references) -> None:
    outcome = tried(named("eeh.py:EehCore.check:arg_removal:1"), references)  # reads the state of None
    assert outcome.word == "broken"
    assert "NoneType" in outcome.trouble


def test_what_nobody_sees_survives(references) -> None:
    outcome = tried(named("eeh.py:EehCore.check:number:1"), references)  # counts twice
    assert outcome.word == "survived"
    assert outcome.cases > 0
    assert outcome.differs == 0


def test_the_healthy_simulator_raises_no_alarm(references) -> None:
    assert [alarm for made in references for alarm in made.false_alarms] == []


def test_every_reviewed_survivor_exists_and_has_a_reason() -> None:
    ids = {mutant.id for mutant in ALL}
    for name, reason in equivalent().items():
        assert name in ids, f"{name} is gone: take it out of {operators.__name__}'s list"
        assert len(reason) > 10
