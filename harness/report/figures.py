"""The numbers and words that several reports share, computed from a Campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from harness.vocab.campaign import Bug, Campaign, HostIdentity
from harness.vocab.coverage import COVER, IDLE, UNDETECTED
from harness.vocab.phase import Phase, phases
from harness.vocab.topology import Platform

VERDICTS: tuple[tuple[str, str], ...] = (
    ("pass", "passed"),
    ("fail", "failed"),
    ("unknown-infra", "infra"),
    ("unknown-indeterminate", "indeterminate"),
    ("unknown-vacuous", "vacuous"),
    ("unknown-oracle-error", "oracle error"),
    ("unknown-nondeterminism", "not the same twice"),
)
"""Keys of a Campaign's counts and their words, in the order in which they are shown."""

CAUSES: tuple[tuple[str, str], ...] = (
    ("unknown-infra", "were lost to lab trouble"),
    ("unknown-indeterminate", "could not be decided"),
    ("unknown-vacuous", "did not exercise what they set out to"),
    ("unknown-oracle-error", "made an oracle break"),
    ("unknown-nondeterminism", "were not the same when they were performed again"),
)
"""Causes of an unknown run, as the end of a sentence about runs."""


class Exercised(NamedTuple):
    """In how many runs a thing was seen: in all, and on each host in the order of `urls`.

    None stands for a host that cannot show it, or that was not counted by itself.
    """

    name: str
    total: int
    by_host: tuple[int | None, ...]


def urls(campaign: Campaign) -> tuple[str, ...]:
    """URLs of the hosts that told who they are, and of those that were counted."""
    return tuple(dict.fromkeys((*(host.url for host in campaign.hosts), *campaign.by_host)))


def identity(campaign: Campaign, url: str) -> HostIdentity:
    """Who the host at `url` is; an identity without words when it never told."""
    return next((host for host in campaign.hosts if host.url == url), HostIdentity(url, "", ""))


def exercised(campaign: Campaign, kind: str) -> tuple[Exercised, ...]:
    """What of `kind` (``phase``, ``event``) was seen in how many runs. A host's own count is ``key@URL``."""
    hosts = urls(campaign)
    is_told = any("@" in key for key in campaign.seen)
    rows = []
    for key, total in campaign.seen.items():
        if key.startswith(f"{kind}:") and "@" not in key:
            name = key.removeprefix(f"{kind}:")
            by_host = tuple(
                campaign.seen.get(f"{key}@{url}", 0)
                if is_told and (kind != "phase" or name in _phases_on(campaign, url))
                else None
                for url in hosts
            )
            rows.append(Exercised(name, total, by_host))
    return tuple(sorted(rows, key=lambda row: phase_order(row.name)))


class Grid(NamedTuple):
    """Events (rows) performed in phases of recovery (columns), with the runs by the state of the context."""

    phases: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Mapping[str, int], ...]], ...]
    most: int


def coverage(campaign: Campaign) -> Grid | None:
    """What the campaign covered; None when that was not counted."""
    totals: dict[tuple[str, str], Counter[str]] = {}
    for row in exercised(campaign, COVER):
        event, _, rest = row.name.partition("/")
        phase, _, state = rest.partition("/")
        totals.setdefault((event, phase), Counter())[state] += row.total
    if not totals:
        return None
    phases = tuple(sorted({phase for _, phase in totals}, key=lambda name: (_moment_order(name), name)))
    rows = []
    for event in sorted({event for event, _ in totals}):
        rows.append((event, tuple(dict(sorted(totals.get((event, phase), {}).items())) for phase in phases)))
    return Grid(phases, tuple(rows), max(counter.total() for counter in totals.values()))


def _moment_order(phase: str) -> int:
    return {IDLE: -2, UNDETECTED: -1}.get(phase, phase_order(phase))


def phase_order(name: str) -> int:
    """Where the phase `name` stands among all; the same last place for every other word."""
    return _PHASE_ORDER.get(name, len(_PHASE_ORDER))


_PHASE_ORDER = {phase.value: number for number, phase in enumerate(Phase)}
_PHASES_ON = {platform.value: frozenset(phases(platform)) for platform in Platform}
_ALL_PHASES = frozenset().union(*_PHASES_ON.values())


def _phases_on(campaign: Campaign, url: str) -> frozenset[str]:
    return _PHASES_ON.get(identity(campaign, url).platform, _ALL_PHASES)


def duration(seconds: float) -> str:
    """``1 h 02 min 03 s``, ``61.2 s``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"


def moment(time_us: int) -> str:
    """A time of a history in the unit that suits it: ``850 µs``, ``12.50 ms``, ``3.002 s``."""
    if abs(time_us) < 1000:
        return f"{time_us} µs"
    if abs(time_us) < 1_000_000:
        return f"{time_us / 1000:.2f} ms"
    return f"{time_us / 1_000_000:.3f} s"


def steps_of(bug: Bug) -> str:
    """How many steps the bug's case has, and from how many it was minimised."""
    words = f"{bug.steps} step{'' if bug.steps == 1 else 's'}"
    if bug.minimised_from > bug.steps:
        words += f", minimised from {bug.minimised_from}"
    return words + (", each needed" if bug.is_one_minimal else "")


def count(number: int, noun: str) -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
