"""``qemu://powervm``: a real Linux with its own driver on an emulated POWER8, above a simulated PHYP.

The rules:

1. The guest boots once, when the host is opened. Its state is saved when the agent has said hello, together
   with PHYP's.
2. Each case begins in that state, in a QEMU of its own, which ends when the case's last line has come. So
   nothing of a case gets into the next. Two places take turns: while a case runs in one, the guest of the
   next is restored in the other, rehearses (`harness.hosts.rehearsal`), and stands still until then.
3. A guest that dies or hangs, floods its console, or loses its QEMU costs its case: what the console says is
   added to the replies, the end says what happened, and the next case begins like any other.
4. Only when PHYP's own thread fails or no guest can be restored is the host lost.

``?door=serial`` (else ``ssh``) says how the agent is reached, ``?clock=virtual`` (else ``real``) whose time
the guest's is. SSH dies with each restored state, so that door costs a connection and an agent a case.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from harness.guest import cache
from harness.guest.cache import Build
from harness.guest.machine import Clock
from harness.hosts import health
from harness.hosts.guests import Guest, Guests
from harness.hosts.health import Listening, Silence
from harness.hosts.lastwords import LastWords, in_short, is_end
from harness.hosts.lines import escaped
from harness.hosts.rehearsal import AFTER_BOOT
from harness.hosts.ssh import SilenceError, SshAgentHost
from harness.vocab.errors import InfraError, ProtocolError

BOOT_TIMEOUT_S = 180.0
SILENCE = {Clock.VIRTUAL: Silence(60.0, 5.0), Clock.REAL: Silence(120.0, math.inf)}
"""What counts as a hang. Where time is virtual, waiting costs no work, and a guest at work is soon heard."""
_BOOT_SILENCE = Silence(BOOT_TIMEOUT_S, math.inf)


class Door(Enum):
    """How the agent is reached."""

    SERIAL = "serial"
    SSH = "ssh"


_SLICE_S = 0.25  # how often a wait looks at the guest's health
_RESTORES_MAX = 2
_LAST_BREATH_S = 0.3  # how long what a dead guest has said may still be on its way
_SSH_TIMEOUT_S = 90.0
_SSH_READY = "guest: host key"


@dataclass(slots=True)
class Spent:
    """What the time went into: cases in the guest, and waiting until a guest was restored."""

    cases: int = 0
    guest_s: float = 0.0
    restore_s: float = 0.0


class QemuHost:
    """A Host over a guest that is restored for each case."""

    window = 1

    def __init__(self, url: str, build: Build, clock: Clock, door: Door) -> None:
        """Boot a guest and save its state. Raises InfraError."""
        self.url = url
        self.spent = Spent()
        self._door = door
        # With the real clock the guest's time does not stand still with its processor.
        self._rehearses = door is Door.SERIAL and clock is Clock.VIRTUAL
        self._is_closed = False
        self._words = LastWords()
        self._began_s = 0.0
        self._listening: Listening | None = None
        self._agent: SshAgentHost | None = None
        self._guest: Guest | None = None
        self._next: deque[Future[Guest]] = deque()
        with ExitStack() as stack:
            # The first of these is where the case runs, or the next will.
            self._places = deque([Guests(build, clock)])
            stack.callback(self._end)
            hello = self._boot()
            self.hello = told(hello, self._place.facts, clock)
            self._places.append(self._place.copied())
            self._restorer = stack.enter_context(ThreadPoolExecutor(1, "restore"))
            self._closing = stack.pop_all()
        for _ in range(len(self._places)):
            self._restore()

    @classmethod
    def open(cls, url: str, clock: str = "virtual", door: str = "serial") -> Self:
        """Open the guest that `make guest` has built. Raises InfraError."""
        return cls(url, cache.finished(), Clock(clock), Door(door))

    @property
    def hcall_durations_us(self) -> Sequence[int]:
        """How long PHYP took for each of the last calls."""
        return [duration for place in self._places for duration in place.firmware.durations_us]

    def begin(self, play: bytes) -> None:
        """Let a restored guest play one line. Raises InfraError; it is never sent again."""
        asked_s = time.monotonic()
        for attempt in range(_RESTORES_MAX):  # a guest that has not run yet may be replaced: nothing was sent
            self._guest = guest = self._restored()
            self._words = LastWords()
            try:
                if self._door is Door.SERIAL:
                    guest.begin(play)
                else:
                    guest.machine.resume()
                break
            except InfraError:
                if attempt == _RESTORES_MAX - 1:
                    raise
                self._restore()
        self._listening = Listening(guest)
        self._began_s = time.monotonic()
        self.spent.restore_s += self._began_s - asked_s
        if self._door is Door.SSH:
            self._agent = self._connect(guest)
            self._agent.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one: those of the agent, or a dead guest's last.

        Raises InfraError when nothing came within `timeout_s`, or when PHYP has failed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            guest = self._running()
            why = ""
            try:
                lines = self._hear(_SLICE_S)
            except ProtocolError:
                raise
            except InfraError as error:
                lines, why = [], f"the guest died: {error}"
            if lines:
                return self._follow(lines)
            why = self._trouble(guest, SILENCE[self._place.clock]) or why
            if why:
                return self._bury(guest, why)
            if time.monotonic() > deadline:
                raise InfraError(f"{self.url}: no line came within {timeout_s:g} s")

    def close(self) -> None:
        """End the guest and remove its files. Never raises."""
        self._is_closed = True
        self._closing.close()

    # Beginning ---------------------------------------------------------------------------------------------

    def _boot(self) -> bytes:
        """Boot, hear the agent's hello, use the agent once so that what it needs is there, and save."""
        self._guest = guest = self._place.boot()
        self._listening = Listening(guest)
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        try:
            hello = _GREETINGS[self._door](self, guest, deadline)
            self._play_warm_up(guest)
        except InfraError as error:
            why = self._trouble(guest, _BOOT_SILENCE) or str(error)
            raise InfraError(f"{self.url}: {why}; {_shown(guest.says())}") from error
        if self._agent:
            self._agent.close()
            self._agent = None
        self._place.keep(guest)
        self._guest = None
        return hello

    def _greet_by_port(self, guest: Guest, deadline: float) -> bytes:
        guest.port.send_agent()
        while time.monotonic() < deadline:
            if hello := guest.port.greeting(_SLICE_S):
                return hello
            if why := self._trouble(guest, _BOOT_SILENCE):
                raise InfraError(why)
        raise InfraError(f"the guest's agent did not say hello within {BOOT_TIMEOUT_S:g} s")

    def _greet_by_ssh(self, guest: Guest, deadline: float) -> bytes:
        guest.console.wait_for(_SSH_READY, timeout_s=BOOT_TIMEOUT_S)
        while True:  # the server says its key before it listens
            try:
                self._agent = self._connect(guest)
            except InfraError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_SLICE_S)
            else:
                return self._agent.hello

    def _play_warm_up(self, guest: Guest) -> None:
        (self._agent or guest.port).begin(AFTER_BOOT)
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while not any(map(is_end, self._hear(_SLICE_S))):
            if time.monotonic() > deadline:
                raise InfraError("the guest's agent does not play")

    def _connect(self, guest: Guest) -> SshAgentHost:
        return SshAgentHost.open(self.url, self._place.login(guest), timeout_s=_SSH_TIMEOUT_S)

    # A case ------------------------------------------------------------------------------------------------

    @property
    def _place(self) -> Guests:
        return self._places[0]

    def _running(self) -> Guest:
        if self._is_closed or self._guest is None:
            raise InfraError(
                f"{self.url}: {'the host is closed' if self._is_closed else 'no case is under way'}"
            )
        return self._guest

    def _hear(self, timeout_s: float) -> Sequence[bytes]:
        """What the agent says within `timeout_s`. Raises InfraError when it is gone."""
        if self._agent is None:
            return self._running().lines(timeout_s)
        try:
            return self._agent.replies(timeout_s)
        except SilenceError:
            return ()

    def _follow(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Take notice of what the agent says; after its last line the guest is done with."""
        if self._listening:
            self._listening.hear()
        self._words.follow(lines)
        if is_end(lines[-1]):
            self._restore()
        return lines

    def _restore(self, *, is_dead: bool = False) -> None:
        """End the guest that there is, and begin to restore another in its place, to be used in its turn."""
        guest, self._guest = self._guest, None
        agent, self._agent = self._agent, None
        place = self._place
        self._places.rotate(-1)
        if guest:
            self.spent.cases += 1
            self.spent.guest_s += time.monotonic() - self._began_s

        def replace() -> Guest:
            if guest and not is_dead:
                with suppress(InfraError):  # no call to PHYP is to be cut off in its middle
                    guest.machine.pause()
            if guest:
                guest.end()
            if agent:
                agent.close()
            return place.restored(rehearsed=self._rehearses)

        self._next.append(self._restorer.submit(replace))

    def _restored(self) -> Guest:
        if self._is_closed or self._guest:
            raise InfraError(f"{self.url}: the host is closed, or a case is under way")
        return self._next.popleft().result()

    def _end(self) -> None:
        """End whatever guest there is. Never raises."""
        if self._guest:
            self._guest.end()
        for future in self._next:
            with suppress(Exception):  # none was made
                future.result().end()
        if self._agent:
            self._agent.close()
        for place in self._places:
            place.close()

    # Death -------------------------------------------------------------------------------------------------

    def _trouble(self, guest: Guest, limit: Silence) -> str:
        """What is wrong with the guest, or nothing. Raises InfraError when PHYP itself has failed."""
        if fault := self._place.firmware.fault:
            raise InfraError(f"{self.url}: the simulated PHYP failed: {type(fault).__name__}: {fault}")
        assert self._listening is not None
        return health.trouble(guest, self._listening, limit)

    def _bury(self, guest: Guest, why: str) -> Sequence[bytes]:
        """The last replies to a case whose guest is dead; another is restored for the next."""
        lines: list[bytes] = []
        with suppress(InfraError):
            lines += self._hear(_LAST_BREATH_S)
        if lines and is_end(lines[-1]):  # it died after its work
            return self._follow(lines)
        self._words.follow(lines)
        said = guest.says()
        self._restore(is_dead=True)
        return [*lines, *self._words.replies(said, f"{why}; {_shown(said)}")]


def _shown(console: Sequence[str]) -> str:
    return escaped(in_short(console).encode())


_GREETINGS: Mapping[Door, Callable[[QemuHost, Guest, float], bytes]] = {
    Door.SERIAL: QemuHost._greet_by_port,
    Door.SSH: QemuHost._greet_by_ssh,
}


def told(hello: bytes, facts: Mapping[str, Mapping[str, object]], clock: Clock) -> bytes:
    """The agent's hello with what only we know of the guest. Raises ProtocolError."""
    try:
        line = json.loads(hello)
        said: dict[str, Any] = line["hello"]
        said["features"] = [*said["features"], *_FEATURES[clock]]
        said["facts"] = {**said["facts"], **facts}
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the guest's hello line makes no sense: {escaped(hello[:200])}") from error
    return json.dumps(line, separators=(",", ":")).encode()


_FEATURES = {Clock.VIRTUAL: ("virtual-time",), Clock.REAL: ()}
