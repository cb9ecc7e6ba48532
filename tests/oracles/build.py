"""Tells stories of a host in the lines of the agent protocol, so that scenarios read like what happened.

A Story keeps a clock and emits replies one by one; each operation is an intent of its own. `proof()`
remembers the record that was emitted last as one that a finding must name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from struct import pack
from typing import Any

from harness.vocab.event import HARNESS, NEMESIS, PROBE, Fate, Role
from harness.vocab.history import Intent
from harness.vocab.registers import ALL_ONES_64, Command, Register, command
from harness.vocab.topology import Topology
from harness.wire.cxl_abi import encode_ioctl
from harness.wire.histfile import encode_header

FFS = ALL_ONES_64
ERR_FF = 4
WORKER = "kworker/0:1"
_STEP_US = 10
_BOOT_US = 88_000_000


def ms(milliseconds: float) -> int:
    """Milliseconds as microseconds."""
    return round(1000 * milliseconds)


class Story:
    """What happens on one host, told in order."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.now_us = 0
        self.lines: list[str] = []
        self.intents: list[Intent] = []
        self.expected: list[int] = []
        self._is_meant = False
        self._wed = 0x1000

    # The frame -------------------------------------------------------------------------------------------

    def wait(self, milliseconds: float) -> None:
        """Let time pass."""
        self.now_us += ms(milliseconds)

    def proof(self) -> None:
        """The last record is one that the finding must name."""
        self.expected.append(len(self.lines) - 1)

    @contextmanager
    def meaning(
        self, event: str, role: Role, fate: Fate, disturbs: Iterable[str] = (), **details: Any
    ) -> Iterator[None]:
        """What is done inside belongs to one intent: an event of this class."""
        self.intents.append(Intent("", event, details, role, fate, frozenset(disturbs)))
        self._is_meant = True
        yield
        self._is_meant = False

    def end(self) -> bytes:
        """The whole history as its file."""
        self._emit({"is": "end", "who": HARNESS, "got": {}})
        return self.cut()

    def cut(self) -> bytes:
        """The history as it is when the host is lost now."""
        header = encode_header("0123456789ab", "sim://story", self.topology, self.intents)
        return header + "".join(line + "\n" for line in self.lines).encode()

    def _emit(self, reply: dict[str, Any]) -> None:
        self.now_us += _STEP_US
        self.lines.append(json.dumps({"t": self.now_us, **reply}, separators=(",", ":")))

    # Operations ------------------------------------------------------------------------------------------

    def begin(self, actor: str, verb: str, **args: Any) -> dict[str, Any]:
        """An operation begins; gives the key to answer it with."""
        if not self._is_meant:
            self.intents.append(Intent(actor, verb.title(), {}, Role.WORKLOAD, Fate.HARMLESS, frozenset()))
        step = len(self.intents) - 1
        part = sum(f'"step":{step},' in line and '"is":"invoke"' in line for line in self.lines)
        key = {"who": actor, "step": step, "part": part, "do": verb}
        self._emit({"is": "invoke", **key, "args": args})
        return key

    def answer(self, key: dict[str, Any], how: str = "ok", **got: Any) -> None:
        """The operation of `key` is answered."""
        self._emit({"is": how, **key, "got": got})

    def do(self, actor: str, verb: str, got: dict[str, Any] | None = None, **args: Any) -> None:
        """An operation that succeeds."""
        self.answer(self.begin(actor, verb, **args), **(got or {}))

    def fail(self, actor: str, verb: str, errno: str, **args: Any) -> None:
        """An operation that fails with `errno`, or with the signal SIGBUS."""
        got = {"signal": errno} if errno == "SIGBUS" else {"errno": errno}
        self.answer(self.begin(actor, verb, **args), "fail", **got)

    # What applications do --------------------------------------------------------------------------------

    def open(self, actor: str, fd: str, node: str) -> None:
        self.do(actor, "open", fd=fd, path=f"/dev/cxl/{node}")

    def start(self, actor: str, fd: str, afu: str, process_element: int, flags: int = ERR_FF) -> int:
        """START_WORK that succeeds; gives the work element descriptor."""
        self._wed += 1
        request, data = encode_ioctl("START_WORK", {"flags": flags, "wed": self._wed})
        key = self.begin(actor, "ioctl", fd=fd, request=request, data=data)
        wed = f"pid=101 pe={process_element} wed=0x{self._wed:016x} irqs=1 amr=0x0"
        self.trace("cxl_attach", f"{afu} {wed}", comm=actor)
        self.answer(key, data=data)
        return self._wed

    def fail_ioctl(self, actor: str, fd: str, name: str, errno: str) -> None:
        request, data = encode_ioctl(name, {})
        self.fail(actor, "ioctl", errno, fd=fd, request=request, data=data)

    def map(self, actor: str, fd: str) -> None:
        self.do(actor, "mmap", fd=fd, map=f"{fd}.mmio", length=4096)

    def attach(self, actor: str, fd: str, node: str, process_element: int = 0, flags: int = ERR_FF) -> int:
        """Open, START_WORK and mmap; gives the work element descriptor."""
        self.open(actor, fd, node)
        wed = self.start(actor, fd, node[:-1], process_element, flags)
        self.map(actor, fd)
        return wed

    def load(self, actor: str, fd: str, *values: int, offset: int = Register.WED) -> None:
        """One load operation that gave these values, one after the other."""
        key = self.begin(actor, "load", map=f"{fd}.mmio", offset=int(offset), width=8, count=len(values))
        self.answer(key, runs=[[value, 1, self.now_us, self.now_us] for value in values])

    def store(self, actor: str, fd: str, value: int, offset: int = Register.SCRATCH) -> None:
        self.do(actor, "store", map=f"{fd}.mmio", offset=int(offset), width=8, value=value)

    def raise_irq(self, actor: str, fd: str, irq: int) -> None:
        self.store(actor, fd, command(Command.RAISE_INTERRUPT, irq), Register.COMMAND)

    def read_irq(self, actor: str, fd: str, process_element: int, irq: int) -> None:
        """A read that gives an AFU interrupt."""
        data = pack("<HHHHHHI", 1, 16, process_element, 0, 0, irq, 0)
        self.do(actor, "read", {"data": data.hex()}, fd=fd)

    def close(self, actor: str, fd: str, afu: str, process_element: int) -> None:
        """Unmap, and close: the last of a context that nobody had purged."""
        self.do(actor, "munmap", map=f"{fd}.mmio")
        key = self.begin(actor, "close", fd=fd)
        self.detach(afu, process_element, comm=actor)
        self.reclaim(afu, process_element)
        self.answer(key)

    def exit(self, actor: str) -> None:
        self.do(actor, "exit")

    # What the nemesis and the probe do -------------------------------------------------------------------

    def error(self, event: str, what: str, fate: Fate, afus: Iterable[str], **details: Any) -> None:
        """An injection that the host performs."""
        with self.meaning(event, Role.ERROR, fate, afus, **details):
            self.do(NEMESIS, "inject", what=what, **{"with": details})

    def recoverable(self, afu: str) -> None:
        """PHYP disables an AFU."""
        self.error(
            "RaiseRecoverableError", "phyp_error", Fate.RECOVERY, [afu], afu=afu, severity="recoverable"
        )

    def unrecoverable(self, afu: str) -> None:
        """PHYP gives an AFU up."""
        self.error(
            "RaiseUnrecoverableError", "phyp_error", Fate.PERMANENT, [afu], afu=afu, severity="unrecoverable"
        )

    def passing(self, afu: str) -> None:
        """PHYP takes an AFU away for a short time."""
        details = {"afu": afu, "severity": "transient", "for_ms": 1}
        self.error("RaiseTransientError", "phyp_error", Fate.HIDDEN, [afu], **details)

    def drop_link(self, card: str) -> None:
        """The link of a bare-metal card goes down."""
        afus = [afu.name for afu in self.topology.card(card).afus]
        self.error("DropLink", "link_down", Fate.RECOVERY, afus, card=card)

    def probe(self, afu: str, process_element: int = 0) -> None:
        """A probe that succeeds."""
        with self.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, (), afu=afu, kind="s", fd="p"):
            wed = self.attach(PROBE, "p", f"{afu}s", process_element)
            self.load(PROBE, "p", wed)
            self.close(PROBE, "p", afu, process_element)

    def snapshot(self, **texts: str) -> None:
        """Read interrupts, slabs, use count, and who allocated."""
        paths = {
            "interrupts": "/proc/interrupts",
            "slabs": "/proc/slabinfo",
            "uses": "/sys/module/cxl/refcnt",
            "contexts": "/sys/kernel/debug/slab/kmalloc-512/alloc_traces",
        }
        with self.meaning("Snapshot", Role.CLOSING, Fate.HARMLESS):
            for name, text in texts.items():
                self.do(PROBE, "read_file", {"text": text}, path=paths[name])

    # What the kernel says --------------------------------------------------------------------------------

    def log(self, text: str, level: int = 6) -> None:
        self._emit({"is": "log", "raw": f"{level},1000,{_BOOT_US + self.now_us},-;{text}"})

    def warn(self, place: str, function: str) -> None:
        """A WARN_ON in a function of the driver; the last of its lines says where."""
        self.log("------------[ cut here ]------------", 4)
        self.log(f"WARNING: CPU: 3 PID: 1207 at {place} {function}+0x1b0/0x1e0 [cxl]", 4)

    def trace(self, event: str, text: str, comm: str = WORKER, is_hard_irq: bool = False) -> None:
        flags = "d.h1." if is_hard_irq else "....."
        seconds = (_BOOT_US + self.now_us) / 1e6
        self._emit({"is": "trace", "raw": f"{comm}-23 [000] {flags} {seconds:.6f}: {event}: {text}"})

    def raw_trace(self, line: str) -> None:
        """A line of the trace, as it is."""
        self._emit({"is": "trace", "raw": line})

    def detach(self, afu: str, process_element: int, comm: str = WORKER) -> None:
        """The traces of a context that is taken from the device."""
        self.trace("cxl_detach", f"{afu} pe={process_element}", comm)
        self.trace("afu_release_irqs", f"{afu} pe={process_element}", comm)

    def reclaim(self, afu: str, process_element: int, is_hard_irq: bool = False) -> None:
        self.trace("reclaim_ctx", f"{afu} pe={process_element}", is_hard_irq=is_hard_irq)

    def sample(self, afu: str, state: int = 1, comm: str = WORKER) -> None:
        """PHYP is asked for the state of an AFU."""
        unit = self.topology.afu(afu).unit
        text = f"unit_address=0x{unit:014x} READ_ERR_STATE(0x0, 0x0, 0x0, 0x0, R4: {state:#x})): 0"
        self.trace("cxl_hcall_control_function", text, comm)

    def check(self) -> None:
        """The periodic check of all AFUs finds them well."""
        for afu in self.topology.afus:
            self.sample(afu.name)

    def quiesce(self, afu: str, *process_elements: int) -> None:
        """All contexts of an AFU are purged, at interrupt level."""
        self.trace("cxl_context_detach_all", afu, is_hard_irq=True)
        for number in process_elements:
            self.trace("garbage_add", f"{afu} pe={number}", is_hard_irq=True)
            self.trace("afu_release_irqs", f"{afu} pe={number}", is_hard_irq=True)
            self.trace("cxl_detach", f"{afu} pe={number}", is_hard_irq=True)

    def reset_by_phyp(self, afu: str) -> None:
        unit = self.topology.afu(afu).unit
        self.trace("capi_hcall_entry", f"H_CONTROL_CA_FUNCTION unit={unit:#x} op=RESET")

    def resume(self, afu: str) -> None:
        """The last two calls of a PowerVM recovery."""
        self.trace("pci_error_handlers", f"{afu} event=2 state=1")
        self.trace("pci_error_handlers", f"{afu} event=3 state=0")

    def recover(self, afu: str, *process_elements: int) -> None:
        """A whole recovery on PowerVM: the check finds the AFU disabled, and all that follows."""
        self.sample(afu, 2)
        self.quiesce(afu, *process_elements)
        self.reset_by_phyp(afu)
        self.wait(250)
        self.sample(afu)
        self.resume(afu)

    def confirm(self, card: str, frozen: int = 1, comm: str = "eehd") -> None:
        """The state of a bare-metal card's EEH PE is read."""
        found = self.topology.card(card)
        self.trace("pnv_eeh_get_state", f"PHB#{found.phb:x} PE#{found.eeh_pe:x} frozen={frozen}", comm)

    def detected(self, card: str) -> None:
        found = self.topology.card(card)
        self.log(f"EEH: Frozen PE#{found.eeh_pe:x} on PHB#{found.phb:x} detected", 3)
        self.log(f"EEH: Recovering PHB#{found.phb:x}-PE#{found.eeh_pe:x}", 3)

    def eeh_recover(self, card: str, *purged: tuple[str, int]) -> None:
        """A whole recovery on bare metal; `purged` are AFUs and process elements."""
        self.confirm(card)
        self.detected(card)
        for afu in self.topology.card(card).afus:
            self.quiesce(afu.name, *(number for name, number in purged if name == afu.name))
        self.eeh_reset()

    def eeh_reset(self) -> None:
        """From the reset to the end of a recovery on bare metal."""
        self.log("EEH: Reset without hotplug activity")
        self.wait(2000)
        self.log("EEH: Beginning: 'slot_reset'")
        self.log("EEH: Notify device driver to resume")
        self.log("EEH: Recovery successful.")
