"""Points the driver's hcalls to phypsim: two names in the symbol table of a copy of `cxl.ko`, and their sums.

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

SYMBOLS = {"plpar_hcall": "phypsim_plpar_hcall", "plpar_hcall9": "phypsim_plpar_hcall9"}
"""What the driver calls, and what it calls instead."""

_VERSIONS = "__versions"
_VERSION = struct.Struct("<Q56s")  # struct modversion_info: the sum of a symbol's prototype, and its name
_CODE_LINE = re.compile(r"\s*\d+ (?P<name>\S+) +(?!0+ )[0-9a-f]+ .*\bCODE\b")  # not those of size 0


def redirect(driver: Path, symvers: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the redirected driver into `folder`. Returns its path, and the SHA-256 of each section of code.

    `symvers` is the Module.symvers of phypsim's build. Raises InfraError when either is not as expected.
    """
    versions = folder / "versions"
    _section(driver, _VERSIONS, versions)
    versions.write_bytes(renamed(versions.read_bytes(), _sums(symvers)))
    target = folder / driver.name
    renames = [f"--redefine-sym={old}={new}" for old, new in SYMBOLS.items()]
    update = f"--update-section={_VERSIONS}={versions}"
    run([f"{CROSS}objcopy", *renames, update, str(driver), str(target)], "redirecting the driver's hcalls")
    before, after = dict(_code(driver, folder)), dict(_code(target, folder))
    if before != after or not before:
        raise InfraError(f"redirecting changed the code of {driver.name}: {before} became {after}")
    return target, after


def renamed(versions: bytes, sums: Mapping[str, int]) -> bytes:
    """A `__versions` section in which the redirected symbols have their new names and sums.

    Raises InfraError when one of them is not there: then the driver is not one that calls PHYP.
    """
    entries = [(crc, name.rstrip(b"\0").decode()) for crc, name in _VERSION.iter_unpack(versions)]
    if lacking := SYMBOLS.keys() - {name for _, name in entries}:
        raise InfraError(f"the driver does not call {', '.join(sorted(lacking))}: it cannot be redirected")
    return b"".join(
        _VERSION.pack(sums[SYMBOLS[name]], SYMBOLS[name].encode())
        if name in SYMBOLS
        else _VERSION.pack(crc, name.encode())
        for crc, name in entries
    )


def _sums(symvers: Path) -> dict[str, int]:
    rows = (line.split("\t") for line in symvers.read_text().splitlines())
    sums = {name: int(crc, 16) for crc, name, *_ in rows}
    if lacking := set(SYMBOLS.values()) - set(sums):
        raise InfraError(f"phypsim does not export {', '.join(sorted(lacking))}")
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
