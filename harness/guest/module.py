"""Builds phypsim, the kernel module that takes the driver's hcalls, with Debian's headers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.guest.tools import CROSS, run

SOURCES = Path(__file__).parent / "phypsim"
COMMON = Path(__file__).parent / "common"  # what phypsim and capicard share

_PATTERNS = ("Kbuild", "*.c", "*.h")


def sources() -> list[Path]:
    """The files that the module is made of, in alphabetical order."""
    return sorted(
        {path for pattern in _PATTERNS for folder in (SOURCES, COMMON) for path in folder.glob(pattern)}
    )


def build(packages: Path, kernel: str, folder: Path) -> tuple[Path, Path]:
    """Build the module in `folder`, a new directory. Returns it and its Module.symvers. Raises InfraError."""
    folder.mkdir()
    for path in sources():
        shutil.copy(path, folder)
    headers = packages / "usr/src" / f"linux-headers-{kernel}"
    # This Makefile names the common headers by the place where the package would be installed.
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{headers.parent}/"))
    # Debian's headers name the version of their compiler; any that the kernel knows will do for a module.
    variables = {
        "ARCH": "powerpc",
        "CROSS_COMPILE": CROSS,
        "CC": f"{CROSS}gcc",
        "KCFLAGS": f"-ffile-prefix-map={folder}=phypsim -ffile-prefix-map={packages}=linux",
        "M": str(folder),
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    run(["make", f"-j{os.cpu_count() or 1}", "-C", str(headers), *words, "modules"], "building phypsim")
    module = folder / "phypsim.ko"
    run([f"{CROSS}objcopy", "--strip-debug", str(module)], "stripping phypsim")
    return module, folder / "Module.symvers"
