"""A Run is one performance of one Case on one Host, as it is counted and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.vocab.verdict import Cause, Finding, Verdict


@dataclass(frozen=True, slots=True)
class Run:
    """What is kept of one performance, whether or not its history is.

    `number` counts runs of the campaign from 1; `host` is the URL; `seed` drew the case; `digest` is the hash
    of the history on a deterministic host, else empty; `path` is the directory relative to the campaign's
    where case.json and history.jsonl are kept, or empty. `seen` counts phases and event classes.
    """

    number: int
    case_id: str
    host: str
    seed: int
    verdict: Verdict
    cause: Cause | None = None
    findings: tuple[Finding, ...] = ()
    steps: int = 0
    records: int = 0
    duration_us: int = 0
    digest: str = ""
    path: str = ""
    seen: Mapping[str, int] = field(default_factory=dict)

    @property
    def signatures(self) -> tuple[str, ...]:
        """Signatures of the failing findings, sorted, each once."""
        return tuple(sorted({f.signature for f in self.findings if f.verdict is Verdict.FAIL}))
