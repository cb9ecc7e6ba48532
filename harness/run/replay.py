"""Performs saved cases again, several times if asked, and says whether they still fail and how reliably."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.hosts.host import Host
from harness.run.judge import judge
from harness.run.lane import is_for
from harness.run.runner import Runner
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Cause, ExitCode, Judgement, Verdict
from harness.wire.casefile import SavedCase


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
) -> Iterator[Replayed]:
    """Perform each of `cases` `times` times on one host, one after the other.

    Raises InfraError when the host cannot be opened. A host that is lost meanwhile is not opened again: the
    cases that are left have its trouble.
    """
    runner = Runner(opener)
    lost = ""
    try:
        for path, saved in cases:
            replayed = Replayed(path, saved, runner.url, trouble=lost)
            if not lost:
                _perform(runner, replayed, times, oracles)
                lost = replayed.trouble if runner.is_lost else ""
            yield replayed
    finally:
        runner.close()


def _perform(runner: Runner, replayed: Replayed, times: int, oracles: Sequence[Oracle]) -> None:
    case = replayed.saved.case
    if not is_for(case, runner.topology):
        needs = ", ".join((case.platform.value, f"{case.cards} cards", *sorted(case.needs)))
        replayed.trouble = f"{runner.url} lacks what the case needs: {needs}"
        return
    for _ in range(times):
        performance = runner.perform(case)
        replayed.judgements.append(judge(performance.history, oracles, performance.trouble))
        if performance.digest:
            replayed.digests.add(performance.digest)
        replayed.trouble = replayed.trouble or performance.trouble
        if runner.is_lost:
            return


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
