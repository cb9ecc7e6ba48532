"""One sequence of cases against all named mutants of a platform: which case kills which, and by which oracle.

The rules:

1. Each case is performed on the healthy host first. What it says there is judged too: a finding there is a
   false alarm, and no kill elsewhere.
2. A mutant is asked a case only when the healthy host called a transition that the mutant overrides: else it
   would say the same. When it says the same byte for byte, it is not judged again.
3. A mutant is killed when some oracle fails a case that it passes on the healthy host, and is then out.
4. A search that learns is told what the healthy host said: until it is killed, a mutant says the same, or
   something that no oracle objects to.
5. The seconds of a kill are those that the cases up to it took to be drawn, performed and judged on the
   healthy host, in one process.
6. A mutant that breaks the simulator, or does not end, is out after a few times, and is named.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import isfunction
from types import FrameType
from typing import Any, TypeVar

from harness import registry
from harness.run.deadline import Stopwatch
from harness.run.judge import judge
from harness.score.sources import Feed
from harness.score.stand import Play, lowered, read, replies, topology_of
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case
from harness.vocab.errors import InfraError
from harness.vocab.oracle import Mutant, Oracle
from harness.vocab.topology import Platform
from harness.vocab.verdict import Judgement
from harness.wire import casefile

CASE_S = 20.0
"""How long one simulated case may take: a transition that loops for ever costs no more."""
_TROUBLES_MAX = 3

_T = TypeVar("_T")


class StuckError(Exception):
    """A simulated host did not go on."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The first case that showed a mutant: its place in the sequence, from 1, and what saw it."""

    mutant: str
    number: int
    seconds: float
    signatures: tuple[str, ...]
    case: str  # the text of the saved case


@dataclass(slots=True)
class Race:
    """What came of one sequence. `broken` says of mutants what they did to the simulator."""

    cases: int = 0
    seconds: float = 0.0
    kills: list[Kill] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def run_race(
    platform: Platform,
    feed: Feed,
    cases_max: int,
    mutants: Sequence[Mutant],
    tell: Callable[[Race], None] = lambda _: None,
) -> Race:
    """Perform at most `cases_max` cases of `feed`, until all `mutants` are killed; `tell` sees progress."""
    race = Race()
    topology = topology_of(platform)
    healthy = SpyHost(platform, [m for m in mutants if platform in m.platforms])
    hosts = _hosts(platform, mutants, race)
    oracles = tuple(registry.oracles().values())
    by_name = {mutant.name: mutant for mutant in mutants}
    troubles: dict[str, int] = {}
    while hosts and race.cases < cases_max:
        stopwatch = Stopwatch()
        try:
            case = feed.next_case()
        except StopIteration:
            break
        race.cases += 1
        play = lowered(case, topology)
        with limit(CASE_S):
            said = replies(healthy, play)
        history, trouble = read(play, said)
        if trouble:
            raise InfraError(f"the healthy simulator did not play case {case.id} ({case.origin}): {trouble}")
        judgement = judge(history, oracles)
        race.seconds += stopwatch.elapsed_s
        race.false_alarms += judgement.signatures
        feed.learn(case, history)
        for name in [name for name in hosts if healthy.would_act(name)]:
            found = _ask(hosts[name], play, said, oracles)
            if found is None:
                continue
            signatures = tuple(s for s in found.signatures if s not in judgement.signatures)
            if trouble := _trouble(found):  # what oracles think of half a case is no kill
                troubles[name] = troubles.get(name, 0) + 1
                if troubles[name] >= _TROUBLES_MAX:
                    race.broken[name] = trouble
                    del hosts[name]
            elif signatures:
                race.kills.append(_kill(by_name[name], race, signatures, case))
                del hosts[name]
        tell(race)
    return race


def _hosts(platform: Platform, mutants: Sequence[Mutant], race: Race) -> dict[str, SimulatedHost]:
    hosts = {}
    for mutant in mutants:
        if platform in mutant.platforms:
            try:
                hosts[mutant.name] = SimulatedHost(platform, mutant)
            except Exception as error:  # noqa: BLE001 - whatever a mutant's file does concerns that mutant only
                race.broken[mutant.name] = f"{type(error).__name__}: {error}"
    return hosts


def _ask(host: SimulatedHost, play: Play, healthy: bytes, oracles: Sequence[Oracle]) -> Judgement | None:
    """What is thought of the case on a mutant; None when it says what the healthy host says."""
    with limit(CASE_S):
        said = replies(host, play)
    if said == healthy:
        return None
    history, trouble = read(play, said)
    return judge(history, oracles, trouble)


def _trouble(judgement: Judgement) -> str:
    """What the host did to the run, if it broke it."""
    return next((f.message for f in judgement.findings if f.kind == "lab-trouble"), "")


def _kill(mutant: Mutant, race: Race, signatures: tuple[str, ...], case: Case) -> Kill:
    first = sorted(signatures, key=lambda s: s.partition("/")[0] not in mutant.killed_by)
    return Kill(mutant.name, race.cases, race.seconds, tuple(first), casefile.dump(case, first[0]))


class SpyHost(SimulatedHost):
    """The healthy host, which remembers what mutants override of what it calls."""

    def __init__(self, platform: Platform, mutants: Sequence[Mutant]) -> None:
        super().__init__(platform)
        self._called: set[tuple[str, str]] = set()
        self._overridden = {m.name: _overridden(m) for m in mutants}
        self._spied: dict[type, type] = {}

    def play(self, line: bytes) -> Iterator[bytes]:
        """See SimulatedHost; what was called before is forgotten."""
        self._called.clear()
        return super().play(line)

    def would_act(self, name: str) -> bool:
        """Whether the last case called anything that the mutant `name` overrides."""
        return any(member in self._called or member[1] == "" for member in self._overridden[name])

    def variant(self, component: type[_T], name: str) -> type[_T]:
        """The class with spies instead of the transitions that mutants override."""
        if component not in self._spied:
            names = {
                member
                for members in self._overridden.values()
                for of, member in members
                if of == name and member
            }
            spies = {n: self._spy(name, getattr(component, n)) for n in names if hasattr(component, n)}
            self._spied[component] = type(component.__name__, (component,), spies)
        return self._spied[component]

    def _spy(self, component: str, original: Callable[..., Any]) -> Callable[..., Any]:
        key, called = (component, original.__name__), self._called

        @wraps(original)
        def spy(*args: Any, **named: Any) -> Any:
            called.add(key)
            return original(*args, **named)

        return spy


def _overridden(mutant: Mutant) -> frozenset[tuple[str, str]]:
    """Component and name of the transitions that the mutant changes; an empty name for what is no method."""
    members: Mapping[str, object] = vars(mutant.override)
    names = [name for name in members if not name.startswith("_")]
    return frozenset((mutant.component, name if isfunction(members[name]) else "") for name in names)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Break off what does not end: a StuckError is raised within it. For main threads of Unix processes."""

    def stuck(_number: int, _frame: FrameType | None) -> None:
        raise StuckError(f"it did not go on for {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stuck)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again, should it be caught and loop on
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)  # somebody else's goes on, a little late
        signal.signal(signal.SIGALRM, before)
