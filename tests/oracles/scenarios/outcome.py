"""Scenarios: what is left when a recovery is over."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, PROBE, Fate, Role
from tests.oracles.build import FFS, Story
from tests.oracles.scenarios.base import AFU, AFU2, bad, leave, ok, strike

ROWS = "           CPU0\n 33:  0  XICS  33 Edge  cxl-afu0.0-err\n"

SITES = """\
      {0} cxl_alloc_afu+0x48/0xf0 [cxl] waste=1800/600 age={2}/{2}/{2} pid=93
      {1} cxl_context_alloc+0x34/0x50 [cxl] waste=256/64 age={2} pid=112-113
"""

# availability_returns ----------------------------------------------------------------------------------


@ok("availability_returns-not-of-a-failed-afu")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.unrecoverable(AFU)
    s.sample(AFU, 4)
    s.log("cxl afu0.0: AFU is in permanent error state", 3)
    s.quiesce(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0)
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        s.fail(PROBE, "open", "EIO", fd="p", path="/dev/cxl/afu0.0s")
    s.probe(AFU2)


@ok("availability_returns-driver-taken-away-for-a-time", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    for what in ("unbind", "bind"):
        with s.meaning(f"{what.title()}Driver", Role.CONTROL, Fate.HARMLESS, [AFU, AFU2], card="card0"):
            key = s.begin(
                NEMESIS, "write_file", path=f"/sys/bus/pci/drivers/cxl-pci/{what}", text="0000:01:00.0"
            )
            if what == "unbind":
                s.quiesce(AFU, 0)
                s.quiesce(AFU2)
            s.answer(key)
        s.wait(61_000)
    leave(s)


@ok("availability_returns-unbound-and-a-scan-binds-nothing", is_nv=True)
def _(s: Story) -> None:
    with s.meaning("UnbindDriver", Role.CONTROL, Fate.HARMLESS, [AFU, AFU2], card="card0"):
        s.do(NEMESIS, "write_file", path="/sys/bus/pci/drivers/cxl-pci/unbind", text="0000:01:00.0")
    with s.meaning("RescanCard", Role.CONTROL, Fate.HARMLESS, [AFU, AFU2], card="card0"):
        s.do(NEMESIS, "write_file", path="/sys/bus/pci/rescan", text="1")
    s.wait(20)
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        s.fail(PROBE, "open", "ENOENT", fd="p", path="/dev/cxl/afu0.0s")


@ok("availability_returns-opened-before-the-recovery", is_nv=True)
def _(s: Story) -> None:
    with s.meaning("ResetCard", Role.CONTROL, Fate.RECOVERY, [AFU, AFU2], card="card0", forced=True):
        s.do(NEMESIS, "write_file", path="/sys/class/cxl/card0/reset", text="-1")
    s.wait(20)
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        s.open(PROBE, "p", "afu0.0s")
        s.eeh_recover("card0")
        s.fail_ioctl(PROBE, "p", "START_WORK", "EIO")
        s.do(PROBE, "close", fd="p")
    s.probe(AFU2)


@bad("availability_returns-open-fails", "availability-open")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0)
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        s.fail(PROBE, "open", "EIO", fd="p", path="/dev/cxl/afu0.0s")
        s.proof()


@bad("availability_returns-wrong-value", "availability-value")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0)
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        wed = s.attach(PROBE, "p", "afu0.0s", 0)
        s.load(PROBE, "p", wed + 1)
        s.proof()
        s.close(PROBE, "p", AFU, 0)


@bad("availability_returns-value-is-not-forgiven-like-a-refusal", "availability-value", is_nv=True)
def _(s: Story) -> None:
    """A probe that attached must load its own value, also where it might have been refused."""
    s.confirm("card0")
    with s.meaning("ProbeAvailability", Role.CLOSING, Fate.HARMLESS, afu=AFU, kind="s", fd="p"):
        wed = s.attach(PROBE, "p", "afu0.0s", 0)
        s.load(PROBE, "p", wed + 1)
        s.proof()
        s.close(PROBE, "p", AFU, 0)


@bad("availability_returns-endless", "recovery-endless", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    s.quiesce(AFU, 0)
    s.quiesce(AFU2)
    s.proof()
    s.wait(61_000)
    s.exit("a0")
    s.reclaim(AFU, 0)


# permanent_failure_is_final ----------------------------------------------------------------------------


def give_up(s: Story) -> None:
    """A permanent failure, declared after its contexts were purged."""
    s.attach("a0", "c0", "afu0.0s", 0)
    s.unrecoverable(AFU)
    s.sample(AFU, 4)
    s.quiesce(AFU, 0)
    s.log("cxl afu0.0: AFU is in permanent error state", 3)


@ok("permanent_failure_is_final-stays")
def _(s: Story) -> None:
    give_up(s)
    s.load("a0", "c0", FFS)
    s.fail("a1", "open", "EIO", fd="c1", path="/dev/cxl/afu0.0s")
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.probe(AFU2)


@bad("permanent_failure_is_final-attached", "attached")
def _(s: Story) -> None:
    give_up(s)
    s.attach("a1", "c1", "afu0.0s", 1)
    s.exit("a0")
    s.reclaim(AFU, 0)


@bad("permanent_failure_is_final-recovered", "recovered")
def _(s: Story) -> None:
    give_up(s)
    s.resume(AFU)
    s.proof()
    s.exit("a0")
    s.reclaim(AFU, 0)


# resources_return --------------------------------------------------------------------------------------


@ok("resources_return-counts-may-grow")
def _(s: Story) -> None:
    s.snapshot(interrupts=ROWS, slabs="kmalloc-1k 64 64 64\n", uses="1\n")
    strike(s)
    s.recover(AFU, 0)
    leave(s)
    s.snapshot(interrupts=ROWS.replace("33:  0", "33:  5"), slabs="kmalloc-1k 64 80 64\n", uses="1\n")


@ok("resources_return-other-allocations")
def _(s: Story) -> None:
    s.snapshot(contexts=SITES.format(2, 1, 9000))
    strike(s)
    s.recover(AFU, 0)
    leave(s)
    s.snapshot(contexts=SITES.format(1, 1, 7))


@ok("resources_return-allocated-by-an-open-under-way")
def _(s: Story) -> None:
    s.snapshot(contexts=SITES.format(2, 1, 9000))
    key = s.begin("a0", "open", fd="c0", path="/dev/cxl/afu0.0s")
    s.snapshot(contexts=SITES.format(2, 2, 7))
    s.answer(key, "fail", errno="ENOSPC")


def _leak(kind: str, **after: str) -> None:
    def tale(s: Story) -> None:
        before = {"interrupts": ROWS, "slabs": "pid 64 64 64\n", "uses": "1\n"}
        before["contexts"] = SITES.format(2, 2, 10)
        s.snapshot(**before)
        strike(s)
        s.recover(AFU, 0)
        leave(s)
        s.snapshot(**{**before, **after})

    bad(f"resources_return-{kind}", kind)(tale)


_leak("interrupts-left", interrupts=ROWS + " 40:  1  XICS  40 Edge  cxl-afu0.0-pe0-1\n")
_leak("interrupts-lost", interrupts="           CPU0\n")
_leak("slab-pid", slabs="pid 65 80 64\n")
_leak("use-count", uses="2\n")
_leak("allocations-cxl_context_alloc", contexts=SITES.format(2, 3, 40))


@ok("availability_returns-mode-written-before-the-quiesce", is_nv=True)
def _(s: Story) -> None:
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    with s.meaning("RewriteMode", Role.CLOSING, Fate.HARMLESS, afu=AFU):
        key = s.begin(PROBE, "write_file", path="/sys/class/cxl/afu0.0/mode", text="afu_directed")
        s.wait(10)
        s.answer(key, "fail", errno="EIO")
    s.quiesce(AFU)
    s.quiesce(AFU2)
    s.eeh_reset()


@bad("resources_return-capacity", "capacity")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    leave(s)
    with s.meaning("ProbeCapacity", Role.CLOSING, Fate.HARMLESS, afu=AFU):
        s.attach(PROBE, "p0", "afu0.0s", 0)
        s.fail(PROBE, "open", "ENOSPC", fd="p1", path="/dev/cxl/afu0.0s")
        s.proof()


@bad("resources_return-eeh-pe", "eeh-pe-frozen", is_nv=True)
def _(s: Story) -> None:
    path = "/sys/bus/pci/devices/0000:01:00.0/eeh_pe_state"
    with s.meaning("Snapshot", Role.CLOSING, Fate.HARMLESS):
        s.do(PROBE, "read_file", {"text": "0x00000078 0x00000000\n"}, path=path)
    s.drop_link("card0")
    s.eeh_recover("card0")
    with s.meaning("Snapshot", Role.CLOSING, Fate.HARMLESS):
        s.do(PROBE, "read_file", {"text": "0x00000060 0x00000003\n"}, path=path)
        s.proof()
