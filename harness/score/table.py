"""The table of a score, in Markdown: each figure beside its target, then searches, oracles and survivors."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from harness.score.figures import COMPARED, Figures, median, quantile, ratio
from harness.score.scoring import Score
from harness.score.sources import OURS, SAVED, SOURCES

_SHOWN = 30
_HEAD = "| figure | measured | target | met | from |\n|---|---:|---:|---|---|"


def rows(score: Score, found: Figures) -> Iterator[tuple[str, bool | None]]:
    """The rows of the figures, and whether each target is met; None where nothing was measured."""
    yield from _named(score, found)
    yield from _alarms(found)
    for other, most in COMPARED.items():
        if other in score.extent.seeds:
            ours, theirs, value = ratio(found, other)
            shown = "0 (never)" if theirs == inf and ours < inf else _number(value)
            sides = f"{_cases(score, ours)} ÷ {_cases(score, theirs)} cases"
            yield _row(f"median cases to kill ÷ those of {other}", shown, f"≤ {most}", value <= most, sides)
    yield from _generated(score, found)
    yield from _minimised(score, found)


def _named(score: Score, found: Figures) -> Iterator[tuple[str, bool | None]]:
    ours = found.searches.get(OURS)
    if ours is None:
        return
    trials, within = ours.trials, f"within {score.extent.cases:,} cases"
    if SAVED in score.extent.seeds:
        killed, within = trials - len(found.survived_all), f"by a saved case or {within}"
    else:
        killed = ours.killed
    seeds = score.extent.seeds[OURS]
    yield _row(
        f"named mutants killed {within}, percent",
        _number(100 * killed / trials if trials else 0.0),
        "100",
        killed == trials,
        f"{killed} of {trials} trials: each mutant and platform with {_count(seeds, 'seed')}",
    )


def _alarms(found: Figures) -> Iterator[tuple[str, bool | None]]:
    alone = found.healthy
    alarms = sum(search.false_alarms.total() for search in found.searches.values()) + alone.alarms.total()
    performed = sum(search.performed for search in found.searches.values()) + alone.cases
    if not performed:
        return
    sides = f"in {performed:,} cases"
    if alone.cases:
        verdicts = ", ".join(f"{count:,} {name}" for name, count in alone.verdicts.most_common())
        events = len({item.event for item in alone.covered})
        sides += (
            f"; {verdicts}; {alone.steps:,} steps of {events} events, {len(alone.covered)} things covered"
        )
    yield _row("findings on the healthy simulator", str(alarms), "0", alarms == 0, sides)


def _generated(score: Score, found: Figures) -> Iterator[tuple[str, bool | None]]:
    if not score.extent.sample:
        return
    killed, survived = found.words["killed"], found.words["survived"]
    share = 100 * killed / (killed + survived) if killed + survived else 0.0
    sides = (
        f"{killed} of {killed + survived}; beside them {found.words['equivalent']} equivalent, "
        f"{found.words['broken']} that break the simulator; a sample of {found.words.total()} "
        f"of {score.generated:,}"
    )
    is_met = share >= 95 if killed else None
    yield _row(
        "generated mutants killed that are not equivalent, percent", _number(share), "≥ 95", is_met, sides
    )


def _minimised(score: Score, found: Figures) -> Iterator[tuple[str, bool | None]]:
    if not score.extent.is_minimised or not found.minimised:
        return
    mean = sum(found.ratios) / len(found.ratios)
    steps = f"{found.minimised} kills, {sum(found.lengths) / found.minimised:.1f} steps on average"
    yield _row("minimised length ÷ the shortest known", f"{mean:.2f}", "≤ 1.1", mean <= 1.1, steps)
    middle = median(found.executions)
    most = _number(quantile(found.executions, 0.9))
    sides = f"{len(found.executions)} cases of 40 steps or more; 90 % within {most}"
    yield _row("executions to minimise a case, median", _number(middle), "≤ 60", middle <= 60, sides)
    failing = len(found.failing_on_healthy)
    sides = f"of {found.minimised}; {found.one_minimal} are 1-minimal"
    yield _row("minimised cases that fail on the healthy simulator", str(failing), "0", failing == 0, sides)


def _row(name: str, measured: str, target: str, is_met: bool | None, sides: str) -> tuple[str, bool | None]:
    word = {True: "yes", False: "NO", None: "not yet"}[is_met]
    return f"| {name} | {measured} | {target} | {word} | {sides} |", is_met


def table(score: Score, found: Figures) -> str:
    """The whole table."""
    lines = [f"# Score: {score.extent.name}", ""]
    if score.is_partial:
        lines += [
            f"**Partial**: interrupted; {_count(score.missing, 'task')} did not end. Do not quote it.",
            "",
        ]
    lines += [_HEAD, *(row for row, _ in rows(score, found)), ""]
    if found.searches:
        lines += _searches(score, found)
        lines += _kills(found)
    lines += _trouble(score, found)
    lines.append(f"{score.seconds / 60:.1f} minutes.")
    return "\n".join(lines) + "\n"


def _searches(score: Score, found: Figures) -> list[str]:
    head = "| search | seeds | kills | cases: median | p90 | seconds: median | p90 |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for name, search in found.searches.items():
        cells = [
            f"{name}: {SOURCES[name].title}",
            str(score.extent.seeds[name]),
            f"{search.killed} of {search.trials}",
            _cases(score, median(search.cases)),
            _cases(score, quantile(search.cases, 0.9)),
            _number(median(search.seconds)),
            _number(quantile(search.seconds, 0.9)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    slowest = ", ".join(f"{name} {_cases(score, cases)}" for cases, name in found.slowest[:5])
    lines += ["", f"Hardest for ours, in median cases: {slowest}.", ""]
    return lines


def _kills(found: Figures) -> list[str]:
    lines = ["| oracle | named mutants | generated mutants |", "|---|---:|---:|"]
    for oracle, counts in sorted(found.oracles.items(), key=lambda item: -item[1].total()):
        lines.append(f"| {oracle} | {counts['named']} | {counts['generated']} |")
    return [*lines, ""]


def _trouble(score: Score, found: Figures) -> list[str]:
    """Survivors, and what could not be scored."""
    ours = found.searches.get(OURS)
    sections = {
        "Named mutants that survived our search, and how often": [
            f"{name}: {times}" for name, times in (ours.survivors if ours else {}).items()
        ],
        "Generated mutants that survived": found.survivors,
        "Mutants that break the simulator": [f"{name}: {why}" for name, why in found.broken.items()],
        "Files of mutants that cannot be used": [f"{f}: {why}" for f, why in score.broken_files.items()],
        "Minimised cases that fail on the healthy simulator": found.failing_on_healthy,
        "Tasks without a result": [f"{key}: {why}" for key, why in found.failed.items()],
        "False alarms": [
            f"{name}: {signature}, {times} times"
            for name, search in found.searches.items()
            for signature, times in search.false_alarms.items()
        ]
        + [f"healthy: {signature}, {times} times" for signature, times in found.healthy.alarms.items()],
    }
    lines = []
    for title, items in sections.items():
        if items:
            lines += [f"{title}:", "", *(f"- `{item}`" for item in items[:_SHOWN])]
            lines += [f"- and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
            lines.append("")
    return lines


def _number(value: float) -> str:
    if value == inf:
        return "∞"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def _cases(score: Score, value: float) -> str:
    return f"> {score.extent.cases:,}" if value == inf else _number(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
