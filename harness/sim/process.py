"""The simulated host's processes: what each has open and mapped, and what fork, exit and kill do to that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from harness.sim.driver.context import DriverAfu, File, Mapping
from harness.sim.driver.fileops import FileOperations
from harness.sim.machine import Machine, SystemCallError
from harness.sim.scheduler import Flow


class CardNode:
    """An open ``/dev/cxl/card*`` (PowerVM): closing it resets the facility (drivers/misc/cxl/flash.c)."""

    def __init__(self, reset: Callable[[], Flow]) -> None:
        self.reset = reset


class Process:
    """One process. Its own pid and memory are not counted in /proc/slabinfo: they are the harness'."""

    def __init__(self, machine: Machine, driver: FileOperations, name: str) -> None:
        self.machine = machine
        self.driver = driver
        self.name = name
        self.pid = machine.new_pid()
        self.files: dict[str, File | CardNode] = {}
        self.maps: dict[str, Mapping] = {}
        self.is_stopped = False  # its traffic is to end

    def file(self, fd: str) -> File:
        """The open context called `fd`. Raises SystemCallError EBADF."""
        file = self.files.get(fd)
        if not isinstance(file, File):
            raise SystemCallError("EBADF")
        return file

    def mapping(self, name: str) -> Mapping:
        """The mapping called `name`. Raises SystemCallError EFAULT."""
        if name not in self.maps:
            raise SystemCallError("EFAULT")
        return self.maps[name]

    def open(self, fd: str, afu: DriverAfu, kind: str, is_nonblocking: bool) -> Flow:
        """Open a context under the name `fd`."""
        if fd in self.files:
            raise SystemCallError("EBADF")
        self.files[fd] = yield from self.driver.open(afu, kind, is_nonblocking)
        self.machine.open_files += 1

    def close(self, fd: str) -> Flow:
        """Close `fd`; the context goes with the last reference to its file."""
        file = self.files.pop(fd, None)
        if file is None:
            raise SystemCallError("EBADF")
        if isinstance(file, CardNode):
            yield from file.reset()
        else:
            yield from self._put(file)

    def mmap(self, fd: str, name: str, length: int, offset: int) -> Flow:
        """Map the context `fd` under `name`."""
        if name in self.maps:
            raise SystemCallError("EINVAL")
        self.maps[name] = yield from self.driver.mmap(self.file(fd), length, offset)

    def munmap(self, name: str) -> Flow:
        """Unmap `name`, which gives back its reference to the file."""
        mapping = self.mapping(name)
        del self.maps[name]
        mapping.file.context.mappings.remove(mapping)
        yield from self._put(mapping.file)

    def fork(self, name: str) -> Process:
        """A child with the same files, and with mappings of its own that go to the same pages."""
        child = Process(self.machine, self.driver, name)
        for fd, file in self.files.items():
            if isinstance(file, File):
                child.files[fd] = file
                file.references += 1
        for map_name, mapping in self.maps.items():
            twin = child.maps[map_name] = Mapping(mapping.file, mapping.length, mapping.page)
            mapping.file.references += 1
            mapping.file.context.mappings.append(twin)
        return child

    def exit(self) -> Flow:
        """Give everything back, as the kernel does for a process that has died."""
        for give_back, names in ((self.munmap, tuple(self.maps)), (self.close, tuple(self.files))):
            for name in names:
                with suppress(SystemCallError):  # nobody is left to be told; the next one is given back too
                    yield from give_back(name)

    def _put(self, file: File) -> Flow:
        file.references -= 1
        if file.references == 0:
            self.machine.open_files -= 1
            yield from self.driver.release(file)
