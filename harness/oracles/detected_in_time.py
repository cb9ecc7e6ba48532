"""Oracle: an error is detected in time.

PowerVM: the periodic check of the AFU sees the error within one period and a slack of 1 s; the check itself
goes on, without longer gaps, until a permanent failure. Bare metal: a poke of a frozen card is followed by
the detection within 2 s. Not judged are errors into a running recovery, into a device that is given up or
has no driver, and those that somebody else can have undone meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from harness.oracles._disturbance import (
    Disturbance,
    disturbances,
    has_failed_permanently,
    has_meddled,
    is_marked,
    is_unbound,
    meddling_us,
    scripted_hcalls,
    was_unbound,
)
from harness.oracles._episode import episodes
from harness.oracles._frozen import undetected_freeze
from harness.oracles._memo import SECOND_US, end_us, has_whole_trace, ms
from harness.oracles._poll import WORKER, samples
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "detected_in_time"
_SLACK_US = SECOND_US
_LONG_BUSY_RC = 9904  # from here on a long-busy answer makes the driver wait 10 s or more
_RECOVERY_US = 60 * SECOND_US
_POKED_US = 2 * SECOND_US
_CORRECTABLE = "correctable"  # a severity that counts only when the last one of a step exceeds the threshold
_BUSY = (Phase.QUIESCE, Phase.RESET, Phase.SLOT_RESET)
_NOTICES = (Phase.DETECTED, Phase.CONFIRMED)  # the kernel says it later, if it is busy with another card
_POKES = frozenset({"CheckDevice", "ReadConfigSpace"})


def judge(history: History) -> Iterator[Finding]:
    """Judge the platform's own way to detect."""
    if history.topology.platform is Platform.POWERVM:
        if history.topology.poll_period_ms and has_whole_trace(history):
            yield from _undetected_by_check(history)
            for afu in history.topology.afus:
                yield from _gaps(history, afu.name)
    else:
        yield from _undetected_by_poke(history)


def _bound_us(history: History) -> int:
    """One period and the slack, and a period or a wait for each answer that the case made PHYP give."""
    period_us = 1000 * history.topology.poll_period_ms
    bound_us = period_us + _SLACK_US
    for operation in scripted_hcalls(history):
        args = operation.args.get("with", {})
        wait_us = 10 * SECOND_US if args.get("rc", 0) >= _LONG_BUSY_RC else SECOND_US
        wait_us = max(wait_us, 1000 * int(args.get("for_ms", 0)))
        bound_us += int(args.get("times", 1)) * max(period_us, wait_us)
    return bound_us


def _undetected_by_check(history: History) -> Iterator[Finding]:
    bound_us, over_us = _bound_us(history), end_us(history)
    for afu, found in disturbances(history).items():
        for item in found:
            deadline_us = item.ended_us + bound_us
            if deadline_us > over_us or not _is_judged(history, afu, item, deadline_us):
                continue
            marks = history.marked(Phase.DETECTED, afu)
            if not any(
                item.began_us <= mark.time_us <= deadline_us and _is_by_worker(mark.data) for mark in marks
            ):
                message = (
                    f"the error of {afu} at {ms(item.ended_us)} was not detected by its periodic check "
                    f"within {ms(bound_us)}"
                )
                yield Finding(NAME, "undetected", message, _proof(item.operation))


def _is_by_worker(data: object) -> bool:
    return isinstance(data, dict) and str(data.get("comm", "")).startswith(WORKER)


def _is_judged(history: History, afu: str, item: Disturbance, deadline_us: int) -> bool:
    args = item.operation.args.get("with", {})
    return (
        item.is_error
        and item.is_immediate
        and item.has_acted
        and args.get("afu", afu) == afu
        and (args.get("severity") != _CORRECTABLE or _is_last_of_step(history, item))
        and not has_failed_permanently(history, afu, item.ended_us)
        and not is_unbound(history, afu, deadline_us)
        and not has_meddled(history, afu, item.began_us, deadline_us)
        and not any(
            episode.began_us <= item.ended_us and episode.ended_us >= item.began_us
            for episode in episodes(history).get(afu, ())
        )
    )


def _is_last_of_step(history: History, item: Disturbance) -> bool:
    step, part = item.operation.invoke.step, item.operation.invoke.part
    return not any(o.invoke.step == step and o.invoke.part > part for o in history.operations)


def _gaps(history: History, afu: str) -> Iterator[Finding]:
    bound_us = _bound_us(history)
    busy = [mark for phase in (*_BUSY, Phase.RECOVERED) for mark in history.marked(phase, afu)]
    signs = [(record.time_us, record.seq, False) for record in samples(history).get(afu, ())]
    signs += [(mark.time_us, mark.seq, mark.phase is not Phase.RECOVERED) for mark in busy]
    signs.sort()
    for (from_us, from_seq, is_busy), (to_us, to_seq, _) in pairwise(
        [(0, 0, False), *signs, (end_us(history), len(history.records) - 1, False)]
    ):
        slack_us = _RECOVERY_US if is_busy else 0
        if to_us - from_us <= bound_us + slack_us + meddling_us(history, afu, from_us, to_us):
            continue
        if has_failed_permanently(history, afu, to_us) or was_unbound(history, afu, 0, to_us):
            return
        message = (
            f"the periodic check of {afu} paused from {ms(from_us)} to {ms(to_us)}, "
            f"at most {ms(bound_us)} are allowed"
        )
        yield Finding(NAME, "check-paused", message, (from_seq, to_seq))


def _undetected_by_poke(history: History) -> Iterator[Finding]:
    for poke in history.operations:
        if poke.intent.event not in _POKES or not poke.is_ok or poke.ended_us + _POKED_US > end_us(history):
            continue
        for card in history.topology.cards:
            if not _is_about(poke, card.name, card.bdf):
                continue
            frozen = undetected_freeze(history, card, poke.began_us)
            if frozen is None:
                continue
            afu = card.afus[0].name
            if not is_marked(history, afu, _NOTICES, frozen.began_us, poke.ended_us + _POKED_US):
                message = (
                    f"{card.name} was frozen by {ms(frozen.ended_us)} and poked at {ms(poke.began_us)}, "
                    f"and was not detected within {ms(_POKED_US)}"
                )
                yield Finding(NAME, "undetected", message, (*_proof(frozen.operation), *_proof(poke)))
                return


def _is_about(poke: Operation, card: str, bdf: str) -> bool:
    if poke.intent.details.get("card") == card:
        return True
    return bool(bdf) and bdf in f"{poke.args.get('path', '')} {poke.args.get('text', '')}"


def _proof(operation: Operation) -> tuple[int, ...]:
    return tuple(record.seq for record in (operation.invoke, operation.end) if record is not None)


ORACLE = Oracle(NAME, "An error is detected in time", judge)
