"""A simulated host in this process that is asked the same cases as many others: quick, and compared by bytes.

A score performs hundreds of thousands of cases on hosts that differ in one transition. Nearly all of them say
byte for byte what the healthy host says, and need no judgement of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from harness.hosts.inproc import Simulated
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case
from harness.vocab.history import History
from harness.vocab.schedule import Strategy
from harness.vocab.topology import Platform, Topology
from harness.wire import lines, sysfs


class Play(NamedTuple):
    """A case, lowered for one platform; the same for all of its hosts."""

    case: Case
    topology: Topology
    line: bytes


class Said(NamedTuple):
    """What a host said of a case, as a History. `trouble` is not empty when it could not be played."""

    history: History
    trouble: str


def topology_of(platform: Platform) -> Topology:
    """The topology of every simulated host of `platform`."""
    return sysfs.topology(SimulatedHost(platform).hello())


def lowered(case: Case, topology: Topology) -> Play:
    """The line by which `case` is played."""
    is_recorded = case.schedule.strategy is Strategy.DECISIONS  # a search goes on from what was decided
    return Play(case, topology, lines.encode_play(case, topology, "score", is_recorded))


def replies(host: Simulated, play: Play) -> bytes:
    """Everything that `host` says of the case, on a fresh machine."""
    return b"\n".join(host.play(play.line))


def read(play: Play, said: bytes) -> Said:
    """What was said, as a History to be judged."""
    intents = lines.intents(play.case, play.topology)
    decoder = lines.Decoder(play.topology, intents)
    decoder.feed(said.split(b"\n"))
    history = replace(History(play.case.id, play.topology, intents), records=tuple(decoder.records))
    if not decoder.is_finished:
        return Said(history, "the host did not play the case to its end")
    return Said(history, history.refusal)
