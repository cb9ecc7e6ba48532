"""Points calls of the driver to a module of ours: names in the symbol table of a copy, and their sums.

The driver's code stays byte for byte what Debian built, which is checked here and recorded in the guest's
identity. The signature goes, because it is one of the whole file.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.guest.tools import CROSS, run
from harness.vocab.errors import InfraError
from harness.vocab.topology import Platform

SYMBOLS = {
    Platform.POWERVM: {"plpar_hcall": "phypsim_plpar_hcall", "plpar_hcall9": "phypsim_plpar_hcall9"},
    Platform.POWERNV: {
        # The firmware would refuse: QEMU has no CAPP.
        "pnv_phb_to_cxl_mode": "capicard_phb_to_cxl_mode",
        # The module notes which interrupts there are, and calls the kernel's function.
        "pnv_cxl_ioda_msi_setup": "capicard_cxl_ioda_msi_setup",
        # The module can let go of open files first; if it is not told to, it calls the kernel's function.
        "cdev_init": "capicard_cdev_init",
    },
}
"""What the driver calls on each platform, and what it calls instead."""

_VERSIONS = "__versions"
_VERSION = struct.Struct("<Q56s")  # struct modversion_info: the sum of a symbol's prototype, and its name
_CODE_LINE = re.compile(r"\s*\d+ (?P<name>\S+) +(?!0+ )[0-9a-f]+ .*\bCODE\b")  # not those of size 0


def redirect(
    driver: Path, symvers: Path, folder: Path, platform: Platform = Platform.POWERVM
) -> tuple[Path, dict[str, str]]:
    """Write the redirected driver into `folder`. Returns its path, and the SHA-256 of each section of code.

    `symvers` is the Module.symvers of the build of the module that takes the calls. Raises InfraError when
    either is not as expected.
    """
    symbols = SYMBOLS[platform]
    versions = folder / "versions"
    _section(driver, _VERSIONS, versions)
    versions.write_bytes(renamed(versions.read_bytes(), _sums(symvers, symbols), symbols))
    target = folder / driver.name
    renames = [f"--redefine-sym={old}={new}" for old, new in symbols.items()]
    update = f"--update-section={_VERSIONS}={versions}"
    run([f"{CROSS}objcopy", *renames, update, str(driver), str(target)], "redirecting the driver's calls")
    before, after = dict(_code(driver, folder)), dict(_code(target, folder))
    if before != after or not before:
        raise InfraError(f"redirecting changed the code of {driver.name}: {before} became {after}")
    return target, after


def renamed(versions: bytes, sums: Mapping[str, int], symbols: Mapping[str, str]) -> bytes:
    """A `__versions` section in which `symbols` have their new names and sums.

    Raises InfraError when one of them is not there: then the driver is not one of that platform.
    """
    entries = [(crc, name.rstrip(b"\0").decode()) for crc, name in _VERSION.iter_unpack(versions)]
    if lacking := symbols.keys() - {name for _, name in entries}:
        raise InfraError(f"the driver does not call {', '.join(sorted(lacking))}: it cannot be redirected")
    return b"".join(
        _VERSION.pack(sums[symbols[name]], symbols[name].encode())
        if name in symbols
        else _VERSION.pack(crc, name.encode())
        for crc, name in entries
    )


def _sums(symvers: Path, symbols: Mapping[str, str]) -> dict[str, int]:
    rows = (line.split("\t") for line in symvers.read_text().splitlines())
    sums = {name: int(crc, 16) for crc, name, *_ in rows}
    if lacking := set(symbols.values()) - set(sums):
        module = next(iter(symbols.values())).partition("_")[0]
        raise InfraError(f"{module} does not export {', '.join(sorted(lacking))}")
    return sums


def _code(module: Path, folder: Path) -> Iterator[tuple[str, str]]:
    said = run([f"{CROSS}objdump", "--section-headers", "--wide", str(module)], f"reading {module.name}")
    for name in sorted(match["name"] for line in said if (match := _CODE_LINE.match(line))):
        content = folder / "section"
        _section(module, name, content)
        yield name, hashlib.sha256(content.read_bytes()).hexdigest()


def _section(module: Path, name: str, target: Path) -> None:
    # objcopy writes a copy of the module besides; it goes where it does no harm.
    dump = [f"--dump-section={name}={target}", str(module), str(target.with_suffix(".copy"))]
    run([f"{CROSS}objcopy", *dump], f"reading {name} of {module.name}")
