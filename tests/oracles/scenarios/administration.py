"""Scenarios: what administrators ask for, and the limit that they set to failures."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, Fate, Role
from tests.oracles.build import Story
from tests.oracles.scenarios.base import AFU, AFU2, bad, ok

# resets_are_refused ------------------------------------------------------------------------------------


def reset(s: Story, subject: str, errno: str = "") -> None:
    """A reset that is not forced; refused with `errno`, or granted."""
    is_card = subject.startswith("card")
    event, afus = ("ResetCard", [AFU, AFU2]) if is_card else ("ResetAfu", [subject])
    details = {"card": subject, "forced": False} if is_card else {"afu": subject}
    args = {"path": f"/sys/class/cxl/{subject}/reset", "text": "1"}
    with s.meaning(event, Role.CONTROL, Fate.HIDDEN, afus, **details):
        if errno:
            s.fail(NEMESIS, "write_file", errno, **args)
        else:
            s.do(NEMESIS, "write_file", **args)


@ok("resets_are_refused-until-nobody-is-left")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    reset(s, "card0", "EBUSY")
    reset(s, AFU, "EBUSY")
    s.close("a0", "c0", AFU, 0)
    reset(s, AFU)
    s.open("a0", "c1", "afu0.0s")
    reset(s, "card0")


@bad("resets_are_refused-card-in-use", "card-in-use")
def _(s: Story) -> None:
    s.attach("a0", "c0", "afu0.0s", 0)
    reset(s, "card0")
    s.proof()
    s.close("a0", "c0", AFU, 0)


@bad("resets_are_refused-afu-in-use", "afu-in-use")
def _(s: Story) -> None:
    s.open("a0", "c0", "afu0.0s")
    reset(s, AFU)
    s.proof()
    s.do("a0", "close", fd="c0")


# freeze_limit_holds ------------------------------------------------------------------------------------


def fail(s: Story, times: int, limit: int | None) -> None:
    """One failure of a card that is counted, and tolerated up to `limit`; none: disabled."""
    s.drop_link("card0")
    s.confirm("card0")
    s.detected("card0")
    if limit is None:
        text = f"PHB#0-PE#1: has failed {times} times in the last hour and has been permanently disabled."
    else:
        after = f"will be permanently disabled after {limit} failures."
        text = f"This PCI device has failed {times} times in the last hour and {after}"
    s.log(f"EEH: {text}", 4)
    if limit is None:
        return
    for afu in (AFU, AFU2):
        s.quiesce(afu)
    s.eeh_reset()


@ok("freeze_limit_holds-then-disabled", is_nv=True)
def _(s: Story) -> None:
    fail(s, 1, 2)
    fail(s, 2, 2)
    fail(s, 3, None)


@bad("freeze_limit_holds-exceeded", "recovered-over-limit", is_nv=True)
def _(s: Story) -> None:
    for times in (1, 2, 3):
        fail(s, times, 2)


@bad("freeze_limit_holds-miscounted", "miscounted", is_nv=True)
def _(s: Story) -> None:
    fail(s, 1, 5)
    fail(s, 1, 5)


@bad("freeze_limit_holds-disabled-too-early", "disabled-below-limit", is_nv=True)
def _(s: Story) -> None:
    fail(s, 1, 2)
    fail(s, 2, None)
