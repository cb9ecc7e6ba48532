"""What two hosts' kernels say of one case, side by side: recovery, contexts, hcalls, complaints."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from itertools import zip_longest

from harness.run.twinchecks import CONTROL
from harness.run.twincourse import Place
from harness.run.twindifference import Difference, Pair, Tolerated
from harness.run.twinstory import Story, Told
from harness.vocab.history import FOREVER_US, Record
from harness.vocab.phase import Phase

_END = "nothing"


Begun = tuple[int, int]
"""When something began on each of the two hosts."""


def displaced(pair: Pair) -> dict[str, Begun]:
    """To whom something was done at another point of the driver's reaction on each host, and when first."""
    phases = pair.a.named_phases & pair.b.named_phases
    found: dict[str, Begun] = {}
    for afu in pair.a.blows:
        a, b = pair.a.standing(afu, phases), pair.b.standing(afu, phases)
        places = [place for place in a.keys() | b.keys() if a.get(place) != b.get(place)]
        if places:
            found[afu] = (_first_us(pair.a, places), _first_us(pair.b, places))
    return found


def _first_us(story: Story, places: Collection[Place]) -> int:
    """When the first of what was done at `places` began; far in the future when nothing was."""
    begun = (story.operations[place].began_us for place in places if place in story.operations)
    return min(begun, default=FOREVER_US)


def reactions(pair: Pair, struck: Set[str], moved: Mapping[str, Begun]) -> Iterator[Difference | Tolerated]:
    """The first moment of recovery in which the hosts part, for each of whom nothing is `struck`.

    Of those to whom something was done elsewhere in the reaction, what came before that on both hosts.
    """
    phases = pair.a.named_phases & pair.b.named_phases
    for phase in (pair.a.named_phases | pair.b.named_phases) - phases:
        if pair.a.history.marked(phase) and pair.b.history.marked(phase):
            yield Tolerated("source", phase.value)
    subjects = {mark.subject for s in pair for phase in phases for mark in s.history.marked(phase)}
    for subject in sorted(subjects):
        members = pair.a.members(subject)
        if not struck.isdisjoint(members):
            continue
        until = [moved[name] for name in members if name in moved]
        rows = [story.reactions(subject, phases) for story in pair]
        for index, row in enumerate(rows):
            rows[index] = tuple(m for m in row if all(m.time_us < begun[index] for begun in until))
        before: Record | None = None
        for first, second in zip(*rows, strict=False) if until else zip_longest(*rows):
            if first is None or second is None or first.phase is not second.phase:
                rule = _excuse(pair, subject, first, second)
                yield Tolerated(rule, subject) if rule else _parting(pair, subject, before, first, second)
                break
            before = first


def _excuse(pair: Pair, subject: str, first: Record | None, second: Record | None) -> str:
    """The rule by which the hosts may part here, because of what came before; empty when none holds."""
    marks = list(zip(pair, (first, second), strict=True))
    places = {place for afu, place in pair.overlapped if afu == subject}
    for story, mark in marks:
        if mark and any(mark.time_us >= story.operations[place].began_us for place in places):
            return "overlap"
    if any(s.is_forced_in_trouble(subject, mark.time_us if mark else FOREVER_US) for s, mark in marks):
        return "overlap"
    return "answer" if any(_has_met_answer(story, subject, mark) for story, mark in marks) else ""


def _has_met_answer(story: Story, subject: str, mark: Record | None) -> bool:
    """Whether a call about `subject` has met, before `mark`, a refusal that any call could have met."""
    ended = [record for record in story.history.trace(CONTROL) if record.subject == subject]
    return any(
        record.data.get("rc") == op.intent.details["rc"] < 0
        and op.began_us <= record.time_us
        and (mark is None or record.seq < mark.seq)
        for op in story.blows.get(subject, ())
        if op.intent.event == "AnswerHcall" and op.intent.details["hcall"] == "H_CONTROL_CA_FUNCTION"
        for record in ended
    )


def _parting(
    pair: Pair, subject: str, before: Record | None, first: Record | None, second: Record | None
) -> Difference | Tolerated:
    """What to say where one host has `first` and the other `second`, after `before`."""
    if first is None or second is None:
        short = pair.a if first is None else pair.b
        blows = short.blows.get(subject, ())
        last_us = max([0, *(b.ended_us for b in blows), *short.reaction_times.get(subject, ())])
        if short.last_us < last_us + short.period_us:
            return Tolerated("unfinished", subject)
        if before is not None and before.phase is Phase.RECOVERED and len(blows) > 1:
            return Tolerated("merged", subject)
    return Difference(
        kind="recovery",
        about=f"after {_phase(before)}" if before else "first",
        a=_phase(first),
        b=_phase(second),
        records_a=(first.seq,) if first else (),
        records_b=(second.seq,) if second else (),
        exact_a=f"{_phase(first)} of {subject}",
        exact_b=f"{_phase(second)} of {subject}",
    )


def _phase(mark: Record | None) -> str:
    return mark.phase.value if mark and mark.phase else _END


def lives(pair: Pair) -> Iterator[Difference]:
    """Ways in which contexts were attached and detached on one host only."""
    events = pair.a.named_events & pair.b.named_events
    yield from _sets("context", "life", pair.a.lives(events), pair.b.lives(events))


def hcalls(pair: Pair) -> Iterator[Difference]:
    """Hcalls, with their codes, that were made on one host only."""
    yield from _sets("hcall", "made", pair.a.hcalls, pair.b.hcalls)


def complaints(pair: Pair) -> Iterator[Difference]:
    """What only one kernel complained about."""
    yield from _sets("log", "says", pair.a.complaints, pair.b.complaints)


def reports(pair: Pair) -> Iterator[Difference]:
    """Trouble in itself that only one kernel reported, which nothing that came before excuses."""
    yield from _sets("log", "says", pair.a.reports, pair.b.reports)


def _sets(kind: str, about: str, a: Told, b: Told) -> Iterator[Difference]:
    """One difference for each thing that only one host tells of somebody."""
    for key in sorted(a.keys() ^ b.keys()):
        subject, thing = key
        has, lacks = (thing, _END) if key in a else (_END, thing)
        yield Difference(
            kind=kind,
            about=about,
            a=has,
            b=lacks,
            records_a=(a[key].seq,) if key in a else (),
            records_b=(b[key].seq,) if key in b else (),
            subject=subject,
        )
