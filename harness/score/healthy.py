"""The healthy simulator under the cases of campaigns: every finding there is a false alarm, and is kept.

A figure of so many cases is measured in pieces: each is a campaign of its own on one platform, with a seed of
its own, so that it can be taken up where it was interrupted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness import registry
from harness.run.coverage import covered
from harness.run.deadline import Stopwatch
from harness.run.judge import judge
from harness.score.race import CASE_S, limit
from harness.score.sources import CAMPAIGN, SOURCES
from harness.score.stand import lowered, read, replies, topology_of
from harness.sim.host import SimulatedHost
from harness.vocab.coverage import Covered
from harness.vocab.topology import Platform
from harness.vocab.verdict import Cause, Judgement
from harness.wire import casefile

PIECE = 2_500
"""Cases of one piece: enough for the corpus of its search to fill."""
_ALARMS_KEPT = 20


def pieces(cases: int) -> list[tuple[Platform, int, int]]:
    """Platform, seed and cases of each piece of `cases`, the platforms in turn."""
    platforms = tuple(Platform)
    found = []
    for index, start in enumerate(range(0, cases, PIECE)):
        platform = platforms[index % len(platforms)]
        found.append((platform, 1 + index // len(platforms), min(PIECE, cases - start)))
    return found


def _alarms(judgement: Judgement) -> list[str]:
    """The signatures of all findings, but for those that say that a case showed nothing."""
    found = {f.signature for f in judgement.findings if f.cause is not Cause.VACUOUS}
    return sorted(found)


def perform_piece(platform: Platform, seed: int, cases: int) -> dict[str, Any]:
    """Perform and judge `cases` of one campaign; gives what was performed and found as plain values.

    What is no PASS and no finding, such as a case that could not be played, counts as an alarm too.
    """
    topology, host = topology_of(platform), SimulatedHost(platform)
    feed = SOURCES[CAMPAIGN].feed(seed, cases, topology)
    oracles = tuple(registry.oracles().values())
    verdicts: Counter[str] = Counter()
    alarms: list[dict[str, str]] = []
    steps, seen = 0, set[Covered]()
    stopwatch = Stopwatch()
    for _ in range(cases):
        case = feed.next_case()
        play = lowered(case, topology)
        with limit(CASE_S):
            said = replies(host, play)
        history, trouble = read(play, said)
        judgement = judge(history, oracles, trouble)
        verdicts[judgement.cause.value if judgement.cause else judgement.verdict.value] += 1
        steps += len(case.steps)
        seen |= covered(history)
        feed.learn(case, history)
        for signature in _alarms(judgement):
            kept = casefile.dump(case, signature) if len(alarms) < _ALARMS_KEPT else ""
            alarms.append({"signature": signature, "case": kept})
    return {
        "cases": cases,
        "steps": steps,
        "verdicts": dict(verdicts),
        "alarms": alarms,
        "covered": sorted(map(list, seen)),
        "seconds": round(stopwatch.elapsed_s, 3),
    }
