"""Performs the same cases on two hosts, and reports every difference in what is observable, minimised.

The rules:
1. A difference counts only when every one of `times` performances shows it, each with another schedule: what
   depends on who goes first is no difference. One that is understood is counted when it is seen.
2. The first case that shows a new difference is made smaller by remove-and-retry on both hosts, unless the
   difference is understood. A candidate counts only if it shows the same difference.
3. A host that is lost is opened again, and the case under way counts for nothing; one that is lost again and
   again ends the comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from harness.hosts.host import Host
from harness.run.deadline import Deadline, Stopwatch
from harness.run.lane import REOPENS_MAX, is_for
from harness.run.minimise import minimise
from harness.run.runner import Performance, Runner
from harness.run.twindiff import compare
from harness.run.twindifference import Compared, Difference
from harness.run.twinstory import Story
from harness.vocab.case import Case
from harness.vocab.errors import InfraError, Problem, UsageError
from harness.vocab.history import History
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Afu, Topology
from harness.vocab.verdict import ExitCode

MINIMISE_EXECUTIONS = 120
MINIMISE_S = 20.0
"""Most comparisons and most seconds for making one case smaller."""


LIMITS = frozenset({"config-injection", "emulated"})
"""Features that say what a host cannot do, or not as fast: both have what one of them has."""


class Pair(NamedTuple):
    """Both histories of one case."""

    a: History
    b: History


@dataclass(slots=True)
class Found:
    """One kind of difference: the first one seen, how many cases showed it, and the smallest case for it."""

    difference: Difference
    case: Case
    minimised_from: int
    pair: Pair
    reason: str = ""  # why it is allowed; empty: it is not
    count: int = 1
    is_one_minimal: bool = False


@dataclass(slots=True)
class Result:
    """What came of a comparison. `troubles` says what the lab did."""

    urls: tuple[str, str]
    seed: int
    times: int
    cases: int = 0
    operations: int = 0
    elapsed_s: float = 0.0
    found: dict[str, Found] = field(default_factory=dict)
    tolerated: Counter[str] = field(default_factory=Counter)
    chance: Counter[str] = field(default_factory=Counter)  # differences that another schedule did not show
    troubles: list[str] = field(default_factory=list)

    @property
    def unexplained(self) -> tuple[Found, ...]:
        """The differences that no list allows."""
        return tuple(found for found in self.found.values() if not found.reason)

    @property
    def exit_code(self) -> ExitCode:
        """A difference that is not allowed dominates; then lab trouble; nothing compared is told apart."""
        if self.unexplained:
            return ExitCode.FAIL
        if self.troubles:
            return ExitCode.INFRA
        return ExitCode.PASS if self.operations else ExitCode.NOTHING_RAN


class Twins:
    """Two hosts side by side. Raises InfraError when one cannot be opened, UsageError when they differ."""

    def __init__(
        self,
        openers: tuple[Callable[[], Host], Callable[[], Host]],
        allowed: Mapping[str, str],
        *,
        seed: int = 0,
        times: int = 3,
    ) -> None:
        self._a = Runner(openers[0])
        try:
            self._b = Runner(openers[1])
        except InfraError:
            self._a.close()
            raise
        self._allowed = allowed
        self._reopens_left = REOPENS_MAX
        self.result = Result((self._a.url, self._b.url), seed, times)
        if problems := list(_mismatches(self._a.topology, self._b.topology)):
            self.close()
            raise UsageError(problems)
        self._agree()

    def _agree(self) -> None:
        """Let each case become the same requests on both hosts: by what both have."""
        a, b = self._a.topology, self._b.topology
        self._a.topology, self._b.topology = _common(a, b), _common(b, a)

    @property
    def topology(self) -> Topology:
        """What to draw cases for: what both hosts have."""
        return self._a.drawable

    def close(self) -> None:
        """Leave both hosts. Never raises."""
        self._a.close()
        self._b.close()

    def run(
        self, cases: Iterator[Case], until: Deadline, watch: Callable[[Result], None] = lambda _: None
    ) -> Result:
        """Compare `cases` until there are no more, or the time is over."""
        stopwatch = Stopwatch()
        for case in cases:
            if until.is_over or self._reopens_left < 0:
                break
            self._take(case, until)
            self.result.elapsed_s = stopwatch.elapsed_s
            watch(self.result)
        return self.result

    def _take(self, case: Case, until: Deadline) -> None:
        """Compare one case, and look closer at whatever is new."""
        for runner in (self._a, self._b):
            if not is_for(case, runner.topology):
                self.result.troubles.append(f"{runner.url} lacks what case {case.id} needs")
                return
        performed = self._perform(case)
        if performed is None:
            return
        compared, pair = performed
        result = self.result
        result.cases += 1
        result.operations += compared.operations
        result.tolerated.update(item.rule for item in compared.tolerated)
        signatures = compared.signatures
        for signature in signatures & result.found.keys():
            result.found[signature].count += 1
        new = signatures - result.found.keys()
        allowed = new & self._allowed.keys()  # understood: another performance would teach nothing
        lasting = self._lasting(case, new - allowed) | allowed
        result.chance.update(new - lasting)
        for difference in compared.differences:
            if difference.signature in lasting:
                found = Found(difference, case, len(case.steps), pair)
                found.reason = self._allowed.get(difference.signature, "")
                result.found[difference.signature] = found
                if not found.reason:
                    self._shrink(found, until)

    def _lasting(self, case: Case, signatures: frozenset[str]) -> frozenset[str]:
        """Those of `signatures` that other schedules of the case show, too."""
        for number in range(1, self.result.times):
            if not signatures:
                break
            performed = self._perform(replace(case, schedule=Schedule.of_seed(case.schedule.seed + number)))
            signatures &= performed[0].signatures if performed else frozenset()
        return signatures

    def _perform(self, case: Case) -> tuple[Compared, Pair] | None:
        """Perform a case on both hosts at once and compare; None when a host was lost."""
        runners = (self._a, self._b)
        for runner in runners:
            runner.begin(case)
        first, second = (runner.collect() for runner in runners)
        if any(runner.is_lost for runner in runners):
            self._reopen(first, second)
            return None
        self._reopens_left = REOPENS_MAX
        compared = compare(first.history, second.history)
        if bool(first.trouble) is not bool(second.trouble):
            compared = _unplayed(compared, first, second)
        return compared, Pair(first.history, second.history)

    def _reopen(self, *performances: Performance) -> None:
        self.result.troubles += [item.trouble for item in performances if item.trouble]
        self._reopens_left -= 1
        for runner in (self._a, self._b):
            if runner.is_lost and self._reopens_left >= 0:
                try:
                    runner.reopen()
                except InfraError as error:
                    self.result.troubles.append(str(error))
                    self._reopens_left = -1
        self._agree()

    def _shrink(self, found: Found, until: Deadline) -> None:
        """Make the case of a difference smaller; what was found so far stays when time or a host is lost."""
        signature = found.difference.signature
        limit = Deadline.after(min(MINIMISE_S, until.left_s + MINIMISE_S))

        def shows(candidate: Case) -> bool:
            if limit.is_over or self._reopens_left < 0:
                raise _EnoughError
            performed = self._perform(candidate)
            if performed is None or signature not in performed[0].signatures:
                return False
            if signature not in self._lasting(candidate, frozenset({signature})):
                return False
            difference = {item.signature: item for item in performed[0].differences}[signature]
            found.case, found.difference, found.pair = candidate, difference, performed[1]
            return True

        with suppress(_EnoughError):
            found.is_one_minimal = minimise(found.case, shows, MINIMISE_EXECUTIONS).is_one_minimal


class _EnoughError(Exception):
    """No time is left, or no host, to make a case smaller."""


def _unplayed(compared: Compared, first: Performance, second: Performance) -> Compared:
    """What is left to say when one host alone did not play the case to its end."""
    words = tuple(_end(performance) for performance in (first, second))
    last_a, last_b = (max(0, len(performance.history.records) - 1) for performance in (first, second))
    difference = Difference(
        "case",
        "end",
        words[0],
        words[1],
        records_a=(last_a,),
        records_b=(last_b,),
        exact_a=first.trouble or "played",
        exact_b=second.trouble or "played",
    )
    return compared._replace(differences=(difference,))


def _end(performance: Performance) -> str:
    """Whether a case was played; if not, the last thing that the kernel reported."""
    if not performance.trouble:
        return "played"
    troubles = Story(performance.history).troubles
    return troubles[-1].signature if troubles else "not played"


def _mismatches(a: Topology, b: Topology) -> Iterator[Problem]:
    """What two hosts differ in that every case depends on."""
    if a.platform is not b.platform:
        yield Problem(f"{a.platform.value} and {b.platform.value}", "platforms", "two hosts of one platform")
        return
    for what, first, second in _facts(a, b):
        if first != second:
            yield Problem(f"{first} and {second}", what, "the same on both hosts")


def _common(own: Topology, other: Topology) -> Topology:
    """`own` without what `other` has not."""
    cards = tuple(
        replace(
            card,
            device=card.device if other.card(card.name).device else "",
            afus=tuple(_common_afu(afu, other.afu(afu.name)) for afu in card.afus),
        )
        for card in own.cards
    )
    features = (own.features & other.features) | ((own.features | other.features) & LIMITS)
    devices = tuple(device for device in own.devices if device.feature in features)
    return replace(own, cards=cards, features=features, devices=devices)


def _common_afu(own: Afu, other: Afu) -> Afu:
    return replace(
        own,
        irqs_min=max(own.irqs_min, other.irqs_min),
        irqs_max=min(own.irqs_max, other.irqs_max),
        has_master_registers=own.has_master_registers and other.has_master_registers,
    )


def _facts(a: Topology, b: Topology) -> Iterator[tuple[str, object, object]]:
    names = [sorted(afu.name for afu in topology.afus) for topology in (a, b)]
    yield "AFUs", names[0], names[1]
    if names[0] != names[1]:
        return
    for name in names[0]:
        first, second = a.afu(name), b.afu(name)
        for fact in ("modes", "contexts_max", "has_test_registers"):
            yield f"{name} {fact}", _shown(getattr(first, fact)), _shown(getattr(second, fact))


def _shown(value: object) -> object:
    return [mode.value for mode in value] if isinstance(value, tuple) else value


def drawn(draw: Callable[[int, Topology], Case], topology: Topology, seeds: Iterator[int]) -> Iterator[Case]:
    """Cases drawn from `seeds`, none twice."""
    known: set[str] = set()
    for seed in seeds:
        case = draw(seed, topology)
        if case.id not in known:
            known.add(case.id)
            yield case
