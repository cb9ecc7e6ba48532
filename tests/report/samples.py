"""Campaigns and histories made by hand, for the tests of reports and of the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.report.exhibit import Exhibit
from harness.vocab.campaign import Bug, Campaign, Ended, Gate, HostIdentity
from harness.vocab.event import Fate, Role
from harness.vocab.history import History, Intent, Kind, Record
from harness.vocab.phase import Phase
from harness.vocab.run import Run
from harness.vocab.topology import Afu, Card, Mode, Platform, Topology
from harness.vocab.verdict import Cause, ExitCode, Finding, Judgement, Verdict

NV, VM = "sim://powernv", "sim://powervm"

TOPOLOGY = Topology(
    Platform.POWERVM,
    "6.1.0-powerpc64le",
    (
        Card(
            "card0",
            (
                Afu("afu0.0", "card0", (Mode.DIRECTED,), 4, 1, 4, unit=16),
                Afu("afu0.1", "card0", (Mode.DEDICATED,), 1, 1, 4, unit=17),
            ),
        ),
    ),
    poll_period_ms=3000,
)

RELEASED = Gate(Verdict.PASS, ExitCode.PASS, ("2,400 runs judged by 3 oracles on 2 hosts.",))
STOPPED = Gate(
    Verdict.FAIL, ExitCode.FAIL, ("1 bug not known before: loads_give_all_ones/valid-after-all-ones.",)
)

FINDING = Finding(
    "loads_give_all_ones",
    "valid-after-all-ones",
    "c0 read 0x1234 from STATUS 104 µs after it had read all Fs",
    (22, 29),
)


def healthy() -> Campaign:
    """A good night on two hosts."""
    seen = {
        "phase:detected": (1180, 1190), "phase:quiesce": (1180, 1188), "phase:context-purged": (1101, 1090),
        "phase:reset": (1170, 1186), "phase:recovered": (1102, 1100), "phase:failed-permanently": (68, 86),
        "event:Attach": (1200, 1200), "event:Detach": (640, 655), "event:ReadProblemState": (1033, 1041),
        "event:DropLink": (410, 0), "event:RaisePhypError": (0, 803), "event:KillActor": (200, 180),
        "cover:Attach/quiesce/opened": (32, 41), "cover:Detach/reset/closed": (12, 18),
        "cover:KillActor/detected/no-context": (5, 7), "cover:Detach/quiesce/closed": (29, 33),
        "cover:Detach/quiesce/started": (2, 0), "cover:Attach/undetected/opened": (3, 4),
    }  # fmt: skip
    both = {NV: 0, VM: 1}
    per_host = {f"{key}@{url}": seen[key][index] for key in seen for url, index in both.items()}
    return Campaign(
        plan="nightly",
        title="Nightly fuzzing of error recovery",
        seed=8_113_772_154,
        started="2026-11-21T02:00:00Z",
        duration_s=61.24,
        ended=Ended.BUDGET,
        budget="60s",
        hosts=(
            HostIdentity(NV, "powernv", "6.1.0-sim", "simnv", {"psl": "8", "skiboot": "sim"}),
            HostIdentity(VM, "powervm", "6.1.0-sim", "simvm", {"psl": "9"}),
        ),
        counts={"pass": 2380, "unknown-vacuous": 20},
        by_host={NV: {"pass": 1190, "unknown-vacuous": 10}, VM: {"pass": 1190, "unknown-vacuous": 10}},
        seen={**{key: sum(numbers) for key, numbers in seen.items()}, **per_host},
        kept=(Run(1, "5f0c1a2b3c4d", NV, 11, Verdict.PASS, None, (), 12, 140, 4_112_000, path="runs/1"),),
        oracles=("contexts_purged", "exercised", "loads_give_all_ones"),
        versions={"harness": "0.1.0", "python": "3.11.7"},
    )


BUG = Bug(
    signature=FINDING.signature,
    message=FINDING.message,
    count=12,
    first_run=37,
    host=VM,
    case_path="bugs/loads_give_all_ones--valid-after-all-ones.json",
    run_path="runs/37",
    steps=4,
    minimised_from=19,
    is_one_minimal=True,
    replay="harness replay reports/runs/20261121T020000Z/bugs/loads_give_all_ones--valid-after-all-ones.json",
)


def failing() -> Campaign:
    """A night with a new bug, a known one, a little lab trouble."""
    known = replace(
        BUG, signature="calls_return_in_time/read-blocked", count=2, message="read() of c3 blocked 12.4 s",
        known_issue="reader is woken late on a busy host (tracked as 118)", is_one_minimal=False, steps=9,
    )  # fmt: skip
    run = Run(37, "a1b2c3d4e5f6", VM, 99, Verdict.FAIL, None, (FINDING,), 19, 46, 6_100_000, path="runs/37")
    return replace(
        healthy(),
        counts={"pass": 2350, "fail": 14, "unknown-vacuous": 33, "unknown-infra": 3},
        by_host={
            NV: {"pass": 1190, "unknown-vacuous": 10},
            VM: {"pass": 1160, "fail": 14, "unknown-vacuous": 23, "unknown-infra": 3},
        },
        bugs=(BUG, known),
        kept=(run,),
        trouble=("sim://powervm: the connection was lost during run 1,204; the host was opened again",),
    )


class Teller:
    """Writes a history, record by record."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now_us = 0

    def after(self, gap_us: int) -> Teller:
        self.now_us += gap_us
        return self

    def add(self, actor: str, kind: Kind, name: str, data: dict[str, Any], **more: Any) -> Teller:
        self.records.append(Record(len(self.records), self.now_us, actor, kind, name, data, **more))
        return self

    def begin(self, step: int, actor: str, verb: str, part: int = 0, **args: Any) -> Teller:
        return self.add(actor, Kind.INVOKE, verb, args, step=step, part=part)

    def end(
        self, step: int, actor: str, verb: str, kind: Kind = Kind.OK, part: int = 0, **got: Any
    ) -> Teller:
        return self.add(actor, kind, verb, got, step=step, part=part)

    def log(self, text: str, level: str = "4", phase: Phase | None = None) -> Teller:
        return self.add("kernel", Kind.LOG, level, {"text": text}, phase=phase, subject="card0")

    def trace(self, name: str, phase: Phase | None = None, **data: Any) -> Teller:
        data = {**data, "comm": "kworker/0:1", "pid": 23, "hardirq": 0}
        return self.add("kernel", Kind.TRACE, name, data, phase=phase, subject="afu0.0")


def intent(actor: str, event: str, role: Role = Role.WORKLOAD, **details: Any) -> Intent:
    fate = Fate.RECOVERY if role is Role.ERROR else Fate.HARMLESS
    return Intent(actor, event, details, role, fate, frozenset())


def stale_mmio() -> History:
    """A PowerVM recovery after which a purged context reads valid data again."""
    teller = Teller()
    teller.begin(0, "a0", "open", fd="c0", path="/dev/cxl/afu0.0s").after(40).end(0, "a0", "open")
    teller.after(9).begin(0, "a0", "ioctl", 1, fd="c0", name="START_WORK", fields={"wed": 0x10_0000})
    teller.after(31).trace("cxl_attach", afu="afu0.0", pe=1, wed=0x10_0000, irqs=1)
    teller.after(12).trace("capi_hcall_entry", call="H_ATTACH_CA_PROCESS", unit=16)
    teller.after(55).end(0, "a0", "ioctl", part=1, fields={"wed": 0x10_0000})
    teller.after(4).begin(0, "a0", "mmap", 2, fd="c0", map="c0.mmio", length=4096).after(6).end(
        0, "a0", "mmap", part=2
    )
    teller.after(3).begin(1, "a1", "open", fd="c1", path="/dev/cxl/afu0.1d")
    teller.begin(2, "a0", "load", map="c0.mmio", offset=16, width=8, count=200_000)
    teller.after(22).end(1, "a1", "open").begin(1, "a1", "ioctl", 1, fd="c1", name="START_WORK", fields={})
    teller.after(18).trace("cxl_attach", afu="afu0.1", pe=2, wed=0, irqs=1).after(80)
    teller.end(1, "a1", "ioctl", part=1).begin(3, "a1", "read", fd="c1")
    teller.after(500).begin(4, "nemesis", "inject", what="phyp_error", **{"with": {"afu": "afu0.0"}})
    teller.after(14).end(4, "nemesis", "inject")
    teller.after(2_410_000).trace("cxl_hcall_control_function", Phase.DETECTED, afu="afu0.0", state=2)
    teller.after(21).trace("cxl_context_detach_all", Phase.QUIESCE, afu="afu0.0")
    teller.after(8).trace("garbage_add", afu="afu0.0", pe=1)
    teller.after(5).trace("afu_release_irqs", afu="afu0.0", pe=1)
    teller.after(17).trace("cxl_detach", Phase.CONTEXT_PURGED, afu="afu0.0", pe=1)
    teller.after(30).end(
        2, "a0", "load", runs=[[0x1234, 150_000, 160, 2_410_700], [(1 << 64) - 1, 50_000, 0, 0]]
    )
    teller.after(60).begin(5, "a2", "open", fd="c2", path="/dev/cxl/afu0.0m")
    teller.after(25).end(5, "a2", "open", Kind.FAIL, errno="EIO")
    teller.after(35).trace("capi_hcall_entry", Phase.RESET, call="H_CONTROL_CA_FUNCTION", unit=16, op="RESET")
    teller.after(800_000).trace("pci_error_handlers", Phase.SLOT_RESET, afu="afu0.0", event=2)
    teller.after(44).trace("pci_error_handlers", Phase.RECOVERED, afu="afu0.0", event=3)
    teller.after(20).begin(6, "a0", "load", map="c0.mmio", offset=16, width=8)
    teller.after(104).end(6, "a0", "load", runs=[[0x1234, 1, 3_211_900, 3_211_900]])
    teller.after(40).begin(7, "a0", "close", fd="c0").after(30).end(7, "a0", "close")
    teller.after(200).trace("reclaim_ctx", afu="afu0.0", pe=1)
    teller.log("cxl afu0.0: Unable to demultiplex CXL PSL IRQ for PE 1", "3")
    teller.after(10).begin(8, "harness", "wait", actors="all", timeout_ms=5000, interrupt=True)
    teller.after(1_500_000).end(3, "a1", "read", Kind.FAIL, errno="EINTR").end(
        8, "harness", "wait", interrupted=["a1"]
    )
    teller.after(90).begin(9, "probe", "open", fd="p0", path="/dev/cxl/afu0.0s").after(44).end(
        9, "probe", "open"
    )
    teller.after(12).begin(9, "probe", "close", 1, fd="p0").after(9).end(9, "probe", "close", part=1)
    teller.begin(10, "harness", "read_file", path="/sys/class/cxl/afu0.0/mode")
    teller.after(5).end(10, "harness", "read_file", text="afu_directed\n")
    teller.after(3).add("harness", Kind.END, "end", {})
    intents = (
        intent("a0", "Attach", fd="c0", afu="afu0.0"), intent("a1", "Attach", fd="c1", afu="afu0.1"),
        intent("a0", "LoadLoop", map="c0.mmio", count=200_000), intent("a1", "ReadEvent", fd="c1"),
        intent("nemesis", "RaisePhypError", Role.ERROR, afu="afu0.0", severity="recoverable"),
        intent("a2", "Open", fd="c2"), intent("a0", "Load", map="c0.mmio"), intent("a0", "Detach", fd="c0"),
        intent("harness", "Settle", Role.CLOSING, timeout_ms=5000), intent("probe", "Probe", Role.CLOSING),
        intent("harness", "Snapshot", Role.CLOSING),
    )  # fmt: skip
    return History("a1b2c3d4e5f6", TOPOLOGY, intents, tuple(teller.records))


def exhibit(history: History | None = None) -> Exhibit:
    """The failing run of `failing`, with its history."""
    run = failing().kept[0]
    judgement = Judgement(Verdict.FAIL, (FINDING,), ("loads_give_all_ones",))
    return Exhibit(run, history or stale_mmio(), judgement, '{"schema": 1, "steps": []}', BUG.replay)


def infra_exhibit() -> Exhibit:
    """A run that the lab broke before anything was recorded."""
    run = Run(1204, "0d0d0d0d0d0d", VM, 5, Verdict.UNKNOWN, Cause.INFRA)
    finding = Finding("judge", "lab-trouble", "connection lost", (), Verdict.UNKNOWN, Cause.INFRA)
    judgement = Judgement(Verdict.UNKNOWN, (finding,), (), Cause.INFRA)
    return Exhibit(run, History("0d0d0d0d0d0d", TOPOLOGY, (), ()), judgement)
