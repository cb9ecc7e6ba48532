"""Oracle: the phases of a recovery come in their order, each at most once.

The order is detected and confirmed, quiesce, reset, slot reset, recovered; contexts are purged before the
slot reset. An error during the recovery begins the order anew, but what was quiesced stays so. A reset with
hotplug removes the driver, and so quiesces after the reset was announced. On PowerVM the calls of
applications and administrators make the same marks, so beside the quiesce only those of the kernel's own
worker count; and there PHYP may have done the reset by itself. The worker resumes only what it has read to be
NORMAL. Whoever lets new contexts in has said that the recovery is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.oracles._context import contexts
from harness.oracles._disturbance import has_meddled, was_unbound
from harness.oracles._episode import Episode, episodes
from harness.oracles._memo import has_whole_trace, ms
from harness.oracles._poll import WORKER, samples
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "phases_in_order"
_HOTPLUG = "with hotplug"
_NORMAL = 1  # in R4 of READ_ERR_STATE

# What must have come before, since the order last began.
_NEEDS: dict[Platform, dict[Phase, Phase]] = {
    Platform.POWERNV: {
        Phase.RESET: Phase.QUIESCE,
        Phase.SLOT_RESET: Phase.RESET,
        Phase.RECOVERED: Phase.RESET,
    },
    Platform.POWERVM: {
        Phase.RESET: Phase.QUIESCE,
        Phase.SLOT_RESET: Phase.QUIESCE,
        Phase.RECOVERED: Phase.SLOT_RESET,
    },
}
_RECOVERER = "eehd"
_ONCE = frozenset({Phase.SLOT_RESET, Phase.RESUME})
_RESTARTS = (Phase.DETECTED, Phase.CONFIRMED, Phase.QUIESCE)
_ANYBODYS = frozenset({Phase.QUIESCE, Phase.FAILED_PERMANENTLY})


def judge(history: History) -> Iterator[Finding]:
    """Walk through every episode of every AFU up to a permanent failure."""
    told: set[int] = set()
    for found in episodes(history).values():
        for episode in found:
            if episode.failed:
                break
            for finding in _walk(history, episode):
                if finding.records[-1] not in told:
                    told.add(finding.records[-1])
                    yield finding
            yield from _late_purges(history, episode)
            yield from _blind_resumes(history, episode)
            yield from _silent_ends(history, episode)


def _walk(history: History, episode: Episode) -> Iterator[Finding]:
    needs = _NEEDS[history.topology.platform]
    seen: dict[Phase, Record] = {}
    is_hotplug = False
    for mark in _own_marks(history, episode):
        phase = mark.phase
        assert phase is not None
        is_wait = phase is Phase.CONFIRMED and _is_wait(mark, seen)
        is_restart = phase in _RESTARTS and not is_wait and not _is_removal(history, episode, mark)
        if is_restart and not is_hotplug:
            seen = {phase: seen[phase] for phase in (Phase.QUIESCE,) if phase in seen}
        is_hotplug |= phase is Phase.RESET and _HOTPLUG in str(mark.data.get("text", ""))
        needed = needs.get(phase)
        if needed and needed not in seen and not is_hotplug:
            message = f"{episode.afu}: {phase.value} at {ms(mark.time_us)} without {needed.value} before it"
            yield Finding(NAME, f"{phase.value}-without-{needed.value}", message, (mark.seq,))
        if phase in _ONCE and phase in seen:
            first = seen[phase]
            message = f"{episode.afu}: {phase.value} at {ms(first.time_us)} and again at {ms(mark.time_us)}"
            yield Finding(NAME, f"{phase.value}-twice", message, (first.seq, mark.seq))
        seen.setdefault(phase, mark)


def _is_wait(mark: Record, seen: Mapping[Phase, Record]) -> bool:
    """Whether a frozen state was read that is no new error.

    EEH's own thread reads the state until its reset is done. For the reset it freezes the EEH PE itself, and
    whoever looks meanwhile finds that. When there is another error, it is said in the log, too.
    """
    is_reset = Phase.RESET in seen and Phase.SLOT_RESET not in seen
    return is_reset or mark.data.get("comm") == _RECOVERER


def _is_removal(history: History, episode: Episode, mark: Record) -> bool:
    """Whether it may be an administrator's, who takes the driver away while the recovery ends."""
    return mark.phase is Phase.QUIESCE and was_unbound(history, episode.afu, mark.time_us, mark.time_us)


def _own_marks(history: History, episode: Episode) -> list[Record]:
    """The marks that the recovery itself made."""
    if history.topology.platform is Platform.POWERNV:
        return episode.marks
    return [
        m for m in episode.marks if m.phase in _ANYBODYS or str(m.data.get("comm", "")).startswith(WORKER)
    ]


def _late_purges(history: History, episode: Episode) -> Iterator[Finding]:
    slot_resets = [m for m in _own_marks(history, episode) if m.phase is Phase.SLOT_RESET]
    if not slot_resets or not episode.recovered:
        return
    from_us, until_us = slot_resets[-1].time_us, episode.recovered.time_us
    if any(mark.time_us >= from_us for mark in episode.of(*_RESTARTS)):
        return
    for context in contexts(history).contexts:
        purge = context.purge
        if context.afu == episode.afu and purge and from_us < purge.time_us < until_us:
            message = (
                f"{context.name} was purged at {ms(purge.time_us)}, after the slot reset of {ms(from_us)}"
            )
            yield Finding(NAME, "purged-after-slot-reset", message, (slot_resets[-1].seq, purge.seq))


def _blind_resumes(history: History, episode: Episode) -> Iterator[Finding]:
    """PowerVM: the worker resumes an AFU only when the last state that it has read is NORMAL."""
    if history.topology.platform is not Platform.POWERVM or not has_whole_trace(history):
        return
    read = samples(history).get(episode.afu, ())
    for mark in _own_marks(history, episode):
        if mark.phase is not Phase.RECOVERED:
            continue
        before = [sample for sample in read if sample.time_us <= mark.time_us]
        if before and before[-1].data.get("r4") != _NORMAL:
            message = (
                f"{episode.afu} was resumed at {ms(mark.time_us)}, and the state read last, at "
                f"{ms(before[-1].time_us)}, was {before[-1].data.get('r4')}"
            )
            yield Finding(NAME, "resumed-unwell", message, (before[-1].seq, mark.seq))


def _silent_ends(history: History, episode: Episode) -> Iterator[Finding]:
    """A recovery that lets new contexts in has said that it is over."""
    quiesces = episode.of(Phase.QUIESCE)
    if not quiesces or episode.recovered or not has_whole_trace(history):
        return
    for context in contexts(history).attached:
        attach = context.attach
        assert attach is not None
        if context.afu != episode.afu or context.opened.began_us <= quiesces[-1].time_us:
            continue
        if attach.ended_us >= episode.ended_us:
            return
        if not has_meddled(history, episode.afu, 0, attach.ended_us):
            message = (
                f"{episode.afu} was quiesced at {ms(quiesces[-1].time_us)}, {context.name} was attached by "
                f"{ms(attach.ended_us)}, and nobody said that the recovery was over"
            )
            yield Finding(NAME, "silent-end", message, (quiesces[-1].seq, attach.invoke.seq))
        return


ORACLE = Oracle(NAME, "The phases of a recovery come in their order", judge)
