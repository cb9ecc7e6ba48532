"""Where finished guests lie, and whether one is whole and was built from these sources."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from harness.guest import module, stdlib
from harness.guest.packages import sha256_of
from harness.vocab.errors import InfraError

VMLINUX = "vmlinux"
INITRAMFS = "initramfs.cpio"
IDENTITY = "identity.json"
CURRENT = "current"

_HERE = Path(__file__).parent
ROOTFS = _HERE / "rootfs"
AGENT = _HERE.parent / "agent" / "agent.py"

_BUILDERS = ("build", "initramfs", "kernelmodules", "module", "redirect", "stdlib", "userland")
_PREFIX = "guest-"
_KEPT_BUILDS = 2
_ADVICE = "run `make guest`"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a guest is: its kernel, and digests of all that it was made of and consists of.

    One build serves both machines, pseries and powernv: what differs is chosen in the guest when it boots.

    `inputs` covers the packages, the compiler and `sources`, which are the harness's own files. `code` are
    the sections of the driver's code, which the redirection left as they were.
    """

    kernel: str
    inputs: str
    sources: str
    compiler: str
    packages: dict[str, str]
    code: dict[str, str]
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the build's directory."""
        return name_of(self.kernel, self.inputs)

    def text(self) -> str:
        """The identity as a file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text` back. Raises InfraError for what `text` never wrote."""
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(**found)
        except (ValueError, TypeError) as error:
            raise InfraError(f"not an identity of a guest: {error}") from error


@dataclass(frozen=True, slots=True)
class Build:
    """A finished guest."""

    directory: Path
    identity: Identity

    @property
    def vmlinux(self) -> Path:
        """The kernel."""
        return self.directory / VMLINUX

    @property
    def initramfs(self) -> Path:
        """The first file system, a cpio archive to which others may be appended.

        It is not compressed: an emulated processor takes half a second for that.
        """
        return self.directory / INITRAMFS

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a build and check every file of it. Raises InfraError that says what is wrong."""
        try:
            identity = Identity.parse((directory / IDENTITY).read_text())
        except (OSError, InfraError, UnicodeDecodeError) as error:
            raise InfraError(f"{directory / IDENTITY}: cannot be read: {error}") from error
        for name, digest in sorted(identity.files.items()):
            path = directory / name
            if not path.is_file():
                raise InfraError(f"{path}: is missing")
            if (found := sha256_of(path)) != digest:
                raise InfraError(f"{path}: is not what was built (SHA-256 {found[:12]}…, not {digest[:12]}…)")
        return cls(directory, identity)


def root() -> Path:
    """The cache's directory."""
    if own := os.environ.get("CAPI_GUEST_CACHE"):
        return Path(own).absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "capi-recovery" / "guest"


def finished() -> Build:
    """The current guest, checked. Raises InfraError that says what to do when there is no good one."""
    current = root() / CURRENT
    if not current.exists():
        raise InfraError(f"no guest is built in {root()}: {_ADVICE}")
    try:
        build = Build.read(current.resolve())
    except InfraError as error:
        raise InfraError(f"the guest is damaged: {error}; {_ADVICE}, which builds it again") from error
    if build.identity.sources != sources():
        raise InfraError(f"the guest in {build.directory} was built from other sources than these: {_ADVICE}")
    return build


def sources() -> str:
    """Digest of everything of the harness that a guest is made of."""
    files = [
        *(_HERE / f"{name}.py" for name in _BUILDERS),
        *(path for name in module.NAMES for path in module.sources(name)),
        *(path for path in sorted(ROOTFS.rglob("*")) if path.is_file()),
    ]
    contents = {path.relative_to(_HERE).as_posix(): sha256_of(path) for path in files}
    # The agent itself is sent to the guest; only what it imports has to be there.
    return digest_of({"files": contents, "imports": stdlib.imported(AGENT.read_text())})


def digest_of(value: object) -> str:
    """A digest of any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def name_of(kernel: str, inputs: str) -> str:
    """The name of the directory for a build of these inputs."""
    return f"{_PREFIX}{kernel}-{inputs[:12]}"


@contextmanager
def locked(say: Callable[[str], None]) -> Iterator[None]:
    """Be the only builder in this cache; wait for another one if there is one."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another build is under way in {root()}: waits for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(work: Path, identity: Identity) -> Build:
    """Make a complete, checked directory the current build, in one step; delete all but the newest others."""
    Build.read(work)
    final = root() / identity.name
    shutil.rmtree(final, ignore_errors=True)
    work.rename(final)
    make_current(final)
    others = sorted(root().glob(f"{_PREFIX}*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_KEPT_BUILDS:]:
        shutil.rmtree(old, ignore_errors=True)
    return Build(final, identity)


def make_current(directory: Path) -> None:
    """Let `finished` find this build."""
    new = root() / f"{CURRENT}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(directory.name)
    new.replace(root() / CURRENT)
