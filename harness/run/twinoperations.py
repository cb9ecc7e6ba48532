"""The operations of one case on two hosts, side by side.

An operation that ended otherwise on the two hosts makes later ones differ: its descriptor is then in another
state, or its actor is dead. Such consequences are tolerated, so that a difference is said where it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.run.twincourse import CLOSE_US, ROOM, Moment, Place
from harness.run.twindifference import Difference, Pair, Tolerated
from harness.run.twinoutcome import Outcome, name, outcome
from harness.vocab.history import Operation
from harness.vocab.registers import Register
from harness.vocab.topology import Platform

# Counts of memory, names and sizes are each host's own.
_UNREAD = ("/slabinfo", "/alloc_traces", "/version", "/mmio_size")
_UNREAD_ON = {Platform.POWERNV: ("/irqs_max",), Platform.POWERVM: ()}  # PHYP's, or a share of the card's own
_FULL = frozenset({"EBUSY", "ENOSPC"})
_LASTING = ("ioctl", "read_file")  # what they give does not depend on the moment
_CUT_OFF = frozenset({"killed", "actor-gone", "not-triggered", "unanswered"})
_DECISIVE = ("open", "ioctl", "close", "exit", "kill")
_DOINGS = ("inject", "write_file")
_READS = ("read", "poll")


@dataclass
class Operations:
    """Goes through the case in order, and remembers what has parted ways."""

    pair: Pair
    compared: int = 0
    parted: set[str] = field(default_factory=set)  # descriptors, mappings, actors, steps
    crowded: set[str] = field(default_factory=set)  # AFUs whose slots are not the same any more
    struck: set[str] = field(default_factory=set)  # AFUs to which not the same was done
    unsure: set[str] = field(default_factory=set)  # descriptors whose state chance has decided
    blurred: dict[str, str] = field(default_factory=dict)  # AFUs of which not the same is told -> the rule
    scribbled: set[str] = field(default_factory=set)  # AFUs whose log of stores is not the same any more

    def differences(self) -> Iterator[Difference | Tolerated]:
        """Every difference between operations."""
        a, b = self.pair
        for place in sorted({*a.operations, *b.operations, *a.left_out, *b.left_out}):
            yield from self._at(place)

    def _at(self, place: Place) -> Iterator[Difference | Tolerated]:
        a, b = self.pair
        first, second = a.operations.get(place), b.operations.get(place)
        if first is None or second is None:
            if first is not None or second is not None:
                yield Tolerated(self._part(place, first or second), f"step {place.step}")
            return
        unread = (*_UNREAD, *_UNREAD_ON[a.history.topology.platform])
        if str(first.args.get("path", "")).endswith(unread):
            return
        moments = a.moment(first), b.moment(second)
        seen = outcome(a, first), outcome(b, second)
        if first.verb == "store" and (Moment.MOVING in moments or moments[0] is not moments[1]):
            self.scribbled.update(a.afus(first))  # it may have arrived on one host only
        if Moment.MOVING in moments and first.verb in _DECISIVE:
            self.unsure.add(a.handle(first) or first.invoke.actor)
            self.blur("timing", *a.afus(first))
        if (seen[0].ended, seen[0].exact) == (seen[1].ended, seen[1].exact):
            self.compared += 1
            return
        rule = self._excuse(place, first, moments)
        if not rule and any(map(_is_cut_off, seen, (first, second))):
            rule = "timing"
        if not rule and _FULL & {seen[0].ended, seen[1].ended}:
            rule = "timing" if a.is_room_chance(first) or b.is_room_chance(second) else ""
            rule = rule or ("consequence" if self._is_room_unlike(place) else "")
        if rule:
            yield Tolerated(rule, name(first))
        else:
            self.compared += 1
            yield _operation_difference(place, (first, second), moments[0], seen)
        if seen[0].ended != seen[1].ended:
            self._part(place, first)

    def _excuse(self, place: Place, op: Operation, moments: tuple[Moment, Moment]) -> str:
        """The rule by which a difference of this operation is tolerated; empty when none holds."""
        return next(self._excuses(place, op, moments), "")

    def _excuses(self, place: Place, op: Operation, moments: tuple[Moment, Moment]) -> Iterator[str]:
        doers = {self.pair.a.handle(op), op.invoke.actor} - {""}
        afus = self.pair.a.afus(op)
        if self.parted & {*doers, f"step {place.step}"} or self.crowded.intersection(afus):
            yield "consequence"
        if self._is_alone_disturbed(place):
            yield "consequence"
        if _tells_mark(op) and any(
            story.is_forced_in_trouble(name, op.ended_us) for story in self.pair for name in afus
        ):
            yield "overlap"
        if self._is_answer_out(op):
            yield "answer"
        if self.pair.fleeting.intersection(afus) and set(moments) != {Moment.CALM}:
            yield "fleeting"
        if self.unsure & doers or moments[0] is not moments[1] or Moment.MOVING in moments:
            yield "timing"
        if op.verb == "load" and _reads_log(op) and self.scribbled.intersection(afus):
            yield "consequence"
        if op.verb in _READS and any(s.is_signal_under_way(s.operations[place]) for s in self.pair):
            yield "delivery"
        if op.verb == "load" and any(s.is_raced(s.operations[place]) for s in self.pair):
            yield "race"

    def _is_alone_disturbed(self, place: Place) -> bool:
        """Whether something was done to the AFU, or not refused, on one host only before the operation had
        ended there, in whatever step.
        """
        for index, story in enumerate(self.pair):
            op = story.operations[place]
            afus = set(story.afus(op))
            for where, other in story.operations.items():
                if where == place or other.verb not in _DOINGS or other.began_us > op.ended_us:
                    continue
                twin = self.pair[1 - index].operations.get(where)
                if (twin is None or twin.errno != other.errno) and afus & other.intent.disturbs:
                    return True
        return False

    def _is_answer_out(self, op: Operation) -> bool:
        """Whether an answer that PHYP was told to give may be met by this operation, or by a check."""
        return any(
            blow.intent.event == "AnswerHcall"
            and blow.intent.details.get("hcall") == "H_CONTROL_CA_FUNCTION"
            and blow.began_us < op.ended_us
            for blow in self.pair.a.blows.get(self.pair.a.afus(op)[0], ())
        )

    def _is_room_unlike(self, place: Place) -> bool:
        """Whether others have come to the AFU, or gone, before the operation on one host and after it on the
        other.
        """
        return self._comings(0, place) != self._comings(1, place)

    def _comings(self, index: int, place: Place) -> frozenset[Place]:
        """Where others had come to the AFU of the operation at `place`, or gone, when it ended."""
        story = self.pair[index]
        op = story.operations[place]
        afus = set(story.afus(op))
        return frozenset(
            where
            for where, other in story.operations.items()
            if other.verb in ROOM
            and other.invoke.actor != op.invoke.actor
            and other.began_us <= op.ended_us
            and afus & set(story.afus(other))
        )

    def _part(self, place: Place, op: Operation | None) -> str:
        """Remember that an operation ended otherwise on the two hosts; gives the rule if it never began."""
        if op is None:
            return "trigger"
        is_known = bool(self.parted & {self.pair.a.handle(op) or self.pair.b.handle(op), op.invoke.actor})
        handle = self.pair.a.handle(op) or self.pair.b.handle(op)
        self.parted.add(f"step {place.step}")
        self.blur("consequence", *self.pair.a.afus(op))
        if op.verb == "store":
            self.scribbled.update(self.pair.a.afus(op))
        if handle:
            self.parted.add(handle)
            self.crowded.update(self.pair.a.afus(op))
        for role in ("actor", "child"):
            if role in op.args:
                self.parted.add(str(op.args[role]))
        if op.verb in ("exit", "kill"):
            self.parted.add(op.invoke.actor)
        if op.verb in _DOINGS:
            self.struck.update(op.intent.disturbs)
            self.blur("consequence", *op.intent.disturbs)
            self.crowded.update(op.intent.disturbs)
        if op.verb == "write_file":
            self.crowded.update(self.pair.a.afus(op))
        return "consequence" if is_known else "trigger"

    def blur(self, rule: str, *afus: str) -> None:
        """Remember that the kernels cannot be expected to tell the same of `afus`."""
        for afu in afus:
            if self.blurred.get(afu) != "consequence":
                self.blurred[afu] = rule


def _tells_mark(op: Operation) -> bool:
    """Whether an operation tells of EEH's mark of a recovery, or waits for it to go."""
    return bool(op.args.get("settle")) or str(op.args.get("path", "")).endswith("/eeh_pe_state")


def _reads_log(op: Operation) -> bool:
    """Whether a load reads what all contexts of the AFU have stored."""
    return int(op.args.get("offset", 0)) >= Register.STORE_LOG


def _is_cut_off(seen: Outcome, op: Operation) -> bool:
    """Whether the operation was broken off in its midst, not while it was blocked."""
    is_short = op.ended_us < op.began_us + 2 * CLOSE_US
    return seen.ended in _CUT_OFF or (seen.ended == "EINTR" and is_short)


def _operation_difference(
    place: Place, ops: tuple[Operation, Operation], moment: Moment, seen: tuple[Outcome, Outcome]
) -> Difference:
    first, second = seen
    is_value = first.ended == second.ended
    a, b = (first.value, second.value) if is_value else (first.ended, second.ended)
    if a == b:
        b = f"another-{b}" if b else "another"
    return Difference(
        kind="value" if is_value else "operation",
        about=name(ops[0]) if is_value and ops[0].verb in _LASTING else f"{name(ops[0])}-{moment.value}",
        a=a,
        b=b,
        records_a=_seqs(ops[0]),
        records_b=_seqs(ops[1]),
        step=place.step,
        exact_a=f"{first.ended} {first.exact}".strip()[:200],
        exact_b=f"{second.ended} {second.exact}".strip()[:200],
    )


def _seqs(op: Operation) -> tuple[int, ...]:
    return (op.invoke.seq, *((op.end.seq,) if op.end else ()))
