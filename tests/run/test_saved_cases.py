"""Every saved case shows its signature on the mutant that it was found with, and nothing on a good host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import registry
from harness.hosts.inproc import InprocHost
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.score.shrinking import shortest_known
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case
from harness.vocab.topology import Platform
from harness.vocab.verdict import Cause, Judgement, Verdict
from harness.wire import casefile

CASES = Path(__file__).parents[2] / "fixtures" / "cases"
ALL = sorted(CASES.rglob("*.json"))
OF_MUTANTS = [path for path in ALL if path.parent.parent == CASES / "regress"]
ORACLES = tuple(registry.oracles().values())
STEPS_MAX = 25
"""A case with more steps is no longer read; make it smaller."""


def named(path: Path) -> str:
    return str(path.relative_to(CASES).with_suffix(""))


def load(path: Path) -> casefile.SavedCase:
    return casefile.load(path.read_text(encoding="utf-8"), registry.events(), str(path))


def mutant_of(path: Path) -> str:
    """The mutant for which the file is named."""
    slugs = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower(): name for name in registry.mutants()}
    assert path.stem in slugs, f"{path}: no mutant is called so; remove the file, or rename it"
    return slugs[path.stem]


def perform(case: Case, mutant: str = "") -> tuple[Judgement, str]:
    """What is thought of one performance on a fresh host, and its digest."""
    host = SimulatedHost(case.platform, mutant)
    runner = Runner(lambda: InprocHost(f"sim://{case.platform.value}", host))
    performance = runner.perform(case)
    runner.close()
    assert not performance.trouble
    assert performance.digest
    return judge(performance.history, ORACLES), performance.digest


@pytest.mark.parametrize("path", OF_MUTANTS, ids=named)
def test_the_mutant_shows_the_signature_every_time(path: Path) -> None:
    case, signature = load(path)
    mutant = mutant_of(path)
    judgement, digest = perform(case, mutant)
    assert signature.partition("/")[0] in registry.mutant(mutant).killed_by
    assert signature in judgement.signatures
    assert perform(case, mutant)[1] == digest


@pytest.mark.parametrize("path", ALL, ids=named)
def test_a_healthy_host_shows_nothing(path: Path) -> None:
    case, _ = load(path)
    judgement, digest = perform(case)
    told = "\n".join(f"{finding.signature}: {finding.message}" for finding in judgement.findings)
    assert judgement.verdict is not Verdict.FAIL, told
    assert judgement.cause in {None, Cause.VACUOUS}, told
    assert perform(case)[1] == digest


@pytest.mark.parametrize("path", OF_MUTANTS, ids=named)
def test_the_file_says_what_it_shows_and_is_short(path: Path) -> None:
    case, signature = load(path)
    assert case.platform is Platform(path.parent.name)
    assert re.search(rf"\b{mutant_of(path)}\b", case.origin), case.origin
    assert signature
    assert len(case.steps) <= STEPS_MAX


def test_there_are_saved_cases() -> None:
    assert OF_MUTANTS


@pytest.mark.parametrize("path", OF_MUTANTS, ids=named)
def test_no_shorter_case_is_known(path: Path) -> None:
    """`shortest.toml` is what minimised cases are compared with."""
    case, signature = load(path)
    name = f"{path.parent.name}/{mutant_of(path)} {signature}"
    assert shortest_known(CASES / "regress" / "shortest.toml")[name] == len(case.steps)
