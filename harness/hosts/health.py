"""Whether a guest is well: what QEMU, its console and its silence say of it."""

from __future__ import annotations

import time
from contextlib import suppress

from harness.hosts.guests import Guest
from harness.vocab.errors import InfraError

_NMI_S = 3.0  # how long a hung guest may take to say where it hangs
_PANIC = "Kernel panic - not syncing"  # bare metal does not tell QEMU of it
_PANIC_LOOK_S = 2.0  # after so much silence the console is read
_LAST = 50
_DEATHS = {
    "GUEST_PANICKED": "the guest died: its kernel panicked",
    "SHUTDOWN": "the guest died: it switched itself off, or rebooted",
    "RESET": "the guest died: it rebooted",
}


def trouble(guest: Guest, heard_s: float, silence_s: float) -> str:
    """What is wrong with the guest, or nothing.

    `heard_s` is when the agent was last heard, by the monotonic clock. A guest whose agent and console have
    both said nothing for `silence_s` hangs.
    """
    try:
        events = guest.machine.qmp.events()
    except InfraError as error:
        return f"the guest died: {error}: {guest.machine.words()}"
    for event in events:
        if event.name in _DEATHS:
            return _DEATHS[event.name]
    if guest.console.is_flooded:
        return f"the guest was stopped: it wrote {guest.console.bytes_read >> 20} MiB on its console"
    if time.monotonic() - heard_s > _PANIC_LOOK_S and any(_PANIC in line for line in guest.says()[-_LAST:]):
        return _DEATHS["GUEST_PANICKED"]
    if time.monotonic() - max(heard_s, guest.console.last_received_ns / 1e9) > silence_s:
        _ask_where(guest)
        return f"the guest died: it hung, and said nothing for {silence_s:g} s"
    return ""


def _ask_where(guest: Guest) -> None:
    """Interrupt a hung guest so that its kernel says on the console where it is."""
    with suppress(InfraError):
        guest.machine.qmp.execute("inject-nmi", timeout_s=_NMI_S)
        time.sleep(_NMI_S)
