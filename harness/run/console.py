"""What a person sees on the terminal: progress while a campaign runs, and short texts of what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from harness.run.check import Checked
from harness.run.offline import Rejudged
from harness.run.replay import Replayed
from harness.run.tally import Progress
from harness.vocab.campaign import Campaign, Gate
from harness.vocab.topology import Topology
from harness.vocab.verdict import Verdict

Watch = Callable[[Progress, float], None]
Count = Callable[[int, int, float, str], None]
"""Is told how many are done, of how many, the seconds gone by, and what came of the last."""
_PLAIN_S = 10.0


@contextmanager
def progress(budget: str, stream: TextIO | None = None) -> Iterator[Watch]:
    """A live line on a terminal; elsewhere a plain line every 10 s."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _live(budget) as watch:
            yield watch
    else:
        yield _plain(budget, stream)


def _words(now: Progress, elapsed_s: float, budget: str) -> str:
    rate = now.runs / elapsed_s if elapsed_s > 0 else 0.0
    return (
        f"{elapsed_s:5.0f} s of {budget}  {now.runs:,} runs ({rate:.0f}/s)  "
        f"{now.failed:,} failed  {now.unknown:,} unknown  {now.bugs:,} bugs"
    )


def _plain(budget: str, stream: TextIO) -> Watch:
    due_s = _PLAIN_S

    def watch(now: Progress, elapsed_s: float) -> None:
        nonlocal due_s
        if elapsed_s >= due_s:
            due_s += _PLAIN_S
            print(_words(now, elapsed_s, budget), file=stream, flush=True)

    return watch


@contextmanager
def _live(budget: str) -> Iterator[Watch]:
    from rich.console import Console  # noqa: PLC0415 - nobody waits for it who has no terminal

    console = Console(stderr=True)
    with console.status("opening the hosts") as status:
        yield lambda now, elapsed_s: status.update(_words(now, elapsed_s, budget))


@contextmanager
def counting(what: str, of_what: str, stream: TextIO | None = None) -> Iterator[Count]:
    """How many of `of_what` are done: a live line on a terminal; elsewhere a plain line every 10 s."""
    stream = stream or sys.stderr

    def words(done: int, of: int, elapsed_s: float, last: str) -> str:
        return f"{elapsed_s:5.0f} s  {done:,} of {of:,} {of_what}" + (f"  {last}" if last else "")

    if stream.isatty():
        from rich.console import Console  # noqa: PLC0415 - as in _live

        with Console(stderr=True).status(what) as status:
            yield lambda done, of, s, last: status.update(words(done, of, s, last))
        return
    due_s = _PLAIN_S

    def watch(done: int, of: int, elapsed_s: float, last: str) -> None:
        nonlocal due_s
        if elapsed_s >= due_s:
            due_s = elapsed_s + _PLAIN_S
            print(words(done, of, elapsed_s, last), file=stream, flush=True)

    yield watch


def gate_text(campaign: Campaign, gate: Gate, is_explained: bool = False) -> Iterator[str]:
    """The decision with its reasons; explained, also the numbers that it was made from."""
    word = "may go" if gate.is_released else "may not go"
    yield f"{gate.verdict.value.upper()}: the release {word} (exit code {int(gate.exit_code)})"
    yield from (f"  - {reason}" for reason in gate.reasons)
    if not is_explained:
        return
    yield f"campaign {campaign.plan}, seed {campaign.seed}, {campaign.started}, {campaign.duration_s:.1f} s,"
    yield f"  ended by {campaign.ended.value}; budget {campaign.budget}; {campaign.runs:,} runs"
    for url, counts in campaign.by_host.items():
        yield f"  {url}: " + (", ".join(f"{n:,} {key}" for key, n in counts.items()) or "no runs")
    for bug in campaign.bugs:
        yield f"  {bug.signature}: {bug.count:,} runs" + (
            f", known: {bug.known_issue}" if bug.known_issue else ""
        )
    yield "a new bug or an expired known issue decides FAIL; else missing evidence decides UNKNOWN; else PASS"


def replay_text(replayed: Replayed) -> Iterator[str]:
    """What came of one saved case: the signature expected, those seen, and how often."""
    times = len(replayed.judgements)
    case = replayed.saved.case
    yield f"{replayed.path}  case {case.id}  {len(case.steps)} steps  on {replayed.url}"
    expected = replayed.saved.signature
    yield f"  expected: {expected or 'to pass'}"
    for signature, count in sorted(replayed.signatures.items()):
        yield f"  seen:     {signature}  {count} of {_times(times)}"
    if not replayed.failed and times:
        seen = {judgement.verdict.value for judgement in replayed.judgements}
        yield f"  seen:     no failure, {' and '.join(sorted(seen))}, {_times(times)}"
    for message in _messages(replayed):
        yield f"    {message}"
    if replayed.trouble:
        yield f"  trouble:  {replayed.trouble}"
    if len(replayed.digests) > 1:
        yield f"  the host is not deterministic: {len(replayed.digests)} different histories"
    if expected and times:
        rate = 100 * replayed.refailed / times
        low, high = (100 * share for share in replayed.interval)
        between = f", between {low:.0f} % and {high:.0f} % with 95 % confidence"
        yield f"  refail rate: {replayed.refailed} of {times} ({rate:.0f} %{between})"


def _times(count: int) -> str:
    return "1 time" if count == 1 else f"{count:,} times"


def _messages(replayed: Replayed) -> list[str]:
    """The sentences of the last performance's findings, each signature once."""
    if not replayed.judgements:
        return []
    first = {finding.signature: finding for finding in reversed(replayed.judgements[-1].findings)}
    return [
        f"{finding.signature}: {finding.message}"
        for finding in first.values()
        if finding.verdict is not Verdict.PASS
    ]


def rejudged_text(items: Sequence[Rejudged]) -> Iterator[str]:
    """One line for each recording, and the signatures beneath it."""
    for item in items:
        if item.judgement is None:
            yield f"unknown  {item.name}: {item.trouble}"
            continue
        cause = f" ({item.judgement.cause.value})" if item.judgement.cause else ""
        yield f"{item.judgement.verdict.value:7}  {item.name}  {item.records} records{cause}"
        yield from (f"         {finding.signature}: {finding.message}" for finding in item.judgement.findings)
    yield f"{len(items)} recordings"


def topology_text(topology: Topology) -> Iterator[str]:
    """What a host has."""
    yield f"platform {topology.platform.value}, kernel {topology.kernel}"
    yield f"features {' '.join(sorted(topology.features)) or 'none'}"
    for card in topology.cards:
        address = f"  {card.bdf}, PHB {card.phb}, EEH PE {card.eeh_pe}" if card.bdf else ""
        yield f"{card.name}{address}"
        for afu in card.afus:
            modes = " ".join(mode.value for mode in afu.modes)
            yield (
                f"  {afu.name}  {modes}, {afu.contexts_max} contexts, {afu.irqs_min}..{afu.irqs_max} "
                f"interrupts each, {'test registers' if afu.has_test_registers else 'no test registers'}"
            )


def checked_text(checked: Checked) -> Iterator[str]:
    """What became of the case that uses every AFU once, and what that proves."""
    for proof in checked.proofs:
        lacking = f"; not {' '.join(proof.missing)}" if proof.missing else ""
        mark = "yes" if proof.is_complete else "NO"
        yield f"{mark:3}  {proof.name}: {', '.join(proof.shown) or 'nowhere'}{lacking}"
    yield (
        f"used every AFU once: {checked.operations} operations in {checked.elapsed_s:.2f} s, "
        f"{len(checked.failed)} not as they should be"
    )
    for operation in checked.failed:
        afu_or_path = " ".join(f"{name}={value}" for name, value in operation.args.items())
        yield f"  {operation.verb} {afu_or_path}: {operation.errno or 'no good answer'}"[:300]
    if checked.trouble:
        yield f"  trouble: {checked.trouble}"
