"""The programs that build the guest, and the Debian packages that they come from."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.vocab.errors import InfraError

CROSS = "powerpc64le-linux-gnu-"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SOURCES = {
    "qemu-system-ppc64": "qemu-system-ppc",
    f"{CROSS}gcc": "gcc-powerpc64le-linux-gnu",
    f"{CROSS}objcopy": "binutils-powerpc64le-linux-gnu",
    "make": "make",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
"""The Debian package of each program that is asked for."""

_LAST_LINES = 12


def missing() -> tuple[str, ...]:
    """The Debian packages that are not installed here, in alphabetical order."""
    packages = {package for program, package in SOURCES.items() if shutil.which(program) is None}
    return tuple(sorted(packages if KEYRING.exists() else packages | {"debian-archive-keyring"}))


def require() -> None:
    """Raise InfraError that names everything to install, unless all is there."""
    if packages := missing():
        raise InfraError(
            "the guest cannot be built: programs are missing. On Debian 12, Ubuntu 24.04 or newer, as root:\n"
            f"    apt install --no-install-recommends {' '.join(packages)}"
        )


def run(command: Sequence[str], what: str, folder: Path | None = None) -> list[str]:
    """Run a program to its end and return the lines that it said. Raises InfraError as `lines` does."""
    return list(lines(command, what, folder))


def lines(command: Sequence[str], what: str, folder: Path | None = None) -> Iterator[str]:
    """Run a program and give the lines that it says, as they come, on both of its outputs.

    Raises InfraError with the last of them if it fails. A program whose lines nobody wants any more is ended.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
    except FileNotFoundError as error:
        require()
        raise InfraError(f"{what}: {command[0]} could not be started: {error.strerror}") from error
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip("\n"))
                yield last[-1]
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = "".join(f"\n    {line}" for line in last)
        raise InfraError(f"{what} failed: {command[0]} ended with {process.returncode}{said}")


def _environment() -> dict[str, str]:
    # Debian's kernel headers look at DEB_*, make at MAKE*, apt at APT_CONFIG; texts are read in English.
    foreign = ("DEB_", "MAKE", "MFLAGS", "APT_CONFIG", "KBUILD", "KCFLAGS", "ARCH", "CROSS_COMPILE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "LC_ALL": "C.UTF-8"}
