"""What ``harness score`` does: from its options to a table on disk and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.run.deadline import now_utc
from harness.score.figures import Figures, figures
from harness.score.scoring import FULL, HEALTHY, SHORT, Extent, Score, Watch, score
from harness.score.shrinking import shortest_known
from harness.score.table import rows, table
from harness.vocab.topology import Subject
from harness.vocab.verdict import ExitCode

RUNS = Path("reports/score")
TABLE = "score.md"


class Done(NamedTuple):
    """A score that has ended, in order or not: its table, where that was written, and the exit code."""

    text: str
    path: Path
    exit_code: ExitCode


def extent(is_short: bool, mutants: Sequence[str], cases: int, sample: int, healthy: int = 0) -> Extent:
    """How much is to be scored; with `healthy`, nothing but so many cases on the healthy simulator."""
    if healthy:
        return replace(HEALTHY, healthy=healthy)
    chosen = SHORT if is_short else FULL
    return replace(
        chosen,
        mutants=tuple(mutants),
        cases=cases or chosen.cases,
        sample=chosen.sample if sample < 0 else sample,
    )


def perform(chosen: Extent, out: Path | None, jobs: int, watch: Watch) -> Done:
    """Score, write the table, and say how it ended."""
    folder = out or RUNS / now_utc().strftime("%Y%m%dT%H%M%SZ")
    found = score(chosen, folder, jobs, watch)
    worked_out = figures_of(found)
    text = table(found, worked_out)
    path = folder / TABLE
    path.write_text(text, encoding="utf-8")
    return Done(text, path, _exit_code(found, worked_out))


def figures_of(found: Score) -> Figures:
    """The figures of a score."""
    chosen = found.extent.mutants
    platforms = {
        mutant.name: [platform.value for platform in mutant.platforms]
        for mutant in registry.mutants().values()
        if (not chosen or mutant.name in chosen) and mutant.subject is Subject.CARDS
    }
    return figures(found.results, platforms, found.equivalent, shortest_known())


def _exit_code(found: Score, worked_out: Figures) -> ExitCode:
    """FAIL for a figure that misses its target, and for a mutant or a task that could not be scored."""
    if found.is_partial:
        return ExitCode.INTERRUPTED
    if found.broken_files or worked_out.failed or worked_out.broken:
        return ExitCode.FAIL
    return ExitCode.FAIL if any(is_met is False for _, is_met in rows(found, worked_out)) else ExitCode.PASS
