"""The timeline of one history: who did what when, what the kernel said, and how each context fared.

Lanes from top to bottom: what goes wrong (nemesis), the actors, the harness, the kernel's trace and log, and
one for each context. How it all looks is the template's affair.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from harness.report.axis import Axis
from harness.report.contexts import Life, lives
from harness.report.escape import details, line
from harness.report.figures import count, moment
from harness.report.lanes import Band, Bar, Flag, Lane, Mark, Row, Timeline
from harness.report.window import window
from harness.vocab.event import HARNESS, KERNEL, NEMESIS, PROBE, Role
from harness.vocab.history import History, Kind, Operation, Record
from harness.vocab.phase import Phase
from harness.vocab.verdict import Judgement

MOST_RECORDS = 400
"""Records of one history that are drawn and listed."""
MOST_CONTEXTS = 24
"""Contexts of one history that are drawn."""
_MOST_FLAGS = 12
_MOST_LANES = 24
_LETTER_PX = 6.4
_LEAST_BAR_PX = 5.0
_TITLE_CHARACTERS = 60


def timeline(history: History, judgement: Judgement, most_records: int = MOST_RECORDS) -> Timeline | None:
    """The timeline of `history` with the findings of `judgement`; None when nothing was recorded.

    Of more than `most_records` records, those near to a finding or to a phase are drawn, with a notice.
    """
    if not history.records:
        return None
    return _Drawing(history, judgement, most_records).timeline()


class _Drawing:
    """Draws one history: first which records, then their places, then everything that has a place."""

    def __init__(self, history: History, judgement: Judgement, most_records: int) -> None:
        self._history = history
        records = history.records
        self._findings: dict[int, list[int]] = {}
        for number, finding in enumerate(judgement.findings, 1):
            for seq in finding.records:
                if 0 <= seq < len(records):
                    self._findings.setdefault(seq, []).append(number)
        phases = (record.seq for record in records if record.phase is not None)
        anchors = [*self._findings, *phases] if len(self._findings) < most_records // 2 else self._findings
        self._shown = [records[index] for index in window(len(records), anchors, most_records)]
        self._shown_seqs = [record.seq for record in self._shown]
        self._axis = Axis(self._shown)
        self._notices: list[str] = []

    def timeline(self) -> Timeline:
        total = len(self._history.records)
        if len(self._shown) < total:
            self._notices.append(
                f"{len(self._shown):,} of {total:,} records are shown: those around findings and phases."
            )
        lanes = (*self._actor_lanes(), *self._kernel_lanes(), *self._context_lanes())
        return Timeline(
            width=self._axis.width,
            lanes=lanes,
            bands=tuple(self._bands()),
            ticks=self._axis.ticks,
            breaks=self._axis.breaks,
            flags=tuple(self._flags()),
            rows=tuple(self._rows()),
            total=total,
            notices=tuple(self._notices),
        )

    def _is_shown(self, first: int, last: int | None) -> bool:
        """Whether any record from `first` to `last` is shown."""
        index = bisect_left(self._shown_seqs, first)
        return index < len(self._shown_seqs) and (last is None or self._shown_seqs[index] <= last)

    def _end(self, last: int | None) -> float:
        return self._axis.width if last is None else self._axis.at(last)

    def _actor_lanes(self) -> Iterator[Lane]:
        by_actor: dict[str, list[Bar]] = {}
        for operation in self._history.operations:
            last = operation.end.seq if operation.end else None
            bars = by_actor.setdefault(operation.invoke.actor, [])
            if self._is_shown(operation.invoke.seq, last):
                bars.append(self._operation(operation, last))
        names = sorted(by_actor, key=_lane_order)
        if len(names) > _MOST_LANES:
            self._notices.append(f"{_MOST_LANES} of {len(names)} actors are drawn.")
        for name in names[:_MOST_LANES]:
            kind = NEMESIS if name == NEMESIS else "actor"
            yield Lane(line(name, _TITLE_CHARACTERS), kind, tuple(self._labelled(by_actor[name])))

    def _labelled(self, bars: list[Bar]) -> Iterator[Bar]:
        """`bars` of one lane, each with its label inside, else beside it, else without."""
        nexts = [*(bar.x for bar in bars[1:]), self._axis.width]
        for bar, next_x in zip(bars, nexts, strict=False):
            label = _fitting(bar.label, bar.width)
            room = next_x - bar.x - bar.width
            is_beside = label != bar.label and _fitting(bar.label, room) == bar.label
            yield bar._replace(label="" if is_beside else label, beside=bar.label if is_beside else "")

    def _operation(self, operation: Operation, last: int | None) -> Bar:
        x, end = self._axis.at(operation.invoke.seq), self._end(last)
        seq = operation.invoke.seq
        style = operation.end.kind.value if operation.end else "unanswered"
        word = _word(operation)
        took = "never answered" if last is None else f"took {moment(operation.ended_us - operation.began_us)}"
        title = (
            f"{operation.intent.event}: {word} {details(operation.args, 120)} → {_outcome(operation)}, {took}"
        )
        is_flagged = seq in self._findings or (last is not None and last in self._findings)
        width = max(_LEAST_BAR_PX, end - x)
        # The answer says more than the question: show it where there is one.
        return Bar(x, width, style, word, title, seq if last is None else last, is_flagged)

    def _kernel_lanes(self) -> Iterator[Lane]:
        for title, kind in (("kernel trace", Kind.TRACE), ("kernel log", Kind.LOG)):
            marks = tuple(self._mark(record) for record in self._shown if record.kind is kind)
            if marks:
                yield Lane(title, KERNEL, marks=marks)

    def _mark(self, record: Record) -> Mark:
        if record.phase is not None:
            style = f"phase-{record.phase.value}"
        elif record.kind is Kind.LOG:
            style = _LOG_STYLES.get(record.name, "log-info")
        else:
            style = "trace"
        text = f"{moment(record.time_us)} {_text(record, 160)}"
        return Mark(self._axis.at(record.seq), style, text, record.seq, record.seq in self._findings)

    def _context_lanes(self) -> Iterator[Lane]:
        everyone = lives(self._history)
        found = [life for life in everyone if life.step < 0 or not self._is_closing(life.step)]
        if len(found) < len(everyone):
            left_out = len(everyone) - len(found)
            self._notices.append(f"Not drawn: {count(left_out, 'context')} of the closing steps.")
        if len(found) > MOST_CONTEXTS:
            self._notices.append(f"{MOST_CONTEXTS} of {len(found)} contexts are drawn.")
        for life in found[:MOST_CONTEXTS]:
            yield Lane(line(life.title, _TITLE_CHARACTERS), "context", tuple(self._life(life)))

    def _is_closing(self, step: int) -> bool:
        return self._history.intents[step].role is Role.CLOSING

    def _life(self, life: Life) -> Iterator[Bar]:
        for state, first, last in life.spans():
            if self._is_shown(first, last):
                x = self._axis.at(first)
                width = max(_LEAST_BAR_PX, self._end(last) - x)
                since = moment(self._history.records[first].time_us)
                title = f"{line(life.title, 80)}: {state.value} from {since}"
                yield Bar(x, width, f"ctx-{state.value}", _fitting(state.value, width), title, first, False)

    def _bands(self) -> Iterator[Band]:
        """Marks in a row of the same phase are one band; purged contexts lie within the band around them."""
        changes: list[tuple[float, Phase]] = []
        for record in self._history.records:
            phase = record.phase
            if phase is None or phase is Phase.CONTEXT_PURGED or (changes and changes[-1][1] is phase):
                continue
            changes.append((self._axis.at(record.seq), phase))
        ends = [x for x, _ in changes[1:]]
        for (x, phase), end in zip(changes, [*ends, self._axis.width], strict=False):
            if end > x:
                yield Band(x, end - x, phase.value, _fitting(phase.value, end - x))

    def _flags(self) -> Iterator[Flag]:
        drawn: dict[int, int] = {}
        for seq in sorted(self._findings):
            for number in self._findings[seq]:
                drawn[number] = drawn.get(number, 0) + 1
                if drawn[number] <= _MOST_FLAGS and self._is_shown(seq, seq):
                    yield Flag(self._axis.at(seq), number, seq)

    def _rows(self) -> Iterator[Row]:
        expected = 0
        for record in self._shown:
            yield Row(
                seq=record.seq,
                time=moment(record.time_us),
                actor=line(record.actor, _TITLE_CHARACTERS),
                kind=record.kind.value,
                name=line(record.name, 60),
                detail=_text(record, 400),
                phase=record.phase.value if record.phase else "",
                findings=", ".join(f"#{number}" for number in self._findings.get(record.seq, ())),
                left_out=record.seq - expected,
            )
            expected = record.seq + 1


_LANES_FIRST = {NEMESIS: 0}
_LANES_LAST = {HARNESS: 2, PROBE: 3}
_LOG_STYLES = {"0": "log-error", "1": "log-error", "2": "log-error", "3": "log-error", "4": "log-warning"}


def _lane_order(actor: str) -> tuple[int, int, str]:
    """Nemesis, then the case's actors (a2 before a10), then the harness's own."""
    return (_LANES_FIRST.get(actor, _LANES_LAST.get(actor, 1)), len(actor), actor)


def _word(operation: Operation) -> str:
    """What an operation is called in its bar: the primitive, or what it is about, and its errno."""
    args = operation.args
    word = str(args.get("name") or args.get("what") or operation.verb)
    if operation.verb in {"write_file", "read_file"}:
        word = f"{operation.verb.partition('_')[0]} {str(args.get('path', '')).rpartition('/')[2]}"
    return line(f"{word} {_errno(operation)}".rstrip(), 40)


def _errno(operation: Operation) -> str:
    return str(operation.answer.get("errno") or operation.answer.get("signal") or "")


def _outcome(operation: Operation) -> str:
    if operation.end is None:
        return "?"
    return f"{operation.end.kind.value} {details(operation.answer, 120)}".rstrip()


def _text(record: Record, limit: int) -> str:
    """A record's data on one line; of a log record its text."""
    if record.kind is Kind.LOG:
        return line(str(record.data.get("text", "")), limit)
    return details(record.data, limit)


def _fitting(label: str, width_px: float) -> str:
    """`label`, shortened to what fits into a bar, or nothing."""
    letters = int((width_px - 8) / _LETTER_PX)
    if len(label) <= letters:
        return label
    return f"{label[: letters - 1]}…" if letters >= 4 else ""
