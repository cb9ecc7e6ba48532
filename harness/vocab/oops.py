"""Reads the kernel's reports of trouble from the lines of its log, as ppc64 writes them.

A report begins with one or more headings (`HEADINGS` of `vocab/trouble.py`), perhaps after "cut here" and a
message, and goes on with stretches: a processor's registers, ``NIP`` and ``LR``, then a call trace; another
stretch follows for what an interrupt has interrupted, or for another processor. Other lines may come between
any two of them, and a report may lack its beginning or its end.

The function at fault is the first one, in the first stretch that has any, which does not merely pass the
trouble on. ``LR`` counts as a frame, because a leaf function such as a busy loop's has its caller only there;
frames that the kernel calls unreliable do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.vocab.trouble import CONSEQUENCES, HEADINGS, PANIC, Frame, Heading, Trouble

_REACH = 10  # so many lines may lie between the headings of one report
_CUT_REACH = 60  # so many, of other processors, between "cut here" and the heading: EEH writes dumps
_LINE_MAX = 1000
_TITLE_MAX = 300
_NEWLINE = "\\x0a"  # in /dev/kmsg: several lines of a report are one record
_CUT = "[ cut here ]"
_END = "---[ end trace "

_TEXTS = (_CUT, *(heading.text for heading in HEADINGS))
_HINTS = tuple(text for text in _TEXTS if not any(other in text for other in _TEXTS if other != text))

_STAMP = re.compile(r"\[ *(\d+)\.(\d{6})\](?:\[ *[TC]\d+\])? ")
_WHERE = re.compile(
    r"(?P<function>[\w.$]+)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
    r"(?: \[(?P<module>[\w-]+)[^]]*\])?(?P<unreliable> \(unreliable\))?"
)
_TRACED = re.compile(r"\[[0-9a-f]{16}\] \[[0-9a-f]{16}\] (?P<where>.+)")
_POINTER = re.compile(r"(?:NIP|LR) \[[0-9a-f]{16}\] (?P<where>.+)")
_RUNNING = re.compile(r"CPU: \d+ PID: \d+ Comm: (?P<process>.+?) (?:Not tainted|Tainted:)")
_TASK = re.compile(r"task:(?P<process>.+?) +state:")
_REGISTER = re.compile(r"\b(NIP|LR|CTR|MSR|CR|XER|CFAR|DAR|DSISR|TRAP|IRQMASK): +([0-9a-f]+)")
_GENERAL = re.compile(r"GPR(?P<first>\d\d):(?P<values>(?: [0-9a-f]{16}){1,4})")
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")  # the compiler's, other in each build


def stamp(line: str) -> tuple[int | None, str]:
    """A console's line as microseconds since boot and the text after; None when it is not the kernel's.

    What stands before the time is half a line of somebody else.
    """
    found = _STAMP.search(line)
    if found is None:
        return None, line
    return int(found[1]) * 1_000_000 + int(found[2]), line[found.end() :]


def said_by_kernel(lines: Iterable[str]) -> list[str]:
    """What the kernel said on a console, without the times."""
    stamped = map(stamp, lines)
    return [text for time_us, text in stamped if time_us is not None]


def is_trouble(text: str) -> bool:
    """Whether some line of `text` begins a report. Cheap, for a whole log at once."""
    return any(hint in text for hint in _HINTS)


def troubles(texts: Iterable[str]) -> list[Trouble]:
    """All reports in the kernel's lines (see `said_by_kernel`), in order."""
    reader = _Reader()
    for index, text in enumerate(texts):
        for line in text.split(_NEWLINE):
            reader.read(index, line[:_LINE_MAX])
    reader.close()
    return [report.trouble() for report in reader.reports]


@dataclass
class _Stretch:
    """Registers and a call trace of one processor or task."""

    process: str = ""
    registers: dict[str, int] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    is_traced: bool = False

    @property
    def fault(self) -> Frame | None:
        """The first function that does not merely pass trouble on."""
        return next((frame for frame in self.frames if not frame.is_passing_on), None)


@dataclass
class _Report:
    """A report that is still being read."""

    rank: int  # of the most telling heading: its row
    title: str
    lines: list[int]
    function: str = ""
    process: str = ""
    modules: tuple[str, ...] = ()
    stretches: list[_Stretch] = field(default_factory=list)
    is_fatal: bool = False

    @property
    def stretch(self) -> _Stretch:
        """The one that is being read."""
        if not self.stretches:
            self.stretches.append(_Stretch())
        return self.stretches[-1]

    def trouble(self) -> Trouble:
        """All that was read."""
        known = [stretch for stretch in self.stretches if stretch.frames]
        shown = next((stretch for stretch in known if stretch.fault), known[0] if known else _Stretch())
        if not shown.frames and self.function:
            shown.frames.append(Frame(self.function))
        fault = shown.fault or (shown.frames[0] if shown.frames else Frame(""))
        return Trouble(
            kind=HEADINGS[self.rank].kind,
            title=self.title[:_TITLE_MAX],
            lines=tuple(self.lines),
            function=fault.function,
            module=fault.module,
            process=shown.process or self.process,
            frames=tuple(shown.frames),
            modules=self.modules,
            registers=shown.registers,
            is_fatal=self.is_fatal,
        )


class _Reader:
    """Goes through the lines and keeps what was reported."""

    def __init__(self) -> None:
        self.reports: list[_Report] = []
        self._open: _Report | None = None
        self._headed_at = 0  # the line of the last heading
        self._cut_at: int | None = None
        self._between: list[tuple[int, str]] = []  # lines behind "cut here", before the heading

    def read(self, index: int, line: str) -> None:
        """Take the next line in."""
        if self._cut_at is not None and index - self._cut_at > _CUT_REACH:
            self.close()
        if _CUT in line:
            self._cut(index)
        elif _END in line:
            self.close()
        elif PANIC in line and self.reports and any(reason in line for reason in CONSEQUENCES):
            self.reports[-1].is_fatal = True
            self._open = None
        elif (rank := _rank(line)) is not None:
            self._head(rank, index, line)
        elif self._cut_at is not None:
            self._between.append((index, line))
        elif self._open is not None:
            _read_on(self._open, line)

    def close(self) -> None:
        """The report that is open is over. One that ends before its heading is a warning."""
        if self._cut_at is not None and self._open is None:
            _, message = self._between[0] if self._between else (0, _CUT)
            self._begin(_WARNING, message, self._cut_at)
        self._cut_at, self._between, self._open = None, [], None

    def _cut(self, index: int) -> None:
        if not self._is_heading_on(index):
            self.close()
        self._cut_at, self._between = index, []

    def _head(self, rank: int, index: int, line: str) -> None:
        heading = HEADINGS[rank]
        if heading.follows and self.reports and HEADINGS[self.reports[-1].rank].kind == heading.kind:
            self.reports[-1].lines.append(index)
            return
        report = self._open
        if report is None or not self._is_heading_on(index):
            report = self._begin(rank, line, index if self._cut_at is None else self._cut_at)
            if self._between:  # the last of them: those before it may be other processors' lines
                at, message = self._between[-1]
                report.lines.append(at)
                report.title = message if heading.kind == "warning" else report.title
        elif rank < report.rank:
            report.rank, report.title = rank, line
        self._cut_at, self._between = None, []
        self._headed_at = index
        if index not in report.lines:
            report.lines.append(index)
        report.is_fatal |= PANIC in line
        _detail(report, heading, line)

    def _is_heading_on(self, index: int) -> bool:
        """Whether a heading here belongs to the open report: nothing else of that was said yet."""
        report = self._open
        if report is None or index - self._headed_at > _REACH:
            return False
        return not any(stretch.frames for stretch in report.stretches)

    def _begin(self, rank: int, title: str, index: int) -> _Report:
        self._open = _Report(rank, title, [index])
        self._headed_at = index
        self.reports.append(self._open)
        return self._open


_WARNING = next(rank for rank, heading in enumerate(HEADINGS) if heading.kind == "warning")


def _rank(line: str) -> int | None:
    """The row of the most telling heading that the line holds."""
    return next((rank for rank, heading in enumerate(HEADINGS) if heading.text in line), None)


def _detail(report: _Report, heading: Heading, line: str) -> None:
    found = re.search(heading.details, line) if heading.details else None
    if found:
        details = found.groupdict()
        report.function = _plain(details.get("function") or "") or report.function
        report.process = details.get("process") or report.process


def _read_on(report: _Report, line: str) -> None:
    """A line after the headings."""
    if found := _RUNNING.search(line) or _TASK.search(line):
        report.stretches.append(_Stretch(found["process"]))
    elif line.startswith("--- interrupt: "):
        if " at " in line:
            report.stretches.append(_Stretch(report.stretch.process))
    elif "Modules linked in:" in line:
        names = line.partition("Modules linked in:")[2].partition("[last unloaded")[0].split()
        report.modules = tuple(name.partition("(")[0] for name in names)
    elif found := _POINTER.search(line) or _TRACED.search(line):
        _trace(report.stretch, found["where"])
    elif "Call Trace:" in line:
        report.stretch.is_traced = True
    elif not report.stretches or not report.stretch.is_traced:
        _registers(report, line)


def _trace(stretch: _Stretch, where: str) -> None:
    found = _WHERE.match(where)
    if found is None or found["unreliable"] or int(found["offset"], 16) > int(found["size"], 16):
        return  # an address without a name, or beyond the end of the function that is named
    frame = Frame(_plain(found["function"]), found["module"] or "")
    if not stretch.frames or stretch.frames[-1] != frame:
        stretch.frames.append(frame)


def _registers(report: _Report, line: str) -> None:
    if general := _GENERAL.search(line):
        first = int(general["first"])
        for number, value in enumerate(general["values"].split(), first):
            report.stretch.registers.setdefault(f"GPR{number:02}", int(value, 16))
    for found in _REGISTER.finditer(line):
        report.stretch.registers.setdefault(found[1], int(found[2], 16))


def _plain(function: str) -> str:
    return _SUFFIX.sub("", function.removeprefix("."))
