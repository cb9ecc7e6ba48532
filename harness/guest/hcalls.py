"""The hcalls of PHYP's CoherentAccel by number, as a guest's driver calls them (PAPR; cxl/hcalls.c)."""

from __future__ import annotations

from typing import NamedTuple


class Hcall(NamedTuple):
    """An hcall by name, its operation, the unit, and the arguments after them."""

    name: str
    op: str
    unit: int
    args: tuple[int, ...]


_NAMES = {
    0x344: ("H_ATTACH_CA_PROCESS", "ATTACH"),
    0x34C: ("H_DETACH_CA_PROCESS", "DETACH"),
    0x350: ("H_COLLECT_CA_INT_INFO", "COLLECT"),
}
"""Hcalls with one operation, which is no argument."""

_CONTROLS = {
    0x348: (
        "H_CONTROL_CA_FUNCTION",
        {
            1: "RESET",
            2: "SUSPEND_PROCESS",
            3: "RESUME_PROCESS",
            4: "READ_ERR_STATE",
            5: "GET_AFU_ERR",
            6: "GET_CONFIG",
            7: "GET_DOWNLOAD_STATE",
            8: "TERMINATE_PROCESS",
            9: "COLLECT_VPD",
            11: "GET_FUNCTION_ERR_INT",
            12: "ACK_FUNCTION_ERR_INT",
            13: "GET_ERROR_LOG",
        },
    ),
    0x354: ("H_CONTROL_CA_FAULTS", {1: "RESPOND_PSL", 2: "RESPOND_AFU"}),
    0x364: ("H_DOWNLOAD_CA_FACILITY", {1: "DOWNLOAD", 2: "VALIDATE"}),
    0x368: ("H_CONTROL_CA_FACILITY", {1: "RESET", 2: "COLLECT_VPD"}),
}
"""Hcalls whose second argument is the operation."""


def hcall(opcode: int, args: tuple[int, ...]) -> Hcall:
    """What a call with `opcode` and `args` means; names are empty for one that PHYP does not know."""
    if opcode in _NAMES:
        return Hcall(*_NAMES[opcode], args[0], args[1:])
    name, operations = _CONTROLS.get(opcode, ("", {}))
    return Hcall(name, operations.get(args[1], ""), args[0], args[2:])
