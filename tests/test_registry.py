"""Tests of the registry: everything is found in its folder, and what is wrong there is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.vocab.errors import UsageError
from harness.vocab.event import Event
from harness.vocab.oracle import Mutant, Oracle

ROOT = Path(registry.__file__).parent
ORACLE = """
from harness.vocab.oracle import Oracle
ORACLE = Oracle("{name}", "It is so.", lambda history: ())
"""
MUTANT = """
from harness.vocab.oracle import Mutant
MUTANT = Mutant("Sound", "it is so", frozenset(), (), "driver", object)
"""
EVENT = """
from harness.vocab.event import Event
class {name}(Event):
    enabled = draw = lower = lambda self: None
"""


def files(folder: str) -> int:
    return len([path for path in (ROOT / folder).glob("*.py") if not path.name.startswith("_")])


def test_every_file_holds_one_thing() -> None:
    assert len(registry.events()) == files("events")
    assert len(registry.oracles()) == files("oracles")
    assert len(registry.mutants()) == files("sim/mutants")
    assert all(issubclass(event, Event) for event in registry.events().values())
    assert all(isinstance(oracle, Oracle) for oracle in registry.oracles().values())
    assert all(isinstance(mutant, Mutant) for mutant in registry.mutants().values())


def test_mutants_are_killed_by_oracles_that_exist() -> None:
    for mutant in registry.mutants().values():
        assert mutant.killed_by, mutant.name
        assert set(mutant.killed_by) <= set(registry.oracles()), mutant.name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package that stands in for the real folders."""
    package = tmp_path / "standin"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    real = registry._names
    monkeypatch.setattr(registry, "_names", lambda name: real("standin"))
    lookups = (registry.events, registry.oracles, registry.mutants, registry._mutants)
    for lookup in lookups:
        lookup.cache_clear()
    yield package
    for lookup in lookups:
        lookup.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "standin"]:
        del sys.modules[name]


def test_modules_are_read_in_order_and_helpers_left_out(folder: Path) -> None:
    for name in ("zeal", "apt"):
        (folder / f"{name}.py").write_text(ORACLE.format(name=name))
    (folder / "_shared.py").write_text("raise ImportError")
    assert list(registry.oracles()) == ["apt", "zeal"]


def test_an_unknown_name_is_answered_with_what_there_is(folder: Path) -> None:
    for name in ("contexts_purged", "stores_ignored"):
        (folder / f"{name}.py").write_text(ORACLE.format(name=name))
    with pytest.raises(UsageError) as caught:
        registry.oracle("context_purged")
    message = str(caught.value)
    assert "contexts_purged, stores_ignored" in message
    assert "did you mean contexts_purged?" in message
    with pytest.raises(UsageError, match="harness list oracles"):
        registry.oracle("xyz")


def test_a_file_without_its_thing_is_an_error(folder: Path) -> None:
    (folder / "idle.py").touch()
    with pytest.raises(TypeError, match="ORACLE"):
        registry.oracles()
    with pytest.raises(TypeError, match="one Event, not 0"):
        registry.events()


def test_a_broken_mutant_is_left_out_and_told_of_by_its_file(folder: Path) -> None:
    (folder / "idle.py").touch()
    (folder / "raises.py").write_text("1 / 0")
    (folder / "typo.py").write_text("def (:")
    (folder / "sound.py").write_text(MUTANT)
    assert list(registry.mutants()) == ["Sound"]
    broken = registry.broken_mutants()
    assert [path.rpartition("/")[2] for path in broken] == ["idle.py", "raises.py", "typo.py"]
    for said, why in zip(("MUTANT", "ZeroDivisionError", "SyntaxError"), broken.values(), strict=True):
        assert said in why


def test_an_event_is_found_by_its_class_name(folder: Path) -> None:
    (folder / "drop.py").write_text(EVENT.format(name="Drop"))
    assert list(registry.events()) == ["Drop"]
    assert registry.event("Drop").__module__ == "standin.drop"


def test_two_things_of_one_name_are_an_error(folder: Path) -> None:
    (folder / "drop.py").write_text(EVENT.format(name="Drop"))
    (folder / "drop_again.py").write_text(EVENT.format(name="Drop"))
    with pytest.raises(TypeError, match="two things are called Drop"):
        registry.events()


def test_an_oracle_is_called_like_its_file(folder: Path) -> None:
    (folder / "apt.py").write_text(ORACLE.format(name="adept"))
    with pytest.raises(TypeError, match="adept"):
        registry.oracles()
