"""Scenarios: what becomes of contexts and their memory."""

from __future__ import annotations

from tests.oracles.build import Story
from tests.oracles.scenarios.base import AFU, bad, leave, ok, strike

# contexts_purged ---------------------------------------------------------------------------------------


@ok("contexts_purged-all-but-the-closed-one")
def _(s: Story) -> None:
    s.attach("a1", "c1", "afu0.0s", 1)
    strike(s)
    s.close("a1", "c1", AFU, 1)
    s.recover(AFU, 0)
    s.attach("a1", "c2", "afu0.0s", 1)
    leave(s)


@bad("contexts_purged-missed", "missed")
def _(s: Story) -> None:
    s.attach("a1", "c1", "afu0.0s", 1)
    strike(s)
    s.recover(AFU, 0)
    s.proof()
    leave(s)


@bad("contexts_purged-twice", "purged-twice")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.trace("cxl_detach", "afu0.0 pe=0")
    s.proof()
    leave(s)


@bad("contexts_purged-late", "late", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.eeh_recover("card0")
    s.trace("cxl_detach", "afu0.0 pe=0")
    s.proof()
    s.exit("a0")
    s.reclaim(AFU, 0)


@ok("contexts_purged-passing-error-survived")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.passing(AFU)
    s.check()
    s.attach("a1", "c1", "afu0.0s", 1)
    s.check()
    s.exit("a1")
    s.close("a0", "c0", AFU, 0)


@bad("contexts_purged-not-after-passing-error", "left-behind")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.passing(AFU)
    s.sample(AFU, 3)
    s.proof()
    s.wait(1500)
    s.sample(AFU)
    s.proof()
    s.close("a0", "c0", AFU, 0)


@bad("contexts_purged-held-up", "late")
def _(s: Story) -> None:
    strike(s)
    s.sample(AFU, 2)
    s.quiesce(AFU)
    s.proof()
    s.wait(3000)
    s.exit("a0")
    s.trace("cxl_detach", "afu0.0 pe=0")
    s.proof()
    s.reclaim(AFU, 0)
    s.reset_by_phyp(AFU)
    s.sample(AFU)
    s.resume(AFU)


@bad("contexts_purged-not-after-failure", "missed")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.unrecoverable(AFU)
    s.sample(AFU, 4)
    s.log("cxl afu0.0: AFU is in permanent error state", 3)
    s.proof()
    s.wait(3000)
    s.exit("a0")


# purged_contexts_stay_dead -----------------------------------------------------------------------------


@ok("purged_contexts_stay_dead-pending-event-first")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.raise_irq("a0", "c0", 1)
    s.trace("cxl_afu_irq", "afu0.0 pe=0 afu_irq=1 virq=40 hwirq=0x28", is_hard_irq=True)
    s.recoverable(AFU)
    s.recover(AFU, 0)
    s.do("a0", "poll", {"revents": 1}, fd="c0", timeout_ms=0)
    s.read_irq("a0", "c0", 0, 1)
    s.fail("a0", "read", "EIO", fd="c0")
    s.do("a0", "poll", {"revents": 8}, fd="c0", timeout_ms=0)
    s.fail_ioctl("a0", "c0", "GET_PROCESS_ELEMENT", "EIO")
    s.fail("a0", "mmap", "EIO", fd="c0", map="again", length=4096)
    leave(s)


@bad("purged_contexts_stay_dead-ioctl", "ioctl-works")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.do("a0", "ioctl", {"data": "00000000"}, fd="c0", request=0x4004_CA01, data="00000000")
    s.proof()
    leave(s)


@bad("purged_contexts_stay_dead-mmap", "mmap-works")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.do("a0", "mmap", fd="c0", map="again", length=4096)
    s.proof()
    leave(s)


@bad("purged_contexts_stay_dead-read", "read-not-eio")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.fail("a0", "read", "EAGAIN", fd="c0", timeout_ms=10)
    s.proof()
    leave(s)


@bad("purged_contexts_stay_dead-poll", "poll-is-silent")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.do("a0", "poll", {"revents": 0}, fd="c0", timeout_ms=0)
    s.proof()
    leave(s)


@bad("purged_contexts_stay_dead-opened-context-attaches", "ioctl-works")
def _(s: Story) -> None:
    strike(s)
    s.open("a1", "c1", "afu0.0s")
    s.recover(AFU, 0)
    s.start("a1", "c1", AFU, 1)
    s.proof()
    leave(s)


# garbage_drained ---------------------------------------------------------------------------------------


@ok("garbage_drained-still-open")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)


@bad("garbage_drained-never", "never-freed")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.wait(200)
    s.check()


# freed_once --------------------------------------------------------------------------------------------


@ok("freed_once-number-used-again-at-once")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.do("a0", "munmap", map="c0.mmio")
    key = s.begin("a0", "close", fd="c0")
    s.detach(AFU, 0)
    s.answer(key)
    s.attach("a1", "c1", "afu0.0s", 0)
    s.reclaim(AFU, 0)
    s.close("a1", "c1", AFU, 0)


@ok("freed_once-child-holds-it")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.do("a0", "fork", {"pid": 7}, child="a1")
    s.exit("a0")
    s.do("a1", "close", fd="c0")
    key = s.begin("a1", "munmap", map="c0.mmio")
    s.detach(AFU, 0)
    s.reclaim(AFU, 0)
    s.answer(key)


@bad("freed_once-twice", "freed-twice")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    leave(s)
    s.reclaim(AFU, 0)
    s.proof()


@bad("freed_once-while-open", "freed-while-open")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.reclaim(AFU, 0)
    s.proof()
    s.exit("a0")


@bad("freed_once-while-attached", "freed-while-attached")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.reclaim(AFU, 0)
    s.proof()
    s.exit("a0")


@bad("freed_once-while-a-child-maps-it", "freed-while-attached")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.do("a0", "fork", {"pid": 7}, child="a1")
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.proof()
    s.exit("a1")


# freed_outside_interrupts ------------------------------------------------------------------------------


@ok("freed_outside_interrupts-purged-inside")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    leave(s)


@bad("freed_outside_interrupts-inside", "freed-at-interrupt-level")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0, is_hard_irq=True)
    s.proof()
