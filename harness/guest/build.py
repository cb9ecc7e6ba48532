"""Builds the guest: Debian's kernel and programs, our modules, and the driver redirected to them.

A build is made in a directory of its own and renamed when it is complete and checked, so that nothing
half-built is ever taken for whole. The same inputs give the same bytes.
"""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.guest import cache, initramfs, module, stdlib, userland
from harness.guest.kernelmodules import DRIVER, WANTED, KernelModules
from harness.guest.packages import Archive, Chosen, sha256_of, unpack
from harness.guest.redirect import redirect
from harness.guest.tools import CROSS, require, run
from harness.vocab.errors import InfraError
from harness.vocab.topology import Platform

SPACE_BYTES = 800_000_000
"""What a build takes at most: packages, what is in them, and the result."""

_BELOW = {Platform.POWERVM: module.PHYPSIM, Platform.POWERNV: module.CAPICARD}
"""Which module takes the calls that the driver's copy for a platform is redirected to."""

_WORK = "building-"
_NETWORK = "see to the network or its proxy (http_proxy), then run `make guest` again"

Say = Callable[[str], None]


def build(say: Say, is_offline: bool = False) -> cache.Build:
    """Have a finished guest of Debian's current packages and these sources; build it if there is none.

    `say` is told each step. Raises InfraError that says what to do.
    """
    require()
    try:
        with cache.locked(say):
            return _build(say, is_offline)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InfraError(_too_little_space()) from error
        raise InfraError(f"{error.filename or cache.root()}: {error.strerror}") from error


def _build(say: Say, is_offline: bool) -> cache.Build:
    for remains in cache.root().glob(f"{_WORK}*"):
        # A program of the build that was killed may write for a moment yet; the rest goes next time.
        shutil.rmtree(remains, ignore_errors=True)
    archive = Archive(cache.root() / "apt")
    archive.open()
    chosen = _choose(archive, say, is_offline)
    compiler = run([f"{CROSS}gcc", "--version"], "asking for the compiler's version")[0]
    sources = cache.sources()
    inputs = _inputs(chosen, compiler, sources)
    if found := _already(cache.root() / cache.name_of(chosen.kernel, inputs), say):
        return found
    if shutil.disk_usage(cache.root()).free < SPACE_BYTES:
        raise InfraError(_too_little_space())
    downloads = cache.root() / "downloads"
    archive.download(chosen.packages, downloads, say)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=cache.root(), ignore_cleanup_errors=True) as name:
        work = Path(name)
        result = work / "result"
        result.mkdir()
        code = _make(chosen, downloads, work, result, say)
        identity = cache.Identity(
            kernel=chosen.kernel,
            inputs=inputs,
            sources=sources,
            compiler=compiler,
            packages={package.name: package.version for package in chosen.packages},
            code=code,
            files={path.name: sha256_of(path) for path in sorted(result.iterdir())},
        )
        (result / cache.IDENTITY).write_text(identity.text())
        built = cache.publish(result, identity)
    for old in set(downloads.iterdir()) - {downloads / package.file for package in chosen.packages}:
        old.unlink()
    say(f"built {built.directory}")
    return built


def _choose(archive: Archive, say: Say, is_offline: bool) -> Chosen:
    trouble = "" if is_offline else archive.refresh()
    try:
        chosen = archive.current()
    except InfraError as error:
        if is_offline:
            raise InfraError(
                f"{error}\nThe cache knows too little of Debian: build without --offline"
            ) from error
        if trouble:
            raise InfraError(f"Debian's package index could not be fetched: {trouble}; {_NETWORK}") from error
        raise
    if trouble:
        say(f"Debian's package index could not be fetched in full ({trouble}): goes on with what there is")
    say(f"kernel {chosen.kernel}, {len(chosen.packages)} packages of Debian")
    return chosen


def _inputs(chosen: Chosen, compiler: str, sources: str) -> str:
    packages = [(package.file, package.sha256) for package in chosen.packages]
    python = sys.version.split()[0] if userland.is_compiled() else ""
    return cache.digest_of([sources, compiler, python, sorted(packages)])


def _already(directory: Path, say: Say) -> cache.Build | None:
    if not directory.exists():
        return None
    try:
        found = cache.Build.read(directory)
    except InfraError as error:
        say(f"{error}: builds it again")
        return None
    cache.make_current(directory)
    say(f"is built already: {directory}")
    return found


def _make(chosen: Chosen, downloads: Path, work: Path, result: Path, say: Say) -> dict[str, str]:
    packages = work / "packages"
    packages.mkdir()
    say("unpacks the packages")
    unpack(chosen.packages, downloads, packages)
    theirs = KernelModules(packages, chosen.kernel)
    driver, modules = theirs.file(DRIVER), theirs.in_order(WANTED)
    own: dict[str, Path] = {}
    symvers: dict[str, Path] = {}
    for name in module.NAMES:
        say(f"builds {name}")
        own[name], symvers[name] = module.build(packages, chosen.kernel, name, work / name)
    say("redirects the driver")
    code: dict[str, str] = {}
    for platform, simulator in _BELOW.items():
        folder = work / platform.value
        folder.mkdir()
        redirected, code = redirect(driver, symvers[simulator], folder, platform)
        modules[platform.value] += [own[simulator], redirected]
        shutil.copy(redirected, result / f"cxl-{platform.value}.ko")
    modules[Platform.POWERNV.value].insert(0, own[module.PCIPREP])
    say("packs the guest's file system")
    imports = stdlib.imported(cache.AGENT.read_text())
    tree = userland.tree(packages, cache.ROOTFS, imports, modules)
    (result / cache.INITRAMFS).write_bytes(initramfs.pack(tree))
    for path in own.values():
        shutil.copy(path, result)
    shutil.copyfile(packages / "boot" / f"vmlinux-{chosen.kernel}", result / cache.VMLINUX)
    return code


def _too_little_space() -> str:
    return (
        f"{cache.root()}: too little space; a build needs {SPACE_BYTES // 1_000_000} MB. "
        "Free some, or name another directory: CAPI_GUEST_CACHE=DIR make guest"
    )
