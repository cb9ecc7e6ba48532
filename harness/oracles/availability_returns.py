"""Oracle: after a recovery every AFU can be used again, for every kind and number of contexts, in time.

The probes of the closing steps must succeed, each within its own bound, and WED must give what they
attached. A recovery itself ends, well or in permanent failure, within 60 s of its quiesce. A probe is
excused when its AFU was declared failed or has no driver or another mode, when it is tried only once and
the recovery still has time, when a recovery began after it had opened its context, and when something that
nobody had noticed may strike.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import contexts
from harness.oracles._disturbance import (
    disturbances,
    may_be_struck,
    meddling_us,
    scripted_hcalls,
    was_unbound,
)
from harness.oracles._episode import RECOVERY_US, Episode, episodes, is_recovering
from harness.oracles._memo import end_us, ms
from harness.oracles._probe import PROBES, is_given_up, is_held_by_others, is_refused_by_phyp, probing_from_us
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.phase import Phase
from harness.vocab.registers import Register
from harness.vocab.topology import Afu
from harness.vocab.verdict import Finding

NAME = "availability_returns"


def judge(history: History) -> Iterator[Finding]:
    """Look at the first failure of every probe, at what they loaded, and at the length of recoveries."""
    failed: set[int] = set()
    for operation in history.failed:
        step = operation.invoke.step
        if operation.intent.event in PROBES and step not in failed:
            failed.add(step)
            began_us = next(o.began_us for o in history.operations if o.invoke.step == step)
            yield from _failure(history, operation, began_us)
    yield from _wrong_values(history)
    for found in episodes(history).values():
        for episode in found:
            yield from _endless(history, episode)


def _failure(history: History, operation: Operation, began_us: int) -> Iterator[Finding]:
    afu = _afu(history, operation)
    if (
        afu is None
        or _is_early(history, afu.name, operation)
        or _is_excused(history, afu, operation, began_us)
    ):
        return
    assert operation.end is not None
    why = operation.errno or operation.answer.get("signal", "")
    what = operation.args.get("name", operation.verb)
    probe = PROBES[operation.intent.event]
    message = f"the {probe} probe of {afu.name} failed at {ms(operation.ended_us)}: {what} gave {why}"
    kind = f"{probe}-{operation.verb}".replace("_", "-")
    yield Finding(NAME, kind, message, (operation.invoke.seq, operation.end.seq))


def _afu(history: History, operation: Operation) -> Afu | None:
    name = operation.intent.details.get("afu")
    return next((afu for afu in history.topology.afus if afu.name == name), None)


def _is_excused(history: History, afu: Afu, operation: Operation, began_us: int) -> bool:
    return (
        is_given_up(history, afu.name, operation.ended_us)
        or may_be_struck(history, afu.name, probing_from_us(history))
        or _has_other_mode(history, afu, operation)
        or is_held_by_others(history, afu.name, operation)
        or is_refused_by_phyp(history, operation)
        or _is_on_a_dead_context(history, afu.name, operation)
        or any(
            item.began_us <= operation.ended_us and item.ended_us >= began_us
            for item in disturbances(history).get(afu.name, ())
        )
    )


def _is_early(history: History, afu: str, operation: Operation) -> bool:
    """Whether it was tried only once, while a recovery still had time to end, or even to begin."""
    return "retry_ms" not in operation.args and any(
        episode.began_us <= operation.ended_us < min(episode.ended_us, _last_sign_us(episode) + RECOVERY_US)
        for episode in episodes(history).get(afu, ())
    )


def _last_sign_us(episode: Episode) -> int:
    """From when on its recovery has to be quick."""
    quiesces = episode.of(Phase.QUIESCE)
    return quiesces[-1].time_us if quiesces else episode.began_us


def _is_on_a_dead_context(history: History, afu: str, operation: Operation) -> bool:
    """Whether the context was open when a recovery began, which ends it for good: another must be opened."""
    return any(
        operation in context.calls and context.opened.ended_us <= episode.began_us <= operation.ended_us
        for context in contexts(history).contexts
        for episode in episodes(history).get(afu, ())
    )


def _has_other_mode(history: History, afu: Afu, probe: Operation) -> bool:
    """Whether the mode last written to the AFU has not the device nodes that the probe wants."""
    path = f"/sys/class/cxl/{afu.name}/mode"
    written = [
        o.args["text"].strip()
        for o in history.operations_of("write_file")
        if o.args["path"] == path and o.is_ok and o.ended_us < probe.began_us
    ]
    return bool(written) and written[-1] != afu.mode.value and probe.verb != "write_file"


def _wrong_values(history: History) -> Iterator[Finding]:
    for context in contexts(history).contexts:
        if context.opened.intent.event not in PROBES or not context.is_attached:
            continue
        for load in context.loads:
            if load.args["offset"] != Register.WED or load.end is None:
                continue
            wrong = [run[0] for run in load.answer.get("runs", ()) if run[0] != context.wed]
            afu = history.topology.afu(context.afu)
            if not wrong or is_recovering(history, afu.name, load.ended_us):
                continue
            if not _is_excused(history, afu, load, context.opened.began_us):
                message = (
                    f"the probe of {context.afu} attached WED {context.wed:#x} and loaded {wrong[0]:#x} "
                    f"at {ms(load.ended_us)}"
                )
                yield Finding(NAME, "availability-value", message, (load.invoke.seq, load.end.seq))


def _endless(history: History, episode: Episode) -> Iterator[Finding]:
    quiesces = episode.of(Phase.QUIESCE)
    if not quiesces or was_unbound(history, episode.afu, episode.began_us, episode.ended_us):
        return
    last_us = quiesces[-1].time_us  # a nested error begins it again
    until_us = min(episode.ended_us, end_us(history))
    slack_us = RECOVERY_US * len(scripted_hcalls(history)) + meddling_us(
        history, episode.afu, last_us, until_us
    )
    if until_us - last_us > RECOVERY_US + slack_us:
        message = f"the recovery of {episode.afu}, quiesced at {ms(last_us)}, did not end within 60 s"
        yield Finding(NAME, "recovery-endless", message, (quiesces[-1].seq,))


ORACLE = Oracle(NAME, "After a recovery every AFU can be used again, in time", judge)
