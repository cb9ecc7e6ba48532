"""The part of Python's standard library that a program needs: what it imports, and what that imports in turn.

Only imports that happen when a module is loaded count. Those inside functions wait for a use that the agent
does not make, and would draw in half of the library.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

STARTUP = (
    "site",
    "encodings.utf_8",
    "encodings.ascii",
    "encodings.latin_1",
    "runpy",
    "linecache",
    "tokenize",
)
"""What the interpreter imports by itself at its start, and to show a traceback."""


def imported(source: str) -> tuple[str, ...]:
    """The modules that a program imports and what it takes from them, in alphabetical order."""
    return tuple(sorted(set(_imports(ast.parse(source), package=""))))


def closure(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The files below `folder` of modules and of all that they import; built-in modules have none."""
    found: dict[str, Path | None] = {}
    asked = [*STARTUP, *names]
    while asked:
        name = asked.pop()
        if name in found:
            continue
        found[name] = path = _file(folder, name)
        if path is None:
            continue
        asked += filter(None, [name.rpartition(".")[0]])
        if path.suffix == ".py":
            is_package = path.name == "__init__.py"
            package = name if is_package else name.rpartition(".")[0]
            asked += _imports(ast.parse(path.read_bytes()), package)
    return sorted({path for path in found.values() if path})


def _file(folder: Path, name: str) -> Path | None:
    path = folder.joinpath(*name.split("."))
    for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if candidate.is_file():
            return candidate
    return next(iter(sorted((folder / "lib-dynload").glob(f"{name}.*.so"))), None)


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                origin = _absolute(module or "", package, level)
                yield origin
                # What is taken from a package may be a module of it; what is not has no file.
                yield from (f"{origin}.{alias.name}" for alias in aliases)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                pass
            case _:
                yield from _imports(child, package)


def _absolute(module: str, package: str, level: int) -> str:
    if not level:
        return module
    parts = package.split(".")
    return ".".join(filter(None, [*parts[: len(parts) - level + 1], module]))
