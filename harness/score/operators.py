"""Generated mutants: operators of the library mutmut over the simulator's source, so that nobody chose them.

Mutated are the bodies of functions, as the library does, of the reference driver, PHYP, EEH and the card. Not
mutated is what cannot matter: annotations and decorators, documentation, and the names of points at which a
task yields, which nobody reads.

The library is needed only here and is an extra: ``pip install .[score]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import CodeType
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from harness import sim
from harness.vocab.errors import Problem, UsageError

SOURCES = ("driver/*.py", "phyp.py", "eeh.py", "card.py")
"""What is mutated, below harness/sim."""

_FOLDER = Path(sim.__path__[0])
_NOT_MUTATED = (cst.Annotation, cst.Decorator)


@dataclass(frozen=True, slots=True)
class Generated:
    """One change at one place. `function` is qualified as Python does it; `line` is where the change begins.

    `id` is stable as long as the function is not changed: file, function, operator, and a number among those.
    """

    id: str
    file: str
    function: str
    operator: str
    line: int
    change: str


class _Places(cst.CSTVisitor):
    """Finds what the operators would change in function bodies."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, int, cst.CSTNode, cst.CSTNode]] = []
        self._operators = _operators()
        self._names: list[str] = []
        self._functions = 0
        self._skipped = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._names.append(node.name.value)
            if isinstance(node, cst.FunctionDef):
                self._functions += 1
                self._names.append("<locals>")
        if self._is_skipped(node):
            return False
        if self._functions:
            for kind, operator in self._operators:
                if isinstance(node, kind):
                    self._add(node, operator.__name__, operator(node))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef):
            self._functions -= 1
            del self._names[-2:]
        elif isinstance(original_node, cst.ClassDef):
            del self._names[-1:]

    def _is_skipped(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _NOT_MUTATED):
            return True
        return isinstance(node, cst.Yield) and isinstance(node.value, cst.SimpleString)

    def _add(self, node: cst.CSTNode, operator: str, changed: Iterator[cst.CSTNode]) -> None:
        line = self.get_metadata(PositionProvider, node).start.line
        function = ".".join(self._names[:-1])
        for new in changed:
            self.found.append((function, operator.removeprefix("operator_"), line, node, new))


@cache
def _operators() -> Sequence[tuple[type, Any]]:
    try:
        from mutmut.mutation.mutators import mutation_operators  # noqa: PLC0415 - an extra
    except ImportError as error:
        install = "pip install 'capi-recovery-harness[score]', or make environment"
        raise UsageError(Problem("mutmut is not installed", "generated mutants", "", install)) from error
    return tuple(mutation_operators)


@cache
def _places(file: str) -> tuple[cst.Module, tuple[tuple[Generated, cst.CSTNode, cst.CSTNode], ...]]:
    wrapper = MetadataWrapper(cst.parse_module((_FOLDER / file).read_text(encoding="utf-8")))
    places = _Places()
    wrapper.visit(places)
    numbers: Counter[tuple[str, str]] = Counter()
    found = []
    for function, operator, line, old, new in places.found:
        numbers[function, operator] += 1
        name = f"{file}:{function}:{operator}:{numbers[function, operator]}"
        change = f"{_code(old)} -> {_code(new)}"
        found.append((Generated(name, file, function, operator, line, change), old, new))
    return wrapper.module, tuple(found)


def _code(node: cst.CSTNode) -> str:
    return " ".join(cst.Module([]).code_for_node(node).split())[:120]


def files() -> list[str]:
    """The files that are mutated, below harness/sim."""
    found = [path for pattern in SOURCES for path in sorted(_FOLDER.glob(pattern))]
    return [str(path.relative_to(_FOLDER)) for path in found]


def generated() -> tuple[Generated, ...]:
    """All mutants, file by file."""
    return tuple(mutant for file in files() for mutant, _, _ in _places(file)[1])


def mutated_code(mutant: Generated) -> CodeType:
    """The compiled module with the change. Raises SyntaxError when it is none."""
    module, places = _places(mutant.file)
    old, new = next((old, new) for found, old, new in places if found.id == mutant.id)
    changed = module.deep_replace(old, new)
    assert isinstance(changed, cst.Module)
    return compile(changed.code, str(_FOLDER / mutant.file), "exec")


def module_name(mutant: Generated) -> str:
    """The module that the mutant takes the place of."""
    return f"harness.sim.{mutant.file.removesuffix('.py').replace('/', '.')}"


def sample(mutants: Sequence[Generated], size: int) -> tuple[Generated, ...]:
    """`size` of the mutants, of each file and operator in proportion; always the same, by a hash of ids."""
    strata: dict[tuple[str, str], list[Generated]] = {}
    for mutant in mutants:
        strata.setdefault((mutant.file, mutant.operator), []).append(mutant)
    ranked: list[tuple[float, str, Generated]] = []
    for group in strata.values():
        group.sort(key=lambda mutant: sha256(mutant.id.encode()).digest())
        ranked += [((place + 0.5) / len(group), mutant.id, mutant) for place, mutant in enumerate(group)]
    ranked.sort(key=lambda item: item[:2])
    return tuple(mutant for _, _, mutant in ranked[:size])
