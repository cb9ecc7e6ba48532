"""Scenarios: how an error is detected and recovered from."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, Fate, Role
from tests.oracles.build import Story
from tests.oracles.scenarios.base import AFU, AFU2, OTHER, bad, leave, ok, strike


def lose_link(s: Story, *purged: int) -> None:
    """The link of a card goes down, and the driver quiesces its AFUs; the first has contexts `purged`."""
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    s.quiesce(AFU, *purged)
    s.quiesce(AFU2)


# recovery_confirmed ------------------------------------------------------------------------------------


@ok("recovery_confirmed-administrator-resets")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    with s.meaning("ResetCard", Role.CONTROL, Fate.HIDDEN, [AFU, AFU2], card="card0"):
        key = s.begin(NEMESIS, "write_file", path="/sys/class/cxl/card0/reset", text="-1")
        for afu, numbers in ((AFU, (0,)), (AFU2, ())):
            s.quiesce(afu, *numbers)
        s.trace("capi_hcall_entry", "H_CONTROL_CA_FACILITY unit=0x10 op=RESET", comm=NEMESIS)
        for afu in (AFU, AFU2):
            s.trace("pci_error_handlers", f"{afu} event=2 state=1", comm=NEMESIS)
            s.trace("pci_error_handlers", f"{afu} event=3 state=0", comm=NEMESIS)
        s.answer(key)
    leave(s)


@ok("recovery_confirmed-by-firmware-after-an-older-look", is_nv=True)
def _(s: Story) -> None:
    s.confirm("card0", frozen=0)
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.wait(20)
    s.detected("card0")
    s.quiesce(AFU, 0)
    s.quiesce(AFU2)
    s.eeh_reset()
    leave(s)


@bad("recovery_confirmed-on-suspicion", "unconfirmed", is_nv=True)
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    s.drop_link("card0")
    s.confirm("card0", frozen=0)
    s.detected("card0")
    s.quiesce(AFU)
    s.proof()
    s.quiesce(AFU2)
    s.eeh_reset()


@bad("recovery_confirmed-needless", "needless")
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    s.error("RaiseCorrectableError", "phyp_error", Fate.HARMLESS, (), afu=AFU, severity="correctable")
    s.sample(AFU)
    s.quiesce(AFU)
    s.proof()
    s.reset_by_phyp(AFU)
    s.resume(AFU)


# detected_in_time --------------------------------------------------------------------------------------


@ok("detected_in_time-one-period-later")
def _(s: Story) -> None:
    strike(s)
    s.wait(10)
    s.check()
    s.wait(2900)
    s.recover(AFU, 0)
    s.check()
    s.wait(1000)
    leave(s)


@bad("detected_in_time-late", "undetected")
def _(s: Story) -> None:
    s.check()
    strike(s)
    s.proof()
    s.wait(2900)
    s.check()
    s.wait(2900)
    s.recover(AFU, 0)
    leave(s)


@bad("detected_in_time-check-stops", "check-paused")
def _(s: Story) -> None:
    s.check()
    s.wait(2900)
    s.check()
    s.wait(2900)
    s.sample(AFU)
    s.sample(OTHER)
    s.wait(2900)
    s.sample(AFU)
    s.sample(OTHER)


@bad("detected_in_time-poke-unnoticed", "undetected", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.proof()
    with s.meaning("CheckDevice", Role.CONTROL, Fate.HARMLESS, card="card0"):
        s.do(NEMESIS, "write_file", path="/sys/kernel/debug/powerpc/eeh_dev_check", text="0000:01:00.0")
        s.proof()
    s.wait(3000)


@ok("detected_in_time-poke-of-an-armed-card", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    with s.meaning("FreezeEehPe", Role.ERROR, Fate.HIDDEN, [AFU, AFU2], card="card0", access="store"):
        s.do(NEMESIS, "write_file", path="/sys/kernel/debug/powerpc/PCI0000/err_injct", text="1:1:6:0:0\n")
    with s.meaning("CheckDevice", Role.CONTROL, Fate.HARMLESS, card="card0"):
        s.do(NEMESIS, "write_file", path="/sys/kernel/debug/powerpc/eeh_dev_check", text="0000:01:00.0")
    s.wait(3000)


# phases_in_order ---------------------------------------------------------------------------------------


@ok("phases_in_order-nested-error", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    lose_link(s, 0)
    s.log("EEH: Reset without hotplug activity")
    s.log("EEH: Beginning: 'slot_reset'")
    lose_link(s)
    s.eeh_reset()
    s.exit("a0")
    s.reclaim(AFU, 0)


@ok("phases_in_order-looked-at-in-the-reset", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    lose_link(s, 0)
    s.log("EEH: Reset without hotplug activity")
    s.confirm("card0", comm="a0")
    s.log("EEH: Beginning: 'slot_reset'")
    s.log("EEH: Recovery successful.")
    s.exit("a0")
    s.reclaim(AFU, 0)


@ok("phases_in_order-hotplug", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    s.log("EEH: Reset with hotplug activity")
    s.quiesce(AFU, 0)
    s.quiesce(AFU2)
    s.wait(7000)
    s.log("EEH: Notify device driver to resume")
    s.log("EEH: Recovery successful.")
    s.exit("a0")
    s.reclaim(AFU, 0)


@ok("phases_in_order-removed-while-it-recovers", is_nv=True)
def _(s: Story) -> None:
    lose_link(s)
    s.log("EEH: Reset without hotplug activity")
    s.wait(2000)
    s.log("EEH: Beginning: 'slot_reset'")
    with s.meaning("RemoveCard", Role.CONTROL, Fate.HARMLESS, [AFU, AFU2], card="card0"):
        key = s.begin(NEMESIS, "write_file", path="/sys/bus/pci/devices/0000:01:00.0/remove", text="1")
        s.log("EEH: Notify device driver to resume")
        s.quiesce(AFU)
        s.log("EEH: Recovery successful.")
        s.quiesce(AFU2)
        s.answer(key)


@bad("phases_in_order-reset-before-quiesce", "reset-without-quiesce")
def _(s: Story) -> None:
    strike(s)
    s.sample(AFU, 2)
    s.reset_by_phyp(AFU)
    s.proof()
    s.quiesce(AFU, 0)
    s.wait(250)
    s.sample(AFU)
    s.resume(AFU)
    leave(s)


@bad("phases_in_order-slot-reset-twice", "slot-reset-twice", is_nv=True)
def _(s: Story) -> None:
    lose_link(s)
    s.log("EEH: Reset without hotplug activity")
    s.log("EEH: Beginning: 'slot_reset'")
    s.log("EEH: Beginning: 'slot_reset'")
    s.proof()
    s.log("EEH: Recovery successful.")


@bad("phases_in_order-recovered-without-reset", "recovered-without-reset", is_nv=True)
def _(s: Story) -> None:
    lose_link(s)
    s.log("EEH: Recovery successful.")
    s.proof()


@bad("phases_in_order-late-purge", "purged-after-slot-reset", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    lose_link(s)
    s.log("EEH: Reset without hotplug activity")
    s.log("EEH: Beginning: 'slot_reset'")
    s.detach(AFU, 0)
    s.log("EEH: Recovery successful.")
    s.exit("a0")
    s.reclaim(AFU, 0)


# polling_within_budget ---------------------------------------------------------------------------------


@ok("polling_within_budget-with-a-recovery")
def _(s: Story) -> None:
    s.check()
    s.wait(2900)
    strike(s)
    s.check()
    s.recover(AFU, 0)
    s.wait(2700)
    s.check()
    for _ in range(9):  # applications ask too
        s.sample(AFU, comm="a0")
    leave(s)


@bad("polling_within_budget-too-often", "too-often")
def _(s: Story) -> None:
    for _ in range(8):
        s.check()
        s.wait(500)


@bad("phases_in_order-resumed-unwell", "resumed-unwell")
def _(s: Story) -> None:
    strike(s)
    s.sample(AFU, 2)
    s.proof()
    s.quiesce(AFU, 0)
    s.reset_by_phyp(AFU)
    s.resume(AFU)
    leave(s)


@bad("phases_in_order-silent-end", "silent-end", is_nv=True)
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    s.quiesce(AFU)
    s.proof()
    s.quiesce(AFU2)
    s.log("EEH: Reset without hotplug activity")
    s.log("EEH: Beginning: 'slot_reset'")
    s.attach("a0", "c1", "afu0.0s", 0)
    s.close("a0", "c1", AFU, 0)
