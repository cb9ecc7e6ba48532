"""What there is: events, oracles and mutants, found by looking into their folders.

Adding one is adding a file: every module of `harness.events` holds one Event subclass, every module of
`harness.oracles` an ``ORACLE``, every module of `harness.sim.mutants` a ``MUTANT``. Modules whose names begin
with an underscore are helpers. Each folder is read on first use, in the order of module names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from inspect import isabstract
from types import MappingProxyType, ModuleType
from typing import TypeVar

from harness.vocab.errors import Problem, UsageError
from harness.vocab.event import Event
from harness.vocab.oracle import Mutant, Oracle

_T = TypeVar("_T")


@cache
def events() -> Mapping[str, type[Event]]:
    """Event classes by name. Raises TypeError for a module that does not hold exactly one."""
    return _unique((found.__name__, found) for found in map(_event_of, _modules("harness.events")))


@cache
def oracles() -> Mapping[str, Oracle]:
    """Oracles by name. Raises TypeError for a module without one, or with one not named like its file."""
    found = [(module, _instance(module, "ORACLE", Oracle)) for module in _modules("harness.oracles")]
    for module, oracle in found:
        if oracle.name != module.__name__.rpartition(".")[2]:
            raise TypeError(f"{module.__name__}: the oracle is called {oracle.name}, not like its file")
    return _unique((oracle.name, oracle) for _, oracle in found)


@cache
def mutants() -> Mapping[str, Mutant]:
    """Mutants by name. A file that holds none, or cannot be read, is left out: see `broken_mutants`."""
    return _unique((mutant.name, mutant) for mutant in _mutants()[0])


def broken_mutants() -> Mapping[str, str]:
    """Files of mutants that cannot be used, with what is wrong with each."""
    return _mutants()[1]


@cache
def _mutants() -> tuple[tuple[Mutant, ...], Mapping[str, str]]:
    found: list[Mutant] = []
    broken: dict[str, str] = {}
    for name in _names("harness.sim.mutants"):
        try:
            found.append(_instance(import_module(name), "MUTANT", Mutant))
        except Exception as error:  # noqa: BLE001 - one file that is broken must not hide all others
            broken[f"{name.replace('.', '/')}.py"] = f"{type(error).__name__}: {error}"
    return tuple(found), MappingProxyType(broken)


def event(name: str) -> type[Event]:
    """The event class called `name`. Raises UsageError that says which there are."""
    return _named("event", name, events())


def oracle(name: str) -> Oracle:
    """The oracle called `name`. Raises UsageError that says which there are."""
    return _named("oracle", name, oracles())


def mutant(name: str) -> Mutant:
    """The mutant called `name`. Raises UsageError that says which there are."""
    return _named("mutant", name, mutants())


def _modules(package_name: str) -> Iterator[ModuleType]:
    return map(import_module, _names(package_name))


def _names(package_name: str) -> list[str]:
    package = import_module(package_name)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [f"{package_name}.{name}" for name in names if not name.startswith("_")]


def _event_of(module: ModuleType) -> type[Event]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__
    ]
    concrete = [value for value in found if not isabstract(value)]
    if len(concrete) != 1:
        raise TypeError(f"{module.__name__} must hold one Event, not {len(concrete)}")
    return concrete[0]


def _instance(module: ModuleType, attribute: str, kind: type[_T]) -> _T:
    value = getattr(module, attribute, None)
    if not isinstance(value, kind):
        raise TypeError(f"{module.__name__} must have {attribute}, a {kind.__name__}")
    return value


def _unique(items: Iterator[tuple[str, _T]]) -> Mapping[str, _T]:
    found: dict[str, _T] = {}
    for name, value in items:
        if name in found:
            raise TypeError(f"two things are called {name}")
        found[name] = value
    return MappingProxyType(found)


def _named(kind: str, name: str, known: Mapping[str, _T]) -> _T:
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see: harness list {kind}s"
        raise UsageError(Problem(f"unknown {kind} {name!r}", "", ", ".join(known), hint))
    return known[name]
