"""summary.md: the verdict and why, what was exercised, the bugs; one screen on a good night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report.escape import block, code, markdown
from harness.report.figures import (
    VERDICTS,
    count,
    coverage,
    duration,
    exercised,
    identity,
    steps_of,
    urls,
)
from harness.vocab.campaign import Bug, Campaign, Ended, Gate

MOST_BUGS = 25
"""Bugs shown in full; further ones are only counted."""

ENDED = {
    Ended.BUDGET: "its budget was used up",
    Ended.EXHAUSTED: "all its cases were performed",
    Ended.INTERRUPTED: "it was interrupted",
    Ended.INFRA: "no host was left",
}
"""Why a campaign stopped, as the end of a sentence about it."""


def render(campaign: Campaign, gate: Gate) -> str:
    """summary.md as text that ends with a newline."""
    sections = (_head, _hosts, _exercised, _coverage)
    lines = [text for section in sections for text in (*section(campaign, gate), "")]
    lines += [text for section in (_bugs, _trouble, _identities) for text in section(campaign)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(campaign: Campaign, gate: Gate) -> Iterator[str]:
    title = markdown(campaign.title or campaign.plan)
    yield f"# {title}: {'released' if gate.is_released else 'NOT released'}"
    yield ""
    yield (
        f"**{gate.verdict.value.upper()}** (exit code {int(gate.exit_code)}). Plan {code(campaign.plan)}, "
        f"{count(campaign.runs, 'run')} in {duration(campaign.duration_s)}, "
        f"begun {markdown(campaign.started)}. "
        f"Campaign seed {campaign.seed}, budget {markdown(campaign.budget)}; "
        f"it ended because {ENDED[campaign.ended]}."
    )
    yield ""
    yield from (f"- {markdown(reason, 1000)}" for reason in gate.reasons)


def _hosts(campaign: Campaign, gate: Gate) -> Iterator[str]:
    shown = [(key, word) for key, word in VERDICTS if key in {"pass", "fail"} or campaign.counts.get(key)]
    yield from _table_head("host", ["runs", *(word for _, word in shown)])
    for url in urls(campaign):
        counts = campaign.by_host.get(url, {})
        yield _row(code(url), [sum(counts.values()), *(counts.get(key, 0) for key, _ in shown)])


def _exercised(campaign: Campaign, gate: Gate) -> Iterator[str]:
    phases, events = exercised(campaign, "phase"), exercised(campaign, "event")
    if not phases and not events:
        yield "Nothing was exercised."
        return
    yield from _table_head("runs that showed", [markdown(url) for url in urls(campaign)])
    for row in phases:
        yield _row(markdown(row.name), ["-" if number is None else number for number in row.by_host])
    if events:
        ranked = sorted(events, key=lambda row: -row.total)
        yield ""
        yield "Runs by event: " + ", ".join(f"{markdown(row.name)} {row.total:,}" for row in ranked) + "."


def _coverage(campaign: Campaign, gate: Gate) -> Iterator[str]:
    """How many events were seen in each phase of recovery, on contexts in which states, and the search."""
    if (grid := coverage(campaign)) is not None:
        yield from _table_head("events while the phase was", ["events", "with states of contexts", "in runs"])
        for column, phase in enumerate(grid.phases):
            cells = [states for _, row in grid.rows if (states := row[column])]
            runs = sum(sum(states.values()) for states in cells)
            yield _row(markdown(phase), [len(cells), sum(map(len, cells)), runs])
        yield ""
    if campaign.search:
        done = (f"{number:,} {markdown(what)}" for what, number in campaign.search.items())
        yield f"The search: {'; '.join(done)}."


def _bugs(campaign: Campaign) -> Iterator[str]:
    if campaign.bugs:
        yield f"## {count(len(campaign.bugs), 'bug')}"
        yield ""
    for bug in campaign.bugs[:MOST_BUGS]:
        yield from _bug(campaign, bug)
    if len(campaign.bugs) > MOST_BUGS:
        yield f"{len(campaign.bugs) - MOST_BUGS:,} more stand in gate.json."
        yield ""


def _bug(campaign: Campaign, bug: Bug) -> Iterator[str]:
    places = ", ".join(code(url) for url in bug.hosts)
    yield f"### {code(bug.signature)}: {count(bug.count, 'run')}"
    yield ""
    if bug.known_issue:
        yield f"Known issue: {markdown(bug.known_issue, 500)}"
        yield ""
    yield markdown(bug.message, 1000)
    yield ""
    where = f" Case: {code(bug.case_path)}." if bug.case_path else ""
    yield f"First in run {bug.first_run:,}, on {places}; {steps_of(bug)}.{where}"
    yield ""
    if bug.replay:
        yield from ("    " + row for row in block(bug.replay, 2000).split("\n"))
        yield ""


def _trouble(campaign: Campaign) -> Iterator[str]:
    if campaign.trouble:
        yield "## Trouble in the lab"
        yield ""
        yield from (f"- {markdown(text, 500)}" for text in campaign.trouble)
        yield ""


def _identities(campaign: Campaign) -> Iterator[str]:
    yield "## Versions"
    yield ""
    for url in urls(campaign):
        host = identity(campaign, url)
        name = f" {markdown(host.hostname)}" if host.hostname else ""
        words = [f"kernel {host.kernel}" if host.kernel else "it never told who it is"]
        words += [f"{key} {text}" for key, text in host.versions.items()]
        yield f"- {code(url)}{name}: {', '.join(markdown(word) for word in words)}"
    if campaign.versions:
        yield f"- harness: {', '.join(markdown(f'{key} {text}') for key, text in campaign.versions.items())}"


def _table_head(first: str, others: Sequence[str]) -> Iterator[str]:
    yield _row(first, others)
    yield _row("---", ["---:"] * len(others))


def _row(first: str, others: Sequence[str | int]) -> str:
    cells = (f"{cell:,}" if isinstance(cell, int) else cell for cell in others)
    return f"| {' | '.join((first, *cells))} |"
