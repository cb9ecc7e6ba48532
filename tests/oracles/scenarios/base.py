"""How a scenario is told: a story with a name, and what its oracle must say of it.

A scenario's name is ``ok-ORACLE-WHAT`` or ``bad-ORACLE-WHAT``, and its file is NAME.jsonl in
``fixtures/histories``. Most are one recovery told with one thing different.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.vocab.topology import Topology
from tests.oracles.build import ERR_FF, Story
from tests.topologies import POWERNV, POWERVM

FOLDER = Path(__file__).parents[3] / "fixtures" / "histories"
AFU, AFU2, OTHER = "afu0.0", "afu0.1", "afu1.0"


@dataclass(frozen=True)
class Scenario:
    """A story; what a bad one must be found to be, and by which records."""

    name: str
    data: bytes
    kind: str
    expected: tuple[int, ...]

    @property
    def is_ok(self) -> bool:
        return self.name.startswith("ok-")

    @property
    def oracle(self) -> str:
        return self.name.split("-")[1]


SCENARIOS: dict[str, Scenario] = {}


def _tell(name: str, tell: Callable[[Story], bytes | None], kind: str, host: Topology | bool) -> None:
    topologies = {True: POWERNV, False: POWERVM}
    story = Story(topologies[host] if isinstance(host, bool) else host)
    data = tell(story) or story.end()
    SCENARIOS[name] = Scenario(name, data, kind, tuple(story.expected))


_Tale = Callable[[Story], bytes | None]


def ok(name: str, is_nv: Topology | bool = False) -> Callable[[_Tale], _Tale]:
    """A story that no oracle may complain of."""

    def tell(tale: _Tale) -> _Tale:
        _tell(f"ok-{name}", tale, "", is_nv)
        return tale

    return tell


def bad(name: str, kind: str, is_nv: Topology | bool = False) -> Callable[[_Tale], _Tale]:
    """A story that its oracle must call `kind`."""

    def tell(tale: _Tale) -> _Tale:
        _tell(f"bad-{name}", tale, kind, is_nv)
        return tale

    return tell


def strike(s: Story, flags: int = ERR_FF) -> int:
    """An attached and mapped context that works, then an error of its AFU."""
    wed = s.attach("a0", "c0", "afu0.0s", 0, flags)
    s.load("a0", "c0", wed, wed)
    s.recoverable(AFU)
    return wed


def leave(s: Story) -> None:
    """The application exits, its context is freed, and the AFU can be used again."""
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.probe(AFU)
