"""``qemu://powervm``: a real Linux with its own driver on an emulated POWER8, above a simulated PHYP.

The guest boots once, when the host is opened. Its state is saved when the agent has said hello, together with
PHYP's. Each case begins in that state, in a QEMU of its own, which ends when the case's last line has come.
So nothing of a case gets into the next. Two places take turns: while a case runs in one, the guest of the
next is restored in the other, rehearses (`harness.hosts.rehearsal`), and stands still until then.

``?door=serial`` (else ``ssh``) says how the agent is reached, ``?clock=virtual`` (else ``real``) whose time
the guest's is. SSH dies with each restored state, and has one place only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from harness.guest import cache
from harness.guest.cache import Build
from harness.guest.pseries import Clock
from harness.hosts.conversation import Conversation, Door
from harness.hosts.guesthost import GuestHost, told
from harness.hosts.guests import Guest, Guests
from harness.hosts.health import Silence
from harness.hosts.rehearsal import AFTER_BOOT
from harness.vocab.errors import InfraError

SILENCE = {Clock.VIRTUAL: Silence(60.0, 5.0), Clock.REAL: Silence(120.0, math.inf)}
"""What counts as a hang. Where time is virtual, waiting costs no work, and a guest at work is soon heard."""

_FEATURES = {Clock.VIRTUAL: ("virtual-time",), Clock.REAL: ("emulated",)}


class QemuHost(GuestHost):
    """A Host over a guest that is restored for each case."""

    def __init__(self, url: str, build: Build, clock: Clock, door: Door) -> None:
        """Boot a guest and save its state. Raises InfraError."""
        super().__init__(url, door, SILENCE[clock])
        # With the real clock the guest's time does not stand still with its processor.
        self._rehearses = door is Door.SERIAL and clock is Clock.VIRTUAL
        self._places = [Guests(build, clock)]
        self.ahead = 2 if door is Door.SERIAL else 1
        self._closing.callback(self._leave)
        self._begin()

    @classmethod
    def open(cls, url: str, clock: str = "virtual", door: str = "serial") -> Self:
        """Open the guest that `make guest` has built. Raises InfraError."""
        return cls(url, cache.finished(), Clock(clock), Door(door))

    @property
    def hcall_durations_us(self) -> Sequence[int]:
        """How long PHYP took for each of the last calls."""
        return [duration for place in self._places for duration in place.firmware.durations_us]

    def _first(self) -> Guest:
        return self._places[0].boot()

    def _greeted(self, talk: Conversation, hello: bytes) -> bytes:
        """Use the agent once so that what it needs is there, and save."""
        (place,) = self._places
        talk.play(AFTER_BOOT)
        talk.hang_up()
        place.keep(talk.guest)
        self._places += (place.copied() for _ in range(self.ahead - 1))
        self._free = deque(self._places)
        return told(hello, place.facts, _FEATURES[place.clock])

    def _replacement(self, talk: Conversation | None, *, is_dead: bool) -> Guest:
        if talk:
            guest = talk.guest
            if not is_dead:
                with suppress(InfraError):  # no call to PHYP is to be cut off in its middle
                    guest.machine.pause()
            guest.end()
            talk.hang_up()
            self._free += (place for place in self._places if place.firmware is guest.firmware)
        place = self._free.popleft()
        try:
            return place.restored(rehearsed=self._rehearses)
        except BaseException:
            self._free.append(place)
            raise

    def _leave(self) -> None:
        for place in self._places:
            place.close()
