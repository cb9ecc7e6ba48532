"""Scenarios: faults, interrupts and those who wait."""

from __future__ import annotations

from tests.oracles.build import Story
from tests.oracles.scenarios.base import AFU, bad, leave, ok, strike

# faults_dropped ----------------------------------------------------------------------------------------


@ok("faults_dropped-resolved-before-dropped-after")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.trace("cxl_pte_miss", "afu0.0 pe=0 dsisr=DM dar=0x0000000010000000")
    s.trace("cxl_psl_irq_ack", "afu0.0 pe=0 tfc=R")
    s.recoverable(AFU)
    s.trace("cxl_pte_miss", "afu0.0 pe=0 dsisr=DM dar=0x0000000010010000")
    s.recover(AFU, 0)
    s.trace("cxl_psl_irq_ack", "afu0.0 pe=0 tfc=AE")
    leave(s)


@bad("faults_dropped-resolved-after", "resolved-after-detach")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.recoverable(AFU)
    s.trace("cxl_pte_miss", "afu0.0 pe=0 dsisr=DM dar=0x0000000010010000")
    s.proof()
    s.recover(AFU, 0)
    s.trace("cxl_psl_irq_ack", "afu0.0 pe=0 tfc=R")
    s.proof()
    leave(s)


# interrupts_stay_masked --------------------------------------------------------------------------------

IRQ = "afu0.0 pe=0 afu_irq=1 virq=40 hwirq=0x28"


@ok("interrupts_stay_masked-new-tenant")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.attach("a1", "c1", "afu0.0s", 0)
    s.raise_irq("a1", "c1", 1)
    s.trace("cxl_afu_irq", IRQ, is_hard_irq=True)
    s.read_irq("a1", "c1", 0, 1)


@bad("interrupts_stay_masked-after-mask", "interrupt-after-mask")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.trace("cxl_afu_irq", IRQ, is_hard_irq=True)
    s.proof()
    leave(s)


@bad("interrupts_stay_masked-stranger", "interrupt-of-another")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.attach("a1", "c1", "afu0.0s", 1)
    s.raise_irq("a1", "c1", 2)
    s.read_irq("a0", "c0", 0, 2)
    s.proof()


@bad("interrupts_stay_masked-event-of-another", "event-of-another")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.raise_irq("a0", "c0", 1)
    s.read_irq("a0", "c0", 3, 1)
    s.proof()


# blocked_calls_return ----------------------------------------------------------------------------------


@ok("blocked_calls_return-woken-or-never-purged")
def _(s: Story) -> None:
    s.attach("a1", "c1", "afu1.0s", 0)
    waiting = s.begin("a1", "read", fd="c1")
    strike(s)
    key = s.begin("a0", "read", fd="c0")
    s.recover(AFU, 0)
    s.wait(100)
    s.answer(key, "fail", errno="EIO")
    s.wait(3000)
    s.check()
    s.answer(waiting, "fail", errno="EINTR")
    leave(s)


@bad("blocked_calls_return-not-woken", "read-not-woken")
def _(s: Story) -> None:
    strike(s)
    key = s.begin("a0", "read", fd="c0")
    s.recover(AFU, 0)
    s.wait(1500)
    s.answer(key, "fail", errno="EINTR")
    s.proof()
    leave(s)


@bad("blocked_calls_return-quiesce-hangs", "read-not-woken")
def _(s: Story) -> None:
    strike(s)
    key = s.begin("a0", "read", fd="c0")
    s.sample(AFU, 2)
    s.quiesce(AFU)
    s.proof()
    s.wait(1500)
    s.answer(key, "fail", errno="EINTR")
    s.proof()


@bad("blocked_calls_return-unanswered", "ioctl-unanswered")
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    s.begin("a0", "ioctl", fd="c0", request=0x4004_CA01, data="00000000")
    s.proof()


@bad("kernel_log_is_clean-panic-in-a-call", "panic-kernel-panic-not-syncing-fatal-exception")
def _(s: Story) -> None:
    """The call that it leaves unanswered is no second finding."""
    s.open("a0", "c0", "afu0.0s")
    s.begin("a0", "ioctl", fd="c0", request=0x4004_CA01, data="00000000")
    s.log("Kernel panic - not syncing: Fatal exception", 0)
    s.proof()


@bad("blocked_calls_return-too-long", "close-too-long", is_nv=True)
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    key = s.begin("a0", "close", fd="c0")
    s.wait(70_000)
    s.answer(key)
    s.proof()


# answers_as_documented ---------------------------------------------------------------------------------


@ok("answers_as_documented-known-errnos")
def _(s: Story) -> None:
    s.fail("a0", "open", "ENOSPC", fd="c9", path="/dev/cxl/afu0.0s")
    s.fail("a0", "close", "EBADF", fd="c9")
    s.open("a0", "c0", "afu0.0s")
    s.fail("a0", "mmap", "EIO", fd="c0", map="m", length=4096)
    s.fail_ioctl("a0", "c0", "START_WORK", "EINVAL")
    s.fail("a0", "read", "EAGAIN", fd="c0", timeout_ms=1)


@bad("answers_as_documented-open", "open-eperm")
def _(s: Story) -> None:
    s.fail("a0", "open", "EPERM", fd="c0", path="/dev/cxl/afu0.0s")
    s.proof()


@bad("answers_as_documented-mmap", "mmap-enodev")
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    s.fail("a0", "mmap", "ENODEV", fd="c0", map="m", length=4096)
    s.proof()


@bad("answers_as_documented-reset", "write-file-exdev")
def _(s: Story) -> None:
    s.fail("nemesis", "write_file", "EXDEV", path="/sys/class/cxl/card0/reset", text="1")
    s.proof()


@bad("answers_as_documented-error-buffer", "error-buffer-empty")
def _(s: Story) -> None:
    s.do("a0", "read_file", {"text": "\\x00\\x00"}, path="/sys/class/cxl/afu0.1/afu_err_buff")
    s.do("a0", "read_file", {"text": ""}, path="/sys/class/cxl/afu0.0/afu_err_buff")
    s.proof()


@bad("answers_as_documented-mode", "mode-unknown")
def _(s: Story) -> None:
    s.do("a0", "read_file", {"text": "dedicated_process\n"}, path="/sys/class/cxl/afu0.0/mode")
    s.do("a0", "read_file", {"text": "None\n"}, path="/sys/class/cxl/afu0.0/mode")
    s.proof()
