"""The guests of one ``qemu://`` host, one after the other: booted once, saved, and restored for each case.

Each restored guest is a QEMU of its own. To restore a guest within the same QEMU would be 0.1 s faster, but
QEMU 7.2 does not save the decrementer, the processor's timer: it would keep the time of the case before. In a
new QEMU it has expired already, so that the kernel looks at its clocks at once and sets it right.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from harness.guest.cache import Build
from harness.guest.files import GuestFiles
from harness.guest.firmware import Firmware, State
from harness.guest.machine import Machine
from harness.guest.pseries import LAYOUT, Clock, PseriesMachine
from harness.hosts.console import ConsoleWatch
from harness.hosts.login import Login
from harness.hosts.serial import SerialDoor
from harness.vocab.errors import InfraError

AGE_MS = 9000
"""How old a guest must be when it is saved: a new QEMU's decrementer expires after 2**32 ticks, 8.4 s."""

_USERNAME = "root"
_ADDRESS = "127.0.0.1"
_QUIET_S = 0.05
_QUIET_TRIES = 100


class Guest:
    """One QEMU, its console, and the agent's port."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.console = ConsoleWatch(machine.console.detach(), "the guest's console")
        self.port = SerialDoor(machine.agent)

    @property
    def login(self) -> Login:
        """The way in by SSH. Its key is known, because it was made here."""
        files = self.machine.files
        return Login(_ADDRESS, _USERNAME, files.client_key, files.host_key, self.machine.ssh_port)

    def says(self) -> list[str]:
        """The lines of its console."""
        return [line.text for line in self.console.lines()]

    def end(self) -> None:
        """End QEMU. Never raises."""
        self.machine.stop()
        self.console.close()
        self.port.close()


class Guests:
    """Makes guests, of which only one may run at a time, because they share memory and PHYP.

    `close` removes what is left of the last one; who has a guest ends it.
    """

    def __init__(self, build: Build, clock: Clock) -> None:
        """Prepare files and PHYP. Raises InfraError."""
        self.clock = clock
        self._build = build
        self._state: State | None = None
        with ExitStack() as stack:
            self.files = GuestFiles.make(build.initramfs, LAYOUT)
            stack.callback(self.files.remove)
            self.firmware = Firmware.of_partition(self.files.directory)
            stack.callback(self.firmware.stop)
            self._closing = stack.pop_all()

    def boot(self) -> Guest:
        """A guest that begins to boot. Raises InfraError."""
        guest = Guest(PseriesMachine(self.files, self.clock, self.firmware, self._build.vmlinux))
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

    def restored(self) -> Guest:
        """A guest in the state that was kept, standing still. Raises InfraError."""
        assert self._state is not None
        machine = PseriesMachine(self.files, self.clock, self.firmware)
        guest = Guest(machine)
        try:
            self.firmware.settle()
            machine.restore()
            self.firmware.thaw(self._state)
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
