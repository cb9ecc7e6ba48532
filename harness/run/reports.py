"""Writes all reports of a campaign into its directory, and reads back from it what they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from harness.report.exhibit import Exhibit
from harness.report.table import REPORTS
from harness.run.judge import judge
from harness.run.store import CAMPAIGN, CASE, HISTORY, write_atomically
from harness.vocab.campaign import Bug, Campaign, Gate
from harness.vocab.errors import InfraError, Problem, UsageError
from harness.vocab.oracle import Oracle
from harness.vocab.run import Run
from harness.vocab.verdict import Verdict
from harness.wire import histfile
from harness.wire.campaignfile import campaign_from_json

EXHIBITS_MAX = 30
"""Most runs that the page shows one by one."""

_ORDER = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}


def read_campaign(directory: Path) -> Campaign:
    """The campaign that was performed into `directory`. Raises UsageError when it holds none."""
    path = directory / CAMPAIGN
    try:
        text = path.read_bytes()
    except OSError as error:
        problem = Problem(
            f"cannot be read: {error.strerror}", str(path), "a directory that `harness run` wrote"
        )
        raise UsageError(problem) from error
    return campaign_from_json(text, str(path))


def write_reports(
    directory: Path, campaign: Campaign, gate: Gate, oracles: Mapping[str, Oracle]
) -> tuple[Path, ...]:
    """Write every report; returns the files. `oracles` judge again the runs that are shown one by one."""
    asked = [oracles[name] for name in campaign.oracles if name in oracles]
    shown = tuple(islice(_exhibits(directory, campaign, asked), EXHIBITS_MAX))
    written = []
    for name, render in REPORTS.items():
        path = directory / name
        write_atomically(path, render(campaign, gate, shown))
        written.append(path)
    return tuple(written)


def _exhibits(directory: Path, campaign: Campaign, oracles: Sequence[Oracle]) -> Iterator[Exhibit]:
    """The smallest case of each bug, then kept runs: failing, unknown, and one passing run of each host."""
    runs = {run.path: run for run in campaign.kept}
    for bug in campaign.bugs:
        if bug.case_path and (exhibit := _of_bug(directory, bug, runs.get(bug.run_path), oracles)):
            yield exhibit
    hosts_shown: set[str] = set()
    for run in sorted(campaign.kept, key=lambda run: (_ORDER[run.verdict], run.number)):
        if run.verdict is Verdict.PASS:
            if run.host in hosts_shown:
                continue
            hosts_shown.add(run.host)
        kept = directory / run.path
        if exhibit := _read(kept / HISTORY, kept / CASE, run, oracles, ""):
            yield exhibit


def _of_bug(directory: Path, bug: Bug, first: Run | None, oracles: Sequence[Oracle]) -> Exhibit | None:
    case_path = directory / bug.case_path
    run = first or Run(bug.first_run, "", bug.host, 0, Verdict.FAIL)
    history_path = case_path.with_suffix(".jsonl")
    return _read(history_path, case_path, run, oracles, bug.replay)


def _read(
    history_path: Path, case_path: Path, run: Run, oracles: Sequence[Oracle], replay: str
) -> Exhibit | None:
    """The exhibit that two files make; None when they are gone or damaged, which holds up no report."""
    try:
        history = histfile.load(history_path.read_bytes())
        case_text = case_path.read_text(encoding="utf-8", errors="backslashreplace")
    except (OSError, UsageError, InfraError):
        return None
    shown = replace(run, case_id=history.case_id)  # a bug's smallest case is not the one that was drawn
    return Exhibit(shown, history, judge(history, oracles), case_text, replay)
