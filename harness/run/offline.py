"""Judges recorded histories again, without a host: kept runs, and what is left of runs that were cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.run.judge import judge
from harness.run.store import recordings
from harness.vocab.errors import InfraError, Problem, UsageError
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Cause, ExitCode, Judgement, Verdict
from harness.wire import histfile


class Rejudged(NamedTuple):
    """A recording, by its name within the run directory, and what the oracles think of it now."""

    name: str
    case_id: str
    records: int
    judgement: Judgement | None
    trouble: str = ""


def rejudge(directory: Path, oracles: Sequence[Oracle]) -> Iterator[Rejudged]:
    """Judge every history in the run directory. Raises UsageError when there is no such directory."""
    if not (directory / "kept").is_dir():
        raise UsageError(
            Problem("this is no run directory", str(directory), "a directory that `harness run` wrote")
        )
    for name, data in recordings(directory):
        try:
            history = histfile.load(data)
        except (UsageError, InfraError) as error:
            yield Rejudged(name, "", 0, None, f"the history cannot be read: {error}")
            continue
        judgement = judge(history, oracles)
        yield Rejudged(name, history.case_id, len(history.records), judgement)


def exit_code(rejudged: Iterable[Rejudged]) -> ExitCode:
    """FAIL dominates, then what could not be decided; no recording at all is nothing judged."""
    items = tuple(rejudged)
    verdicts = [item.judgement.verdict if item.judgement else Verdict.UNKNOWN for item in items]
    if Verdict.FAIL in verdicts:
        return ExitCode.FAIL
    if Verdict.UNKNOWN in verdicts:
        causes = {item.judgement.cause for item in items if item.judgement}
        return ExitCode.NOTHING_RAN if causes <= {None, Cause.VACUOUS} else ExitCode.UNKNOWN
    return ExitCode.PASS if items else ExitCode.NOTHING_RAN
