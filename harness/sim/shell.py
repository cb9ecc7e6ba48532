"""The few shell commands of the simulated host, so that a person can look around: cat ls echo dmesg uname."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

from harness.sim.files import KERNEL, FileTree
from harness.sim.machine import Machine, SystemCallError
from harness.sim.scheduler import Flow

_STEPS_MAX = 20_000
_STEPS_BETWEEN = 500  # what the machine does while the person types
_REASONS = {
    "ENOENT": "No such file or directory",
    "EACCES": "Permission denied",
    "EINVAL": "Invalid argument",
    "EBUSY": "Device or resource busy",
    "EIO": "Input/output error",
    "ENODEV": "No such device",
}

_OPERATORS = frozenset(";|&`$<")

Answer = tuple[str, str, int]


class Shell:
    """Commands over one simulated machine that lasts from command to command."""

    def __init__(self, machine: Machine, files: FileTree, lines: list[str]) -> None:
        self.machine = machine
        self.files = files
        self.lines = lines

    def run(self, command: str) -> tuple[bytes, bytes, int]:
        """Perform one command line; gives output, errors and exit status."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            return b"", f"sh: {error}\n".encode(), 2
        if not words:
            return b"", b"", 0
        if operators := sorted(_OPERATORS.intersection("".join(words))):
            said = f"sh: no {' '.join(operators)} here: one command a line, echo TEXT > FILE at most\n"
            return b"", said.encode(), 2
        handler = _COMMANDS.get(words[0])
        if handler is None:
            known = " ".join(sorted(_COMMANDS))
            return b"", f"sh: {words[0]}: not found (this host knows: {known})\n".encode(), 127
        self.machine.scheduler.run(_STEPS_BETWEEN)
        output, errors, status = handler(self, words[1:])
        return output.encode(), errors.encode(), status

    def _flow(self, body: Flow) -> str:
        """Let the machine run until `body` is done; gives its result. Raises SystemCallError."""
        results: list[str] = []
        failures: list[SystemCallError] = []

        def task() -> Flow:
            try:
                results.append((yield from body) or "")
            except SystemCallError as error:
                failures.append(error)

        job = self.machine.scheduler.spawn(task(), "sh", 90)
        for _ in range(_STEPS_MAX):
            if job.is_done or not self.machine.scheduler.run(1):
                break
        if failures:
            raise failures[0]
        return results[0] if results else ""

    def _cat(self, words: list[str]) -> Answer:
        output, errors = "", ""
        for path in words:
            try:
                output += self._flow(self.files.read(path))
            except SystemCallError as error:
                errors += f"cat: {path}: {_REASONS.get(error.errno, error.errno)}\n"
        return output, errors, 1 if errors else 0

    def _ls(self, words: list[str]) -> Answer:
        paths = [word for word in words if not word.startswith("-")] or ["/"]
        output, errors = "", ""
        for path in paths:
            names = self._names(path)
            if names is None:
                errors += f"ls: cannot access '{path}': {_REASONS['ENOENT']}\n"
            else:
                output += "".join(f"{name}\n" for name in names)
        return output, errors, 2 if errors else 0

    def _names(self, path: str) -> list[str] | None:
        everything = [*self.files.nodes, *self._device_nodes()]
        if path in everything:
            return [path]
        prefix = path.rstrip("/") + "/"
        names = {node.removeprefix(prefix).split("/")[0] for node in everything if node.startswith(prefix)}
        return sorted(names) or None

    def _device_nodes(self) -> list[str]:
        afus = self.files.driver.afus.values()
        return [f"/dev/cxl/{afu.name}{kind}" for afu in afus if afu.card.is_present for kind in afu.kinds]

    def _echo(self, words: list[str]) -> Answer:
        if len(words) >= 2 and words[-2] in (">", ">>"):
            path, text = words[-1], " ".join(words[:-2])
            try:
                self._flow(self.files.write(path, text))
            except SystemCallError as error:
                return "", f"sh: write error: {_REASONS.get(error.errno, error.errno)}\n", 1
            return "", "", 0
        return " ".join(words) + "\n", "", 0

    def _dmesg(self, _words: list[str]) -> Answer:
        output = ""
        for line in self.lines:
            record = json.loads(line)
            if record["is"] == "log":
                head, _, text = record["raw"].partition(";")
                moment_us = int(head.split(",")[2])
                output += f"[{moment_us // 1_000_000:5d}.{moment_us % 1_000_000:06d}] {text}\n"
        return output, "", 0

    def _uname(self, words: list[str]) -> Answer:
        if "-r" in words:
            return f"{KERNEL}\n", "", 0
        if "-a" in words:
            return f"Linux sim {KERNEL} #1 SMP ppc64le GNU/Linux\n", "", 0
        return "Linux\n", "", 0


_COMMANDS: dict[str, Callable[[Shell, list[str]], Answer]] = {
    "cat": Shell._cat,
    "ls": Shell._ls,
    "echo": Shell._echo,
    "dmesg": Shell._dmesg,
    "uname": Shell._uname,
}
