"""What all lanes of a campaign are told, whom they count with, and what stops them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.plan.knownissues import NO_KNOWN_ISSUES, KnownIssues
from harness.run.corpus import Corpus, no_corpus
from harness.run.search import Drawing
from harness.vocab.campaign import HostIdentity
from harness.vocab.case import Case
from harness.vocab.oracle import Oracle
from harness.vocab.run import Run
from harness.vocab.topology import Platform, Subject
from harness.vocab.verdict import Finding


@dataclass(frozen=True)
class Orders:
    """What all lanes are told. `draw` makes cases of seeds; `oracles` judge.

    One case of `twice_every` is performed twice on a deterministic host; 0 is none. `corpus` opens the corpus
    of a platform, and is told whom to tell of files that cannot be used. What `issues` excuse is not
    minimised. `subject` is what the drawn cases are about.
    """

    seed: int
    draw: Drawing
    oracles: tuple[Oracle, ...]
    saved: tuple[Case, ...] = ()
    twice_every: int = 0
    issues: KnownIssues = NO_KNOWN_ISSUES
    corpus: Callable[[Platform, Callable[[str], None]], Corpus] = no_corpus
    subject: Subject = Subject.CARDS


class Counting(Protocol):
    """Whom a lane counts with: a Tally, here or in another process."""

    def next_number(self) -> int:
        """The number of a run that is about to begin."""
        ...

    def identify(self, identity: HostIdentity, /) -> None:
        """A host said who it is."""
        ...

    def trouble(self, sentence: str, /) -> None:
        """Something went wrong in the lab."""
        ...

    def effort(self, what: str, count: int = 1, /) -> None:
        """Something was done to find more."""
        ...

    def wants(self, run: Run, /) -> bool:
        """Whether `run` is to be kept with its history."""
        ...

    def count(self, run: Run, oracles: Sequence[str], /) -> list[Finding]:
        """Count a run that has ended; returns the first finding of each signature never seen before."""
        ...

    def minimised(self, signature: str, **facts: str | int | bool) -> None:
        """Fill in what became known of a bug."""
        ...


class Stopping(Protocol):
    """What tells lanes to stop: an Event of threads or of processes."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def set(self) -> None:
        """Stop."""
        ...
