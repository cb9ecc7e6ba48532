"""What there is to choose from: events, oracles, mutants and plans, each with one sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.vocab.topology import Platform, Subject

PLANS = Path("testplans")


class Item(NamedTuple):
    """One thing that exists."""

    name: str
    title: str


def _events() -> list[Item]:
    return [
        Item(name, f"{_first_line(event.__doc__)}{_only_on(event.platforms)}{_about(event.subjects)}")
        for name, event in registry.events().items()
    ]


def _oracles() -> list[Item]:
    return [
        Item(o.name, f"{o.title}{_only_on(o.platforms)}{_about(o.subjects)}")
        for o in registry.oracles().values()
    ]


def _mutants() -> list[Item]:
    found = [
        Item(m.name, f"{m.title} [{m.component}; {_names(m.platforms)}; caught by {', '.join(m.killed_by)}]")
        for m in registry.mutants().values()
    ]
    return [
        *found,
        *(Item(path, f"(cannot be used: {why})") for path, why in registry.broken_mutants().items()),
    ]


def plans(directory: Path = PLANS) -> list[Item]:
    """The test plans in `directory`: files that have a name, by their paths."""
    return [Item(str(path), _title(path)) for path in sorted(directory.glob("*.toml")) if _title(path)]


LISTS: Mapping[str, Callable[[], list[Item]]] = {
    "events": _events,
    "oracles": _oracles,
    "mutants": _mutants,
    "plans": plans,
}
"""Name of a list, and what makes it."""


def _title(path: Path) -> str:
    """The title of a plan; empty for a file that is none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"(cannot be read: {error})"
    return str(document.get("title") or document["name"]) if "name" in document else ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _only_on(platforms: frozenset[Platform]) -> str:
    return "" if len(platforms) == len(Platform) else f" [{_names(platforms)}]"


def _about(subjects: frozenset[Subject]) -> str:
    """What is marked where it is not about CAPI cards alone."""
    words = " and ".join(subject.value for subject in Subject if subject in subjects)
    return f" [{words}]" if Subject.DEVICES in subjects else ""


def _names(platforms: frozenset[Platform]) -> str:
    return ", ".join(sorted(platform.value for platform in platforms))
