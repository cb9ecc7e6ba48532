"""Debian's packages: which are current, and their files, checked by the sums of Debian's signed index.

apt does the work, with state of its own below the cache: it needs no root and changes nothing of the system.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.guest.tools import KEYRING, lines, run
from harness.vocab.errors import InfraError

ARCHITECTURE = "ppc64el"
RELEASE = "bookworm"

KERNEL = "linux-image-powerpc64le"
"""The package that needs the current kernel of the release."""

USERLAND = (
    "busybox-static",
    "dropbear-bin",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgmp10",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libtomcrypt1",
    "libtommath1",
    "python3.11-minimal",
    "zlib1g",
)

_AGAIN = "what has come is kept: run `make guest` again"

_MIRROR = "http://deb.debian.org"

# Read after the system's configuration, whose proxies stay valid and whose hooks do not concern us.
_CONFIGURATION = """
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; "{native}"; }};
APT::Sandbox::User "root";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "1";
Dir::Cache "{folder}";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""

_SOURCE = """
Types: deb
URIs: {mirror}/{path}
Suites: {suites}
Components: main
Targets: Packages
Signed-By: {keyring}
"""

_SUITES = {"debian": f"{RELEASE} {RELEASE}-updates", "debian-security": f"{RELEASE}-security"}

_URI_LINE = re.compile(
    r"'[^']+' (?P<file>(?P<name>[^_ ]+)_(?P<version>[^_ ]+)_[^_ ]+\.deb)"
    r" (?P<bytes>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Package:
    """One package in one version. `file` is its file's name, `sha256` what the signed index says of that."""

    name: str
    version: str
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The packages that a guest is made of, and the release of the kernel that is among them."""

    kernel: str
    packages: tuple[Package, ...]


class Archive:
    """Debian's archive, seen through an index of our own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._configuration = self._folder / "apt.conf"

    def open(self) -> None:
        """Make what apt needs. To be called first."""
        for name in ("lists/partial", "archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        mirror = os.environ.get("CAPI_GUEST_MIRROR", _MIRROR).rstrip("/")
        (self._folder / "debian.sources").write_text(
            "".join(
                _SOURCE.format(mirror=mirror, path=path, suites=suites, keyring=KEYRING)
                for path, suites in _SUITES.items()
            )
        )
        self._configuration.write_text(
            _CONFIGURATION.format(architecture=ARCHITECTURE, native=_native(), folder=self._folder)
        )

    def refresh(self) -> str:
        """Fetch the index anew. Returns what went wrong, if something did; then the one from before stays."""
        try:
            self._apt("apt-get", "update", "--error-on=any", what="fetching Debian's package index")
        except InfraError as error:
            return _complaint(error)
        return ""

    def current(self) -> Chosen:
        """What a guest would be made of now. Raises InfraError when the index does not have it."""
        image = self._needs(KERNEL, "linux-image-")[0]
        kernel = image.removeprefix("linux-image-")
        headers = f"linux-headers-{kernel}"
        native = _native()
        # The programs of the kernel's build run here, everything else is for the guest.
        support = [
            f"{name}:{native}" if name.startswith("linux-kbuild-") else name
            for name in self._needs(headers, "linux-")
        ]
        return Chosen(kernel, tuple(self._found([image, headers, *support, *USERLAND])))

    def download(self, packages: Sequence[Package], folder: Path, say: Callable[[str], None]) -> None:
        """Have the files of all packages in `folder`, whole. Raises InfraError; what has come is kept."""
        folder.mkdir(parents=True, exist_ok=True)
        lacking = [package for package in packages if not is_whole(folder, package)]
        if not lacking:
            return
        megabytes = sum(package.bytes for package in lacking) / 1e6
        say(f"downloads {len(lacking)} of {len(packages)} packages, {megabytes:.1f} MB")
        for package in lacking:
            path = folder / package.file
            if path.exists() and path.stat().st_size >= package.bytes:
                path.unlink()  # a shorter file is the beginning of the right one, from which apt goes on
        words = [f"{package.name}:{_architecture(package)}={package.version}" for package in lacking]
        try:
            for line in self._follow("apt-get", "download", *words, what="downloading", folder=folder):
                if line.startswith("Get:"):
                    _, _, _, _, name, _, version, *size = line.split()
                    say(f"  {name} {version} {' '.join(size)}")
        except InfraError as error:
            raise InfraError(f"a download failed: {_complaint(error)}; {_AGAIN}") from error
        if wrong := [package.file for package in lacking if not is_whole(folder, package)]:
            raise InfraError(
                f"what came is not what Debian's signed index says: {', '.join(wrong)} in {folder}; {_AGAIN}"
            )

    def _needs(self, package: str, beginning: str) -> list[str]:
        said = self._apt(
            "apt-cache", "show", "--no-all-versions", package, what="reading Debian's package index"
        )
        depends = next((line for line in said if line.startswith("Depends: ")), "")
        names = [clause.split()[0] for clause in depends.removeprefix("Depends: ").split(", ") if clause]
        found = [name for name in names if name.startswith(beginning)]
        if not found:
            raise InfraError(
                f"Debian's package {package} needs nothing called {beginning}…: {depends or said}"
            )
        return found

    def _found(self, names: Sequence[str]) -> Iterator[Package]:
        said = self._apt("apt-get", "download", "--print-uris", *names, what="finding Debian's packages")
        found = {match["name"]: match for line in said if (match := _URI_LINE.fullmatch(line))}
        if lacking := [name for name in names if name.partition(":")[0] not in found]:
            raise InfraError(f"Debian's package index does not have: {', '.join(lacking)}")
        for match in found.values():
            yield Package(
                match["name"], unquote(match["version"]), match["file"], int(match["bytes"]), match["sha256"]
            )

    def _apt(self, program: str, *words: str, what: str) -> list[str]:
        return list(self._follow(program, *words, what=what, folder=self._folder))

    def _follow(self, program: str, *words: str, what: str, folder: Path) -> Iterator[str]:
        return lines([program, "-c", str(self._configuration), *words], what, folder)


def is_whole(folder: Path, package: Package) -> bool:
    """Whether the file of a package is there, byte for byte."""
    path = folder / package.file
    return path.is_file() and path.stat().st_size == package.bytes and sha256_of(path) == package.sha256


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def unpack(packages: Sequence[Package], downloads: Path, folder: Path) -> None:
    """Unpack the files of packages over one another. Nothing of them is run. Raises InfraError."""
    for package in packages:
        run(
            ["dpkg-deb", "--extract", str(downloads / package.file), str(folder)], f"unpacking {package.file}"
        )


def _complaint(error: InfraError) -> str:
    """What apt complained of first, or all that it said."""
    lines_said = [line.strip() for line in str(error).splitlines()]
    return next((line.removeprefix("E: ") for line in lines_said if line.startswith("E: ")), str(error))


def _native() -> str:
    return run(["dpkg", "--print-architecture"], "asking for this machine's architecture")[0]


def _architecture(package: Package) -> str:
    return package.file.rpartition("_")[2].removesuffix(".deb")
