"""The Gate: the pure decision whether a release may go, with its reasons.

Rules: FAIL dominates everything. No evidence is no pass: what was not run, not seen or not judged blocks the
release as UNKNOWN, and its exit code says what to repair first. Known issues excuse bugs, until they expire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from enum import Enum
from typing import NamedTuple

from harness.plan.knownissues import KnownIssues
from harness.plan.testplan import Testplan
from harness.vocab.campaign import Bug, Campaign, Ended, Gate
from harness.vocab.verdict import ExitCode, Verdict

_MOST_NAMED = 8
"""Reasons name at most so many things, and count the others."""

_UNKNOWN_KEYS = ("unknown-infra", "unknown-indeterminate", "unknown-oracle-error", "unknown-nondeterminism")


class _Trouble(Enum):
    """What kind of thing stands in the way of a release."""

    BUG = "bug"
    INTERRUPTED = "interrupted"
    INFRA = "infra"
    EVIDENCE = "evidence"
    JUDGEMENT = "judgement"


class _Blocker(NamedTuple):
    trouble: _Trouble
    reason: str


def decide(
    campaign: Campaign, plan: Testplan, issues: KnownIssues, today: date, ignore_known: bool = False
) -> Gate:
    """Whether the release may go. With `ignore_known` the list of known issues excuses nothing."""
    if ignore_known:
        issues = KnownIssues()
    blockers = [
        *_bugs(campaign, issues, today),
        *_interruption(campaign),
        *_infrastructure(campaign, plan),
        *_evidence(campaign, plan),
        *_judgement(campaign, plan),
    ]
    excuses = tuple(_excuses(campaign, issues, today))
    if not blockers:
        return Gate(Verdict.PASS, ExitCode.PASS, (*_proof(campaign), *excuses))
    exit_code = _exit_code({blocker.trouble for blocker in blockers})
    verdict = Verdict.FAIL if exit_code is ExitCode.FAIL else Verdict.UNKNOWN
    return Gate(verdict, exit_code, (*(blocker.reason for blocker in blockers), *excuses))


def _exit_code(troubles: set[_Trouble]) -> ExitCode:
    """The first that applies. Evidence that is missing beside lab trouble is missing because of it."""
    if _Trouble.BUG in troubles:
        return ExitCode.FAIL
    if _Trouble.INTERRUPTED in troubles:
        return ExitCode.INTERRUPTED
    if _Trouble.JUDGEMENT in troubles:
        return ExitCode.UNKNOWN
    return ExitCode.INFRA if _Trouble.INFRA in troubles else ExitCode.NOTHING_RAN


def _bugs(campaign: Campaign, issues: KnownIssues, today: date) -> Iterator[_Blocker]:
    new = [bug for bug in campaign.bugs if issues.match(bug.signature, bug.hosts) is None]
    if new:
        listed = _named([f"{bug.signature} ({_count(bug.count, 'run')})" for bug in new])
        yield _Blocker(_Trouble.BUG, f"{_count(len(new), 'bug')} not known before: {listed}.")
    for issue in issues.expired(today):
        days = (today - issue.expires).days
        yield _Blocker(
            _Trouble.BUG,
            f"The known issue {issue.signature} of {issue.owner} expired {_count(days, 'day')} ago, "
            f"on {issue.expires}: fix it, or decide again.",
        )
    nameless = campaign.counts.get("fail", 0) - sum(bug.count for bug in campaign.bugs)
    if nameless > 0:
        yield _Blocker(_Trouble.BUG, f"{_count(nameless, 'run')} failed without a signature on record.")


def _interruption(campaign: Campaign) -> Iterator[_Blocker]:
    if campaign.ended is Ended.INTERRUPTED:
        reason = f"The campaign was interrupted after {_count(campaign.runs, 'run')}."
        yield _Blocker(_Trouble.INTERRUPTED, reason)


def _infrastructure(campaign: Campaign, plan: Testplan) -> Iterator[_Blocker]:
    if campaign.ended is Ended.INFRA:
        yield _Blocker(_Trouble.INFRA, f"No host was left after {_count(campaign.runs, 'run')}.")
    yield from _too_many(campaign, plan.gate.unknown_percent, "unknown-infra", _Trouble.INFRA, _LOST)


def _judgement(campaign: Campaign, plan: Testplan) -> Iterator[_Blocker]:
    most = plan.gate.unknown_percent
    yield from _too_many(campaign, most, "unknown-indeterminate", _Trouble.JUDGEMENT, _UNDECIDED)
    yield from _too_many(campaign, most, "unknown-oracle-error", _Trouble.JUDGEMENT, _ORACLE_BROKE)
    yield from _too_many(campaign, most, "unknown-nondeterminism", _Trouble.JUDGEMENT, _NOT_THE_SAME)


_LOST = "lost to lab trouble"
_UNDECIDED = "could not be decided"
_ORACLE_BROKE = "made an oracle break"
_NOT_THE_SAME = "were not the same when they were performed again"


def _too_many(
    campaign: Campaign, most_percent: int, key: str, trouble: _Trouble, words: str
) -> Iterator[_Blocker]:
    """Block when all unknown runs together exceed the plan's limit; say how many have this cause."""
    count = campaign.counts.get(key, 0)
    unknown = sum(campaign.counts.get(cause, 0) for cause in _UNKNOWN_KEYS)
    if count and unknown * 100 > most_percent * campaign.runs:
        share = _share(count, campaign.runs)
        yield _Blocker(trouble, f"{share} {words}; all unknown runs together may be {most_percent} %.")


def _evidence(campaign: Campaign, plan: Testplan) -> Iterator[_Blocker]:
    hosts = urls(campaign)
    if not campaign.runs or not hosts:
        yield _Blocker(_Trouble.EVIDENCE, "Nothing ran, so nothing is known.")
        return
    platforms = {host.url: host.platform for host in campaign.hosts}
    for url in hosts:
        counts = campaign.by_host.get(url, {})
        yield from _too_few(url, counts, plan.must_see.runs)
        yield from _too_vacuous(url, counts, plan.gate.vacuous_percent)
        expected = plan.must_see.expected_on(platforms.get(url, ""))
        missing = [key for key in expected if not seen_on(campaign, key, url)]
        if missing:
            yield _Blocker(
                _Trouble.EVIDENCE, f"{url} never showed {_named([_words(key) for key in missing])}."
            )


def _too_few(url: str, counts: Mapping[str, int], fewest: int) -> Iterator[_Blocker]:
    judged = counts.get("pass", 0) + counts.get("fail", 0)
    if judged < fewest:
        yield _Blocker(
            _Trouble.EVIDENCE, f"{_count(judged, 'judged run')} on {url}; the plan asks for {fewest:,}."
        )


def _too_vacuous(url: str, counts: Mapping[str, int], most_percent: int) -> Iterator[_Blocker]:
    vacuous, runs = counts.get("unknown-vacuous", 0), sum(counts.values())
    if vacuous * 100 > most_percent * runs:
        share = _share(vacuous, runs)
        yield _Blocker(
            _Trouble.EVIDENCE,
            f"{share} on {url} did not exercise what they set out to; at most {most_percent} % may.",
        )


def _proof(campaign: Campaign) -> Iterator[str]:
    """What a release rests on."""
    counts, hosts = campaign.counts, urls(campaign)
    judged = counts.get("pass", 0) + counts.get("fail", 0)
    yield f"{_count(judged, 'run')} judged by {_count(len(campaign.oracles), 'oracle')} on {_named(hosts)}."
    if vacuous := counts.get("unknown-vacuous", 0):
        yield f"{_share(vacuous, campaign.runs)} did not exercise what they set out to: tolerated."
    if unknown := sum(counts.get(key, 0) for key in _UNKNOWN_KEYS):
        yield f"{_share(unknown, campaign.runs)} unknown for other causes: tolerated."


def _excuses(campaign: Campaign, issues: KnownIssues, today: date) -> Iterator[str]:
    for bug in campaign.bugs:
        issue = issues.match(bug.signature, bug.hosts)
        if issue and issue.expires >= today:
            yield (
                f"{bug.signature} failed {_count(bug.count, 'run')} and is excused until {issue.expires}: "
                f"{issue.reason} ({issue.owner})."
            )


def name_known_issues(bugs: tuple[Bug, ...], issues: KnownIssues, today: date) -> tuple[Bug, ...]:
    """`bugs` with `known_issue` set to the reason of each that is excused today, else to nothing."""
    return tuple(replace(bug, known_issue=_reason(bug, issues, today)) for bug in bugs)


def _reason(bug: Bug, issues: KnownIssues, today: date) -> str:
    issue = issues.match(bug.signature, bug.hosts)
    return issue.reason if issue and issue.expires >= today else ""


def urls(campaign: Campaign) -> tuple[str, ...]:
    """URLs of the hosts that were to be used: those that told who they are, and those that were counted."""
    return tuple(dict.fromkeys((*(host.url for host in campaign.hosts), *campaign.by_host)))


def seen_on(campaign: Campaign, key: str, url: str) -> int:
    """Runs on `url` in which `key` (``phase:reset``) was seen: ``seen["phase:reset@URL"]``.

    With one host only, the total of the campaign is the host's own.
    """
    own = campaign.seen.get(f"{key}@{url}")
    if own is None and len(urls(campaign)) == 1:
        return campaign.seen.get(key, 0)
    return own or 0


def _words(key: str) -> str:
    """``the phase reset`` for ``phase:reset``."""
    kind, _, name = key.partition(":")
    return f"the {kind} {name}"


def _named(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_MOST_NAMED])
    return shown if len(items) <= _MOST_NAMED else f"{shown} and {len(items) - _MOST_NAMED:,} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {_count(whole, 'run')} ({part * 100 / whole:.1f} %)"
