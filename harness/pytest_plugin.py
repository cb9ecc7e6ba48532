"""The pytest plugin: ``pytest testplans --host sim://powervm`` performs plans and saved cases as test items.

It does nothing unless a test asks for one of its fixtures or an option of its is given: projects that happen
to have it installed do not notice.

Fixtures
    capi_plan      a plan on a host, for each plan and each of its hosts; `perform()` gives the Outcome
    capi_case      a saved case on a host; `perform()` gives the Judgement
    capi_host      each host of --host: `topology`, and `perform(case)` that gives the Judgement
"""

# ruff: noqa: PLC0415 - every pytest run in the environment loads this module: heavy imports wait

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.vocab.errors import InfraError, Problem, UsageError

if TYPE_CHECKING:
    from harness.run.planrun import Outcome
    from harness.run.prepare import ReadPlan
    from harness.run.runner import Runner
    from harness.vocab.case import Case
    from harness.vocab.topology import Topology
    from harness.vocab.verdict import Judgement
    from harness.wire.casefile import SavedCase

DEFAULT_HOSTS = ("sim://powernv", "sim://powervm")
DEFAULT_CASES = "fixtures/cases"
_REPORT = "capi_report"
_ENVIRONMENT = {
    "host": "CAPI_HOST",
    "plan": "CAPI_PLAN",
    "budget": "CAPI_BUDGET",
    "capi-seed": "CAPI_SEED",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, each with an environment variable; the option wins."""
    group = parser.getgroup("capi", "CAPI recovery harness")
    group.addoption(
        "--host",
        action="append",
        default=[],
        metavar="URL",
        help="perform on this host; may be repeated [CAPI_HOST, separated by spaces]",
    )
    group.addoption(
        "--plan",
        action="append",
        default=[],
        metavar="FILE",
        help="perform this test plan; may be repeated [CAPI_PLAN; default: testplans/*.toml]",
    )
    group.addoption(
        "--budget", default="", help="instead of the plans': 60s or 500cases, for each host [CAPI_BUDGET]"
    )
    group.addoption(
        "--capi-seed",
        default="",
        metavar="N",
        help="draw the cases of the run that printed this seed [CAPI_SEED; default: others each time]",
    )
    group.addoption(
        "--capi-profile", default="", metavar="NAME", help="load a Hypothesis profile of the harness"
    )
    parser.addini("capi_profile", "Hypothesis profile of the harness to load; none by default", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register markers; check the options that are given, and load a Hypothesis profile if one is."""
    config.addinivalue_line("markers", "capi_plan: performs a test plan on a host")
    config.addinivalue_line("markers", "capi_case: performs a saved case on a host")
    try:
        if config.getoption("--host"):
            _hosts(config)
        _seed(config)
        if config.getoption("--plan") or config.getoption("--budget"):
            _check_plans(config)
        if profile := config.getoption("--capi-profile") or config.getini("capi_profile"):
            from harness.gen import profiles

            profiles.load(profile, config.rootpath / ".hypothesis" / "capi")
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests that ask for plans, cases or hosts one item for each."""
    for name, make in _PARAMETERS.items():
        if name in metafunc.fixturenames:
            try:
                items = make(metafunc.config)
            except UsageError as error:
                raise pytest.UsageError(str(error)) from error
            metafunc.parametrize(name, items, indirect=True, scope="session" if name == "capi_host" else None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the reports of plans are."""
    reports = [
        str(value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, value in getattr(report, "user_properties", ())
        if name == _REPORT and report.when == "call"
    ]
    if reports:
        terminalreporter.section("CAPI recovery: reports")
        for path in sorted(reports):
            terminalreporter.line(path)


@dataclass
class OpenHosts:
    """Hosts that were opened in this session, by URL; a host is opened when it is first needed."""

    runners: dict[str, Runner] = field(default_factory=dict)

    def runner(self, url: str) -> Runner:
        """The runner of the host at `url`, opened anew if it was lost. Raises InfraError."""
        from harness.hosts import urls
        from harness.run.runner import Runner

        found = self.runners.get(url)
        if found is None:
            found = self.runners[url] = Runner(urls.opener(url))
        elif found.is_lost:
            found.reopen()
        return found

    def close(self) -> None:
        """Leave all hosts."""
        for runner in self.runners.values():
            runner.close()


@dataclass(frozen=True)
class UsedHost:
    """One host, for tests."""

    url: str
    hosts: OpenHosts

    @property
    def topology(self) -> Topology:
        """What the host has."""
        return self.hosts.runner(self.url).topology

    def perform(self, case: Case) -> Judgement:
        """Perform `case` and judge it with all oracles."""
        from harness import registry
        from harness.run.judge import judge

        performance = self.hosts.runner(self.url).perform(case)
        return judge(performance.history, tuple(registry.oracles().values()), performance.trouble)


@dataclass(frozen=True)
class CaseItem:
    """One saved case and the host to perform it on."""

    path: Path
    saved: SavedCase
    host: UsedHost

    def perform(self) -> Judgement:
        """Perform the case and judge it."""
        return self.host.perform(self.saved.case)


@dataclass(frozen=True)
class PlanItem:
    """One plan and the host to perform it on."""

    read: ReadPlan
    url: str
    budget: str
    seed: int | None
    root: Path

    def perform(self) -> Outcome:
        """Perform the plan within its budget, decide, and write the reports."""
        from harness.run import planrun, prepare

        directory = planrun.new_directory(root=self.root / "reports" / "runs")
        return planrun.run_plan(
            self.read, prepare.setup(self.read, (self.url,), self.budget, self.seed), directory
        )


@pytest.fixture(scope="session")
def capi_hosts() -> Iterator[OpenHosts]:
    """Hosts that this session has opened; they are closed at its end."""
    hosts = OpenHosts()
    yield hosts
    hosts.close()


@pytest.fixture(scope="session")
def capi_host(request: pytest.FixtureRequest, capi_hosts: OpenHosts) -> UsedHost:
    """A host to perform cases on: one item for each --host."""
    return UsedHost(request.param, capi_hosts)


@pytest.fixture
def capi_case(request: pytest.FixtureRequest, capi_hosts: OpenHosts) -> CaseItem:
    """A saved case on a host of its platform."""
    path, saved, url = request.param
    try:
        capi_hosts.runner(url)
    except InfraError as error:
        pytest.fail(f"the host cannot be opened: {error}")
    return CaseItem(path, saved, UsedHost(url, capi_hosts))


@pytest.fixture
def capi_plan(request: pytest.FixtureRequest) -> PlanItem:
    """A plan on one of its hosts."""
    read, url = request.param
    config = request.config
    return PlanItem(read, url, _chosen(config, "budget"), _seed(config), config.rootpath)


def _chosen(config: pytest.Config, name: str) -> str:
    """What the option says, else its environment variable."""
    value = config.getoption(f"--{name}")
    return (" ".join(value) if isinstance(value, list) else value) or os.environ.get(_ENVIRONMENT[name], "")


def _seed(config: pytest.Config) -> int | None:
    chosen = _chosen(config, "capi-seed")
    if not chosen:
        return None
    if not (chosen.isascii() and chosen.isdigit()):
        raise UsageError(
            Problem("not a seed", f"--capi-seed {chosen!r}", "a whole number that a run printed")
        )
    return int(chosen)


def _hosts(config: pytest.Config) -> tuple[str, ...]:
    """The hosts asked for, checked; none: nobody asked for any."""
    from harness import registry
    from harness.hosts import urls

    found = tuple(_chosen(config, "host").split())
    urls.check(found, registry.mutants)
    return found


def _check_plans(config: pytest.Config) -> None:
    from harness.plan.budget import parse_budget
    from harness.run import prepare

    if budget := config.getoption("--budget"):
        parse_budget(budget, "--budget")
    for name in config.getoption("--plan"):
        prepare.read_plan(Path(name))


def _host_items(config: pytest.Config) -> list[object]:
    return [pytest.param(url, id=url) for url in _hosts(config) or DEFAULT_HOSTS]


def _plan_items(config: pytest.Config) -> list[object]:
    from harness.run import prepare

    names = _chosen(config, "plan").split()
    paths = [Path(name) for name in names] or _plan_files(config.rootpath)
    hosts = _hosts(config)
    return [
        pytest.param((read, url), id=f"{read.plan.name}-{url}", marks=pytest.mark.capi_plan)
        for read in map(prepare.read_plan, paths)
        for url in hosts or read.plan.hosts
    ]


def _plan_files(root: Path) -> list[Path]:
    from harness.run import listing

    return [Path(item.name) for item in listing.plans(root / "testplans")]


def _case_items(config: pytest.Config) -> list[object]:
    """Saved cases, each on the hosts of its platform; one with a known issue must fail until it is fixed."""
    from harness.run import prepare

    plans = [prepare.read_plan(path) for path in _plan_files(config.rootpath)]
    hosts = _hosts(config) or DEFAULT_HOSTS
    items: list[object] = []
    directory = config.rootpath / DEFAULT_CASES
    for path, saved in prepare.read_cases([directory] if directory.exists() else []):
        for url in hosts:
            if _platform_of(url) not in ("", saved.case.platform.value):
                continue
            issues = [issue for read in plans if (issue := read.issues.match(saved.signature, [url]))]
            marks = [pytest.mark.capi_case]
            if issues:
                marks.append(pytest.mark.xfail(reason=issues[0].reason, strict=True))
            items.append(pytest.param((path, saved, url), id=f"{path.stem}-{url}", marks=marks))
    return items


def _platform_of(url: str) -> str:
    """The platform that a simulated host's URL names; empty when only the host itself can tell."""
    scheme, _, rest = url.partition("://")
    return rest.partition("?")[0] if scheme == "sim" else ""


_PARAMETERS = {"capi_host": _host_items, "capi_plan": _plan_items, "capi_case": _case_items}
