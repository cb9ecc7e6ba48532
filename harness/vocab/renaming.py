"""When a card got the name of another: then what a history says of either, by name, is of the wrong one.

The driver gives the first free number to a card that it finds (`cxl_alloc_adapter_nr`,
drivers/misc/cxl/main.c). So a card that is plugged anew, by a scan or by a recovery with hotplug, gets the
name of another one if that is away meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.vocab.topology import Topology

_HINT = ": Device uses a PSL"
_FOUND = re.compile(rf"cxl-pci (?P<bdf>[0-9a-f:.]+){_HINT}", re.ASCII)
_ACTIVATED = re.compile(r"cxl afu(?P<number>\d+)\.\d+: Activating ", re.ASCII)


def renamed_at(log: Iterable[str], topology: Topology) -> int | None:
    """The first of the kernel's lines that shows a card by a name that `topology` gives to another."""
    found = ""
    for index, line in enumerate(log):
        if _HINT in line and (said := _FOUND.search(line)):
            found = said["bdf"]
        elif found and (said := _ACTIVATED.search(line)):
            name = f"card{said['number']}"
            if any(card.name == name and card.bdf != found for card in topology.cards):
                return index
            found = ""  # its mode may be changed later, and say the same
    return None
