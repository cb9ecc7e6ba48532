"""What of Debian's packages goes into the guest: shell, SSH server, Python, and their libraries."""

from __future__ import annotations

import py_compile
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.guest.initramfs import Entry, console, directory, file, link
from harness.guest.kernelmodules import unsigned
from harness.guest.stdlib import closure
from harness.guest.tools import CROSS, run
from harness.vocab.errors import InfraError

PYTHON = "python3.11"

PROGRAMS = ("bin/busybox", "usr/sbin/dropbear", "usr/bin/dropbearkey", f"usr/bin/{PYTHON}")

LINKS = {"init": "bin/busybox", "bin/sh": "busybox", "usr/bin/python3": PYTHON}

_LIBRARY_FOLDERS = ("lib/powerpc64le-linux-gnu", "usr/lib/powerpc64le-linux-gnu", "lib64")
_LOADER = "ld64.so.2"

_STDLIB = f"usr/lib/{PYTHON}"


def tree(
    packages: Path,
    own_files: Path,
    imports: tuple[str, ...],
    modules: Mapping[str, Sequence[Path]],
) -> dict[str, Entry]:
    """The guest's file system, by path: Debian's files, our own, and `modules` of each platform in loading
    order.

    `imports` are the Python modules that the agent names. Raises InfraError when a package lacks something.
    """
    library = closure(packages / _STDLIB, imports)
    programs = [*(packages / path for path in PROGRAMS), *(path for path in library if path.suffix == ".so")]
    entries = {
        path.relative_to(packages).as_posix(): file(_content(path), is_program=True) for path in programs
    }
    entries |= _libraries(packages, programs)
    entries |= dict(_python_module(packages, path) for path in library if path.suffix == ".py")
    entries |= {path: link(target) for path, target in LINKS.items()}
    entries |= {
        f"lib/modules/{platform}/{number:02}-{module.name}": file(unsigned(_content(module)))
        for platform, ordered in modules.items()
        for number, module in enumerate(ordered)
    }
    entries |= dict(_own(own_files))
    return entries | {"dev": directory(), "dev/console": console(), "root": directory(0o700)}


def is_compiled() -> bool:
    """Whether this Python can compile the guest's modules, which spares the guest doing so at its start."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}" == PYTHON


def _own(folder: Path) -> Iterator[tuple[str, Entry]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield path.relative_to(folder).as_posix(), file(content, is_program=content.startswith(b"#!"))


def _python_module(packages: Path, source: Path) -> tuple[str, Entry]:
    name = source.relative_to(packages).as_posix()
    if not is_compiled():
        return name, file(_content(source))
    target = source.with_suffix(".pyc")
    py_compile.compile(
        str(source),
        cfile=str(target),
        dfile=f"/{name}",
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return f"{name}c", file(target.read_bytes())


def _libraries(packages: Path, programs: Sequence[Path]) -> dict[str, Entry]:
    """Shared libraries that programs need, and those that these need."""
    found: dict[str, Path] = {_LOADER: _library(packages, _LOADER)}
    asked: Sequence[Path] = programs
    while asked:
        news = {name: _library(packages, name) for name in sorted(_needed(asked) - set(found))}
        found |= news
        asked = list(news.values())
    places = {name: "lib64" if name == _LOADER else _LIBRARY_FOLDERS[0] for name in found}
    return {f"{places[name]}/{name}": file(_content(path), is_program=True) for name, path in found.items()}


def _library(packages: Path, name: str) -> Path:
    for folder in _LIBRARY_FOLDERS:
        if (path := packages / folder / name).exists():
            return path
    raise InfraError(
        f"no package of the guest holds the library {name}: add it to PACKAGES in harness/guest/build.py"
    )


def _needed(files: Sequence[Path]) -> set[str]:
    said = run([f"{CROSS}objdump", "-p", *map(str, files)], "reading which libraries are needed")
    return {words[1] for line in said if (words := line.split())[:1] == ["NEEDED"]}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InfraError(f"Debian's packages hold no {path.name} where it was expected ({path})") from error
