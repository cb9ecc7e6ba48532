"""One simulated POWER host: says hello, plays each case on a fresh machine, answers a few shell commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import orjson

from harness.sim import phyp as firmware
from harness.sim import plain
from harness.sim.card import CardHardware
from harness.sim.deciding import decider
from harness.sim.driver.context import DriverAfu, DriverCard
from harness.sim.driver.guest import GuestDriver
from harness.sim.driver.linux import LinuxGuestDriver
from harness.sim.driver.linux_files import LinuxFileTree
from harness.sim.driver.native import NativeDriver
from harness.sim.files import KERNEL, FileTree
from harness.sim.machine import Machine
from harness.sim.mutants import named
from harness.sim.phyp import Phyp
from harness.sim.plain import PlainDrivers
from harness.sim.plain_eeh import PlainEeh
from harness.sim.plain_files import PCI, add_devices
from harness.sim.plain_io import PlainIo
from harness.sim.player import Player
from harness.sim.shell import Shell
from harness.sim.surface import Surface
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform

STEPS_MAX = 400_000
"""Resumptions after which a case is given up: a driver that spins for ever costs one case."""

STEPS_A_BATCH = 400
PLAY_BYTES_MAX = 16 << 20

_DIRECTED, _DEDICATED = "afu_directed", "dedicated_process"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AfuPlan:
    """What one simulated AFU is built like."""

    name: str
    modes: tuple[str, ...]
    contexts_max: int


_CARDS = {
    Platform.POWERNV: (
        (AfuPlan("afu0.0", (_DIRECTED,), 3), AfuPlan("afu0.1", (_DIRECTED, _DEDICATED), 3)),
        (AfuPlan("afu1.0", (_DEDICATED,), 1),),
    ),
    Platform.POWERVM: (
        (AfuPlan("afu0.0", (_DIRECTED,), 3), AfuPlan("afu0.1", (_DIRECTED,), 3)),
        (AfuPlan("afu1.0", (_DIRECTED,), 3),),
    ),
}
IRQS_MIN, IRQS_MAX = 1, 4

_CONSOLES = {
    Platform.POWERNV: ("hardware-console", "command-answers", "psl-interrupts"),
    Platform.POWERVM: ("phyp-console",),
}


class Drivers(NamedTuple):
    """A driver of a PowerVM guest, and the files that it shows."""

    driver: type[GuestDriver]
    files: type[FileTree]
    has_master_registers: bool = True
    features: tuple[str, ...] = ()


DRIVERS = {
    "": Drivers(GuestDriver, FileTree),
    "linux-6.1": Drivers(LinuxGuestDriver, LinuxFileTree, False, ("hold-points",)),
}


class SimulatedHost:
    """A host of `platform`, with one defect when `mutant`, or its name, is given, or with another driver.

    Raises KeyError for an unknown name of a mutant or driver.
    """

    def __init__(self, platform: Platform, mutant: str | Mutant = "", driver: str = "") -> None:
        self.platform = platform
        self._drivers = DRIVERS[driver]
        self.mutant = named(mutant) if isinstance(mutant, str) and mutant else mutant or None
        self.shell_machine: Shell | None = None
        self._mixed: dict[type, type] = {}  # components with the mutant's overrides

    def hello(self) -> bytes:
        """The hello line of the agent protocol, without its newline."""
        _, _, files = self._build(0, [])
        paths = [path for path in files.nodes if _is_told(path)]
        told = {path: _text(files, path) for path in paths if files.nodes[path][0] is not None}
        for card in files.driver.cards.values():
            if card.hardware.bdf:
                told[f"/sys/class/cxl/{card.name}/device"] = f"../../../{card.hardware.bdf}"
        masters = {} if self._drivers.has_master_registers else {"master_registers": False}
        facts: dict[str, dict[str, Any]] = {
            afu.name: {"contexts_max": afu.contexts_max, "unit": afu.unit, "test_registers": True, **masters}
            for afu in files.driver.afus.values()
        }
        if isinstance(files.driver, NativeDriver):
            facts["devices"] = {}
            for device in plain.build():
                told[f"{PCI}/{device.bdf}/driver"] = f"../../../../bus/pci/drivers/{device.plan.driver}"
                net = {"address": plain.ADDRESS, "peer": plain.PEER} if device.plan.is_network else {}
                facts["devices"][device.bdf] = net
        features = ["debugfs", "deterministic", "kprobes", "virtual-time", *_CONSOLES[self.platform]]
        features += self._drivers.features
        uname = {"nodename": f"sim-{self.platform.value}", "release": KERNEL, "machine": "ppc64le"}
        hello = {
            "protocol": 1,
            "uname": uname,
            "platform": self.platform.value,
            "features": features,
            "files": told,
            "facts": facts,
        }
        return orjson.dumps({"hello": hello})

    def play(self, line: bytes) -> Iterator[bytes]:
        """Play one case on a fresh machine; gives the reply lines, in batches joined by newlines."""
        replies: list[str] = []
        try:
            play = orjson.loads(line[:PLAY_BYTES_MAX])["play"]
            machine, surface, _ = self._build(play["schedule"], replies)
            player = Player(machine, surface, replies.append)
            player.begin(play["steps"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield _end(0, f"not a play line: {type(error).__name__}: {error}")
            return
        yield from self._run(machine, replies)

    def _run(self, machine: Machine, replies: list[str]) -> Iterator[bytes]:
        scheduler = machine.scheduler
        try:
            while scheduler.run(STEPS_A_BATCH) and scheduler.steps < STEPS_MAX:
                if replies:
                    yield "\n".join(replies).encode()
                    replies.clear()
        except Exception as error:  # noqa: BLE001 a defect of the model costs one case, and is said
            replies.append(_end(machine.case_us, f"simulator: {type(error).__name__}: {error}").decode())
            scheduler.is_over = True
        if not scheduler.is_over:
            replies.append(_end(machine.case_us, "the host hangs: it gave no more signs of life").decode())
        if replies:
            yield "\n".join(replies).encode()

    def shell(self, command: str) -> tuple[bytes, bytes, int]:
        """Perform a shell command on a machine that lasts; gives output, errors and exit status."""
        if self.shell_machine is None:
            replies: list[str] = []
            machine, _, files = self._build(0, replies)
            self.shell_machine = Shell(machine, files, replies)
        return self.shell_machine.run(command)

    def _build(self, schedule: object, replies: list[str]) -> tuple[Machine, Surface, FileTree]:
        machine = Machine(decider(schedule), replies.append)
        plans = _CARDS[self.platform]
        afu_class = self.variant(CardHardware, "card")
        cards: list[DriverCard] = []
        for index, afus in enumerate(plans):
            bdf = f"{index:04x}:01:00.0" if self.platform is Platform.POWERNV else ""
            hardware = afu_class(f"card{index}", index, tuple(afu.name for afu in afus), bdf)
            card = DriverCard(hardware.name, hardware)
            cards.append(card)
            for slice_number, (afu, plan) in enumerate(zip(hardware.afus, afus, strict=True)):
                unit = 0x10 * (index + 1) + slice_number
                limits = (plan.contexts_max, IRQS_MIN, IRQS_MAX)
                card.afus.append(DriverAfu(plan.name, card, afu, unit, plan.modes, *limits, plan.modes[0]))
        if self.platform is Platform.POWERNV:
            return self._build_native(machine, cards)
        driver = self._build_guest_driver(machine, cards)
        files = self._drivers.files(machine, driver)
        return machine, Surface(machine, driver, files), files

    def _build_native(self, machine: Machine, cards: list[DriverCard]) -> tuple[Machine, Surface, FileTree]:
        devices = plain.build()
        eeh = self.variant(PlainEeh, "eeh")(machine, cards, devices)
        eeh.drivers = self.variant(PlainDrivers, "device")(machine, devices, eeh)
        eeh.driver = driver = self.variant(NativeDriver, "driver")(machine, cards, eeh)
        files = self._drivers.files(machine, driver)
        add_devices(files.nodes, eeh)
        return machine, Surface(machine, driver, files, PlainIo(eeh)), files

    def _build_guest_driver(self, machine: Machine, cards: list[DriverCard]) -> GuestDriver:
        processes_max = {afu.name: afu.contexts_max for card in cards for afu in card.afus}
        functions = firmware.build(tuple(card.hardware for card in cards), processes_max)
        guest_driver = self.variant(self._drivers.driver, "driver")
        return guest_driver(machine, cards, self.variant(Phyp, "phyp")(functions))

    def variant(self, component: type[_T], name: str) -> type[_T]:
        """The class to build a component of: with the mutant's overrides, if it is about that component."""
        mutant = self.mutant
        if mutant is None or mutant.component != name:
            return component
        if component not in self._mixed:
            self._mixed[component] = type(mutant.override.__name__, (mutant.override, component), {})
        return self._mixed[component]


def _is_told(path: str) -> bool:
    is_of_pci = path.startswith(PCI) and path.endswith(("/eeh_pe_config_addr", "/class"))
    return path.startswith("/sys/class/cxl/") or is_of_pci


def _text(files: FileTree, path: str) -> str:
    reader, _ = files.nodes[path]
    return reader() if reader is not None else ""


def _end(case_us: int, error: str) -> bytes:
    got: dict[str, Any] = {"error": error[:2000]}
    return orjson.dumps({"t": case_us, "is": "end", "who": "harness", "got": got})
