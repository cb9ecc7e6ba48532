"""Oracle: a recovery purges every active context, each exactly once.

A context whose attach was under way before the AFU was reset (quiesced, where PHYP resets by itself) and
succeeded has its cxl_detach soon after the quiesce, and by the time the recovery is over, unless its owner
had begun to let go of it. After a permanent failure it has it soon.

An error that ends by itself is one too, as far as the driver saw it. On a lab host PHYP decides whether
process elements survive it, so this is judged only where PHYP is simulated, and they do not: there time is
virtual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.oracles._context import Context, Tenancy, contexts
from harness.oracles._disturbance import scripted_hcalls
from harness.oracles._episode import Episode, episodes
from harness.oracles._memo import SECOND_US, end_us, has_whole_trace, ms
from harness.oracles._poll import samples
from harness.vocab.history import History, Record
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.verdict import Finding

NAME = "contexts_purged"
_VIRTUAL = "virtual-time"
_SOON_US = 2 * SECOND_US
_CONFIRMED_US = SECOND_US
_SOON_ON_HARDWARE_US = 60 * SECOND_US  # each process element command of a hung AFU may take its 5 s


def judge(history: History) -> Iterator[Finding]:
    """Count the detaches of each process element, then look for contexts that were missed."""
    found = contexts(history)
    for tenancy in found.tenancies:
        if len(tenancy.detaches) > 1:
            yield _twice(tenancy)
    by_afu = episodes(history)
    if not by_afu or not has_whole_trace(history):
        return
    is_simulated = _VIRTUAL in history.topology.features
    for context in found.contexts:
        if context.is_attached and context.tenancy and context.afu in by_afu:
            yield from _missed(history, context, by_afu[context.afu])
            if is_simulated:
                yield from _left_behind(history, context)


def _twice(tenancy: Tenancy) -> Finding:
    first, second = tenancy.detaches[:2]
    message = (
        f"process element {tenancy.process_element} of {tenancy.afu} was purged at {ms(first.time_us)} "
        f"and again at {ms(second.time_us)}"
    )
    return Finding(NAME, "purged-twice", message, (tenancy.attach.seq, first.seq, second.seq))


def _missed(history: History, context: Context, found: Sequence[Episode]) -> Iterator[Finding]:
    for episode in found:
        deadline = _deadline(history, context, episode)
        if deadline is None:
            continue
        by_us, end = deadline
        if by_us > end_us(history) or context.release_began_us <= by_us:
            return
        detach = context.detach
        if detach is None or detach.time_us > by_us:
            yield _finding(context, end, detach)
        return


def _deadline(history: History, context: Context, episode: Episode) -> tuple[int, Record] | None:
    """By when the episode must have purged the context, and the mark that says so; None when it need not."""
    assert context.tenancy is not None
    attached_us = context.tenancy.attach.time_us
    if attached_us >= _closed_us(episode):
        return None
    soon_us = _soon_us(history)
    deadlines = [
        (mark.time_us + soon_us, mark) for mark in episode.of(Phase.QUIESCE) if mark.time_us > attached_us
    ][:1]
    if episode.failed:
        deadlines.append((episode.failed.time_us + soon_us, episode.failed))
    elif episode.recovered:
        deadlines.append((episode.recovered.time_us, episode.recovered))
    return min(deadlines, default=None)


def _left_behind(history: History, context: Context) -> Iterator[Finding]:
    """Whether the check saw the AFU in trouble, then well again, and the context was not purged between.

    Trouble that was over before it could be confirmed is none.
    """
    attach, detach = context.attach, context.detach
    assert attach is not None
    trouble: Record | None = None
    for sample in samples(history).get(context.afu, ()):
        if sample.phase is Phase.DETECTED:
            if trouble is None and attach.ended_us < sample.time_us:
                trouble = sample
        elif trouble and sample.time_us - trouble.time_us < _CONFIRMED_US:
            trouble = None
        elif trouble and sample.data.get("rc") == 0:
            is_purged = detach is not None and detach.time_us <= sample.time_us
            if context.release_began_us > sample.time_us and not is_purged:
                yield _survivor(context, trouble, sample)
            return


def _survivor(context: Context, trouble: Record, sample: Record) -> Finding:
    message = (
        f"the error of {context.afu}, seen at {ms(trouble.time_us)}, was over by {ms(sample.time_us)}, "
        f"and {context.name} was not purged"
    )
    return Finding(NAME, "left-behind", message, (trouble.seq, sample.seq))


def _closed_us(episode: Episode) -> int:
    """A context attached before this is one that the episode must purge."""
    for phase in (Phase.RESET, Phase.QUIESCE, Phase.DETECTED):
        marks = episode.of(phase)
        if marks:
            return marks[-1].time_us
    return 0


def _soon_us(history: History) -> int:
    if _VIRTUAL not in history.topology.features:
        return _SOON_ON_HARDWARE_US
    is_delayed = scripted_hcalls(history) and "deterministic" not in history.topology.features
    return _SOON_ON_HARDWARE_US if is_delayed else _SOON_US


def _finding(context: Context, end: Record, detach: Record | None) -> Finding:
    assert context.attach is not None
    phase = end.phase.value if end.phase else ""
    then = f"was purged only at {ms(detach.time_us)}" if detach else "was never purged"
    message = f"{context.name} was attached before the mark {phase!r} of {ms(end.time_us)} and {then}"
    proof = [context.attach.invoke.seq, end.seq, *([detach.seq] if detach else [])]
    return Finding(NAME, "late" if detach else "missed", message, tuple(proof))


ORACLE = Oracle(NAME, "A recovery purges every active context, each exactly once", judge)
