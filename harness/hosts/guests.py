"""The guests of ``qemu://powervm``: one is booted and saved, and then restored for each case.

Each restored guest is a QEMU of its own. To restore a guest within the same QEMU would be 0.1 s faster, but
QEMU 7.2 does not save the decrementer, the processor's timer: it would keep the time of the case before. In a
new QEMU it has expired already, so that the kernel looks at its clocks at once and sets it right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Lock

from harness.guest.cache import Build
from harness.guest.files import GuestFiles
from harness.guest.firmware import Firmware, State
from harness.guest.machine import Machine
from harness.guest.pseries import LAYOUT, Clock, PseriesMachine
from harness.hosts.console import ConsoleWatch
from harness.hosts.lastwords import is_end
from harness.hosts.login import Login
from harness.hosts.rehearsal import BEFORE_A_CASE
from harness.hosts.serial import SerialDoor
from harness.vocab.errors import InfraError

_USERNAME = "root"
_ADDRESS = "127.0.0.1"
_QUIET_S = 0.05
_REHEARSAL_S = 30.0
_QUIET_TRIES = 100


class Guest:
    """One QEMU, its console, and the agent's port."""

    def __init__(self, machine: Machine, firmware: Firmware) -> None:
        self.machine = machine
        self.firmware = firmware
        self._is_rehearsing = False
        self.console = ConsoleWatch(machine.console.detach(), "the guest's console")
        self.port = SerialDoor(machine.agent)
        self._ends_once = Lock()
        self.ending = ExitStack()
        """What is done when it ends, the last first."""
        for part in (self.port.close, self.console.close, machine.stop):
            self.ending.callback(part)

    @property
    def fault(self) -> BaseException | None:
        """A defect of what simulates its hardware."""
        return self.firmware.fault

    def check(self) -> None:
        """Raises InfraError when what simulates its hardware has failed."""
        if fault := self.fault:
            raise InfraError(f"what simulates its hardware failed: {type(fault).__name__}: {fault}")

    @property
    def login(self) -> Login:
        """The way in by SSH. Its key is known, because it was made here."""
        files = self.machine.files
        return Login(_ADDRESS, _USERNAME, files.client_key, files.host_key, self.machine.ssh_port)

    def rehearse(self) -> None:
        """Let the agent of a restored guest play its rehearsal, until it stands still. Raises InfraError."""
        self._is_rehearsing = True
        self.port.begin(json.dumps({"play": BEFORE_A_CASE}).encode())
        self.machine.resume()
        if not self.firmware.wait_standing(_REHEARSAL_S):
            self.check()
            raise InfraError(f"a restored guest did not finish its rehearsal within {_REHEARSAL_S:g} s")

    def begin(self, play: bytes) -> None:
        """Send one play line by the port, and let a guest that stands still go on. Raises InfraError."""
        self.port.begin(play)
        if self._is_rehearsing:
            self.firmware.go_on()
        else:
            self.machine.resume()

    def lines(self, timeout_s: float) -> Sequence[bytes]:
        """What the agent says of its case: see `SerialDoor.lines`."""
        lines = self.port.lines(timeout_s)
        if self._is_rehearsing:
            end = next((number for number, line in enumerate(lines) if is_end(line)), len(lines))
            self._is_rehearsing = end == len(lines)
            return lines[end + 1 :]
        return lines

    def says(self) -> list[str]:
        """The lines of its console."""
        return [line.text for line in self.console.lines()]

    def end(self) -> None:
        """End QEMU, unless it has ended already; when this returns, it has. Never raises."""
        with self._ends_once:  # a host that closes ends what another thread may just be ending
            self.ending.close()


class Guests:
    """Makes guests, of which only one may run at a time, because they share memory and PHYP.

    `copied` makes another place for the same guest. `close` removes what is left of the last one; who has a
    guest ends it.
    """

    def __init__(self, build: Build, clock: Clock, files: GuestFiles | None = None) -> None:
        """Prepare files, if there are none, and PHYP. Raises InfraError."""
        self.clock = clock
        self._build = build
        self._state: State | None = None
        with ExitStack() as stack:
            self.files = files or GuestFiles.make(build.initramfs, LAYOUT)
            stack.callback(self.files.remove)
            self.firmware = Firmware.of_partition(self.files.directory)
            stack.callback(self.firmware.stop)
            self._closing = stack.pop_all()

    def boot(self) -> Guest:
        """A guest that begins to boot. Raises InfraError."""
        machine = PseriesMachine(self.files, self.clock, self.firmware, self._build.vmlinux)
        guest = Guest(machine, self.firmware)
        self.firmware.start()
        guest.machine.resume()
        return guest

    def keep(self, guest: Guest) -> None:
        """Save a guest's state, at a moment when nothing is under way, and end it. Raises InfraError."""
        assert isinstance(guest.machine, PseriesMachine)
        for _ in range(_QUIET_TRIES):
            time.sleep(_QUIET_S)
            guest.machine.pause()
            if self.firmware.is_idle and not guest.machine.has_pending_interrupt:
                break
            guest.machine.resume()
        else:
            raise InfraError(f"the guest did not come to rest in {_QUIET_TRIES} looks: it cannot be saved")
        guest.machine.save()
        self._state = self.firmware.freeze()
        guest.end()

    def copied(self) -> Guests:
        """A place of its own for the guest that was kept, which may run beside ours. Raises InfraError."""
        assert self._state is not None
        copy = Guests(self._build, self.clock, self.files.copied())
        copy._state = copy.firmware.adopted(self._state, self.firmware)
        return copy

    def restored(self, *, rehearsed: bool) -> Guest:
        """A guest in the state that was kept, or after its rehearsal, standing still. Raises InfraError."""
        assert self._state is not None
        machine = PseriesMachine(self.files, self.clock, self.firmware)
        guest = Guest(machine, self.firmware)
        try:
            guest.check()
            self.firmware.start()
            machine.restore()
            self.firmware.thaw(self._state)
            if rehearsed:
                guest.rehearse()
        except BaseException:
            guest.end()
            raise
        return guest

    @property
    def facts(self) -> dict[str, dict[str, object]]:
        """What the guest's files do not tell of its AFUs, and which build this is."""
        facts = self.firmware.facts
        facts["host"] = {"guest_build": self._build.identity.inputs[:12]}
        return facts

    def close(self) -> None:
        """End PHYP and remove the files. Never raises."""
        self._closing.close()
