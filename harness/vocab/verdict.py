"""Judgement: PASS < UNKNOWN < FAIL, the worst wins, and judging nothing gives UNKNOWN."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum


class Verdict(Enum):
    """What is thought of a run. The order of severity is PASS < UNKNOWN < FAIL."""

    PASS = "pass"
    UNKNOWN = "unknown"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """0 for PASS, 1 for UNKNOWN, 2 for FAIL."""
        return _SEVERITY[self]


_SEVERITY = {Verdict.PASS: 0, Verdict.UNKNOWN: 1, Verdict.FAIL: 2}


class Cause(Enum):
    """Why a verdict is UNKNOWN."""

    INFRA = "infra"
    INDETERMINATE = "indeterminate"
    VACUOUS = "vacuous"
    ORACLE_ERROR = "oracle-error"
    NONDETERMINISM = "nondeterminism"


class ExitCode(IntEnum):
    """The documented exit codes of every command."""

    PASS = 0
    FAIL = 1
    UNKNOWN = 2
    INFRA = 3
    USAGE = 4
    NOTHING_RAN = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Finding:
    """One oracle's complaint.

    `kind` is a short stable slug for the variant of the complaint (``valid-after-all-ones``); together with
    the oracle's name it makes the signature. `records` are indexes into the History's records.
    """

    oracle: str
    kind: str
    message: str
    records: tuple[int, ...] = ()
    verdict: Verdict = Verdict.FAIL
    cause: Cause | None = None

    @property
    def signature(self) -> str:
        """The stable name of the bug that this finding shows: ``oracle/kind``."""
        return f"{self.oracle}/{self.kind}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all oracles together think of one History."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    oracles: tuple[str, ...] = ()
    cause: Cause | None = None

    @property
    def signatures(self) -> tuple[str, ...]:
        """Signatures of the failing findings, sorted, each once."""
        return tuple(sorted({f.signature for f in self.findings if f.verdict is Verdict.FAIL}))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of `verdicts`; no verdict at all is UNKNOWN, because no evidence is no pass."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.UNKNOWN)
