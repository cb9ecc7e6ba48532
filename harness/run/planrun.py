"""A test plan from beginning to end: performed, gated, reported; and the last two steps again, from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.plan import gate
from harness.plan.knownissues import NO_KNOWN_ISSUES
from harness.run.campaign import Setup, perform
from harness.run.deadline import now_utc, today_utc
from harness.run.prepare import ReadPlan, read_again
from harness.run.reports import read_campaign, write_reports
from harness.run.store import CAMPAIGN, KNOWN_ISSUES, PLAN, RUNS_ROOT, RunDirectory, write_atomically
from harness.run.tally import Progress
from harness.vocab.campaign import Campaign, Gate
from harness.vocab.errors import InfraError
from harness.wire.campaignfile import campaign_to_json


class Outcome(NamedTuple):
    """What came of a plan: where it is, what was counted, what was decided, and the reports' files."""

    directory: Path
    campaign: Campaign
    gate: Gate
    reports: tuple[Path, ...]


def run_plan(
    read: ReadPlan,
    setup: Setup,
    directory: RunDirectory,
    watch: Callable[[Progress, float], None] | None = None,
    ignore_known: bool = False,
) -> Outcome:
    """Perform a plan into `directory`, decide, and write the reports. Lab trouble never raises.

    Raises InfraError when the directory cannot be written to any longer, as on a full disk.
    """
    try:
        directory.write(PLAN, read.text)
        if read.issues_text:
            directory.write(KNOWN_ISSUES, read.issues_text)
        if ignore_known:
            setup = replace(setup, orders=replace(setup.orders, issues=NO_KNOWN_ISSUES))
        try:
            campaign = perform(setup, directory, watch)
        finally:
            directory.close()
        return _conclude(directory.path, campaign, read, ignore_known)
    except OSError as error:
        raise InfraError(
            f"{error.filename or directory.path}: {error.strerror}; the campaign ended there. Make room, "
            f"or choose another place by --out; for what was recorded: harness judge {directory.path}"
        ) from error


def conclude_again(directory: Path, ignore_known: bool = False) -> Outcome:
    """Decide and report once more, from the files of a run directory. Raises UsageError."""
    return _conclude(directory, read_campaign(directory), read_again(directory), ignore_known)


def decide_again(directory: Path, ignore_known: bool = False) -> tuple[Campaign, Gate]:
    """Decide once more, from the files of a run directory, and write nothing. Raises UsageError."""
    campaign, read = read_campaign(directory), read_again(directory)
    return campaign, gate.decide(campaign, read.plan, read.issues, today_utc(), ignore_known)


def _conclude(directory: Path, campaign: Campaign, read: ReadPlan, ignore_known: bool) -> Outcome:
    issues = NO_KNOWN_ISSUES if ignore_known else read.issues
    campaign = replace(campaign, bugs=gate.name_known_issues(campaign.bugs, issues, today_utc()))
    write_atomically(directory / CAMPAIGN, campaign_to_json(campaign))
    decision = gate.decide(campaign, read.plan, issues, today_utc(), ignore_known)
    reports = write_reports(directory, campaign, decision, registry.oracles())
    return Outcome(directory, campaign, decision, reports)


def new_directory(out: Path | None = None, root: Path = RUNS_ROOT) -> RunDirectory:
    """A directory for a campaign that begins now: `out`, or a dated one within `root`. Raises UsageError."""
    return RunDirectory.create(now_utc(), out, root)
