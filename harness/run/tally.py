"""What a campaign has counted so far: small, bounded, and shared by the lanes under one lock.

Its size depends on how many hosts, phases, events and signatures there are, never on how many runs.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.vocab.campaign import Bug, HostIdentity
from harness.vocab.coverage import COVER, Covered
from harness.vocab.history import History, Kind
from harness.vocab.run import Run
from harness.vocab.verdict import Cause, Finding, Verdict

BUGS_MAX = 200
"""Most signatures that are told apart; runs with further ones are counted as failed, without a name."""
SAME_MAX = 3
"""Runs kept for one signature, and for one cause of UNKNOWN on one host."""
TROUBLES_MAX = 20
"""Most sentences about trouble in the lab."""


@dataclass(frozen=True, slots=True)
class KeepRules:
    """Runs kept with their history: passing ones of each host, and failing ones in all."""

    passing: int = 3
    failing: int = 20


@dataclass(slots=True)
class Progress:
    """The numbers that a person watches."""

    runs: int = 0
    failed: int = 0
    unknown: int = 0
    bugs: int = 0


def count_key(verdict: Verdict, cause: Cause | None) -> str:
    """The key of `Campaign.counts`: ``pass``, ``fail``, ``unknown-infra``, …"""
    return f"{verdict.value}-{cause.value}" if cause else verdict.value


def seen(history: History, cover: Iterable[Covered]) -> dict[str, int]:
    """What a run showed: phases, events that were performed, and what it covered."""
    found = dict.fromkeys((f"phase:{phase.value}" for phase in history.marks), 1)
    performed = {record.step for record in history.records if record.kind is Kind.INVOKE}
    for index in performed:
        found[f"event:{history.intents[index].event}"] = 1
    for item in cover:
        found[f"{COVER}:{item.event}/{item.phase}/{item.state}"] = 1
    return found


@dataclass(slots=True)
class _Kept:
    """How many runs of each kind were kept."""

    by_kind: Counter[str] = field(default_factory=Counter)
    failing: int = 0


class Tally:
    """Counts of a campaign. Every method may be called from any lane."""

    def __init__(self, urls: Sequence[str], keep: KeepRules) -> None:
        self._lock = threading.Lock()
        self._keep = keep
        self._begun = 0
        self._counts: Counter[str] = Counter()
        self._by_host: dict[str, Counter[str]] = {url: Counter() for url in urls}
        self._seen: Counter[str] = Counter()
        self._search: Counter[str] = Counter()
        self._bugs: dict[str, Bug] = {}
        self._identities: dict[str, HostIdentity] = {}
        self._kept: list[Run] = []
        self._kept_counts = _Kept()
        self._troubles: dict[str, None] = {}
        self.oracles: dict[str, None] = {}

    def next_number(self) -> int:
        """The number of a run that is about to begin."""
        with self._lock:
            self._begun += 1
            return self._begun

    def identify(self, identity: HostIdentity) -> None:
        """A host said who it is."""
        with self._lock:
            self._identities[identity.url] = identity

    def trouble(self, sentence: str) -> None:
        """Something went wrong in the lab."""
        with self._lock:
            if len(self._troubles) < TROUBLES_MAX:
                self._troubles[sentence[:500]] = None

    def effort(self, what: str, count: int = 1) -> None:
        """Something was done to find more: `what`, in words, so many times."""
        with self._lock:
            self._search[what] += count

    def wants(self, run: Run) -> bool:
        """Whether `run` is to be kept with its history, and counted as kept. One with a new bug always is."""
        kinds = (
            [f"fail {signature}" for signature in run.signatures]
            if run.verdict is Verdict.FAIL
            else [f"{count_key(run.verdict, run.cause)} {run.host}"]
        )
        most = self._keep.passing if run.verdict is Verdict.PASS else SAME_MAX
        with self._lock:
            counts = self._kept_counts
            if all(counts.by_kind[kind] >= most for kind in kinds):
                return False
            if run.verdict is Verdict.FAIL:
                is_new = len(self._bugs) < BUGS_MAX and not self._bugs.keys() >= set(run.signatures)
                if counts.failing >= self._keep.failing and not is_new:
                    return False
                counts.failing += 1
            counts.by_kind.update(kinds)
            return True

    def count(self, run: Run, oracles: Sequence[str]) -> list[Finding]:
        """Count a run that has ended; returns the first finding of each signature never seen before."""
        key = count_key(run.verdict, run.cause)
        with self._lock:
            self.oracles.update(dict.fromkeys(oracles))
            self._counts[key] += 1
            self._by_host[run.host][key] += 1
            for name in run.seen:
                self._seen[name] += 1
                self._seen[f"{name}@{run.host}"] += 1
            if run.path:
                self._kept.append(run)
            return self._sighted(run)

    def _sighted(self, run: Run) -> list[Finding]:
        new: dict[str, Finding] = {}
        for finding in run.findings:
            signature = finding.signature
            if finding.verdict is not Verdict.FAIL or signature in new:
                continue
            known = self._bugs.get(signature)
            if known is None and len(self._bugs) < BUGS_MAX:
                new[signature] = finding
                self._bugs[signature] = Bug(
                    signature, finding.message, 0, run.number, run.host, run_path=run.path, steps=run.steps
                )
        for signature in run.signatures:
            if known := self._bugs.get(signature):
                also_on = known.also_on if run.host in known.hosts else (*known.also_on, run.host)
                self._bugs[signature] = replace(known, count=known.count + 1, also_on=also_on)
        return list(new.values())

    def minimised(self, signature: str, **facts: str | int | bool) -> None:
        """Fill in what became known of a bug: its case, its size, its replay command."""
        with self._lock:
            self._bugs[signature] = replace(self._bugs[signature], **facts)  # type: ignore[arg-type]

    def progress(self) -> Progress:
        """The numbers so far."""
        with self._lock:
            unknown = sum(n for key, n in self._counts.items() if key.startswith("unknown"))
            return Progress(self._counts.total(), self._counts["fail"], unknown, len(self._bugs))

    def facts(self) -> Facts:
        """Everything so far, as it goes into a Campaign."""
        with self._lock:
            return Facts(
                hosts=tuple(self._identities.values()),
                counts=dict(sorted(self._counts.items())),
                by_host={url: dict(sorted(counts.items())) for url, counts in self._by_host.items()},
                seen=dict(sorted(self._seen.items())),
                bugs=tuple(sorted(self._bugs.values(), key=lambda bug: bug.first_run)),
                kept=tuple(sorted(self._kept, key=lambda run: run.number)),
                oracles=tuple(self.oracles),
                trouble=tuple(self._troubles),
                search=dict(sorted(self._search.items())),
            )


@dataclass(frozen=True, slots=True)
class Facts:
    """The counted part of a Campaign, under the same names."""

    hosts: tuple[HostIdentity, ...]
    counts: dict[str, int]
    by_host: dict[str, dict[str, int]]
    seen: dict[str, int]
    bugs: tuple[Bug, ...]
    kept: tuple[Run, ...]
    oracles: tuple[str, ...]
    trouble: tuple[str, ...]
    search: dict[str, int]
