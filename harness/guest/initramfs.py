"""The guest's first file system: a cpio archive in the kernel's format `newc`.

The same content gives the same bytes: order, owner, times and inode numbers are fixed.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_MAGIC = "070701"
_END = "TRAILER!!!"
_ALIGN_BYTES = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a file system. `data` is a file's content, or where a link points to."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(data: bytes, is_program: bool = False) -> Entry:
    """A file that all may read, and execute if it is a program."""
    return Entry(stat.S_IFREG | (0o755 if is_program else 0o644), data)


def secret(data: bytes) -> Entry:
    """A file for its owner alone."""
    return Entry(stat.S_IFREG | 0o600, data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def directory(mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(stat.S_IFDIR | mode)


def console() -> Entry:
    """The device that the first process speaks to before anything is mounted."""
    return Entry(stat.S_IFCHR | 0o600, device=(5, 1))


def pack(tree: Mapping[str, Entry]) -> bytes:
    """Make an archive of a tree, whose keys are paths without a leading slash. Missing parents are added.

    Archives may follow one another: the kernel unpacks one after the other over the same tree.
    """
    whole = {parent: directory() for path in tree for parent in _parents(path)} | dict(tree)
    members = [_member(number, path, whole[path]) for number, path in enumerate(sorted(whole), start=1)]
    return b"".join([*members, _member(0, _END, Entry(0))])


def _parents(path: str) -> Iterable[str]:
    return (parent.as_posix() for parent in PurePosixPath(path).parents if parent.name)


def _member(number: int, path: str, entry: Entry) -> bytes:
    name = path.encode() + b"\0"
    fields = (
        number,
        entry.mode,
        0,  # owner
        0,  # group
        1,  # links
        0,  # time
        len(entry.data),
        0,  # device that the archive was read from: two numbers
        0,
        *entry.device,
        len(name),
        0,  # sum of bytes: not in this format
    )
    header = _MAGIC + "".join(f"{field:08x}" for field in fields)
    return _padded(header.encode() + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGN_BYTES)
