"""What a comparison of two hosts looks like: a short table for the terminal, and a JSON file with proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from harness.report.escape import details, line
from harness.report.window import window
from harness.run.deadline import Deadline
from harness.run.store import RunDirectory
from harness.run.twin import Found, Result
from harness.run.twindifference import TOLERANCES
from harness.vocab.history import History, Record
from harness.wire import casefile

REPORT = "twin.json"
EXCERPT_RECORDS = 60
"""Most records of each history that the report quotes."""
CHANCES_SHOWN = 20
"""Most signatures that chance has shown which the table names: a kernel's report may be one of them."""
_TICK_S = 10.0


def watching(stream: TextIO) -> Callable[[Result], None]:
    """A line now and then, for whoever waits."""
    due = Deadline.after(_TICK_S)

    def watch(result: Result) -> None:
        nonlocal due
        if due.is_over:
            due = Deadline.after(_TICK_S)
            words = f"{result.elapsed_s:5.0f} s  {result.cases:,} cases  {len(result.found)} differences"
            print(words, file=stream, flush=True)

    return watch


def text(result: Result, paths: Mapping[str, str]) -> Iterator[str]:
    """The table: what differs and is not allowed, what is allowed, what was not compared and why.

    `paths` has the file of the smallest case for each signature.
    """
    a, b = result.urls
    yield f"A {a}"
    yield f"B {b}"
    yield (
        f"{_cases(result.cases)}, {result.operations:,} operations compared in {result.elapsed_s:.0f} s "
        f"(seed {result.seed}); {len(result.found)} differences, {len(result.unexplained)} not allowed"
    )
    for found in sorted(result.found.values(), key=lambda item: (bool(item.reason), -item.count)):
        yield from _rows(found, paths.get(found.difference.signature, ""))
    for rule, count in result.tolerated.most_common():
        yield f"not compared {count:6,} times: {rule}: {TOLERANCES[rule]}"
    if result.chance:
        total = sum(result.chance.values())
        yield f"not compared {total:6,} times: chance: another schedule of the same case did not show it"
        yield from (f"         {signature}" for signature, _ in result.chance.most_common(CHANCES_SHOWN))
    yield from (f"trouble: {line(trouble)}" for trouble in result.troubles)


def _rows(found: Found, path: str) -> Iterator[str]:
    difference = found.difference
    word = "allowed" if found.reason else "DIFFERS"
    yield f"{word}  {difference.signature}  {_cases(found.count)}"
    if found.reason:
        yield f"         {found.reason}"
        return
    yield f"         A: {line(difference.exact_a or difference.a)}"
    yield f"         B: {line(difference.exact_b or difference.b)}"
    left = len(found.case.steps)
    steps = f"{left} {'step' if left == 1 else 'steps'} of {found.minimised_from}"
    yield f"         {path}  {steps}{'' if found.is_one_minimal else ', perhaps not the fewest'}"


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count:,} cases"


def write(result: Result, directory: RunDirectory) -> dict[str, str]:
    """Write the report, and the smallest case for each difference; returns where each case is."""
    paths = {
        signature: str(directory.path / directory.save_bug(signature, casefile.dump(found.case, signature)))
        for signature, found in result.found.items()
    }
    document = json.dumps(_document(result, paths), indent=1, ensure_ascii=True)
    directory.write(REPORT, f"{document}\n")
    return paths


def _document(result: Result, paths: Mapping[str, str]) -> dict[str, Any]:
    return {
        "schema": 1,
        "hosts": list(result.urls),
        "seed": result.seed,
        "times": result.times,
        "cases": result.cases,
        "operations": result.operations,
        "elapsed_s": round(result.elapsed_s, 1),
        "exit_code": int(result.exit_code),
        "differences": [_facts(found, paths[signature]) for signature, found in result.found.items()],
        "not_compared": {
            rule: {"times": count, "reason": TOLERANCES[rule]} for rule, count in result.tolerated.items()
        },
        "chance": dict(result.chance),
        "troubles": result.troubles,
    }


def _facts(found: Found, path: str) -> dict[str, Any]:
    difference = found.difference
    return {
        "signature": difference.signature,
        "sentence": difference.sentence,
        "allowed": found.reason,
        "cases": found.count,
        "case": path,
        "steps": len(found.case.steps),
        "minimised_from": found.minimised_from,
        "is_one_minimal": found.is_one_minimal,
        "a": _side(difference.exact_a or difference.a, found.pair.a, difference.records_a),
        "b": _side(difference.exact_b or difference.b, found.pair.b, difference.records_b),
    }


def _side(has: str, history: History, records: tuple[int, ...]) -> dict[str, Any]:
    shown = window(len(history.records), records, EXCERPT_RECORDS)
    return {
        "has": has,
        "records": list(records),
        "of": len(history.records),
        "excerpt": [_line(history.records[index], index in records) for index in shown],
    }


def _line(record: Record, is_proof: bool) -> str:
    mark = ">" if is_proof else " "
    place = f"{record.step}.{record.part}" if record.step >= 0 else "-"
    what = f"{record.actor:8} {record.kind.value:6} {place:>6} {record.name} {details(record.data)}"
    return line(f"{mark} {record.time_us / 1e6:10.6f} {what}")
