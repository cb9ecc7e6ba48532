"""A saved case as a story: one sentence a step, in the words of its event, and what the case shows.

An event's first sentence names its fields; here they are replaced by what they hold. What the sentence does
not name follows in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness import registry
from harness.run.judge import judge
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.errors import UsageError
from harness.vocab.event import Event
from harness.wire import histfile
from harness.wire.casefile import SavedCase

_BIG = 1 << 32


def story(path: Path, saved: SavedCase) -> Iterator[str]:
    """What it is, one line a step, and the finding."""
    case = saved.case
    needs = f", needs {' '.join(sorted(case.needs))}" if case.needs else ""
    yield f"{path}: case {case.id} for {case.platform.value}, {case.cards} cards{needs}"
    if case.origin:
        yield f"it comes from: {case.origin}"
    yield f"who goes next: {case.schedule}"
    yield from steps(case)
    yield from _finding(path, saved.signature)


def steps(case: Case) -> Iterator[str]:
    """One line a step: its number, who does what, and when."""
    width = len(str(max(0, len(case.steps) - 1)))
    actors = max((len(step.actor) for step in case.steps), default=0)
    for number, step in enumerate(case.steps):
        yield f"  {number:{width}}  {step.actor:{actors}}  {_moment(step.when)}{_sentence(step)}"


def _sentence(step: Step) -> str:
    text, rest = _first_sentence(type(step.event)), []
    for name, value in step.event.details.items():
        shown = f"0x{value:x}" if isinstance(value, int) and value >= _BIG else str(value)
        if f"`{name}`" in text:
            text = text.replace(f"`{name}`", shown)
        else:
            rest.append(f"{name} {shown}")
    return f"{type(step.event).__name__}: {text}" + (f" ({', '.join(rest)})" if rest else "")


def _first_sentence(event: type[Event]) -> str:
    words = " ".join((event.__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", words)[0].removesuffix(".")


def _moment(when: When) -> str:
    """When the step comes, if not in its turn."""
    if when == NOW:
        return ""
    if not when.phase:
        return f"{when.after_ms} ms later, "
    nth = f" the {when.nth}. time" if when.nth > 1 else ""
    later = f"{when.after_ms} ms after " if when.after_ms else "as soon as "
    return f"{later}{when.phase} is seen{nth}, "


def _finding(path: Path, signature: str) -> Iterator[str]:
    """What was found: the sentences of the oracle over the recording beside the case, or its truth."""
    if not signature:
        yield "it shows nothing: it should pass"
        return
    yield f"it shows {signature}"
    oracle = registry.oracles().get(signature.partition("/")[0])
    if oracle is None:
        yield "  which no oracle of this version gives"
        return
    yield f"  the truth that is broken: {oracle.title}"
    recording = path.with_suffix(".jsonl")
    if not recording.exists():
        return
    try:
        findings = judge(histfile.load(recording.read_bytes()), (oracle,)).findings
    except (OSError, UsageError, ValueError) as error:
        yield f"  {recording} cannot be read: {error}"
        return
    yield from (f"  {finding.message}" for finding in findings if finding.signature == signature)
