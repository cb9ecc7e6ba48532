"""The primitives on the simulated host: from a verb and its arguments to the driver and the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.sim.driver.context import DriverAfu
from harness.sim.driver.fileops import BusError
from harness.sim.driver.guest import GuestDriver
from harness.sim.driver.native import NativeDriver
from harness.sim.eeh import CAPP_RECOVERY_US
from harness.sim.files import FileTree
from harness.sim.machine import Machine, SystemCallError
from harness.sim.plain_io import PlainIo
from harness.sim.process import CardNode, Process
from harness.sim.scheduler import Flow

_NODE = re.compile(r"/dev/cxl/(afu\d+\.\d+)([dms])")


class Surface:
    """The kernel's own surface."""

    def __init__(
        self,
        machine: Machine,
        driver: NativeDriver | GuestDriver,
        files: FileTree,
        plain: PlainIo | None = None,
    ) -> None:
        self.plain = plain
        self.machine = machine
        self.driver = driver
        self.files = files

    def new_process(self, name: str) -> Process:
        """A process with nothing open."""
        return Process(self.machine, self.driver, name)

    def primitive(self, process: Process, verb: str, args: Mapping[str, Any]) -> Flow:
        """Perform `verb` in `process`; gives the answer's fields. Raises SystemCallError or BusError."""
        return _VERBS.get(verb, Surface._refuse)(self, process, args)

    def _refuse(self, _process: Process, _args: Mapping[str, Any]) -> Flow:
        yield "refuse"
        raise SystemCallError("EOPNOTSUPP")

    def _open(self, process: Process, args: Mapping[str, Any]) -> Flow:
        path = str(args["path"])
        card = self.driver.cards.get(path.removeprefix("/dev/cxl/"))
        if card is not None and isinstance(self.driver, GuestDriver):
            driver = self.driver
            yield from driver.open_card_node(card)
            process.files[args["fd"]] = CardNode(lambda: driver.close_card_node(card))
            return
        found = _NODE.fullmatch(path)
        afu = self.driver.afus.get(found[1]) if found else None
        if found is None or afu is None or not self._has_node(afu, found[2]):
            yield "open"
            raise SystemCallError("ENOENT")
        yield from process.open(args["fd"], afu, found[2], bool(args.get("nonblock")))

    def _has_node(self, afu: DriverAfu, kind: str) -> bool:
        return afu.card.is_present and kind in afu.kinds

    def _close(self, process: Process, args: Mapping[str, Any]) -> Flow:
        yield from process.close(args["fd"])

    def _ioctl(self, process: Process, args: Mapping[str, Any]) -> Flow:
        file = process.file(args["fd"])
        data = bytes.fromhex(args["data"])
        data = yield from self.driver.ioctl(file, args["request"], data, process.pid)
        return {"data": data.hex()}

    def _mmap(self, process: Process, args: Mapping[str, Any]) -> Flow:
        yield from process.mmap(args["fd"], args["map"], args["length"], args.get("offset", 0))

    def _munmap(self, process: Process, args: Mapping[str, Any]) -> Flow:
        yield from process.munmap(args["map"])

    def _load(self, process: Process, args: Mapping[str, Any]) -> Flow:
        mapping = process.mapping(args["map"])
        load, machine = self.driver.load, self.machine
        offset, width, stride = args["offset"], args["width"], args.get("stride", 0)
        runs: list[list[int]] = []
        for index in range(args.get("count", 1)):
            yield "load"
            try:
                value = load(mapping, offset + index * stride, width)
            except BusError:
                raise BusError({"runs": runs}) from None
            if runs and runs[-1][0] == value:
                runs[-1][1] += 1
                runs[-1][3] = machine.case_us
            else:
                runs.append([value, 1, machine.case_us, machine.case_us])
        return {"runs": runs}

    def _store(self, process: Process, args: Mapping[str, Any]) -> Flow:
        mapping = process.mapping(args["map"])
        yield "store"
        self.driver.store(mapping, args["offset"], args["width"], args["value"])

    def _read(self, process: Process, args: Mapping[str, Any]) -> Flow:
        timeout_ms = args.get("timeout_ms")
        timeout_us = -1 if timeout_ms is None else timeout_ms * 1000
        event = yield from self.driver.read(process.file(args["fd"]), timeout_us)
        return {"data": event.hex()}

    def _poll(self, process: Process, args: Mapping[str, Any]) -> Flow:
        revents = yield from self.driver.poll(process.file(args["fd"]), args["timeout_ms"] * 1000)
        return {"revents": revents}

    def _read_file(self, _process: Process, args: Mapping[str, Any]) -> Flow:
        count, only = args.get("count", 1), args.get("only", "")
        if count == 1:
            return {"text": _lines_with((yield from self.files.read(args["path"])), only)}
        runs: list[list[Any]] = []
        for _ in range(count):
            text = _lines_with((yield from self.files.read(args["path"])), only)
            if runs and runs[-1][0] == text:
                runs[-1][1] += 1
            else:
                runs.append([text, 1])
        return {"runs": runs}

    def _write_file(self, _process: Process, args: Mapping[str, Any]) -> Flow:
        text = args["text"]
        if "device" in args:
            text = self._plain().numbered(text, args["device"])
        yield from self.files.write(args["path"], text)

    def _plain(self) -> PlainIo:
        if self.plain is None:
            raise SystemCallError("EOPNOTSUPP")
        return self.plain

    def _traffic(self, process: Process, args: Mapping[str, Any]) -> Flow:
        return self._plain().traffic(process, args)

    def _claim(self, _process: Process, args: Mapping[str, Any]) -> Flow:
        return self._plain().claim(args)

    def _sleep(self, _process: Process, args: Mapping[str, Any]) -> Flow:
        yield int(args["ms"]) * 1000

    def _inject(self, _process: Process, args: Mapping[str, Any]) -> Flow:
        yield "inject"
        what, details = args["what"], args.get("with", {})
        try:
            if isinstance(self.driver, GuestDriver):
                is_known = self.driver.phyp.console(what, details, self.machine.now_us)
            else:
                is_known = self._break_hardware(self.driver, what, details)
        except KeyError as error:
            raise SystemCallError("EINVAL") from error
        if not is_known:
            raise SystemCallError("EOPNOTSUPP")

    def _break_hardware(self, driver: NativeDriver, what: str, details: Mapping[str, Any]) -> bool:
        if what in ("link_down", "capp_recovery"):
            card = driver.cards[details["card"]]
            card.hardware.freeze(is_link_down=True)
            delay_us = {"capp_recovery": CAPP_RECOVERY_US}.get(what, 20_000)
            self.machine.spawn(driver.eeh.notify(card, delay_us), "opal-eeh")
        elif what == "psl_error":
            afu = driver.afus[details["afu"]]
            afu.card.hardware.freeze()
            afu.hardware.on_slice_error()
        elif what == "hang_afu":
            driver.afus[details["afu"]].hardware.is_hung = True
        elif what == "answer_command":
            times = int(details.get("times", 1))
            driver.afus[details["afu"]].hardware.answer(details["command"], details["answer"], times)
        elif what == "psl_interrupt":
            driver.cards[details["card"]].hardware.on_error()
        elif what == "freeze_eeh_pe":
            self._plain().freeze(details)
        else:
            return False
        return True


def _lines_with(text: str, only: str) -> str:
    """The lines that contain `only`, each with its newline; without `only` the text."""
    if not only:
        return text
    return "".join(f"{line}\n" for line in text.split("\n") if only in line)


_VERBS: dict[str, Callable[[Surface, Process, Mapping[str, Any]], Flow]] = {
    "open": Surface._open,
    "close": Surface._close,
    "ioctl": Surface._ioctl,
    "mmap": Surface._mmap,
    "munmap": Surface._munmap,
    "load": Surface._load,
    "store": Surface._store,
    "read": Surface._read,
    "poll": Surface._poll,
    "read_file": Surface._read_file,
    "write_file": Surface._write_file,
    "sleep": Surface._sleep,
    "traffic": Surface._traffic,
    "claim": Surface._claim,
    "inject": Surface._inject,
}
