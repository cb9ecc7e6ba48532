"""The files of one running guest: a private directory that goes when the guest does.

Snapshots and shared memory are written at the speed of memory where the system has room for them there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

from harness.guest.keys import Keys
from harness.vocab.errors import InfraError

MAILBOX_BYTES = 4 << 20
NEEDED_BYTES = 512 << 20
"""Most that a guest writes: two snapshots, the memory that it shares with us, and its initramfs."""


class Layout(NamedTuple):
    """What a kind of machine needs: memory that we share with it and its disks, by name, and ROMs by size."""

    memories: Mapping[str, int]
    roms: tuple[int, ...]
    disks: Mapping[str, int] = MappingProxyType({})


_MEMORY = Path("/dev/shm")
_FULL_SHARE = 4  # of what is free in memory, a guest may take this part: others need memory, too


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """Where everything is, and the keys that the guest was made with."""

    directory: Path
    client_key: str
    host_key: str

    @classmethod
    def make(cls, initramfs: Path, layout: Layout) -> Self:
        """Make the directory and all files that QEMU is started with. Raises InfraError."""
        keys = Keys.generate()
        files = cls(_made(), keys.client_private, keys.host_public)
        try:
            files._fill(initramfs, layout, keys)
        except OSError as error:
            files.remove()
            raise InfraError(f"the guest's files cannot be made: {error}; is the disk full?") from error
        return files

    def copied(self) -> Self:
        """All of it once more, to restore the same guest with. Raises InfraError."""
        directory = _made()
        try:
            shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        except OSError as error:  # of which shutil.Error is one
            shutil.rmtree(directory, ignore_errors=True)
            raise InfraError(f"the guest's files cannot be copied: {error}; is the disk full?") from error
        return replace(self, directory=directory)

    def _fill(self, initramfs: Path, layout: Layout, keys: Keys) -> None:
        with self.initramfs.open("wb") as out:
            with initramfs.open("rb") as built:
                shutil.copyfileobj(built, out)
            out.write(b"\0" * (-out.tell() % 4))  # the kernel looks for the next archive at a multiple of 4
            out.write(keys.archive())
        for name, size in layout.memories.items():
            _allocate(self.memory(name), size)
        for name, size in layout.disks.items():
            _allocate(self.disk(name), size)
        for size in layout.roms:
            self.all_ones(size).write_bytes(b"\xff" * size)
        self.client_key_path.touch(0o600)
        self.client_key_path.write_text(self.client_key)

    @property
    def initramfs(self) -> Path:
        """The built one, and after it an archive with this guest's keys."""
        return self.directory / "initramfs"

    def memory(self, name: str) -> Path:
        """Memory that the guest and the firmware share."""
        return self.directory / f"{name}.mem"

    def disk(self, name: str) -> Path:
        """The content of a disk."""
        return self.directory / f"{name}.disk"

    def all_ones(self, size: int) -> Path:
        """What is seen instead of a device's memory while it is isolated."""
        return self.directory / f"all-ones-{size}.rom"

    @property
    def snapshots(self) -> Path:
        """A disk that holds nothing but the guest's snapshots."""
        return self.directory / "snapshots.qcow2"

    @property
    def client_key_path(self) -> Path:
        """The private key of the guest's only user, for people with an ssh command."""
        return self.directory / "client-key"

    @property
    def words(self) -> Path:
        """What QEMU and its keeper said."""
        return self.directory / "qemu.log"

    def remove(self) -> None:
        """Remove the directory. Never raises."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _made() -> Path:
    """A new private directory. Raises InfraError."""
    try:
        return Path(tempfile.mkdtemp(prefix="capi-guest-", dir=_place()))
    except OSError as error:
        raise InfraError(f"no directory for the guest's files: {error}") from error


def _place() -> Path:
    """Memory if it has room to spare, else the directory for temporary files. Raises InfraError."""
    temporary = Path(tempfile.gettempdir())
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and _free(_MEMORY) > _FULL_SHARE * NEEDED_BYTES:
        return _MEMORY
    if _free(temporary) < NEEDED_BYTES:
        raise InfraError(
            f"{temporary}: {_free(temporary) >> 20} MiB are free, a guest needs {NEEDED_BYTES >> 20} MiB; "
            "make room there, or name another place in TMPDIR"
        )
    return temporary


def _free(path: Path) -> int:
    return shutil.disk_usage(path).free


def _allocate(path: Path, size: int) -> None:
    """A file of zeros that has its room on the disk: a hole would end the guest by SIGBUS on a full one."""
    with path.open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
