"""What the driver's periodic checks met in the course of one case: troubles and requests that came meanwhile.

A check recovers an AFU. What an administrator asks for in the midst of that has to wait on some drivers, and
goes on beside it on others; and what is over in a moment is met by a check or not, as it falls.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from harness.run.twincourse import REACTIONS, Course, Place, length_us
from harness.vocab.event import Role
from harness.vocab.history import Operation, Record
from harness.vocab.phase import Phase

_UNPROMPTED = ("ResetSilently",)
_REQUESTS = ("ResetCard", "OpenFlashNode", "ResetAfu", "ChangeMode", "RewriteMode")
"""What makes an AFU unavailable for a moment: by itself, and because the driver is asked to."""

_FORCED = ("ForceRecovery", "ForceDeviceRecovery")
"""What makes EEH recover, whether anything is wrong or not."""

_WORKER = "kworker"
CONTROL = "cxl_hcall_control_function"
"""The tracepoint of an hcall to one AFU that has ended."""


class Checks(Course):
    """One Course, with what the checks of the driver did."""

    @cached_property
    def caught(self) -> frozenset[tuple[str, Place]]:
        """Fleeting troubles in the midst of which a check of the driver acted, each with its AFU."""
        return frozenset(
            (afu, Place(blow.invoke.step, blow.invoke.part))
            for afu, blows in self.blows.items()
            for blow in blows
            if blow.intent.event in (*_UNPROMPTED, *_REQUESTS)
            for began_us, ended_us in self._spans.get(afu, ())
            if blow.began_us <= ended_us and began_us <= blow.ended_us + length_us(blow)
        )

    def is_forced_in_trouble(self, subject: str, until_us: int) -> bool:
        """Whether a recovery of `subject` was forced, before `until_us`, while other trouble was not over.

        Linux queues such an order without marking the EEH PE: whoever meets the freeze queues another, and
        the firmware's next report drops those that wait (eeh_force_recover_write, pnv_eeh_next_error).
        """
        members = set(self.members(subject))
        return any(
            order.began_us <= until_us and members & order.intent.disturbs and self._is_trouble_near(order)
            for order in self._forced
        )

    @cached_property
    def _forced(self) -> tuple[Operation, ...]:
        return tuple(op for op in self.history.operations if op.intent.event in _FORCED)

    def _is_trouble_near(self, order: Operation) -> bool:
        """Whether something else was wrong, with anybody, between `order` and the end of its recovery."""
        ended_us = self._over_us(order)
        others = {(b.invoke.step, b.invoke.part): b for blows in self.blows.values() for b in blows}
        return any(
            other.began_us <= ended_us and self._over_us(other) >= order.began_us
            for other in others.values()
            if other.intent.role is Role.ERROR or other.intent.event in _FORCED
            if other.invoke.step != order.invoke.step
        )

    def _over_us(self, blow: Operation) -> int:
        """When a recovery of all whom `blow` disturbs had ended."""
        times = [self.ended_us(afu, blow.began_us) for afu in blow.intent.disturbs]
        return max(times, default=blow.ended_us)

    def is_request(self, place: Place) -> bool:
        """Whether what was done at `place` was asked of the driver."""
        return self.operations[place].intent.event in _REQUESTS

    @cached_property
    def _spans(self) -> Mapping[str, list[tuple[int, int]]]:
        """From when to when checks acted on each AFU: a moment, or as long as a reset takes.

        Nobody but a check finds that an AFU has failed for good; the log says that, and not who.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for phase in REACTIONS:
            for mark in self.history.marked(phase):
                if phase is Phase.FAILED_PERMANENTLY or _is_worker(mark):
                    ended_us = self._reset_ended_us(mark) if phase is Phase.RESET else mark.time_us
                    for afu in self.members(mark.subject):
                        found.setdefault(afu, []).append((mark.time_us, ended_us))
        return found

    def _reset_ended_us(self, mark: Record) -> int:
        """When the reset that begins with `mark` was answered; when it began, where no answer is told."""
        return next(
            (
                record.time_us
                for record in self.history.trace(CONTROL)
                if record.seq > mark.seq
                and (record.subject, record.data.get("op")) == (mark.subject, "RESET")
                and record.data.get("pid") == mark.data.get("pid")
            ),
            mark.time_us,
        )


def _is_worker(mark: Record) -> bool:
    return str(mark.data.get("comm", "")).startswith(_WORKER)
