"""Which modules of a kernel are loaded, and that each comes after what it needs, whatever a kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.guest.kernelmodules import DRIVER, WANTED, KernelModules, unsigned
from harness.vocab.errors import InfraError

KERNEL = "6.1.0-50-powerpc64le"


def kernel(folder: Path, **needs: str) -> KernelModules:
    """A kernel whose modules depend on others as `needs` says."""
    for name, depends in needs.items():
        path = folder / "lib/modules" / KERNEL / "kernel/drivers" / f"{name.replace('_', '-')}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0intree=Y\0")
    return KernelModules(folder, KERNEL)


def names(modules: KernelModules, **wanted: tuple[str, ...]) -> dict[str, list[str]]:
    ordered = modules.in_order(wanted)
    return {platform: [path.stem for path in paths] for platform, paths in ordered.items()}


def test_what_a_module_needs_comes_before_it_and_once(tmp_path: Path) -> None:
    modules = kernel(tmp_path, net="ring,bus", bus="ring", ring="", console="bus,ring")
    assert names(modules, common=("net", "console")) == {"common": ["ring", "bus", "net", "console"]}


def test_the_order_is_the_kernels_own(tmp_path: Path) -> None:
    """In 6.1.192 virtio came to need virtio_ring; before, it was loaded first."""
    older = kernel(tmp_path / "older", virtio="", virtio_ring="", virtio_pci="virtio,virtio_ring")
    newer = kernel(tmp_path / "newer", virtio="virtio_ring", virtio_ring="", virtio_pci="virtio,virtio_ring")
    assert names(older, common=("virtio_pci",))["common"] == ["virtio", "virtio-ring", "virtio-pci"]
    assert names(newer, common=("virtio_pci",))["common"] == ["virtio-ring", "virtio", "virtio-pci"]


def test_what_is_common_is_loaded_once(tmp_path: Path) -> None:
    modules = kernel(tmp_path, a="", b="a", c="b")
    assert names(modules, common=("b",), powernv=("c",)) == {"common": ["a", "b"], "powernv": ["c"]}


def test_a_name_may_be_written_with_either_dash(tmp_path: Path) -> None:
    modules = kernel(tmp_path, t10_pi="", nvme_core="t10-pi")
    assert names(modules, common=("nvme_core",)) == {"common": ["t10-pi", "nvme-core"]}


def test_a_kernel_without_the_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=rf"kernel {KERNEL} has no module cxl\.ko"):
        kernel(tmp_path).file(DRIVER)


def test_a_need_that_the_kernel_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"has no module ring\.ko"):
        kernel(tmp_path, net="ring").in_order({"common": ("net",)})


def test_a_file_that_is_no_module_is_refused(tmp_path: Path) -> None:
    modules = kernel(tmp_path, net="")
    modules.file("net").write_bytes(b"text")
    with pytest.raises(InfraError, match=r"net\.ko does not say which modules it depends on"):
        modules.in_order({"common": ("net",)})


def test_each_platform_has_its_list() -> None:
    assert set(WANTED) == {"common", "powervm", "powernv"}


def test_a_signature_goes_and_nothing_else() -> None:
    info = bytes(8) + (5).to_bytes(4, "big")
    assert unsigned(b"module" + b"SIGNS" + info + b"~Module signature appended~\n") == b"module"
    assert unsigned(b"module") == b"module"
