"""Whether a guest is well: what QEMU, its console and its silence say of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.hosts.guests import Guest
from harness.hosts.lastwords import is_log
from harness.vocab.errors import InfraError
from harness.vocab.trouble import HUNG_TASK, OOPS, PANIC

_NMI_S = 3.0  # how long a hung guest may take to say where it hangs
_NMI_SAID_S = 0.5  # after so long a silence it has said it
_LOOK_S = 0.05
_DEAD_S = 2.0
"""For how long the agent says nothing after something died in the kernel, until nobody waits any more.

Bare metal does not tell QEMU of a panic; and what comes after a death proves nothing: `History.until_death`.
"""
_PANICKED = "the guest died: its kernel panicked"
_LAST_WORDS = {  # of the kernel's, the gravest first; what a hung task waits for does not come any more
    PANIC: _PANICKED,
    OOPS: "the guest died: something died in its kernel",
    HUNG_TASK: "the guest died: a task hangs in its kernel",
}
_ENDS = {  # events of QEMU's
    "GUEST_PANICKED": _PANICKED,
    "SHUTDOWN": "the guest died: it switched itself off, or rebooted",
    "RESET": "the guest died: it rebooted",
}


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a guest's agent and console may both say nothing before the guest counts as hung.

    Each in seconds: by the clock, and of a processor's time that QEMU uses. The latter is shorter, and does
    not depend on what else the machine does: a guest in virtual time works as long as it has anything to do.
    """

    clock_s: float
    worked_s: float


class Listening:
    """When a guest was last heard, and what of its kernel's last words its agent passed on."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._agent_s = self._clock_s = time.monotonic()
        self._worked_s: float | None = None  # first looked at when something is asked: that costs time
        self._passed_on: list[str] = []

    def hear(self, lines: Sequence[bytes]) -> None:
        """Its agent has just said this."""
        log = [line.decode(errors="replace") for line in lines if is_log(line)]
        self._passed_on += [line for line in log if any(words in line for words in _LAST_WORDS)]
        self._agent_s = self._clock_s = time.monotonic()
        self._worked_s = None

    @property
    def last_words(self) -> str:
        """What the kernel's last words mean, if it said any and its agent has been silent since.

        A console may stand still with the processor that serves it, and an agent be the one that is dead.
        """
        if time.monotonic() - self._agent_s <= _DEAD_S:
            return ""
        said = "\n".join((*self._passed_on, *self._guest.says()))
        return next((meaning for words, meaning in _LAST_WORDS.items() if words in said), "")

    def is_over(self, limit: Silence) -> bool:
        """Whether the guest has been silent for longer than that."""
        if (console_s := self._guest.console.last_received_ns / 1e9) > self._clock_s:
            self._clock_s, self._worked_s = console_s, None
        worked_s = self._guest.machine.worked_s
        if self._worked_s is None:
            self._worked_s = worked_s
        return time.monotonic() - self._clock_s > limit.clock_s or worked_s - self._worked_s > limit.worked_s


def trouble(guest: Guest, listening: Listening, limit: Silence) -> str:
    """What is wrong with the guest, or nothing."""
    try:
        events = guest.machine.qmp.events()
    except InfraError as error:
        return f"the guest died: {error}: {guest.machine.words()}"
    for event in events:
        if event.name in _ENDS:
            return _ENDS[event.name]
    if guest.console.is_flooded:
        return f"the guest was stopped: it wrote {guest.console.bytes_read >> 20} MiB on its console"
    if why := listening.last_words:
        return why
    if listening.is_over(limit):
        _ask_where(guest)
        return "the guest died: it hung, and said nothing"
    return ""


def _ask_where(guest: Guest) -> None:
    """Interrupt a hung guest so that its kernel says on the console where it is."""
    asked_s = said_s = time.monotonic()
    with suppress(InfraError):
        guest.machine.qmp.execute("inject-nmi", timeout_s=_NMI_S)
        while (now_s := time.monotonic()) - asked_s < _NMI_S and now_s - said_s < _NMI_SAID_S:
            time.sleep(_LOOK_S)
            last_s = guest.console.last_received_ns / 1e9
            said_s = last_s if last_s > asked_s else now_s
