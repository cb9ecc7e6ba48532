"""From what a user asks for to a comparison of two hosts that is written down: cases, budget, lists."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.gen.rules import DrawRules
from harness.gen.source import Source
from harness.hosts import urls
from harness.plan.budget import Budget, parse_budget
from harness.run import prepare, twinallowed, twintext
from harness.run.deadline import Deadline, now_utc
from harness.run.lane import case_seed, is_for
from harness.run.store import RunDirectory
from harness.run.twin import Result, Twins, drawn
from harness.vocab.case import Case
from harness.vocab.errors import Problem, UsageError
from harness.vocab.topology import Topology

ROOT = Path("reports/runs/twin")
DEFAULT_BUDGET = "60s"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks for. Without a budget, given cases are all that is performed."""

    hosts: tuple[str, str]
    plan: Path | None = None
    cases: Sequence[Path] = ()
    budget: str = ""
    seed: int | None = None
    times: int = 3
    allowed: Path = twinallowed.FOLDER
    out: Path | None = None


class Written(NamedTuple):
    """What came of it, and where it lies."""

    result: Result
    directory: Path
    paths: dict[str, str]  # the smallest case for each signature


@dataclass(frozen=True, slots=True)
class _Setup:
    rules: DrawRules
    saved: tuple[Case, ...]
    budget: Budget | None
    seed: int
    allowed: dict[str, str]


def compare_hosts(asked: Asked, watch: Callable[[Result], None] = lambda _: None) -> Written:
    """Compare two hosts, and write the report, however it ends.

    Raises UsageError with what is wrong with any of what was asked for, and InfraError when a host cannot be
    opened.
    """
    setup = _setup(asked)
    openers = (urls.opener(asked.hosts[0]), urls.opener(asked.hosts[1]))
    twins = Twins(openers, setup.allowed, seed=setup.seed, times=asked.times)
    try:
        directory = RunDirectory.create(now_utc(), asked.out, ROOT)
        seconds = setup.budget.seconds if setup.budget else None
        until = Deadline.after(seconds) if seconds else Deadline.never()
        try:
            twins.run(_cases(setup, twins.topology, asked.hosts[0]), until, watch)
        finally:
            paths = twintext.write(twins.result, directory)
            directory.close()
    finally:
        twins.close()
    return Written(twins.result, directory.path, paths)


def _setup(asked: Asked) -> _Setup:
    problems: list[Problem] = []
    budget = None
    try:
        urls.check(asked.hosts, registry.mutants)
    except UsageError as error:
        problems += error.problems
    try:
        if asked.budget or not asked.cases:
            budget = parse_budget(asked.budget or DEFAULT_BUDGET, "--budget")
    except UsageError as error:
        problems += error.problems
    if problems:
        raise UsageError(problems)
    read = prepare.read_plan(asked.plan) if asked.plan else None
    draw = read.plan.draw if read else None
    given = tuple(saved.case for _, saved in prepare.read_cases(asked.cases))
    return _Setup(
        rules=prepare.draw_rules(draw) if draw else DrawRules(),
        saved=(*given, *(read.saved if read else ())),
        budget=budget,
        seed=secrets.randbits(prepare.SEED_BITS) if asked.seed is None else asked.seed,
        allowed=dict(twinallowed.read(asked.allowed, asked.hosts)),
    )


def _cases(setup: _Setup, topology: Topology, url: str) -> Iterator[Case]:
    """The saved cases that the hosts can perform, then drawn ones, as far as the budget goes."""
    saved = (case for case in setup.saved if is_for(case, topology))
    if setup.budget is None:
        yield from saved
        return
    source = Source(setup.rules, tuple(registry.events().values()))
    seeds = (case_seed(setup.seed, url, 0, number) for number in count(1))
    fresh = drawn(source.fresh, topology, seeds)
    for number, case in enumerate(chain(saved, fresh)):
        if number == setup.budget.cases:
            return
        yield case
