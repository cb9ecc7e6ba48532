"""Builds our kernel modules with Debian's headers: each is a folder beside this file, in C."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.guest.tools import CROSS, run

PHYPSIM = "phypsim"
"""Takes the driver's hcalls in the powervm guest."""

PCIPREP = "pciprep"
"""Lets EEH cases follow each other in one boot of the powernv guest."""

CAPICARD = "capicard"
"""Makes CAPI cards of shared memory in the powernv guest."""

NAMES = (PHYPSIM, PCIPREP, CAPICARD)

_HERE = Path(__file__).parent
_COMMON = "common"
_PATTERNS = ("Kbuild", "*.c", "*.h")


def sources(name: str) -> list[Path]:
    """The files that a module is made of, and those that modules share."""
    folders = (_HERE / _COMMON, _HERE / name)
    return sorted({path for folder in folders for pattern in _PATTERNS for path in folder.glob(pattern)})


def build(packages: Path, kernel: str, name: str, folder: Path) -> tuple[Path, Path]:
    """Build a module in `folder`, a new directory. Returns it and its Module.symvers. Raises InfraError."""
    folder.mkdir()
    for path in sources(name):
        shutil.copy(path, folder)
    headers = packages / "usr/src" / f"linux-headers-{kernel}"
    # This Makefile names the common headers by the place where the package would be installed.
    makefile = headers / "Makefile"
    text = makefile.read_text()
    if f"{packages}" not in text:
        makefile.write_text(text.replace("/usr/src/", f"{headers.parent}/"))
    # Debian's headers name the version of their compiler; any that the kernel knows will do for a module.
    variables = {
        "ARCH": "powerpc",
        "CROSS_COMPILE": CROSS,
        "CC": f"{CROSS}gcc",
        "KCFLAGS": f"-ffile-prefix-map={folder}={name} -ffile-prefix-map={packages}=linux",
        "M": str(folder),
    }
    words = [f"{variable}={value}" for variable, value in variables.items()]
    run(["make", f"-j{os.cpu_count() or 1}", "-C", str(headers), *words, "modules"], f"building {name}")
    module = folder / f"{name}.ko"
    run([f"{CROSS}objcopy", "--strip-debug", str(module)], f"stripping {name}")
    return module, folder / "Module.symvers"
