"""Scenarios: what loads and stores may do."""

from __future__ import annotations

from harness.vocab.registers import Register
from tests.oracles.build import FFS, Story
from tests.oracles.scenarios.base import AFU, AFU2, bad, leave, ok, strike

MARKER = 0xCA91_0000_0000_0001

# loads_give_all_ones -----------------------------------------------------------------------------------


@ok("loads_give_all_ones-through-a-recovery")
def _(s: Story) -> None:
    wed = strike(s)
    s.load("a0", "c0", wed, FFS, FFS)
    s.load("a0", "c0", FFS, offset=Register.ALL_ONES)
    s.recover(AFU, 0)
    s.load("a0", "c0", FFS)
    leave(s)


@ok("loads_give_all_ones-sigbus-without-err-ff")
def _(s: Story) -> None:
    strike(s, flags=0)
    s.load("a0", "c0", FFS)
    s.recover(AFU, 0)
    for _ in range(2):
        s.fail("a0", "load", "SIGBUS", map="c0.mmio", offset=0, width=8)
    leave(s)


@ok("loads_give_all_ones-register-of-all-ones", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.load("a0", "c0", FFS, offset=Register.ALL_ONES)
    s.close("a0", "c0", AFU, 0)


@bad("loads_give_all_ones-valid-after-purge", "valid-after-purge")
def _(s: Story) -> None:
    wed = strike(s)
    s.recover(AFU, 0)
    s.load("a0", "c0", wed)
    s.proof()
    leave(s)


@bad("loads_give_all_ones-valid-after-all-ones", "valid-after-all-ones", is_nv=True)
def _(s: Story) -> None:
    wed = s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.load("a0", "c0", FFS)
    s.proof()
    s.load("a0", "c0", wed)
    s.proof()


@bad("loads_give_all_ones-without-error", "all-ones-without-error")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.load("a0", "c0", FFS)
    s.proof()


@bad("loads_give_all_ones-after-recovery", "all-ones-without-error")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.attach("a1", "c1", "afu0.0s", 0)
    s.load("a1", "c1", FFS)
    s.proof()


@bad("loads_give_all_ones-sigbus-with-err-ff", "sigbus-with-err-ff")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.fail("a0", "load", "SIGBUS", map="c0.mmio", offset=0, width=8)
    s.proof()
    leave(s)


@bad("loads_give_all_ones-value-after-sigbus", "value-after-sigbus")
def _(s: Story) -> None:
    strike(s, flags=0)
    s.recover(AFU, 0)
    s.fail("a0", "load", "SIGBUS", map="c0.mmio", offset=0, width=8)
    s.proof()
    s.load("a0", "c0", FFS)
    s.proof()
    leave(s)


@bad("loads_give_all_ones-wrong-wed", "wrong-wed")
def _(s: Story) -> None:
    wed = s.attach("a0", "c0", "afu0.0s", 0)
    s.load("a0", "c0", wed + 1)
    s.proof()


# stores_are_ignored ------------------------------------------------------------------------------------


@ok("stores_are_ignored-store-of-a-living-device")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.store("a0", "c0", MARKER)
    s.recoverable(AFU)
    s.store("a0", "c0", MARKER + 1)  # dropped
    s.recover(AFU, 0)
    s.store("a0", "c0", MARKER + 2)
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.attach("a1", "c1", "afu0.0m", 0)
    s.load("a1", "c1", MARKER, offset=Register.STORE_LOG)
    s.load("a1", "c1", 0, offset=Register.SCRATCH)


@bad("stores_are_ignored-after-purge", "store-arrived")
def _(s: Story) -> None:
    strike(s)
    s.recover(AFU, 0)
    s.store("a0", "c0", MARKER)
    s.exit("a0")
    s.reclaim(AFU, 0)
    s.attach("a1", "c1", "afu0.0m", 0)
    s.load("a1", "c1", MARKER, offset=Register.STORE_LOG)
    s.proof()


@bad("stores_are_ignored-while-frozen", "store-arrived", is_nv=True)
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    s.store("a0", "c0", MARKER)
    for afu, numbers in ((AFU, (0,)), (AFU2, ())):
        s.quiesce(afu, *numbers)
    s.eeh_reset()
    s.attach("a1", "c1", "afu0.0m", 1)
    s.load("a1", "c1", MARKER, offset=Register.STORE_LOG)
    s.proof()


@bad("loads_give_all_ones-zeros-of-an-isolated-device", "wrong-wed")
def _(s: Story) -> None:
    strike(s)
    s.load("a0", "c0", 0)
    s.proof()
    s.recover(AFU, 0)
    leave(s)
