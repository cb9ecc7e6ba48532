"""What two hosts that perform one case can be compared in: a Story is the observable part of a History.

Observable is what an application, an administrator or the kernel's own trace is told: how each operation
ended and what it gave, which moments of recovery each AFU went through, what became of each context, which
hcalls were made, and what the kernel complained about. Times, pids and counts of memory are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import groupby

from harness.run.twinchecks import Checks
from harness.run.twincourse import REACTIONS
from harness.vocab.history import Record
from harness.vocab.oops import troubles
from harness.vocab.phase import Phase
from harness.vocab.trouble import Trouble

_ATTACH, _DETACH = "cxl_attach", "cxl_detach"
LIFE = {_ATTACH: "attach", _DETACH: "detach", "afu_release_irqs": "release-irqs"}
"""Trace events in the life of an attached context, up to what frees its memory."""

_HCALLS = {
    "cxl_hcall_attach": "attach",
    "cxl_hcall_detach": "detach",
    "cxl_hcall_collect_int_info": "collect",
    "cxl_hcall_control_faults": "respond",
}
_CONTROLS = ("cxl_hcall_control_function", "cxl_hcall_control_facility")
_COMPLAINT_LEVELS = frozenset("01234")
_FAILED_HCALL = re.compile(r"(cxl_h_\w+)\(.*\): (-?\d+)")
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")

Told = Mapping[tuple[str, str], Record]
"""What the kernel told: whom it is about (an AFU, a card, or nobody), in which words, and a record of it."""


class Story(Checks):
    """One History, prepared for comparison."""

    @cached_property
    def named_phases(self) -> frozenset[Phase]:
        """Reactions of which every mark says whom it is about."""
        return frozenset(p for p in REACTIONS if all(mark.subject for mark in self.history.marked(p)))

    def reactions(self, subject: str, phases: Iterable[Phase]) -> tuple[Record, ...]:
        """The marks of `phases` about `subject` in order, each but once in a row."""
        marks = sorted(mark for phase in phases for mark in self.history.marked(phase, subject))
        return tuple(next(group) for _, group in groupby(marks, key=lambda mark: mark.phase))

    @cached_property
    def last_us(self) -> int:
        """When the history ends."""
        return self.history.records[-1].time_us if self.history.records else 0

    @cached_property
    def named_events(self) -> frozenset[str]:
        """Events in the lives of contexts whose lines all say which context."""
        return frozenset(
            event for event in LIFE if all("pe" in record.data for record in self.history.trace(event))
        )

    def lives(self, events: frozenset[str]) -> Told:
        """The ways in which contexts were attached and detached, in the words of LIFE, with a last record."""
        over: list[list[Record]] = []
        under_way: dict[tuple[str, int], list[Record]] = {}
        for record in self.history.trace(*sorted(events)):
            key = (record.subject, record.data["pe"])
            if record.name == _ATTACH:
                over.append(under_way.pop(key, []))
                under_way[key] = [record]
            elif key in under_way:
                under_way[key].append(record)
        over += under_way.values()
        ended = [life for life in over if any(record.name == _DETACH for record in life)]
        return {
            (life[-1].subject, "-".join(LIFE[record.name] for record in life)): life[-1] for life in ended
        }

    @cached_property
    def hcalls(self) -> Told:
        """Each hcall with the code that it ended with, but for reading the state; and its first record."""
        found: dict[tuple[str, str], Record] = {}
        for event, word in _HCALLS.items():
            for record in self.history.trace(event):
                found.setdefault((record.subject, f"{word}{_code(record)}"), record)
        for event in _CONTROLS:
            for record in self.history.trace(event):
                op = str(record.data.get("op", ""))
                if op != "READ_ERR_STATE":
                    kind = "facility-" if event.endswith("facility") else ""
                    found.setdefault((record.subject, f"{kind}{op.lower()}{_code(record)}"), record)
        return found

    @cached_property
    def complaints(self) -> Told:
        """What the kernel complained about, without its numbers, each with its first record."""
        found: dict[tuple[str, str], Record] = {}
        for record in self.history.log:
            said = _complaint(str(record.data["text"])) if record.name in _COMPLAINT_LEVELS else ""
            if said:
                found.setdefault((record.subject, said), record)
        return found

    @cached_property
    def reports(self) -> Told:
        """The kernel's reports of trouble in itself, each with its first record."""
        found: dict[tuple[str, str], Record] = {}
        for trouble in self.troubles:
            said = f"{trouble.kind} in {trouble.function or 'none'}"
            found.setdefault(("", said), self.history.log[trouble.lines[0]])
        return found

    @cached_property
    def troubles(self) -> tuple[Trouble, ...]:
        """The kernel's reports of trouble; their lines count within the log."""
        return tuple(troubles(str(record.data["text"]) for record in self.history.log))


def _code(record: Record) -> str:
    code = record.data.get("rc", 0)
    return "" if code == 0 else f"-fails-{code}".replace("--", "-minus-")


def _complaint(text: str) -> str:
    """A line of the log as far as it is a complaint about the driver: no numbers in it; else nothing."""
    if match := _FAILED_HCALL.match(text):
        return f"{match[1]} {match[2]}"
    if text.startswith(("cxl afu", "cxl card")):
        return _NUMBER.sub("n", text.partition(": ")[2])
    return ""
