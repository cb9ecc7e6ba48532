"""The file tree where Linux 6.1 is the driver: the files that it answers in its own way."""

from __future__ import annotations

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.linux import LinuxGuestDriver
from harness.sim.files import FileTree
from harness.sim.machine import SystemCallError
from harness.sim.scheduler import Flow

_ERROR_BUFFER = "/afu_err_buff"
_PREFAULT_MODES = ("none", "work_element_descriptor", "all")


class LinuxFileTree(FileTree):
    """Files of a PowerVM guest with Linux 6.1."""

    def read(self, path: str) -> Flow:
        """The text of a file. Raises SystemCallError."""
        afu = self._afu_of(path) if path.endswith(_ERROR_BUFFER) else None
        if afu is None:
            return (yield from super().read(path))
        yield "read-file"
        return (yield from self._linux().read_error_buffer(afu))

    def _linux(self) -> LinuxGuestDriver:
        assert isinstance(self.driver, LinuxGuestDriver)
        return self.driver

    def _afu_of(self, path: str) -> DriverAfu | None:
        return self.driver.afus.get(path.removeprefix("/sys/class/cxl/").removesuffix(_ERROR_BUFFER))

    def _add_afu(self, afu: DriverAfu) -> None:
        super()._add_afu(afu)
        folder = f"/sys/class/cxl/{afu.name}"
        driver = self._linux()
        prefault = [_PREFAULT_MODES[0]]

        def write_prefault(text: str) -> Flow:
            yield "write-prefault"
            if text not in _PREFAULT_MODES:
                raise SystemCallError("EINVAL")
            prefault[0] = text

        self.nodes |= {
            f"{folder}/mode": (lambda: f"{afu.mode}\n", lambda text: driver.change_mode(afu, text)),
            f"{folder}/prefault_mode": (lambda: f"{prefault[0]}\n", write_prefault),
        }
