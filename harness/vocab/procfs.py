"""What the text of a few /proc and sysfs files says: interrupts, slabs, who allocated, EEH.

Pure parsers. A line that does not look as the kernel writes it is left out, because these files also hold
other devices' lines; a value that a caller relies on raises ValueError instead.
"""

from __future__ import annotations

import re

_CALL_SITE = re.compile(r"\s*(\d+) (\w+)[.\w]*\+0x[0-9a-f]+/0x[0-9a-f]+ \[cxl\] ", re.ASCII)
_SW_ISOLATED, _SW_RECOVERING = 1, 2
_FW_MMIO_AND_DMA_ACTIVE = 0x18


def interrupts(text: str) -> dict[str, int]:
    """Counts of the ``cxl-`` rows of /proc/interrupts by row name, summed over CPUs.

    ``cxl-afu0.0-pe1-2`` is the second interrupt of the context with process element 1.
    """
    lines = text.splitlines()
    cpus = len(lines[0].split()) if lines else 0
    found: dict[str, int] = {}
    for line in lines[1:]:
        words = line.split()
        if len(words) < cpus + 2 or not words[-1].startswith("cxl-"):
            continue
        counts = words[1 : cpus + 1]
        if all(count.isdecimal() for count in counts):
            found[words[-1]] = found.get(words[-1], 0) + sum(map(int, counts))
    return found


def slabs(text: str) -> dict[str, int]:
    """Active objects of /proc/slabinfo by the name of the cache."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[1].isdecimal():
            found[words[0]] = int(words[1])
    return found


def allocations(text: str) -> dict[str, int]:
    """Objects that the driver allocated and that live, of an ``alloc_traces``, by function."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        if match := _CALL_SITE.match(line):
            found[match[2]] = found.get(match[2], 0) + int(match[1])
    return found


def eeh_counters(text: str) -> dict[str, int]:
    """Counters of /proc/powerpc/eeh by name, such as ``eeh_slot_resets`` or ``no device``."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if value.strip().isdecimal():
            found[name.strip()] = int(value)
    return found


def eeh_pe_state(text: str) -> tuple[int, int]:
    """The firmware's and the kernel's state bits in a device's ``eeh_pe_state``.

    Raises ValueError when `text` is not two hexadecimal numbers.
    """
    words = text.split()
    if len(words) != 2:
        raise ValueError(f"eeh_pe_state holds two hexadecimal numbers, not {text[:80]!r}")
    return int(words[0], 16), int(words[1], 16)


def eeh_pe_trouble(text: str) -> str:
    """What an ``eeh_pe_state`` says is not as it should be: ``frozen``, ``recovering``, or nothing.

    Frozen: the kernel marks it so, or the firmware lets loads and stores, or DMA, not through. Recovering: it
    is not frozen, and marked as under recovery. Raises ValueError when `text` is not two hexadecimal numbers.
    """
    firmware, software = eeh_pe_state(text)
    if firmware & _FW_MMIO_AND_DMA_ACTIVE != _FW_MMIO_AND_DMA_ACTIVE or software & _SW_ISOLATED:
        return "frozen"
    return "recovering" if software & _SW_RECOVERING else ""
