"""``qemu://powernv``: a real Linux with its own EEH core and drivers on an emulated bare-metal POWER9.

A boot serves several cases. Between two of them the host looks whether the guest is as it was when it had
booted: its kernel has not complained, no PE is frozen, the devices are there and have their drivers, settings
are as they were. Small things it puts right: freezes are forgotten, settings written back, what EEH has given
up is found anew. Else, and when a case has killed it, another guest is booted.

``?door=serial`` (else ``ssh``) says how the agent is reached. Time is the real one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

from harness.guest import cache
from harness.guest.cache import Build
from harness.guest.files import GuestFiles
from harness.guest.firmware import Firmware
from harness.guest.powernv import CARD_PHBS, DEVICES, LAYOUT, MAILBOX_PLACE, PowernvMachine, bridges
from harness.hosts.guesthost import Door, GuestHost, told
from harness.hosts.guests import Guest
from harness.hosts.health import Silence
from harness.vocab.errors import InfraError
from harness.vocab.oops import said_by_kernel, troubles

SILENCE = Silence(120.0, math.inf)
"""How long a guest may say nothing before it counts as hung: longer than any wait of the kernel's."""

SETTLE_S = 15.0
"""How long a recovery that is under way when a case ends may take before the guest is given up."""

FEATURES = ("config-injection",)

_LOOK_S = 0.2
_PREPARED = "/sys/module/pciprep/parameters"
_LIMIT = "/sys/kernel/debug/powerpc/eeh_max_freezes"
_PES = f"{_PREPARED}/pes"
_FORGET = {"path": f"{_PREPARED}/forget", "text": "1"}
_RESCAN = {"path": "/sys/bus/pci/rescan", "text": "1"}
_DRIVER = "/uevent"
_WATCHED = (_PES, "/proc/sys/kernel/tainted")


class BareMetalGuest(Guest):
    """A guest and what simulates its cards. Its files go with it."""

    def __init__(self, machine: PowernvMachine, firmware: Firmware) -> None:
        super().__init__(machine, firmware)
        self.power = machine
        self.devices: tuple[str, ...] = ()
        """The addresses of what is below the root ports."""

        self.state: Mapping[str, str] = {}
        """What it looked like when it had booted: texts of files, by path."""

    @classmethod
    def boot(cls, build: Build, *, mends_cdev: bool) -> Self:
        """A guest that begins to boot. Raises InfraError."""
        with ExitStack() as stack:
            files = GuestFiles.make(build.initramfs, LAYOUT)
            stack.callback(files.remove)
            phbs = bridges()
            above_cards = [phbs[index] for index in CARD_PHBS]
            firmware = Firmware.of_cards(
                files.directory, MAILBOX_PLACE, above_cards, phbs, mends_cdev=mends_cdev
            )
            stack.callback(firmware.stop)
            machine = PowernvMachine(files, firmware, phbs, build.vmlinux)
            stack.pop_all()
        guest = cls(machine, firmware)
        firmware.start()
        machine.resume()
        return guest

    @property
    def fault(self) -> BaseException | None:
        """A defect of what simulates the hardware."""
        watch = self.power.watch
        return self.firmware.fault or (watch.fault if watch else None)

    def end(self) -> None:
        """End QEMU, and remove its files. Never raises."""
        super().end()
        self.firmware.stop()
        self.machine.files.remove()


class BareMetalHost(GuestHost):
    """A Host over a guest that plays one case after the other, as long as it is well."""

    def __init__(self, url: str, build: Build, door: Door, *, mends_cdev: bool = False) -> None:
        """Boot a guest. Raises InfraError."""
        super().__init__(url, door, SILENCE)
        self.boots = 0
        self.why_booted: list[str] = []
        self._build = build
        self._mends_cdev = mends_cdev
        self._current: BareMetalGuest | None = None
        self._ready: Guest | None = None
        self._played = 0
        self._begin()

    @classmethod
    def open(cls, url: str, door: str = "serial", mend: str = "nothing") -> Self:
        """Open the guest that `make guest` has built. Raises InfraError."""
        return cls(url, cache.finished(), Door(door), mends_cdev=mend == "cdev")

    def _first(self) -> BareMetalGuest:
        self._current = guest = BareMetalGuest.boot(self._build, mends_cdev=self._mends_cdev)
        self.boots += 1
        return guest

    def _greeted(self, guest: Guest, hello: bytes) -> bytes:
        assert isinstance(guest, BareMetalGuest)
        self._prepare(guest)
        self._ready = guest
        facts: dict[str, dict[str, object]] = {
            **guest.firmware.facts,
            "host": {"guest_build": self._build.identity.inputs[:12]},
            "devices": dict(DEVICES),
        }
        return told(hello, facts, FEATURES)

    def _replacement(self, guest: Guest | None, *, is_dead: bool) -> Guest:
        ready, self._ready = self._ready, None
        if ready:
            return ready
        why = "its case killed it" if is_dead else "it could not be used"
        if isinstance(guest, BareMetalGuest) and not is_dead:
            try:
                why = self._complaint(guest)
            except InfraError as error:
                why = str(error)
            if not why:
                guest.console.begin()  # what was said until now is no evidence of the next case
                guest.firmware.forget()
                return guest
        self.why_booted.append(why)
        if guest:
            guest.end()
        self._hang_up()
        another = self._first()
        try:
            self._meet(another)
            self._prepare(another)
        except BaseException:
            another.end()
            raise
        return another

    def _fault(self) -> str:
        fault = self._current.fault if self._current else None
        return f"the simulated hardware failed: {type(fault).__name__}: {fault}" if fault else ""

    # Between cases -----------------------------------------------------------------------------------------

    def _complaint(self, guest: BareMetalGuest) -> str:
        """Why a guest that has played a case must not play another, or nothing. Raises InfraError."""
        if why := self._trouble(guest, SILENCE):
            return why
        if found := troubles(said_by_kernel(guest.says())):
            return f"its kernel complained: {found[0].title}"
        if lost := [path for path in self._differing(guest, self._look(guest)) if path.endswith(_DRIVER)]:
            self._plug_in(guest, [path.split("/")[-2] for path in lost])
        self._settle(guest)
        differing = self._differing(guest, self._look(guest))
        return f"not as it had booted: {', '.join(differing)}" if differing else ""

    def _prepare(self, guest: BareMetalGuest) -> None:
        """Use the agent of a guest that has booted once, and remember what it looks like."""
        guest.devices = tuple(
            line.split()[0] for line in self._read(guest, [("read_file", {"path": _PES})])[_PES].splitlines()
        )
        guest.state = self._look(guest)

    def _plug_in(self, guest: BareMetalGuest, devices: Sequence[str]) -> None:
        """Let the kernel find devices anew that EEH has given up: it left them frozen. Raises InfraError."""
        for device in devices:
            guest.power.phbs[int(device.partition(":")[0], 16)].thaw()
        self._read(guest, [("write_file", _RESCAN)])

    def _settle(self, guest: BareMetalGuest) -> None:
        """Wait until no PE is frozen. Raises InfraError when one stays so."""
        deadline = time.monotonic() + SETTLE_S
        while frozen := [index for index, phb in guest.power.phbs.items() if phb.is_frozen]:
            if time.monotonic() > deadline:
                raise InfraError(f"the PE below PHB {frozen[0]} stays frozen")
            time.sleep(_LOOK_S)

    def _differing(self, guest: BareMetalGuest, state: Mapping[str, str]) -> list[str]:
        return [path for path, text in guest.state.items() if state.get(path) != text]

    def _look(self, guest: BareMetalGuest) -> dict[str, str]:
        """Put small things right, and read what has to be as it was. Raises InfraError."""
        wants = [("write_file", _FORGET)]
        if limit := guest.state.get(_LIMIT):
            wants.append(("write_file", {"path": _LIMIT, "text": limit}))
        drivers = [f"/sys/bus/pci/devices/{device}{_DRIVER}" for device in guest.devices]
        wants += [("read_file", {"path": path}) for path in (*_WATCHED, _LIMIT, *drivers)]
        return self._read(guest, wants)

    def _read(self, guest: BareMetalGuest, wants: list[tuple[str, dict[str, str]]]) -> dict[str, str]:
        self._played += 1
        steps = [
            {"step": number, "part": 0, "who": "a0", "do": do, "args": args}
            for number, (do, args) in enumerate(wants)
        ]
        play = {"run": f"between-{self._played}", "schedule": 0, "steps": steps}
        answers: list[dict[str, Any]] = [
            line for line in self._play(guest, play) if line["is"] in ("ok", "fail")
        ]
        return {
            wants[answer["step"]][1]["path"]: _in_order(str(answer["got"].get("text", answer["got"])))
            for answer in answers
            if answer["do"] == "read_file"
        }


def _in_order(text: str) -> str:
    """The lines sorted: a device that was plugged anew comes last in the kernel's lists."""
    return "".join(sorted(text.splitlines(keepends=True)))
