"""``qemu://powernv``: a real Linux with its own EEH core and drivers on an emulated bare-metal POWER9.

A boot serves several cases. Between two of them the host looks whether the guest is as it was when it had
booted: its kernel has not complained, no PE is frozen, the devices are there and have their drivers, the
cards have their names, settings are as they were. Small things it puts right: freezes are forgotten, settings
written back, what EEH has given up is found anew. Else, and when a case has killed it, another guest takes
its place, which was booted while cases ran, from the end of the first one on.

``?door=serial`` (else ``ssh``) says how the agent is reached. Time is the real one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import count
from typing import Self

from harness.guest import cache
from harness.guest.cache import Build
from harness.guest.chassis import CARD_NAMES
from harness.guest.files import GuestFiles
from harness.guest.firmware import Firmware
from harness.guest.powernv import CARD_PHBS, DEVICES, LAYOUT, MAILBOX_PLACE, PowernvMachine, bridges
from harness.hosts.conversation import Conversation, Door
from harness.hosts.guesthost import GuestHost, told
from harness.hosts.guests import Guest
from harness.hosts.health import Silence
from harness.vocab.errors import InfraError, ProtocolError
from harness.vocab.oops import said_by_kernel, troubles

SILENCE = Silence(120.0, math.inf)
"""How long a guest may say nothing before it counts as hung: longer than any wait of the kernel's."""

SETTLE_S = 15.0
"""How long a recovery that is under way when a case ends may take before the guest is given up."""

FEATURES = ("config-injection", "emulated")

_LOOK_S = 0.2
_PREPARED = "/sys/module/pciprep/parameters"
_LIMIT = "/sys/kernel/debug/powerpc/eeh_max_freezes"
_PES = f"{_PREPARED}/pes"
_FORGET = {"path": f"{_PREPARED}/forget", "text": "1"}
_RESCAN = {"path": "/sys/bus/pci/rescan", "text": "1"}
_NAMES = tuple(f"/sys/class/cxl/{card}/device/uevent" for card in CARD_NAMES)  # which PCI device has which
_WATCHED = (_PES, "/proc/sys/kernel/tainted", *_NAMES)


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
            guest = cls(PowernvMachine(files, firmware, phbs, build.vmlinux), firmware)
            stack.push(guest.ending.pop_all())
            guest.ending = stack.pop_all()
        firmware.start()
        guest.machine.resume()
        return guest

    @property
    def fault(self) -> BaseException | None:
        """A defect of what simulates the hardware."""
        watch = self.power.watch
        return self.firmware.fault or (watch.fault if watch else None)


class BareMetalHost(GuestHost):
    """A Host over a guest that plays one case after the other, as long as it is well."""

    def __init__(self, url: str, build: Build, door: Door, *, mends_cdev: bool = False) -> None:
        """Boot a guest. Raises InfraError."""
        super().__init__(url, door, SILENCE)
        self.why_booted: list[str] = []
        """Why the guest was not used any more, for each but the first that plays cases."""
        self._build = build
        self._mends_cdev = mends_cdev
        self._ready: Guest | None = None
        self._spare: Future[Guest] | None = None
        self._booting: list[Guest] = []  # those that nobody but `close` could end
        self._played = count()
        self._begin()
        self._booter = self._closing.enter_context(ThreadPoolExecutor(1, "boot"))
        self._closing.callback(self._end_spares)

    @classmethod
    def open(cls, url: str, door: str = "serial", mend: str = "nothing") -> Self:
        """Open the guest that `make guest` has built. Raises InfraError."""
        return cls(url, cache.finished(), Door(door), mends_cdev=mend == "cdev")

    def _first(self) -> BareMetalGuest:
        return BareMetalGuest.boot(self._build, mends_cdev=self._mends_cdev)

    def _greeted(self, talk: Conversation, hello: bytes) -> bytes:
        self._prepare(talk)
        self._ready = talk.guest
        facts: dict[str, dict[str, object]] = {
            **talk.guest.firmware.facts,
            "host": {"guest_build": self._build.identity.inputs[:12]},
            "devices": dict(DEVICES),
        }
        return told(hello, facts, FEATURES)

    def _replacement(self, talk: Conversation | None, *, is_dead: bool) -> Guest:
        if talk is None:
            assert self._ready is not None
            return self._ready
        try:
            self._spare = self._spare or self._booter.submit(self._booted)
            why = "it died" if is_dead else self._why_not_again(talk)
            if not why:
                talk.guest.console.begin()  # what was said until now is no evidence of the next case
                talk.guest.firmware.forget()
                return talk.guest
        except BaseException:  # nobody else would
            talk.guest.end()
            raise
        self.why_booted.append(why)
        talk.hang_up()
        talk.guest.end()
        spare, self._spare = self._spare, None
        try:
            return spare.result()
        except InfraError:  # perhaps long ago
            return self._booted()

    # A spare guest -----------------------------------------------------------------------------------------

    def _booted(self) -> Guest:
        """A guest that is ready for a case. Raises InfraError."""
        guest = self._first()
        self._booting.append(guest)
        if self._is_closed:  # perhaps before it was there to be ended: then it does not greet
            guest.end()
        talk = self._converse(guest)
        try:
            talk.meet()
            self._prepare(talk)
        except BaseException:
            guest.end()
            raise
        finally:
            self._booting.remove(guest)
            talk.hang_up()
        return guest

    def _end_spares(self) -> None:
        """End what nobody waits for any more. Never raises."""
        for guest in tuple(self._booting):
            guest.end()
        if self._spare:
            with suppress(Exception):  # none was made
                self._spare.result().end()

    # Between cases -----------------------------------------------------------------------------------------

    def _why_not_again(self, talk: Conversation) -> str:
        """Why a guest that has played a case must not play another, or nothing."""
        try:
            return self._complaint(talk)
        except InfraError as error:
            return str(error)

    def _complaint(self, talk: Conversation) -> str:
        """What is wrong with a guest that has played a case. Raises InfraError."""
        guest = _bare(talk)
        if why := talk.trouble(SILENCE):
            return why
        if complaint := _kernels_complaint(guest):
            return f"its kernel complained: {complaint}"
        differing = _differing(guest, self._look(talk))
        if lost := [device for device in guest.devices if _driver(device) in differing]:
            self._plug_in(talk, lost)
        _settle(guest)
        differing = _differing(guest, self._look(talk))
        return f"not as it had booted: {', '.join(differing)}" if differing else ""

    def _prepare(self, talk: Conversation) -> None:
        """Use the agent of a guest once that has booted, and note what it looks like. Raises InfraError."""
        guest = _bare(talk)
        pes = self._read(talk, [("read_file", {"path": _PES})])[_PES]
        guest.devices = tuple(line.split()[0] for line in pes.splitlines())
        guest.state = self._look(talk)
        if complaint := _kernels_complaint(guest):
            raise InfraError(f"the kernel of a guest complained as it booted: {complaint}")
        guest.console.begin()  # what it said is no evidence of its first case

    def _plug_in(self, talk: Conversation, devices: Sequence[str]) -> None:
        """Let the kernel find devices anew that EEH has given up: it left them frozen. Raises InfraError."""
        for device in devices:
            _bare(talk).power.phbs[int(device.partition(":")[0], 16)].thaw()
        self._read(talk, [("write_file", _RESCAN)])

    def _look(self, talk: Conversation) -> dict[str, str]:
        """Put small things right, and read what has to be as it was. Raises InfraError."""
        guest = _bare(talk)
        wants = [("write_file", _FORGET)]
        if limit := guest.state.get(_LIMIT):
            wants.append(("write_file", {"path": _LIMIT, "text": limit}))
        drivers = map(_driver, guest.devices)
        wants += [("read_file", {"path": path}) for path in (*_WATCHED, _LIMIT, *drivers)]
        return self._read(talk, wants)

    def _read(self, talk: Conversation, wants: list[tuple[str, dict[str, str]]]) -> dict[str, str]:
        steps = [
            {"step": number, "part": 0, "who": "a0", "do": do, "args": args}
            for number, (do, args) in enumerate(wants)
        ]
        play = {"run": f"between-{next(self._played)}", "schedule": 0, "steps": steps}
        replies = talk.play(play)
        try:
            return {
                wants[reply["step"]][1]["path"]: _in_order(str(reply["got"].get("text", reply["got"])))
                for reply in replies
                if reply["is"] in ("ok", "fail") and reply["do"] == "read_file"
            }
        except (LookupError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{self.url}: the guest's agent answers what was not asked: {error}"
            ) from error


def _bare(talk: Conversation) -> BareMetalGuest:
    assert isinstance(talk.guest, BareMetalGuest)
    return talk.guest


def _kernels_complaint(guest: Guest) -> str:
    """The kernel's first complaint since its console was begun anew, or nothing."""
    found = troubles(said_by_kernel(guest.says()))
    return found[0].title if found else ""


def _driver(device: str) -> str:
    """The file that says which driver a PCI device has."""
    return f"/sys/bus/pci/devices/{device}/uevent"


def _settle(guest: BareMetalGuest) -> None:
    """Wait until no PE is frozen. Raises InfraError when one stays so."""
    deadline = time.monotonic() + SETTLE_S
    while frozen := [index for index, phb in guest.power.phbs.items() if phb.is_frozen]:
        if time.monotonic() > deadline:
            raise InfraError(f"the PE below PHB {frozen[0]} stays frozen")
        time.sleep(_LOOK_S)


def _differing(guest: BareMetalGuest, state: Mapping[str, str]) -> list[str]:
    """The paths of what is not as it was when the guest had booted."""
    return [path for path, text in guest.state.items() if state.get(path) != text]


def _in_order(text: str) -> str:
    """The lines sorted: a device that was plugged anew comes last in the kernel's lists."""
    return "".join(sorted(text.splitlines(keepends=True)))
