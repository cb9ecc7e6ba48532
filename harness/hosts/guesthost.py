"""What all hosts over a QEMU guest are: lines go to its agent and come back, and a dead guest costs one case.

The rules:

1. After a case the guest is replaced, while others judge the case: by another, or by itself if it is well.
2. A guest that dies or hangs, floods its console, or loses its QEMU costs its case: what the console says is
   added to the replies, the end says what happened, and the next case begins like any other.
3. Only when what simulates the hardware below the guest fails, or no guest can be had, the host is lost.

The agent is reached by a serial port, or by SSH, which costs a connection and an agent for each case.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from harness.hosts import health
from harness.hosts.guests import Guest
from harness.hosts.health import Listening, Silence
from harness.hosts.lastwords import LastWords, in_short, is_end
from harness.hosts.lines import escaped
from harness.hosts.ssh import SilenceError, SshAgentHost
from harness.vocab.errors import InfraError, ProtocolError

BOOT_TIMEOUT_S = 180.0
_BOOT_SILENCE = Silence(BOOT_TIMEOUT_S, math.inf)


class Door(Enum):
    """How the agent is reached."""

    SERIAL = "serial"
    SSH = "ssh"


_SLICE_S = 0.25  # how often a wait looks at the guest's health
_REPLACEMENTS_MAX = 2
_LAST_BREATH_S = 0.3  # how long what a dead guest has said may still be on its way
_SSH_TIMEOUT_S = 90.0
_SSH_READY = "guest: host key"


@dataclass(slots=True)
class Spent:
    """What the time went into: cases in the guest, and waiting until the next was ready."""

    guest_s: float = 0.0
    waited_s: float = 0.0


class GuestHost(ABC):
    """A Host over guests, one after the other. Who derives from it says where they come from."""

    window = 1
    ahead = 1
    """How many guests are made ready for cases to come. With more than one the agent is in their port."""

    def __init__(self, url: str, door: Door, silence: Silence) -> None:
        """Nothing is started yet: see `_begin`. A guest hangs that says nothing for as long as `silence`."""
        self.url = url
        self.hello = b""
        self.spent = Spent()
        self._door = door
        self._silence = silence
        self._is_closed = False
        self._words = LastWords()
        self._began_s = 0.0
        self._listening: Listening | None = None
        self._agent: SshAgentHost | None = None
        self._guest: Guest | None = None
        self._next: deque[Future[Guest]] = deque()
        self._closing = ExitStack()

    @abstractmethod
    def _first(self) -> Guest:
        """A guest that begins to boot. Raises InfraError."""

    @abstractmethod
    def _greeted(self, guest: Guest, hello: bytes) -> bytes:
        """The host's hello line, after a look at the first guest, which has booted. Raises InfraError."""

    @abstractmethod
    def _replacement(self, guest: Guest | None, *, is_dead: bool) -> Guest:
        """The guest for the next case, after one in `guest`, which is ended or given back. Raises InfraError.

        Called by a thread of its own. There is no `guest` at first.
        """

    @abstractmethod
    def _fault(self) -> str:
        """What failed below the guest, if something did: then the host is lost."""

    def _begin(self) -> None:
        """Boot, hear the agent's hello, and prepare the first case. Raises InfraError."""
        with ExitStack() as stack:
            stack.callback(self._closing.close)
            self._closing.callback(self._end)
            self._guest = guest = self._first()
            said = self._meet(guest)
            self.hello = self._greeted(guest, said)
            self._guest = None
            self._hang_up()
            self._replacer = self._closing.enter_context(ThreadPoolExecutor(1, "replace"))
            stack.pop_all()
        for _ in range(self.ahead):
            self._replace()

    def begin(self, play: bytes) -> None:
        """Let a guest play one line. Raises InfraError; it is never sent again."""
        asked_s = time.monotonic()
        for attempt in range(_REPLACEMENTS_MAX):  # nothing was sent yet: a guest may be replaced
            self._guest = guest = self._replaced()
            self._words = LastWords()
            try:
                if self._door is Door.SERIAL:
                    guest.begin(play)
                else:
                    guest.machine.resume()
                break
            except InfraError:
                if attempt == _REPLACEMENTS_MAX - 1:
                    raise
                self._replace()
        self._listening = Listening(guest)
        self._began_s = time.monotonic()
        self.spent.waited_s += self._began_s - asked_s
        if self._door is Door.SSH:
            self._agent = self._connect(guest)
            self._agent.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one: those of the agent, or a dead guest's last.

        Raises InfraError when nothing came within `timeout_s`, or when something below it has failed.
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
            why = self._trouble(guest, self._silence) or why
            if why:
                return self._bury(guest, why)
            if time.monotonic() > deadline:
                raise InfraError(f"{self.url}: no line came within {timeout_s:g} s")

    def close(self) -> None:
        """End the guest and remove its files. Never raises."""
        self._is_closed = True
        self._closing.close()

    # Beginning ---------------------------------------------------------------------------------------------

    def _meet(self, guest: Guest) -> bytes:
        """Wait until the guest has booted and its agent says hello, which is returned. Raises InfraError."""
        self._listening = Listening(guest)
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        try:
            return _GREETINGS[self._door](self, guest, deadline)
        except InfraError as error:
            why = self._trouble(guest, _BOOT_SILENCE) or str(error)
            raise InfraError(f"{self.url}: {why}; {_shown(guest.says())}") from error

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

    def _play(self, guest: Guest, play: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The replies to a small play of the harness's own. Raises InfraError."""
        (self._agent or guest.port).begin(json.dumps({"play": play}).encode())
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        self._listening = Listening(guest)
        lines: list[bytes] = []
        while not any(map(is_end, lines[-1:])):
            lines += self._said(guest, _SLICE_S)
            if why := self._trouble(guest, _BOOT_SILENCE):
                raise InfraError(why)
            if time.monotonic() > deadline:
                raise InfraError("the guest's agent does not play")
        return [json.loads(line) for line in lines]

    def _connect(self, guest: Guest) -> SshAgentHost:
        return SshAgentHost.open(self.url, guest.login, timeout_s=_SSH_TIMEOUT_S)

    def _hang_up(self) -> None:
        agent, self._agent = self._agent, None
        if agent:
            agent.close()

    # A case ------------------------------------------------------------------------------------------------

    def _running(self) -> Guest:
        if self._is_closed or self._guest is None:
            raise InfraError(
                f"{self.url}: {'the host is closed' if self._is_closed else 'no case is under way'}"
            )
        return self._guest

    def _hear(self, timeout_s: float) -> Sequence[bytes]:
        """What the agent of the running guest says within `timeout_s`. Raises InfraError when it is gone."""
        return self._said(self._running(), timeout_s)

    def _said(self, guest: Guest, timeout_s: float) -> Sequence[bytes]:
        if self._agent is None:
            return guest.lines(timeout_s)
        try:
            return self._agent.replies(timeout_s)
        except SilenceError:
            return ()

    def _follow(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Take notice of what the agent says; after its last line the guest is replaced."""
        if self._listening:
            self._listening.hear()
        self._words.follow(lines)
        if is_end(lines[-1]):
            self._replace()
        return lines

    def _replace(self, *, is_dead: bool = False) -> None:
        """Begin to make a guest ready for the next case, while others judge this one. Raises InfraError."""
        if self._is_closed:  # by another thread, in the middle of a case
            raise InfraError(f"{self.url}: the host is closed")
        guest, self._guest = self._guest, None
        if guest:
            self.spent.guest_s += time.monotonic() - self._began_s

        def replace() -> Guest:
            try:
                return self._replacement(guest, is_dead=is_dead)
            finally:
                self._hang_up()

        self._next.append(self._replacer.submit(replace))

    def _replaced(self) -> Guest:
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

    # Death -------------------------------------------------------------------------------------------------

    def _trouble(self, guest: Guest, limit: Silence) -> str:
        """What is wrong with the guest, or nothing. Raises InfraError when what is below it has failed."""
        if fault := self._fault():
            raise InfraError(f"{self.url}: {fault}")
        assert self._listening is not None
        return health.trouble(guest, self._listening, limit)

    def _bury(self, guest: Guest, why: str) -> Sequence[bytes]:
        """The last replies to a case whose guest is dead; the next has another."""
        lines: list[bytes] = []
        with suppress(InfraError):
            lines += self._hear(_LAST_BREATH_S)
        if lines and is_end(lines[-1]):  # it died after its work
            return self._follow(lines)
        self._words.follow(lines)
        said = guest.says()
        self._replace(is_dead=True)
        return [*lines, *self._words.replies(said, f"{why}; {_shown(said)}")]


def _shown(console: Sequence[str]) -> str:
    return escaped(in_short(console).encode())


_GREETINGS: Mapping[Door, Callable[[GuestHost, Guest, float], bytes]] = {
    Door.SERIAL: GuestHost._greet_by_port,
    Door.SSH: GuestHost._greet_by_ssh,
}


def told(hello: bytes, facts: Mapping[str, Mapping[str, object]], features: Sequence[str]) -> bytes:
    """The agent's hello with what only we know of the guest. Raises ProtocolError."""
    try:
        line = json.loads(hello)
        said: dict[str, Any] = line["hello"]
        said["features"] = [*said["features"], *features]
        said["facts"] = {**said["facts"], **facts}
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the guest's hello line makes no sense: {escaped(hello[:200])}") from error
    return json.dumps(line, separators=(",", ":")).encode()
