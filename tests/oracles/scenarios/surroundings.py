"""Scenarios: other AFUs, the kernel log, and whether the run is evidence at all."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, Fate, Role
from tests.oracles.build import FFS, Story
from tests.oracles.scenarios.base import AFU, AFU2, OTHER, bad, leave, ok, strike

# others_undisturbed ------------------------------------------------------------------------------------


@ok("others_undisturbed-go-on")
def _(s: Story) -> None:
    wed = s.attach("a1", "c1", "afu1.0s", 0)
    strike(s)
    s.recover(AFU, 0)
    s.load("a1", "c1", wed)
    s.fail_ioctl("a1", "c1", "START_WORK", "EIO")  # a second one
    s.close("a1", "c1", OTHER, 0)
    leave(s)


@bad("others_undisturbed-purged", "purged")
def _(s: Story) -> None:
    s.attach("a1", "c1", "afu1.0s", 0)
    strike(s)
    s.recover(AFU, 0)
    s.sample(OTHER, 1)
    s.quiesce(OTHER, 0)
    s.proof()
    s.reset_by_phyp(OTHER)
    s.resume(OTHER)
    s.exit("a1")
    s.reclaim(OTHER, 0)


@bad("others_undisturbed-open-fails", "open-fails")
def _(s: Story) -> None:
    strike(s)
    s.fail("a1", "open", "EIO", fd="c1", path="/dev/cxl/afu1.0s")
    s.proof()
    s.recover(AFU, 0)
    leave(s)


@bad("others_undisturbed-load-fails", "load-fails")
def _(s: Story) -> None:
    s.attach("a1", "c1", "afu1.0s", 0)
    strike(s)
    s.load("a1", "c1", FFS)
    s.proof()
    s.recover(AFU, 0)
    leave(s)


# kernel_log_is_clean -----------------------------------------------------------------------------------


@ok("kernel_log_is_clean-warning-of-the-driver", is_nv=True)
def _(s: Story) -> None:
    s.drop_link("card0")
    s.log("cxl afu0.0: WARNING: Device link down, aborting Process Element Command!", 4)
    s.log("cxl afu0.0: WARNING: PSL Purge timed out!", 4)
    s.eeh_recover("card0")


@ok("kernel_log_is_clean-warning-of-a-silent-reset", is_nv=True)
def _(s: Story) -> None:
    """The driver detaches what it takes for attached; nobody told it otherwise."""
    with s.meaning("ResetSilently", Role.WORKLOAD, Fate.HARMLESS, (), card="card1"):
        pass
    s.warn("drivers/misc/cxl/context.c:288", "__detach_context")


@ok("kernel_log_is_clean-attach-meets-a-forced-recovery", is_nv=True)
def _(s: Story) -> None:
    with s.meaning("ForceRecovery", Role.CONTROL, Fate.HIDDEN, [AFU, AFU2], card="card0"):
        s.do(NEMESIS, "write_file", path="/sys/kernel/debug/powerpc/eeh_force_recover", text="0:1")
    s.open("a0", "c0", "afu0.0s")
    s.log("------------[ cut here ]------------", 4)
    s.log("EEH: Collect temporary log")
    s.log("Device link is down, refusing to attach process!", 4)
    s.log("EEH: Notify device drivers to shutdown")
    where = "drivers/misc/cxl/native.c:1013 native_attach_process+0x138/0x188 [cxl]"
    s.log(f"WARNING: CPU: 0 PID: 147 at {where}", 4)
    s.fail_ioctl("a0", "c0", "START_WORK", "EIO")


@bad("kernel_log_is_clean-bug", "null-pointer-cxl_context_detach-cxl_release")
def _(s: Story) -> None:
    for address in ("18", "20"):
        s.log(f"BUG: Kernel NULL pointer dereference on read at 0x000000{address}", 1)
        if address == "18":
            s.proof()
        s.log("Oops: Kernel access of bad area, sig: 11 [#1]", 4)
        s.log("NIP [c008000000a4218c] cxl_context_detach+0x44/0xd0 [cxl]", 4)
        s.log("Call Trace:", 4)
        s.log("[c00000000b2d3b50] [c008000000a40d60] cxl_release+0x68/0x130 [cxl]", 4)
        s.log("[c00000000b2d3ba0] [c00000000052f2f4] __fput+0xc4/0x330", 4)
        s.log("---[ end trace 0000000000000000 ]---", 4)


@bad("kernel_log_is_clean-warn-on", "warning-__detach_context")
def _(s: Story) -> None:
    s.warn("drivers/misc/cxl/context.c:288", "__detach_context")
    s.proof()


@bad("kernel_log_is_clean-panic-is-never-excused", "warning-__detach_context")
def _(s: Story) -> None:
    with s.meaning("ResetSilently", Role.WORKLOAD, Fate.HARMLESS, (), card="card1"):
        pass
    s.warn("drivers/misc/cxl/context.c:288", "__detach_context")
    s.proof()
    s.log("Kernel panic - not syncing: kernel: panic_on_warn set ...", 0)


@bad("kernel_log_is_clean-oops-is-never-excused", "null-pointer-__detach_context")
def _(s: Story) -> None:
    """Where a warning would be."""
    with s.meaning("ResetSilently", Role.WORKLOAD, Fate.HARMLESS, (), card="card1"):
        pass
    s.log("BUG: Kernel NULL pointer dereference on read at 0x00000018", 1)
    s.proof()
    s.log("Oops: Kernel access of bad area, sig: 11 [#1]", 4)
    s.log("NIP [c008000000a4218c] __detach_context+0x44/0xd0 [cxl]", 4)


@bad("kernel_log_is_clean-warning-is-not-another-processors-line", "warning-pci_disable_device", is_nv=True)
def _(s: Story) -> None:
    """What the driver may say is no title of what it may not."""
    s.drop_link("card0")
    s.log("------------[ cut here ]------------", 4)
    s.log("cxl afu0.0: WARNING: AFU control timed out!", 4)
    s.log("WARNING: CPU: 1 PID: 71 at drivers/pci/pci.c:2140 pci_disable_device+0x1b0/0x1e0", 4)
    s.proof()
    s.eeh_recover("card0")


@bad("kernel_log_is_clean-alarm", "cxl-afu-warning-psl-purge-timed-out", is_nv=True)
def _(s: Story) -> None:
    s.log("cxl afu0.0: WARNING: PSL Purge timed out!", 4)
    s.proof()


# exercised ---------------------------------------------------------------------------------------------


@ok("exercised-recovered")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    leave(s)


@ok("exercised-harmless")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.error("RaiseCorrectableError", "phyp_error", Fate.HARMLESS, (), afu=AFU, severity="correctable")
    s.close("a0", "c0", AFU, 0)


@bad("exercised-nothing-ran", "nothing-ran")
def _(s: Story) -> None:
    s.fail("a0", "open", "ENOENT", fd="c0", path="/dev/cxl/afu0.0s")


@bad("exercised-no-error-acted", "no-error-acted")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    with s.meaning("RaiseRecoverableError", Role.ERROR, Fate.RECOVERY, [AFU], afu=AFU):
        s.fail(NEMESIS, "inject", "EOPNOTSUPP", what="phyp_error", **{"with": {"afu": AFU}})


@bad("exercised-no-error-detected", "no-error-detected")
def _(s: Story) -> None:
    strike(s)


@bad("exercised-no-context", "no-context-attached")
def _(s: Story) -> None:
    s.recoverable(AFU)
    s.recover(AFU)
    s.probe(AFU)


@bad("exercised-cut-off", "cut-off")
def _(s: Story) -> bytes:
    strike(s)
    s.recover(AFU, 0)
    return s.cut()


@bad("exercised-trace-lost", "trace-lost")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.raw_trace("CPU:0 [LOST 42 EVENTS]")
    s.proof()
