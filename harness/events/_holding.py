"""The hold points: operations inside which PHYP can keep its caller."""

from __future__ import annotations

from harness.vocab.event import NEMESIS, Target

HOLD_POINTS = {
    "attach": ("H_ATTACH_CA_PROCESS", "ATTACH"),
    "detach": ("H_DETACH_CA_PROCESS", "DETACH"),
    "read-state": ("H_CONTROL_CA_FUNCTION", "READ_ERR_STATE"),
    "reset-function": ("H_CONTROL_CA_FUNCTION", "RESET"),
    "reset-facility": ("H_CONTROL_CA_FACILITY", "RESET"),
}
"""The hcall and operation of each. Those at interrupt level cannot be held: nobody may sleep there."""


def at(point: str) -> dict[str, str]:
    """A hold point in the words of the agent protocol."""
    hcall, op = HOLD_POINTS[point]
    return {"hcall": hcall, "op": op}


def points() -> list[Target]:
    """Every hold point, for the nemesis."""
    return [(NEMESIS, point) for point in HOLD_POINTS]
