"""Scenarios: PCI devices without CAPI, frozen under load and recovered by EEH."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, PROBE, Fate, Role
from tests.oracles.build import Story, ms
from tests.oracles.scenarios.base import bad, ok
from tests.topologies import DEVICES

NIC, DISK = "e1000e-0", "nvme-0"
FINE, FROZEN = "0x00000078 0x00000000\n", "0x00000060 0x00000001\n"
Run = tuple[str, int]


def bdf(device: str) -> str:
    return DEVICES.device(device).bdf


def traffic(s: Story, actor: str, device: str, *runs: Run, **more: int) -> None:
    """Requests, 10 ms each, that ended like this."""
    key = s.begin(actor, "traffic", device=bdf(device), kind="blocks", for_ms=900, **more)
    told = []
    for outcome, count in runs:
        first_us = s.now_us
        s.wait(10 * count)
        told.append([outcome, count, first_us, s.now_us])
    s.answer(key, runs=told)


def requests(s: Story, device: str, *runs: Run) -> None:
    """What an application does."""
    with s.meaning("StartTraffic", Role.WORKLOAD, Fate.HARMLESS, device=device):
        traffic(s, "a0", device, *runs)


def probe(s: Story, device: str, *runs: Run, state: str = FINE, errno: str = "") -> None:
    """The end of a case: requests until some are good, and the state of the EEH PE."""
    with s.meaning("ProbeDevice", Role.CLOSING, Fate.HARMLESS, device=device):
        traffic(s, PROBE, device, *(runs or (("good", 8),)), good=8)
        path = f"/sys/bus/pci/devices/{bdf(device)}/eeh_pe_state"
        if errno:
            s.fail(PROBE, "read_file", errno, path=path)
        else:
            s.do(PROBE, "read_file", {"text": state}, path=path)


def freeze(s: Story, device: str) -> None:
    with s.meaning("FreezeDevice", Role.ERROR, Fate.HIDDEN, [device], device=device, access="now"):
        s.do(NEMESIS, "claim", device=bdf(device))
        s.do(NEMESIS, "inject", what="freeze_eeh_pe", **{"with": {"device": bdf(device)}})


def look(s: Story, device: str) -> None:
    with s.meaning("CheckPciDevice", Role.CONTROL, Fate.HARMLESS, device=device):
        s.do(NEMESIS, "write_file", path="/sys/kernel/debug/powerpc/eeh_dev_check", text=bdf(device))


def rescan(s: Story) -> None:
    with s.meaning("RescanDevices", Role.CONTROL, Fate.HARMLESS, [NIC, DISK]):
        s.do(NEMESIS, "write_file", path="/sys/bus/pci/rescan", text="1")


def detected(s: Story, device: str, failures: int = 1) -> None:
    """The beginning of a recovery."""
    phb = f"{DEVICES.device(device).phb:x}"
    s.log(f"EEH: Recovering PHB#{phb}-PE#1", 3)
    s.log(f"EEH: Frozen PHB#{phb}-PE#1 detected", 3)
    s.log(
        f"EEH: This PCI device has failed {failures} times in the last hour and will be permanently disabled "
        "after 5 failures.",
        4,
    )


def told(s: Story, device: str, answer: str = "need reset") -> None:
    """The driver is told of the error."""
    head = f"PCI {bdf(device)}#0001: EEH: "
    s.log("EEH: Beginning: 'error_detected(IO frozen)'")
    s.log(f"{head}{DEVICES.device(device).driver} driver reports: '{answer}'")
    s.log(f"EEH: Finished:'error_detected(IO frozen)' with aggregate recovery state:'{answer}'")


def reset(s: Story, how: str = "without hotplug activity") -> None:
    s.log(f"EEH: Reset {how}")
    s.wait(2000)


def finish(s: Story) -> None:
    s.log("EEH: Beginning: 'slot_reset'")
    s.log("EEH: Notify device driver to resume")
    s.log("EEH: Recovery successful.")


def recover(s: Story, device: str) -> None:
    """A whole recovery in place."""
    detected(s, device)
    told(s, device)
    reset(s)
    finish(s)


def give_up(s: Story, device: str) -> None:
    phb = f"{DEVICES.device(device).phb:x}"
    s.log(f"EEH: Recovering PHB#{phb}-PE#1", 3)
    s.log(f"EEH: PHB#{phb}-PE#1 has failed 1 times in the last hour and has been permanently disabled.", 3)


def strike(s: Story, device: str) -> None:
    """A device that works, kept busy, frozen, and looked at."""
    probe(s, device)
    requests(s, device, ("good", 10))
    freeze(s, device)
    look(s, device)


# device_returns ------------------------------------------------------------------------------------------


@ok("device_returns-after-a-recovery", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    probe(s, DISK, ("EIO", 2), ("good", 8))


@bad("device_returns-not", "does-not-work", DEVICES)
def _(s: Story) -> None:
    strike(s, NIC)
    recover(s, NIC)
    probe(s, NIC, ("lost", 80))
    s.expected = [len(s.lines) - 3]  # the answer, before the two records of the state


@bad("device_returns-its-eeh-pe-is-still-frozen", "eeh-pe-frozen", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    probe(s, DISK, state=FROZEN)
    s.proof()


@bad("device_returns-recovery-does-not-end", "endless", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    detected(s, DISK)
    told(s, DISK)
    reset(s)
    s.wait(130_000)


# device_phases_in_order ----------------------------------------------------------------------------------


@ok("device_phases_in_order-hotplug-and-frozen-again", DEVICES)
def _(s: Story) -> None:
    strike(s, NIC)
    detected(s, NIC)
    told(s, NIC, "none")
    reset(s, "with hotplug activity")
    detected(s, NIC, 2)
    told(s, NIC, "none")
    reset(s, "with hotplug activity")
    s.log("EEH: Notify device driver to resume")
    s.log("EEH: Recovery successful.")
    probe(s, NIC)


@bad("device_phases_in_order-no-slot-reset", "resume-without-slot-reset", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    detected(s, DISK)
    told(s, DISK)
    reset(s)
    s.log("EEH: Notify device driver to resume")
    s.proof()
    s.log("EEH: Recovery successful.")
    probe(s, DISK)


@bad("device_phases_in_order-removed-against-its-will", "removed-against-its-will", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    detected(s, DISK)
    told(s, DISK)
    reset(s, "with hotplug activity")
    s.proof()
    s.log("EEH: Notify device driver to resume")
    s.log("EEH: Recovery successful.")
    probe(s, DISK)


@bad("device_phases_in_order-needless", "needless", DEVICES)
def _(s: Story) -> None:
    probe(s, DISK)
    requests(s, DISK, ("good", 10))
    with s.meaning("RemoveDevice", Role.CONTROL, Fate.HARMLESS, [DISK], device=DISK):
        s.fail(NEMESIS, "claim", "EBUSY", device=bdf(DISK))
    detected(s, DISK)
    s.log("EEH: Beginning: 'error_detected(IO frozen)'")
    s.proof()
    reset(s)
    finish(s)
    probe(s, DISK)


@bad("device_phases_in_order-slot-reset-twice", "slot-reset-twice", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    detected(s, DISK)
    told(s, DISK)
    reset(s)
    s.log("EEH: Beginning: 'slot_reset'")
    finish(s)
    probe(s, DISK)


@bad("device_phases_in_order-driver-not-told-of-the-failure", "driver-not-told", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    give_up(s, DISK)
    s.proof()
    s.log("EEH: Beginning: 'error_detected(permanent failure)'")
    s.log(f"PCI {bdf(DISK)}#0001: EEH: not actionable (1,1,1)")
    s.proof()
    s.log("EEH: Finished:'error_detected(permanent failure)'")


# data_stays_whole ----------------------------------------------------------------------------------------


@ok("data_stays_whole-requests-wait-or-fail", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    requests(s, DISK, ("EIO", 1), ("good", 30))
    probe(s, DISK)


@bad("data_stays_whole-all-ones", "all-ones", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    requests(s, DISK, ("good", 1), ("all-ones", 2))
    s.proof()
    recover(s, DISK)
    probe(s, DISK)


@bad("data_stays_whole-stale", "wrong", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    requests(s, DISK, ("wrong", 1), ("good", 9))
    s.proof()
    probe(s, DISK)


# failed_device_stays_gone --------------------------------------------------------------------------------


@ok("failed_device_stays_gone-until-a-rescan", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    give_up(s, DISK)
    s.wait(11_000)
    probe(s, DISK, ("ENODEV", 50), errno="ENOENT")
    rescan(s)
    probe(s, DISK)


@bad("failed_device_stays_gone-works", "works", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    give_up(s, DISK)
    s.proof()
    s.wait(11_000)
    requests(s, DISK, ("EIO", 1), ("good", 9))
    s.proof()


@bad("failed_device_stays_gone-recovered", "recovered", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    give_up(s, DISK)
    s.proof()
    s.log("EEH: Recovery successful.")
    s.proof()


# frozen_device_is_detected -------------------------------------------------------------------------------


@ok("frozen_device_is_detected-at-once", DEVICES)
def _(s: Story) -> None:
    strike(s, NIC)
    recover(s, NIC)
    look(s, NIC)
    s.wait(3000)
    probe(s, NIC)


@bad("frozen_device_is_detected-not", "undetected", DEVICES)
def _(s: Story) -> None:
    strike(s, NIC)
    s.wait(3000)
    probe(s, NIC)


# other_devices_undisturbed -------------------------------------------------------------------------------


@ok("other_devices_undisturbed-a-lost-frame", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    requests(s, NIC, ("good", 10), ("lost", 1), ("good", 10))
    probe(s, DISK)


@bad("other_devices_undisturbed-requests-fail", "requests-fail", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    requests(s, NIC, ("good", 10), ("lost", 40), ("good", 1))
    s.proof()
    probe(s, DISK)


# exercised -----------------------------------------------------------------------------------------------


@bad("exercised-no-traffic", "no-traffic", DEVICES)
def _(s: Story) -> None:
    probe(s, DISK)
    freeze(s, DISK)
    look(s, DISK)
    recover(s, DISK)
    probe(s, DISK)


@bad("exercised-blank-disk", "blank-contents", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    with s.meaning("StartTraffic", Role.WORKLOAD, Fate.HARMLESS, device=DISK):
        run = ["good", 1, s.now_us, s.now_us + ms(1)]
        s.do("a0", "traffic", {"runs": [run], "blank": True}, device=bdf(DISK), kind="blocks", for_ms=9)
    probe(s, DISK)


# freeze_limit_holds --------------------------------------------------------------------------------------


@ok("freeze_limit_holds-found-anew", DEVICES)
def _(s: Story) -> None:
    strike(s, DISK)
    recover(s, DISK)
    rescan(s)
    freeze(s, DISK)
    recover(s, DISK)
    probe(s, DISK)
