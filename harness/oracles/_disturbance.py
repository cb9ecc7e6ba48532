"""What the case did to which AFU, and when: every operation of an event that reaches beyond its own context.

Oracles are sharp only where no disturbance can be the reason, so an operation that failed still counts as one
(a reset can fail half-way); only what certainly was not performed is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.oracles._memo import SECOND_US, once
from harness.vocab.event import Fate, Role
from harness.vocab.history import FOREVER_US, History, Kind, Operation
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform

_NOT_PERFORMED = frozenset({"not-triggered", "actor-gone"})
_UNSUPPORTED = "EOPNOTSUPP"
_SCRIPTS = frozenset({"phyp_answer", "phyp_hold"})
_COMMAND_ANSWER = "answer_command"
_CHANGES_NO_DEVICE = _SCRIPTS | {"phyp_release", _COMMAND_ANSWER}
_SAID_OF_COMMANDS = {  # by the kernel, for each process element command that was answered so
    "fail": "Error adding process element to AFU",  # of any AFU, and whatever the command was
    "hang": "WARNING: Process Element Command timed out!",
}
_REMOVE, _RETURN = "phyp_remove_facility", "phyp_return_facility"
_PASSING_US = 2 * SECOND_US  # a silent reset is over by then
_NOTICED = (Phase.DETECTED, Phase.RESET, Phase.RECOVERED)


class Disturbance(NamedTuple):
    """An operation of an event whose reach includes some AFU."""

    began_us: int
    ended_us: int
    role: Role
    fate: Fate
    operation: Operation

    @property
    def is_error(self) -> bool:
        """Whether it breaks something that must be recovered or declared failed."""
        return self.role is Role.ERROR and self.fate in SERIOUS

    @property
    def is_immediate(self) -> bool:
        """Whether it acts at once; what is written to an injector may wait for an access."""
        return self.operation.verb == "inject"

    @property
    def changes_device(self) -> bool:
        """Whether it may change the state of a device, and not only what somebody is answered."""
        return self.operation.args.get("what") not in _CHANGES_NO_DEVICE

    @property
    def has_acted(self) -> bool:
        """Whether the host said that it was done."""
        return self.operation.is_ok


SERIOUS = frozenset({Fate.RECOVERY, Fate.PERMANENT})


@once
def disturbances(history: History) -> Mapping[str, Sequence[Disturbance]]:
    """Disturbances by AFU, in the order in which they began. An AFU that nothing reaches is not in it."""
    found: dict[str, list[Disturbance]] = {}
    if not any(intent.disturbs for intent in history.intents):
        return found
    for operation in history.operations:
        intent = operation.intent
        if not intent.disturbs or not _may_have_acted(operation):
            continue
        item = Disturbance(operation.began_us, operation.ended_us, intent.role, intent.fate, operation)
        for afu in intent.disturbs:
            found.setdefault(afu, []).append(item)
    return found


def _may_have_acted(operation: Operation) -> bool:
    if operation.end is None or operation.end.kind is Kind.OK:
        return True
    if operation.end.kind is Kind.INFO:
        return operation.answer.get("reason") not in _NOT_PERFORMED
    return operation.errno != _UNSUPPORTED


def first_us(history: History, afu: str) -> int:
    """When the first disturbance of `afu` began; far in the future when there is none."""
    found = disturbances(history).get(afu)
    return found[0].began_us if found else FOREVER_US


def has_meddled(history: History, afu: str, since_us: int, until_us: int) -> bool:
    """Whether something can have brought `afu` back, or taken it away, without the driver's recovery.

    That is an administrator, or on PowerVM an error that ends by itself, within the interval. What PHYP or
    a PSL answers changes no device.
    """
    return any(
        item.began_us <= until_us and item.ended_us >= since_us
        for item in disturbances(history).get(afu, ())
        if _can_meddle(history, item)
    )


def _can_meddle(history: History, item: Disturbance) -> bool:
    if not item.changes_device:
        return False
    is_passing = item.fate is Fate.HIDDEN and history.topology.platform is Platform.POWERVM
    return item.role is not Role.ERROR or is_passing


def meddling_us(history: History, afu: str, since_us: int, until_us: int) -> int:
    """How long, within the interval, operations of administrators on `afu` were under way."""
    return sum(
        max(0, min(item.ended_us, until_us) - max(item.began_us, since_us))
        for item in disturbances(history).get(afu, ())
        if item.role is not Role.ERROR
    )


def was_unbound(history: History, afu: str, since_us: int, until_us: int) -> bool:
    """Whether an administrator may have taken the driver away from `afu` within the interval."""
    return any(
        item.began_us <= until_us and item.ended_us >= since_us and _takes_away(item.operation)
        for item in disturbances(history).get(afu, ())
    )


def is_unbound(history: History, afu: str, at_us: int) -> bool:
    """Whether an administrator may have taken `afu` or its driver away, and not given it back by `at_us`.

    A scan of the bus finds a card that was removed, with its driver; to one that is there it gives none.
    """
    is_unbound = is_removed = is_surely_removed = False
    for item in disturbances(history).get(afu, ()):
        operation = item.operation
        if item.began_us > at_us:
            continue
        is_over = item.has_acted and item.ended_us <= at_us
        if _has(operation, "/unbind"):
            is_unbound = True
        elif _has(operation, "/bind"):
            is_unbound = not is_over
        elif _has(operation, "/remove", _REMOVE):
            is_removed = True
            is_surely_removed |= operation.is_ok and is_over
        elif _has(operation, "/rescan", _RETURN) and is_removed:
            is_removed = not is_over
            is_unbound &= not (is_over and is_surely_removed)
    return is_unbound or is_removed


def _takes_away(operation: Operation) -> bool:
    return _has(operation, "/unbind") or _has(operation, "/remove", _REMOVE)


def _has(operation: Operation, file: str, order: str = "-") -> bool:
    """Whether it writes to such a file, or gives PHYP such an order."""
    args = operation.args
    return str(args.get("path", "")).endswith(file) or args.get("what") == order


@once
def cards(history: History) -> Mapping[str, str]:
    """The card of each AFU."""
    return {afu.name: afu.card for afu in history.topology.afus}


@once
def scripted_hcalls(history: History) -> Sequence[Operation]:
    """The operations that made PHYP answer an hcall as the case wanted, or when it wanted."""
    return [o for o in history.operations_of("inject") if o.args.get("what") in _SCRIPTS]


def has_failed_permanently(history: History, afu: str, at_us: int) -> bool:
    """Whether permanent failure of `afu` or of its card was declared by `at_us`."""
    return is_marked(history, afu, (Phase.FAILED_PERMANENTLY,), 0, at_us)


def may_be_struck(history: History, afu: str, at_us: int) -> bool:
    """Whether something that the driver had not dealt with by `at_us` may strike a use of `afu` then."""
    return any(
        item.began_us <= at_us and _may_strike(history, afu, item, at_us)
        for item in disturbances(history).get(afu, ())
    )


def _may_strike(history: History, afu: str, item: Disturbance, at_us: int) -> bool:
    args = item.operation.args.get("with", {})
    if item.operation.args.get("what") in _SCRIPTS:
        answered = sum(
            item.began_us <= record.time_us <= at_us and record.data.get("hcall") == args.get("hcall")
            for record in history.trace("capi_hcall_entry")
        )
        return bool(answered < int(args.get("times", 1)))
    if item.operation.args.get("what") == _COMMAND_ANSWER:
        return _may_refuse(history, afu, item, at_us)
    if item.role is not Role.ERROR or item.fate is Fate.HARMLESS:
        return False
    if item.fate is Fate.HIDDEN and history.topology.platform is Platform.POWERVM:
        return item.ended_us + 1000 * int(args.get("for_ms", 0)) + _PASSING_US > at_us
    noticed = _NOTICED if item.is_immediate else (Phase.DETECTED,)
    return not is_marked(history, afu, noticed, item.began_us, at_us)


def _may_refuse(history: History, afu: str, item: Disturbance, at_us: int) -> bool:
    """Whether the PSL may have answers left for process element commands of `afu`: a reset forgets them."""
    if is_marked(history, afu, (Phase.RESET, Phase.RECOVERED), item.ended_us, at_us):
        return False
    how = item.operation.args.get("with", {}).get("answer", "")
    said = _SAID_OF_COMMANDS.get(how, "")
    wanted = sum(
        int(args.get("times", 1))
        for args in (o.args.get("with", {}) for o in history.operations_of("inject"))
        if args.get("answer") == how and (how == "fail" or args.get("afu") == afu)
    )
    heard: int = sum(
        record.time_us <= at_us
        and said in record.data["text"]
        and (how == "fail" or afu in record.data["text"])
        for record in history.log
    )
    return heard < wanted


def is_marked(history: History, afu: str, phases: Sequence[Phase], since_us: int, until_us: int) -> bool:
    """Whether one of `phases` of `afu`, or of its card, was marked within the interval."""
    marks = history.marks
    subjects = (afu, cards(history).get(afu))
    return any(
        since_us <= mark.time_us <= until_us and mark.subject in subjects
        for phase in phases
        for mark in marks.get(phase, ())
    )
