"""From what a user asks for to what a campaign is made of: plans, saved cases and host URLs, all checked.

Nothing is performed here. Every mistake is a UsageError, and all mistakes of one kind are said together.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.gen.rules import DrawRules
from harness.gen.source import Source
from harness.hosts import urls
from harness.plan import knownissues, testplan
from harness.plan.budget import parse_budget
from harness.plan.knownissues import NO_KNOWN_ISSUES, KnownIssues
from harness.plan.mistakes import Known
from harness.plan.testplan import Testplan
from harness.run import store
from harness.run.campaign import Setup
from harness.run.corpus import Corpus, no_corpus
from harness.run.orders import Orders
from harness.run.pytestfile import pytest_text
from harness.run.story import story
from harness.run.tally import KeepRules
from harness.vocab.case import Case
from harness.vocab.errors import Problem, UsageError
from harness.vocab.topology import Platform, Subject
from harness.wire import casefile
from harness.wire.casefile import SavedCase

_PLACES = "a path from the current directory, or from a directory above the plan"
SEED_BITS = 48
"""Seeds are drawn below 2 to this power, so that no reader of JSON loses a digit."""


@dataclass(frozen=True)
class ReadPlan:
    """A plan with all that it refers to."""

    path: Path
    text: str
    plan: Testplan
    issues: KnownIssues
    issues_text: str
    saved: tuple[Case, ...]


def read_plan(path: Path) -> ReadPlan:
    """Read a plan, its known issues and its saved cases. Raises UsageError."""
    text = _read_text(path, "a test plan, such as testplans/nightly.toml")
    plan = testplan.load(text, str(path), known())
    issues_path = _find(path, plan.gate.known_issues)
    named = {"gate.known_issues": (plan.gate.known_issues,), "cases.saved": plan.cases.saved}
    problems = [
        Problem(f"there is no {name}", f"{path}: {where}", _PLACES, "make it, or take it out of the plan")
        for where, names in named.items()
        for name in names
        if name and not _find(path, name)
    ]
    if problems:
        raise UsageError(problems)
    issues_text, issues = _read_issues(issues_path)
    places = [place for name in plan.cases.saved if (place := _find(path, name))]
    return ReadPlan(path, text, plan, issues, issues_text, tuple(item.case for _, item in read_cases(places)))


def read_again(directory: Path) -> ReadPlan:
    """The plan of a run directory, to decide with: its saved cases are not asked for.

    The known issues are those of today, if the list that the plan names is found, else those of then.
    Raises UsageError.
    """
    path = directory / store.PLAN
    text = _read_text(path, "a directory that `harness run` wrote")
    plan = testplan.load(text, str(path), known())
    issues_path = _find(path, plan.gate.known_issues) or directory / store.KNOWN_ISSUES
    issues_text, issues = _read_issues(issues_path if plan.gate.known_issues else None)
    return ReadPlan(path, text, plan, issues, issues_text, ())


def _read_issues(path: Path | None) -> tuple[str, KnownIssues]:
    if not path:
        return "", NO_KNOWN_ISSUES
    text = _read_text(path, "a list of known issues")
    return text, knownissues.load(text, str(path))


def known() -> Known:
    """The names that exist here."""
    return Known(
        events={name: event.platforms for name, event in registry.events().items()},
        oracles=tuple(registry.oracles()),
        schemes={
            "sim": tuple(platform.value for platform in Platform),
            "qemu": ("powervm", "powernv"),
            "ssh": (),
        },
    )


def read_cases(places: Iterable[Path]) -> tuple[tuple[Path, SavedCase], ...]:
    """The saved cases in files and directories, each with its file. Raises UsageError with all problems."""
    found: list[tuple[Path, SavedCase]] = []
    problems: list[Problem] = []
    for path in _case_files(places):
        try:
            found.append((path, casefile.load(store.case_text(path), registry.events(), str(path))))
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(problems)
    return tuple(found)


def write_test(found: Sequence[tuple[Path, SavedCase]], host: str, times: int, target: Path) -> Path:
    """Write the one case of `found` as a test file. Raises UsageError for several cases, or another file."""
    if len(found) != 1:
        problem = Problem(f"{len(found)} cases for one test file", "--pytest", "one saved case")
        raise UsageError(problem)
    if target.suffix != ".py":
        raise UsageError(Problem(f"{target} is no test file", "--pytest", "a name such as test_bug.py"))
    (path, saved) = found[0]
    url = host or f"sim://{saved.case.platform.value}"
    text = pytest_text(saved, url, times, target.name, "\n".join(story(path, saved)))
    target.write_text(text, encoding="utf-8")
    return target


def setup(read: ReadPlan, hosts: Sequence[str] = (), budget: str = "", seed: int | None = None) -> Setup:
    """What a campaign of the plan is made of; `hosts`, `budget` and `seed` take the place of the plan's.

    Raises UsageError with what is wrong with any of them.
    """
    plan = read.plan
    chosen = tuple(hosts) or plan.hosts
    asked = plan.budget
    problems: list[Problem] = []
    try:
        urls.check(chosen, registry.mutants)
    except UsageError as error:
        problems += error.problems
    try:
        asked = parse_budget(budget, "--budget") if budget else plan.budget
    except UsageError as error:
        problems += error.problems
    if problems:
        raise UsageError(problems)
    oracles = registry.oracles()
    rules = draw_rules(plan.draw)
    return Setup(
        plan=plan.name,
        title=plan.title,
        budget=asked,
        openers=tuple((url, urls.opener(url)) for url in chosen),
        orders=Orders(
            seed=secrets.randbits(SEED_BITS) if seed is None else seed,
            draw=Source(rules, tuple(registry.events().values())),
            oracles=tuple(oracles[name] for name in plan.judge.select(oracles)),
            subject=rules.subject,
            saved=read.saved,
            twice_every=plan.cases.twice_every,
            issues=read.issues,
            corpus=_corpus(plan.cases.corpus),
        ),
        keep=KeepRules(plan.keep.passing, plan.keep.failing),
    )


def draw_rules(draw: testplan.Draw) -> DrawRules:
    """How a plan wants cases to be drawn."""
    return DrawRules(draw.steps, draw.errors, draw.overlap, draw.weights, Subject(draw.subject))


def _corpus(name: str) -> Callable[[Platform, Callable[[str], None]], Corpus]:
    """What opens the corpus in the directory `name`; it need not exist yet."""
    if not name:
        return no_corpus
    return lambda platform, complain: Corpus(Path(name), platform, registry.events(), complain)


def _case_files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(place.rglob("*.json"))
        else:
            yield place


def _find(plan_path: Path, name: str) -> Path | None:
    """The file that a plan names: from the current directory, else from the nearest one above the plan."""
    bases = (Path(), *plan_path.resolve().parents) if name else ()
    return next((base / name for base in bases if (base / name).exists()), None)


def _read_text(path: Path, allowed: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problem = Problem(f"cannot be read: {error.strerror}", str(path), allowed, "see: harness list plans")
        raise UsageError(problem) from error
    except UnicodeDecodeError as error:
        raise UsageError(Problem("this is not text in UTF-8", str(path), allowed)) from error
