"""``qemu://powervm``: a real Linux with its own driver on an emulated POWER8, above a simulated PHYP.

The guest boots once, when the host is opened. Its state is saved when the agent has said hello, together with
PHYP's. Each case begins in that state, in a QEMU of its own, and stands still when its last line has come. So
nothing of a case gets into the next, and a guest in virtual time does not burn a processor while idle.

``?door=serial`` (else ``ssh``) says how the agent is reached, ``?clock=virtual`` (else ``real``) whose time
the guest's is. SSH dies with each restored state.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from harness.guest import cache
from harness.guest.cache import Build
from harness.guest.pseries import Clock
from harness.hosts.guesthost import Door, GuestHost, told
from harness.hosts.guests import AGE_MS, Guest, Guests
from harness.vocab.errors import InfraError

SILENCE_S = {Clock.VIRTUAL: 12.0, Clock.REAL: 120.0}
"""How long a guest may say nothing before it counts as hung. Waiting costs no time where time is virtual."""

_WARM_UP = {
    "run": "warm-up",
    "schedule": 0,
    "steps": [
        {"step": 0, "part": 0, "who": "a0", "do": "open", "args": {"fd": "f", "path": "/dev/null"}},
        {"step": 0, "part": 1, "who": "a0", "do": "close", "args": {"fd": "f"}},
        {"step": 1, "part": 0, "who": "harness", "do": "sleep", "args": {"ms": AGE_MS}},
    ],
}

_FEATURES = {Clock.VIRTUAL: ("virtual-time",), Clock.REAL: ()}


class QemuHost(GuestHost):
    """A Host over a guest that is restored for each case."""

    def __init__(self, url: str, build: Build, clock: Clock, door: Door) -> None:
        """Boot a guest and save its state. Raises InfraError."""
        super().__init__(url, door, SILENCE_S[clock])
        self._guests = Guests(build, clock)
        self._closing.callback(self._guests.close)
        self._begin()

    @classmethod
    def open(cls, url: str, clock: str = "virtual", door: str = "serial") -> Self:
        """Open the guest that `make guest` has built. Raises InfraError."""
        return cls(url, cache.finished(), Clock(clock), Door(door))

    @property
    def hcall_durations_us(self) -> Sequence[int]:
        """How long PHYP took for each of the last calls."""
        return tuple(self._guests.firmware.durations_us)

    def _first(self) -> Guest:
        return self._guests.boot()

    def _greeted(self, guest: Guest, hello: bytes) -> bytes:
        """Use the agent once so that what it needs is there, and save."""
        self._play(guest, _WARM_UP)
        self._hang_up()
        self._guests.keep(guest)
        return told(hello, self._guests.facts, _FEATURES[self._guests.clock])

    def _replacement(self, guest: Guest | None, *, is_dead: bool) -> Guest:
        if guest and not is_dead:
            with suppress(InfraError):  # no call to PHYP is to be cut off in its middle
                guest.machine.pause()
        if guest:
            guest.end()
        self._hang_up()
        return self._guests.restored()

    def _fault(self) -> str:
        fault = self._guests.firmware.fault
        return f"the simulated PHYP failed: {type(fault).__name__}: {fault}" if fault else ""
