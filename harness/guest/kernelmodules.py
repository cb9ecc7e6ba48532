"""Which of the kernel's modules the guest loads, and in which order: what a module needs comes before it.

The order is not written down, because it changes from one kernel of Debian's to the next: each module says in
its `.modinfo` section which others it depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.vocab.errors import InfraError

COMMON = "common"
"""What each platform loads first."""

WANTED: Mapping[str, tuple[str, ...]] = {
    COMMON: ("virtio_pci", "virtio_net", "virtio_console"),
    "powervm": (),
    # NVMe needs the two sums, which it asks for by the names of their algorithms.
    "powernv": ("crct10dif_generic", "crc64_rocksoft_generic", "nvme", "e1000e", "8139cp"),
}
"""Names by the platform that loads them; our own modules and the driver come after them."""

DRIVER = "cxl"

_SIGNED = b"~Module signature appended~\n"
_SIGNATURE_INFO_BYTES = 12
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


class KernelModules:
    """The modules of one kernel, by name."""

    def __init__(self, packages: Path, release: str) -> None:
        """Of the kernel `release` in the folder where Debian's packages are unpacked."""
        self._release = release
        folder = packages / "lib/modules" / release / "kernel"
        self._files = {_plain(path.stem): path for path in folder.rglob("*.ko")}

    def file(self, name: str) -> Path:
        """The file of a module. Raises InfraError when the kernel was built without it."""
        path = self._files.get(_plain(name))
        if path is None:
            raise InfraError(
                f"kernel {self._release} has no module {name}.ko: Debian built it otherwise than this guest "
                "needs it; report it, or use an older build of the guest"
            )
        return path

    def in_order(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Path]]:
        """The files that each platform loads, in order, with all that they need. Raises InfraError."""
        common = self._with_needs(wanted[COMMON])
        return {
            platform: [path for path in self._with_needs(names) if platform == COMMON or path not in common]
            for platform, names in wanted.items()
        }

    def _with_needs(self, names: Sequence[str]) -> list[Path]:
        """Files of modules and of what they need, each once, before those that need it."""
        return list(dict.fromkeys(path for name in names for path in self._chain(self.file(name))))

    def _chain(self, path: Path) -> Iterator[Path]:
        for name in _needs(path):
            yield from self._chain(self.file(name))
        yield path


def unsigned(content: bytes) -> bytes:
    """A module without its signature, which an emulated processor takes a tenth of a second to check.

    Its last field is its length (`struct module_signature`, include/linux/module_signature.h).
    """
    if not content.endswith(_SIGNED):
        return content
    end = len(content) - len(_SIGNED)
    signature_bytes = int.from_bytes(content[end - 4 : end], "big")
    return content[: end - _SIGNATURE_INFO_BYTES - signature_bytes]


def _needs(path: Path) -> list[str]:
    said = _DEPENDS.search(path.read_bytes())
    if not said:
        raise InfraError(f"{path} does not say which modules it depends on: it is no module of this kernel")
    return [name for name in said[1].decode().split(",") if name]


def _plain(name: str) -> str:
    """A name as the kernel compares it."""
    return name.replace("-", "_")
