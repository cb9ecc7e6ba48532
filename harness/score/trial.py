"""One generated mutant against the cases of a campaign: killed by an oracle, broken, or survived.

The rules:

1. The cases are performed on the healthy simulator first; it is noted what it says, and which functions of
   the simulator each case calls. A mutant is asked only the cases that call the function that it changes.
2. A mutant is *killed* when an oracle fails a case that passes on the healthy host.
3. It is *broken* when it only ever makes the simulator raise, or not end: that is no defect of a driver, and
   a campaign shows it as runs that could not be played. It counts neither way.
4. It *survives* when no oracle objects to anything; whether it says something else than the healthy host is
   noted, because a mutant that always says the same may be equivalent.

A trial changes modules of the process that it runs in, so it runs in one that is forked for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, FrameType, ModuleType

from harness import registry
from harness.run.judge import judge
from harness.score import operators
from harness.score.operators import Generated
from harness.score.race import StuckError, limit
from harness.score.sources import OURS, SOURCES
from harness.score.stand import Play, lowered, read, replies, topology_of
from harness.sim.host import SimulatedHost
from harness.vocab.topology import Platform

CASE_S = 3.0
_TROUBLES_MAX = 3


@dataclass(slots=True)
class Reference:
    """Cases on one platform, what the healthy host says of them, and who calls which function.

    `calls` gives the places of the cases that call a function, by file and qualified name. `false_alarms` are
    signatures that the healthy host showed.
    """

    platform: Platform
    plays: list[Play] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    calls: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    false_alarms: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a generated mutant: ``killed``, ``broken`` or ``survived``.

    `number` is the case that killed it, counted over the platforms that it was tried on; `cases` how many it
    was asked, and `differs` of how many it said something else than the healthy host.
    """

    word: str
    number: int = 0
    signatures: tuple[str, ...] = ()
    cases: int = 0
    differs: int = 0
    trouble: str = ""


def reference(platform: Platform, seed: int, count: int) -> Reference:
    """Perform `count` cases of our search on the healthy simulator of `platform`."""
    made = Reference(platform)
    topology = topology_of(platform)
    feed = SOURCES[OURS].feed(seed, count, topology)
    host = SimulatedHost(platform)
    oracles = tuple(registry.oracles().values())
    for number in range(count):
        case = feed.next_case()
        play = lowered(case, topology)
        called: set[tuple[str, str]] = set()
        said = _traced(host, play, called)
        history, trouble = read(play, said)
        made.false_alarms += judge(history, oracles, trouble).signatures
        feed.learn(case, history)
        made.plays.append(play)
        made.digests.append(sha256(said).digest())
        for function in called:
            made.calls.setdefault(function, []).append(number)
    return made


_SIMULATOR = "harness/sim/"


def _traced(host: SimulatedHost, play: Play, called: set[tuple[str, str]]) -> bytes:
    """What the host says; `called` gets the functions of the simulator that were called."""

    def on_call(frame: FrameType, _event: str, _argument: object) -> None:
        code = frame.f_code
        _, found, file = code.co_filename.rpartition(_SIMULATOR)
        if found:
            called.add((file, code.co_qualname))

    sys.settrace(on_call)
    try:
        return replies(host, play)
    finally:
        sys.settrace(None)


def try_mutant(mutant: Generated, references: Sequence[Reference]) -> Outcome:
    """Try the mutant with all cases that call what it changes; to be called in a process of its own."""
    key = (mutant.file, mutant.function)
    todo = [(r, number) for r in references for number in r.calls.get(key, ())]
    todo.sort(key=lambda item: item[1])
    try:
        host_class = _mutated_host(operators.module_name(mutant), operators.mutated_code(mutant))
    except Exception as error:  # noqa: BLE001 - whatever a mutated module does when it is read
        return Outcome("broken", trouble=f"{type(error).__name__}: {error}"[:200])
    oracles = tuple(registry.oracles().values())
    cases = differs = troubles = 0
    trouble = ""
    for made, number in todo:
        cases += 1
        play = made.plays[number]
        try:
            with limit(CASE_S):
                said = replies(host_class(made.platform), play)
        except Exception as error:  # noqa: BLE001 - whatever a mutated simulator raises
            return Outcome("broken", cases=cases, trouble=f"{type(error).__name__}: {error}"[:200])
        if sha256(said).digest() == made.digests[number]:
            continue
        differs += 1
        history, trouble_now = read(play, said)
        signatures = judge(history, oracles).signatures if not trouble_now else ()
        if signatures:
            return Outcome("killed", number + 1, signatures, cases, differs)
        if trouble_now:
            trouble, troubles = trouble_now, troubles + 1
            if troubles >= _TROUBLES_MAX or StuckError.__name__ in trouble_now:
                break
    word = "broken" if troubles else "survived"
    return Outcome(word, cases=cases, differs=differs, trouble=trouble[:200])


def _mutated_host(name: str, code: CodeType) -> type[SimulatedHost]:
    """The simulated host, read anew with the module `name` made of `code`."""
    for loaded in [loaded for loaded in sys.modules if loaded.startswith("harness.sim.")]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, _Mutating(name, code))
    found: type[SimulatedHost] = import_module("harness.sim.host").SimulatedHost
    return found


class _Mutating(MetaPathFinder, Loader):
    """Gives one module another body."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name = name
        self._code = code

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)
