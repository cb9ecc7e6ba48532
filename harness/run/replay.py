"""Performs saved cases again, several times if asked, and says whether they still fail and how reliably."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import sqrt
from pathlib import Path

from harness.hosts.host import Host
from harness.run.deadline import Stopwatch
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.vocab.case import Case
from harness.vocab.oracle import Oracle
from harness.vocab.topology import Topology
from harness.vocab.verdict import Cause, ExitCode, Judgement, Verdict
from harness.wire.casefile import SavedCase

_Z = 1.96  # standard deviations of 95 % confidence


@dataclass(slots=True)
class Replayed:
    """One saved case, and what came of each time that it was performed. `trouble` says what the lab did."""

    path: Path
    saved: SavedCase
    url: str
    judgements: list[Judgement] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    trouble: str = ""

    @property
    def failed(self) -> int:
        """How many times it failed, with whatever signature."""
        return sum(judgement.verdict is Verdict.FAIL for judgement in self.judgements)

    @property
    def refailed(self) -> int:
        """How many times it failed with the signature that it was saved for."""
        return sum(self.saved.signature in judgement.signatures for judgement in self.judgements)

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the rate of refails lies, with 95 % confidence."""
        return wilson(self.refailed, len(self.judgements))

    @property
    def signatures(self) -> Counter[str]:
        """The signatures seen, with how often."""
        return Counter(name for judgement in self.judgements for name in judgement.signatures)

    @property
    def verdict(self) -> Verdict:
        """The worst of all times; UNKNOWN when it was not performed."""
        verdicts = [judgement.verdict for judgement in self.judgements]
        if self.trouble or not verdicts:
            verdicts.append(Verdict.UNKNOWN)
        return max(verdicts, key=lambda verdict: verdict.severity)


def replay(
    opener: Callable[[], Host],
    cases: Sequence[tuple[Path, SavedCase]],
    times: int,
    oracles: Sequence[Oracle],
    watch: Callable[[int, int, float, str], None] = lambda *_: None,
) -> Iterator[Replayed]:
    """Perform each of `cases` `times` times on one host, one after the other.

    `watch` is told after each how many were performed, of how many, the seconds gone by, and what came of it.
    Raises InfraError when the host cannot be opened. A host that is lost meanwhile is not opened again: the
    cases that are left have its trouble. What was performed is given before a KeyboardInterrupt is passed on.
    """
    runner = Runner(opener)
    lost = ""
    stopwatch, done = Stopwatch(), count(1)

    def performed(replayed: Replayed) -> None:
        last = f"{replayed.path.stem}: {replayed.judgements[-1].verdict.value}"
        watch(next(done), len(cases) * times, stopwatch.elapsed_s, last)

    try:
        for path, saved in cases:
            replayed = Replayed(path, saved, runner.url, trouble=lost)
            if not lost:
                try:
                    _perform(runner, replayed, times, oracles, performed)
                except KeyboardInterrupt:
                    replayed.trouble = "interrupted"
                    yield replayed
                    raise
                lost = replayed.trouble if runner.is_lost else ""
            yield replayed
    finally:
        runner.close()


def _perform(
    runner: Runner,
    replayed: Replayed,
    times: int,
    oracles: Sequence[Oracle],
    performed: Callable[[Replayed], None],
) -> None:
    case = replayed.saved.case
    if lacks(case, runner.topology):
        replayed.trouble = (
            f"{runner.url} lacks what the case needs: {', '.join(lacks(case, runner.topology))}"
        )
        return
    for _ in range(times):
        performance = runner.perform(case)
        replayed.judgements.append(judge(performance.history, oracles, performance.trouble))
        if performance.digest:
            replayed.digests.add(performance.digest)
        performed(replayed)
        replayed.trouble = replayed.trouble or performance.trouble
        if runner.is_lost:
            return


def lacks(case: Case, topology: Topology) -> list[str]:
    """What a host with `topology` lacks of what `case` needs, in words; nothing, if it can perform it."""
    found = []
    if case.platform is not topology.platform:
        found.append(f"the platform {case.platform.value}, this is {topology.platform.value}")
    if case.cards > len(topology.cards):
        found.append(f"{case.cards} cards, this has {len(topology.cards)}")
    if missing := sorted(case.needs - topology.features):
        found.append(f"the features {' '.join(missing)}")
    return found


def wilson(hits: int, times: int) -> tuple[float, float]:
    """Wilson's interval of a share: honest for few performances, and for rates near none and all."""
    if not times:
        return 0.0, 1.0
    share, spread = hits / times, _Z * _Z / times
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * sqrt(share * (1 - share) / times + spread / (4 * times))
    return max(0.0, middle - half), min(1.0, middle + half)


def exit_code(replayed: Iterable[Replayed]) -> ExitCode:
    """FAIL dominates; then lab trouble; then what could not be decided; nothing performed is told apart."""
    items = tuple(replayed)
    verdicts = {item.verdict for item in items}
    if Verdict.FAIL in verdicts:
        return ExitCode.FAIL
    if any(item.trouble for item in items):
        return ExitCode.INFRA
    causes = {judgement.cause for item in items for judgement in item.judgements}
    if Verdict.UNKNOWN in verdicts:
        return ExitCode.NOTHING_RAN if causes <= {None, Cause.VACUOUS} else ExitCode.UNKNOWN
    return ExitCode.PASS if items else ExitCode.NOTHING_RAN
