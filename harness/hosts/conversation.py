"""A conversation with the agent in one guest: from its greeting on, by a serial port or by SSH.

The agent in a port greets once, after the boot, and stays. By SSH each connection has an agent of its own: it
is made when somebody has something to say, and lasts until `hang_up`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from harness.hosts import health
from harness.hosts.guests import Guest
from harness.hosts.health import Listening, Silence
from harness.hosts.lastwords import in_short, is_end
from harness.hosts.lines import escaped
from harness.hosts.ssh import SilenceError, SshAgentHost
from harness.vocab.errors import InfraError, ProtocolError

BOOT_TIMEOUT_S = 180.0
SLICE_S = 0.25
"""How often a wait looks at the guest's health."""

_BOOT_SILENCE = Silence(BOOT_TIMEOUT_S, math.inf)
_SSH_TIMEOUT_S = 90.0
_SSH_READY = "guest: host key"  # this and the next say scripts in harness/guest/rootfs
_UNPREPARED = "guest: failed: "


class Door(Enum):
    """How the agent is reached."""

    SERIAL = "serial"
    SSH = "ssh"


class Conversation:
    """With one guest. Not for several threads at once."""

    def __init__(self, url: str, guest: Guest, door: Door) -> None:
        self.guest = guest
        self._url = url
        self._door = door
        self._listening = Listening(guest)
        self._agent: SshAgentHost | None = None

    def meet(self) -> bytes:
        """Wait until the guest has booted and its agent says hello, which is returned. Raises InfraError."""
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        try:
            return _GREETINGS[self._door](self, deadline)
        except InfraError as error:
            why = self.trouble(_BOOT_SILENCE) or str(error)
            raise InfraError(f"{self._url}: {why}; {shown(self.guest.says())}") from error

    def reach(self) -> None:
        """Make sure that a case can be begun: nothing of it was sent yet. Raises InfraError."""
        if self._door is Door.SSH:
            self.guest.machine.resume()
            self._connected()
        elif not self.guest.machine.is_alive:
            raise InfraError(f"the guest died: QEMU has ended: {self.guest.machine.words()}")

    def begin(self, play: bytes) -> None:
        """Send the play line of a case to a guest that was reached. Raises InfraError; it may have acted."""
        if self._door is Door.SSH:
            self._connected().begin(play)
        else:
            self.guest.begin(play)
        self._listening = Listening(self.guest)

    def lines(self, timeout_s: float) -> Sequence[bytes]:
        """What the agent says within `timeout_s`, which may be nothing. Raises InfraError when it is gone."""
        if self._door is Door.SERIAL:
            lines = self.guest.lines(timeout_s)
        else:
            try:
                lines = self._connected().replies(timeout_s)
            except SilenceError:
                lines = ()
        if lines:
            self._listening.hear(lines)
        return lines

    def play(self, play: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The replies to a small play of the harness's own, in a guest that runs. Raises InfraError."""
        line = json.dumps({"play": play}).encode()
        if self._door is Door.SERIAL:
            self.guest.port.begin(line)
        else:
            self._connected().begin(line)
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        self._listening = Listening(self.guest)
        lines: list[bytes] = []
        while not any(map(is_end, lines[-1:])):
            lines += self.lines(SLICE_S)
            if why := self.trouble(_BOOT_SILENCE):
                raise InfraError(why)
            if time.monotonic() > deadline:
                raise InfraError("the guest's agent does not play")
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise ProtocolError(f"{self._url}: the guest's agent makes no sense: {error}") from error

    def trouble(self, limit: Silence) -> str:
        """What is wrong with the guest, or nothing. Raises InfraError when what is below it has failed."""
        try:
            self.guest.check()
        except InfraError as error:
            raise InfraError(f"{self._url}: {error}") from error
        return health.trouble(self.guest, self._listening, limit)

    def hang_up(self) -> None:
        """End the connection, if there is one; the guest stays. Never raises."""
        agent, self._agent = self._agent, None
        if agent:
            agent.close()

    def _connected(self) -> SshAgentHost:
        if self._agent is None:
            self._agent = SshAgentHost.open(self._url, self.guest.login, timeout_s=_SSH_TIMEOUT_S)
        return self._agent

    def _greet_by_port(self, deadline: float) -> bytes:
        self.guest.port.send_agent()
        while time.monotonic() < deadline:
            if hello := self.guest.port.greeting(SLICE_S):
                return hello
            self._look_after_boot()
        raise InfraError(f"the guest's agent did not say hello within {BOOT_TIMEOUT_S:g} s")

    def _greet_by_ssh(self, deadline: float) -> bytes:
        self.guest.console.wait_for(_SSH_READY, timeout_s=BOOT_TIMEOUT_S)
        while True:  # the server says its key before it listens
            try:
                return self._connected().hello
            except InfraError:
                if time.monotonic() > deadline:
                    raise
                self._look_after_boot()
                time.sleep(SLICE_S)

    def _look_after_boot(self) -> None:
        """Raises InfraError when a guest that has not greeted never will."""
        if why := self.trouble(_BOOT_SILENCE):
            raise InfraError(why)
        if failed := [line for line in self.guest.says() if line.startswith(_UNPREPARED)]:
            raise InfraError(f"the guest could not be prepared: {'; '.join(failed)}")


def shown(console: Sequence[str]) -> str:
    """What a console says, for a sentence."""
    return escaped(in_short(console).encode())


_GREETINGS: Mapping[Door, Callable[[Conversation, float], bytes]] = {
    Door.SERIAL: Conversation._greet_by_port,
    Door.SSH: Conversation._greet_by_ssh,
}
