"""Oracle: a reset that an administrator asks for is refused as long as somebody uses what it would reset.

A card with attached contexts refuses a reset that is not forced, and an AFU with open contexts any. Judged
are contexts that were there, for sure, from before the reset until its end. When something else disturbs the
AFU before that, a recovery may have taken them, and only one that was not purged by the end counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.oracles._context import Context, contexts
from harness.oracles._disturbance import cards, disturbances
from harness.oracles._memo import ms
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding

NAME = "resets_are_refused"
_RESET = re.compile(r"/sys/class/cxl/((card|afu)[0-9.]+)/reset")
_UNFORCED = "1"


def judge(history: History) -> Iterator[Finding]:
    """Look at the resets that were granted, and at who used the card or AFU meanwhile."""
    for operation in history.operations_of("write_file"):
        if not operation.is_ok:
            continue
        found = _RESET.fullmatch(str(operation.args["path"]))
        if found is None:
            continue
        subject, kind = found[1], found[2]
        if kind == "card" and str(operation.args["text"]).strip() != _UNFORCED:
            continue
        is_used = _is_attached if kind == "card" else _is_open
        for context in contexts(history).contexts:
            mine = cards(history).get(context.afu) if kind == "card" else context.afu
            if mine == subject and is_used(history, context, operation):
                yield _finding(context, operation, kind, subject)
                break


def _is_attached(history: History, context: Context, reset: Operation) -> bool:
    """Whether the context was attached all the time; the reset itself may have purged it."""
    attach, detach = context.attach, context.detach
    if attach is None or not attach.is_ok or attach.ended_us >= reset.began_us:
        return False
    if context.release_began_us <= reset.ended_us or (detach and detach.time_us <= reset.began_us):
        return False
    return not _is_disturbed(history, context, reset) or detach is None or detach.time_us > reset.ended_us


def _is_open(history: History, context: Context, reset: Operation) -> bool:
    is_held = context.opened.ended_us < reset.began_us and context.release_began_us > reset.ended_us
    return is_held and not _is_disturbed(history, context, reset)


def _is_disturbed(history: History, context: Context, reset: Operation) -> bool:
    """Whether anything else may have closed the context before the reset was over."""
    return any(
        item.began_us <= reset.ended_us and item.operation is not reset
        for item in disturbances(history).get(context.afu, ())
    )


def _finding(context: Context, reset: Operation, kind: str, subject: str) -> Finding:
    assert reset.end is not None
    since = context.attach if kind == "card" and context.attach else context.opened
    use = "attached" if kind == "card" else "open"
    message = f"the reset of {subject} was granted at {ms(reset.ended_us)}, while {context.name} was {use}"
    proof = (since.invoke.seq, reset.invoke.seq, reset.end.seq)
    return Finding(NAME, f"{kind}-in-use", message, proof)


ORACLE = Oracle(NAME, "A card or AFU in use refuses a reset that is not forced", judge)
