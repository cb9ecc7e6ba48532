"""Many Runs under one Testplan and one budget, as counted; and the Gate, the decision made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from harness.vocab.run import Run
from harness.vocab.verdict import ExitCode, Verdict


class Ended(Enum):
    """Why a campaign stopped."""

    BUDGET = "budget"  # the time or the number of cases was used up
    EXHAUSTED = "exhausted"  # every saved case was performed, nothing was to be drawn
    INTERRUPTED = "interrupted"
    INFRA = "infra"  # no host was left


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Which host it was: URL, platform, kernel, host name, and whatever versions it told (sorted by name)."""

    url: str
    platform: str
    kernel: str
    hostname: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bug:
    """One signature: how often it was seen, what it says, where its smallest case is and how to replay it.

    `host` is where it was seen first, `also_on` where it was seen besides.
    """

    signature: str
    message: str
    count: int
    first_run: int
    host: str
    case_path: str = ""  # relative to the run directory
    run_path: str = ""  # relative to the run directory: case.json and history.jsonl of the first sighting
    steps: int = 0
    minimised_from: int = 0
    is_one_minimal: bool = False
    replay: str = ""  # the command
    known_issue: str = ""  # the reason given for it, when it is on the list
    also_on: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """URLs of the hosts on which it was seen."""
        return (self.host, *self.also_on)


@dataclass(frozen=True, slots=True)
class Campaign:
    """The summary of a campaign; everything that reports and the gate need, bounded in size.

    `counts` is runs by verdict value, with UNKNOWN split by cause: ``pass``, ``fail``, ``unknown-infra``,
    ``unknown-indeterminate``, ``unknown-vacuous``, ``unknown-oracle-error``, ``unknown-nondeterminism``.
    `by_host` is the same for each URL. `seen` counts runs in which a phase (``phase:recovered``), an event
    (``event:Attach``), or an event in a phase on a context in a state (``cover:Attach/quiesce/opened``) was
    seen. `kept` are the runs with a directory. `trouble` says what went wrong in the lab, in words. `search`
    counts, in words too, what was done to find more.
    """

    plan: str
    title: str
    seed: int
    started: str  # ISO 8601, UTC
    duration_s: float
    ended: Ended
    budget: str
    hosts: tuple[HostIdentity, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    by_host: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    bugs: tuple[Bug, ...] = ()
    kept: tuple[Run, ...] = ()
    oracles: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()
    search: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many cases were performed, or begun."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Gate:
    """The decision: `verdict` PASS releases, anything else does not. Each reason is one sentence."""

    verdict: Verdict
    exit_code: ExitCode
    reasons: tuple[str, ...]

    @property
    def is_released(self) -> bool:
        """Whether the release may go."""
        return self.verdict is Verdict.PASS
