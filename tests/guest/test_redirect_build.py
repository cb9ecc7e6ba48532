"""The redirection of the driver's hcalls: on names and sums, and on a small module if there is a compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness.guest.redirect import SYMBOLS, redirect, renamed
from harness.guest.tools import CROSS
from harness.vocab.errors import InfraError
from harness.vocab.topology import Platform

SUMS = {"phypsim_plpar_hcall": 0x11, "phypsim_plpar_hcall9": 0x22}


def versions(**sums: int) -> bytes:
    return b"".join(struct.pack("<Q56s", crc, name.encode()) for name, crc in sums.items())


def test_two_names_and_their_sums_are_changed_and_nothing_else() -> None:
    before = versions(module_layout=1, plpar_hcall=2, plpar_hcall_norets=3, plpar_hcall9=4)
    after = versions(
        module_layout=1, phypsim_plpar_hcall=0x11, plpar_hcall_norets=3, phypsim_plpar_hcall9=0x22
    )
    assert renamed(before, SUMS, SYMBOLS[Platform.POWERVM]) == after


def test_a_driver_that_does_not_call_phyp_is_refused() -> None:
    with pytest.raises(InfraError, match="does not call plpar_hcall9"):
        renamed(versions(plpar_hcall=2), SUMS, SYMBOLS[Platform.POWERVM])


DRIVER = """
long plpar_hcall(unsigned long opcode, unsigned long *ret, ...);
long plpar_hcall9(unsigned long opcode, unsigned long *ret, ...);
long ask(unsigned long *ret) { return plpar_hcall(1, ret, 2) + plpar_hcall9(3, ret); }
struct version { unsigned long crc; char name[56]; };
struct version versions[] __attribute__((used, section("__versions"))) = {
    {1, "plpar_hcall"}, {2, "plpar_hcall9"},
};
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    if shutil.which(f"{CROSS}gcc") is None:
        pytest.skip(f"{CROSS}gcc is not installed: apt install gcc-powerpc64le-linux-gnu")
    source = tmp_path / "cxl.c"
    source.write_text(DRIVER)
    module = tmp_path / "cxl.ko"
    subprocess.run([f"{CROSS}gcc", "-c", "-o", module, source], check=True)
    with module.open("ab") as file:
        file.write(b"\x01~Module signature appended~\n")
    return module


def symvers(folder: Path, *names: str) -> Path:
    path = folder / "Module.symvers"
    path.write_text("".join(f"0x{SUMS[name]:08x}\t{name}\tphypsim\tEXPORT_SYMBOL_GPL\t\n" for name in names))
    return path


def test_the_code_stays_and_the_calls_go_elsewhere(driver: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target, code = redirect(driver, symvers(tmp_path, *SUMS), folder)
    undefined = subprocess.run(
        [f"{CROSS}nm", "--undefined-only", target], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(SUMS) <= set(undefined)
    assert not {"plpar_hcall", "plpar_hcall9"} & set(undefined)
    assert set(code) == {".text"}
    assert b"signature" not in target.read_bytes()
    assert b"signature" in driver.read_bytes(), "the original stays as it was"


def test_a_phypsim_that_lacks_an_export_is_refused(driver: Path, tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="phypsim does not export phypsim_plpar_hcall9"):
        redirect(driver, symvers(tmp_path, "phypsim_plpar_hcall"), tmp_path)


def test_the_driver_of_a_bare_metal_host_is_redirected_to_capicard() -> None:
    sums = {"capicard_phb_to_cxl_mode": 0x21, "capicard_cxl_ioda_msi_setup": 0x22, "capicard_cdev_init": 0x23}
    before = versions(pnv_phb_to_cxl_mode=1, pnv_cxl_get_irq_count=2, pnv_cxl_ioda_msi_setup=3, cdev_init=4)
    after = versions(
        capicard_phb_to_cxl_mode=0x21,
        pnv_cxl_get_irq_count=2,
        capicard_cxl_ioda_msi_setup=0x22,
        capicard_cdev_init=0x23,
    )
    assert renamed(before, sums, SYMBOLS[Platform.POWERNV]) == after
