"""Episodes of error handling, AFU by AFU: from the first sign of trouble to recovered or permanently failed.

The marks of an AFU and of its card are read in order of time:
1. The first mark opens an episode; RECOVERED ends it, and the next mark opens another.
2. FAILED_PERMANENTLY ends an episode as failed. What follows still belongs to it, because a driver may be
   told, and clean up, after the failure was declared; only a RECOVERED that should not be opens another.
3. An error during an episode leads to more marks in it, not to another episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.oracles._disturbance import cards
from harness.oracles._memo import once
from harness.vocab.history import FOREVER_US, History, Record
from harness.vocab.phase import Phase

RECOVERY_US = 60_000_000
"""How long a recovery may take, from its last quiesce."""


@dataclass(eq=False, slots=True)
class Episode:
    """One stretch of error handling of one AFU; `marks` are in order of time."""

    afu: str
    marks: list[Record] = field(default_factory=list)
    recovered: Record | None = None
    failed: Record | None = None

    @property
    def began_us(self) -> int:
        """When its first mark was made."""
        return self.marks[0].time_us

    @property
    def ended_us(self) -> int:
        """When it was over; far in the future when it was not."""
        end = self.recovered or self.failed
        return end.time_us if end else FOREVER_US

    def of(self, *phases: Phase) -> list[Record]:
        """Its marks of `phases`."""
        return [mark for mark in self.marks if mark.phase in phases]


@once
def episodes(history: History) -> Mapping[str, Sequence[Episode]]:
    """Episodes by AFU, in order; an AFU without any mark is not in it."""
    marks = sorted(
        (r for phase, found in history.marks.items() if phase is not Phase.CONTEXT_PURGED for r in found),
        key=_by_time,
    )
    if not marks:
        return {}
    by_subject: dict[str, list[Record]] = {}
    for mark in marks:
        by_subject.setdefault(mark.subject, []).append(mark)
    found = {}
    for afu, card in cards(history).items():
        own, shared = by_subject.get(afu, []), by_subject.get(card, [])
        if own or shared:
            found[afu] = split(afu, sorted(own + shared, key=_by_time) if own and shared else own or shared)
    return found


def _by_time(record: Record) -> tuple[int, int]:
    return record.time_us, record.seq


def split(afu: str, marks: Sequence[Record], *, is_final: bool = True) -> list[Episode]:
    """The episodes that the marks of an AFU, or of a device, make; `marks` are in order of time.

    A permanent failure that is not final is the end of its episode: the device may be found anew.
    """
    found: list[Episode] = []
    for mark in marks:
        is_after = mark.phase is Phase.RECOVERED or (
            not is_final and mark.phase is not Phase.FAILED_PERMANENTLY
        )
        if not found or found[-1].recovered or (found[-1].failed and is_after):
            found.append(Episode(afu))
        episode = found[-1]
        episode.marks.append(mark)
        if mark.phase is Phase.RECOVERED:
            episode.recovered = mark
        elif mark.phase is Phase.FAILED_PERMANENTLY and episode.failed is None:
            episode.failed = mark
    return found


def is_recovering(history: History, afu: str, at_us: int) -> bool:
    """Whether `afu` is quiesced at that moment, by a recovery that still has time to end."""
    return any(
        quiesce.time_us <= at_us < min(episode.ended_us, quiesce.time_us + RECOVERY_US)
        for episode in episodes(history).get(afu, ())
        for quiesce in episode.of(Phase.QUIESCE)[-1:]
    )
