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
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from harness.hosts.conversation import SLICE_S, Conversation, Door, shown
from harness.hosts.guests import Guest
from harness.hosts.health import Silence
from harness.hosts.lastwords import LastWords, is_end
from harness.hosts.lines import escaped
from harness.vocab.errors import InfraError, ProtocolError

_REPLACEMENTS_MAX = 2
_LAST_BREATH_S = 0.3  # how long what a dead guest has said may still be on its way


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
        self._talk: Conversation | None = None  # with the guest that plays a case
        self._next: deque[Future[Conversation]] = deque()
        self._closing = ExitStack()

    @abstractmethod
    def _first(self) -> Guest:
        """A guest that begins to boot. Raises InfraError."""

    @abstractmethod
    def _greeted(self, talk: Conversation, hello: bytes) -> bytes:
        """The host's hello line, after a look at the first guest, which has booted. Raises InfraError."""

    @abstractmethod
    def _replacement(self, talk: Conversation | None, *, is_dead: bool) -> Guest:
        """The guest for the next case, after one in that of `talk`, which is ended or given back.

        Called by a thread of its own. There is no `talk` at first. Raises InfraError.
        """

    def _converse(self, guest: Guest) -> Conversation:
        return Conversation(self.url, guest, self._door)

    def _begin(self) -> None:
        """Boot, hear the agent's hello, and prepare the first case. Raises InfraError."""
        with ExitStack() as stack:
            stack.callback(self._closing.close)
            self._closing.callback(self._end)
            self._talk = talk = self._converse(self._first())
            self.hello = self._greeted(talk, talk.meet())
            talk.hang_up()
            self._talk = None
            self._replacer = self._closing.enter_context(ThreadPoolExecutor(1, "replace"))
            stack.pop_all()
        for _ in range(self.ahead):
            self._replace()

    def begin(self, play: bytes) -> None:
        """Let a guest play one line. Raises InfraError; it is never sent again."""
        asked_s = time.monotonic()
        for attempt in range(_REPLACEMENTS_MAX):  # nothing was sent yet: a guest may be replaced
            self._talk = talk = self._replaced()
            self._began_s = time.monotonic()
            try:
                talk.reach()
                break
            except InfraError:
                if attempt == _REPLACEMENTS_MAX - 1:
                    raise
                self._replace(is_dead=True)
        self.spent.waited_s += self._began_s - asked_s
        self._words = LastWords()
        talk.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one: those of the agent, or a dead guest's last.

        Raises InfraError when nothing came within `timeout_s`, or when something below it has failed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            talk = self._running()
            why = ""
            try:
                lines = talk.lines(SLICE_S)
            except ProtocolError:
                raise
            except InfraError as error:
                lines, why = [], f"the guest died: {error}"
            if lines:
                return self._follow(lines)
            why = talk.trouble(self._silence) or why
            if why:
                return self._bury(talk, why)
            if time.monotonic() > deadline:
                raise InfraError(f"{self.url}: no line came within {timeout_s:g} s")

    def close(self) -> None:
        """End the guest and remove its files. Never raises."""
        self._is_closed = True
        self._closing.close()

    # A case ------------------------------------------------------------------------------------------------

    def _running(self) -> Conversation:
        if self._is_closed or self._talk is None:
            raise InfraError(
                f"{self.url}: {'the host is closed' if self._is_closed else 'no case is under way'}"
            )
        return self._talk

    def _follow(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Take notice of what the agent says; after its last line the guest is replaced."""
        self._words.follow(lines)
        if is_end(lines[-1]):
            self._replace()
        return lines

    def _replace(self, *, is_dead: bool = False) -> None:
        """Begin to make a guest ready for the next case, while others judge this one. Raises InfraError."""
        if self._is_closed:  # by another thread, in the middle of a case
            raise InfraError(f"{self.url}: the host is closed")
        talk, self._talk = self._talk, None
        if talk:
            self.spent.guest_s += time.monotonic() - self._began_s

        def replace() -> Conversation:
            try:
                return self._converse(self._replacement(talk, is_dead=is_dead))
            finally:
                if talk:
                    talk.hang_up()

        self._next.append(self._replacer.submit(replace))

    def _replaced(self) -> Conversation:
        if self._is_closed or self._talk:
            raise InfraError(f"{self.url}: the host is closed, or a case is under way")
        return self._next.popleft().result()

    def _end(self) -> None:
        """End whatever guest there is. Never raises."""
        talks = [self._talk] if self._talk else []
        for future in self._next:
            with suppress(Exception):  # none was made
                talks.append(future.result())
        for talk in talks:
            talk.hang_up()
            talk.guest.end()

    def _bury(self, talk: Conversation, why: str) -> Sequence[bytes]:
        """The last replies to a case whose guest is dead; the next has another."""
        lines: list[bytes] = []
        with suppress(InfraError):
            lines += talk.lines(_LAST_BREATH_S)
        if lines and is_end(lines[-1]):  # it died after its work
            return self._follow(lines)
        self._words.follow(lines)
        said = talk.guest.says()
        self._replace(is_dead=True)
        return [*lines, *self._words.replies(said, f"{why}; {shown(said)}")]


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
