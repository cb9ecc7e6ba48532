"""PHYP's CoherentAccel: it owns the coherent platform functions, and shows an operating system hcalls only.

The rules (Linux: drivers/misc/cxl/hcalls.c; what is assumed is marked A):
1. A function is NORMAL, DISABLE, TEMP_UNAVAILABLE or PERM_UNAVAILABLE, and nobody is told of a change.
2. The AFU is isolated while its function is not NORMAL, and its process elements do not come back (A).
3. A recoverable error gives DISABLE, which only H_CONTROL_CA_FUNCTION RESET ends. A transient one gives
   TEMP_UNAVAILABLE, which ends by itself. An unrecoverable one gives PERM_UNAVAILABLE, for ever. More
   correctable errors than the threshold count as a recoverable one.
4. A reset takes RESET_US and answers long-busy with a continuation token until it is done; an error that
   comes meanwhile makes it fail with H_HARDWARE (A). A call that goes on with a token after the reset is
   done gets its outcome, and begins no other.
5. A stale process token gets H_PARAMETER; a function that is not NORMAL takes no attach: H_STATE.
6. An hcall that the console holds acts when it is let go, not when it was called.

No clock: every call is told the time. `console` is the service processor's door, not the operating system's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from harness.sim.card import AfuHardware, CardHardware

RESET_US = 250_000
SILENT_RESET_US = 400_000
CORRECTABLE_THRESHOLD = 3
VPD_BYTES = 256
_TOKEN_OF_A_CONTROL = 4  # among the arguments behind the operation: four parameters, then the token

H_SUCCESS = 0
H_BUSY = 1
H_LONG_BUSY_ORDER_100_MSEC = 9902
H_HARDWARE = -1
H_FUNCTION = -2
H_PARAMETER = -4
H_RESOURCE = -16
H_STATE = -75


class State(IntEnum):
    """The state of a function as READ_ERR_STATE gives it in R4."""

    NORMAL = 1
    DISABLE = 2
    TEMP_UNAVAILABLE = 3
    PERM_UNAVAILABLE = 4


class Answer(NamedTuple):
    """What an hcall returns: the code in R3, and R4 and following."""

    rc: int
    r4: int = 0


@dataclass(slots=True)
class Function:
    """One coherent platform function: the virtual face of an AFU."""

    unit: int
    afu: AfuHardware
    processes_max: int
    state: State = State.NORMAL
    until_us: int = -1  # when TEMP_UNAVAILABLE, or a silent reset, ends by itself
    reset_done_us: int = -1  # when the reset that is under way is done
    is_reset_spoilt: bool = False
    facility_reset: Answer | None = None  # what its part of a reset of the whole card has come to so far
    download_done_us: int = -1
    correctable_errors: int = 0
    tokens: dict[int, int] = field(default_factory=dict)  # process token -> number of the process element
    next_token: int = 1


@dataclass(slots=True)
class Hold:
    """The next call of an hcall is held inside PHYP: for `for_us`, or until it is released."""

    hcall: str
    op: str
    for_us: int
    until_us: int = -1  # negative while nobody has come
    is_released: bool = False


class Phyp:
    """All functions of one partition."""

    def __init__(self, functions: tuple[Function, ...]) -> None:
        self.functions = {function.unit: function for function in functions}
        self.scripted: list[tuple[str, int]] = []  # hcall name and code, to be answered once each
        self.holds: list[Hold] = []

    # The operating system's face -------------------------------------------------------------------------

    def hcall(self, name: str, op: str, unit: int, args: tuple[int, ...], now_us: int) -> Answer:
        """Answer one hcall: `op` on the function `unit`, or on the facility that this function is part of."""
        for index, (hcall, rc) in enumerate(self.scripted):
            if hcall == name:
                del self.scripted[index]
                return Answer(rc)
        function = self.functions.get(unit)
        if function is None:
            return Answer(H_PARAMETER)
        self.settle(function, now_us)
        handler = getattr(self, _HANDLERS.get((name, op), "_unknown"))
        answer: Answer = handler(function, args, now_us)
        return answer

    def hold(self, name: str, op: str, now_us: int) -> Hold | None:
        """Whether this call is held before it is answered; then its caller waits until ``until_us``."""
        for hold in self.holds:
            if (hold.hcall, hold.op) == (name, op) and hold.until_us < 0:
                hold.until_us = now_us + hold.for_us
                return hold
        return None

    def _attach(self, function: Function, args: tuple[int, ...], _now_us: int) -> Answer:
        if function.state is not State.NORMAL:
            return Answer(H_STATE)
        if len(function.tokens) >= function.processes_max:
            return Answer(H_RESOURCE)
        number, wed = args
        token = function.next_token
        function.next_token += 1
        function.tokens[token] = number
        function.afu.attach(number, wed)
        return Answer(H_SUCCESS, token)

    def _detach(self, function: Function, args: tuple[int, ...], _now_us: int) -> Answer:
        number = function.tokens.pop(args[0], None)
        if number is None:
            return Answer(H_PARAMETER)
        function.afu.detach(number)
        return Answer(H_SUCCESS)

    def _read_state(self, function: Function, _args: tuple[int, ...], _now_us: int) -> Answer:
        return Answer(H_SUCCESS, int(function.state))

    def _reset(self, function: Function, args: tuple[int, ...], now_us: int) -> Answer:
        if function.state not in (State.NORMAL, State.DISABLE):
            return Answer(H_STATE)
        is_continued = any(args[_TOKEN_OF_A_CONTROL:])
        if function.reset_done_us < 0 and is_continued:  # somebody else's call saw its end
            return Answer(H_SUCCESS if function.state is State.NORMAL else H_HARDWARE)
        if function.reset_done_us < 0:
            function.reset_done_us = now_us + RESET_US
            self.change(function, State.DISABLE)
            function.is_reset_spoilt = False
        if now_us < function.reset_done_us:
            return Answer(H_LONG_BUSY_ORDER_100_MSEC, 1)
        function.reset_done_us = -1
        if function.is_reset_spoilt:
            function.is_reset_spoilt = False
            return Answer(H_HARDWARE)
        function.afu.reset()
        self.end_isolation(function)
        return Answer(H_SUCCESS)

    def _reset_facility(self, function: Function, _args: tuple[int, ...], now_us: int) -> Answer:
        """All functions of the card at once, each of them once; a permanently failed one stays so."""
        mine = [each for each in self.functions.values() if each.afu.card is function.afu.card]
        for each in mine:
            if each.state not in (State.NORMAL, State.DISABLE):
                each.facility_reset = None
            elif each.facility_reset is None or each.facility_reset.rc == H_LONG_BUSY_ORDER_100_MSEC:
                each.facility_reset = self._reset(each, (), now_us)
        answers = [each.facility_reset for each in mine if each.facility_reset is not None]
        busy = [answer for answer in answers if answer.rc == H_LONG_BUSY_ORDER_100_MSEC]
        if busy:
            return busy[0]
        for each in mine:
            each.facility_reset = None
        failed = [answer for answer in answers if answer.rc < 0]
        return (failed or [Answer(H_SUCCESS)])[0]

    def _name_process(self, function: Function, args: tuple[int, ...], _now_us: int) -> Answer:
        """Do something about the process whose token comes first; here it only has to be one."""
        return Answer(H_SUCCESS if args and args[0] in function.tokens else H_PARAMETER)

    def _vital_data(self, _function: Function, _args: tuple[int, ...], _now_us: int) -> Answer:
        return Answer(H_SUCCESS, VPD_BYTES)

    def _download(self, function: Function, _args: tuple[int, ...], now_us: int) -> Answer:
        """Take an image, or look at one: long-busy for as long as a reset, then done."""
        if function.download_done_us < 0:
            function.download_done_us = now_us + RESET_US
        if now_us < function.download_done_us:
            return Answer(H_LONG_BUSY_ORDER_100_MSEC, 1)
        function.download_done_us = -1
        return Answer(H_SUCCESS)

    def _acknowledge(self, _function: Function, _args: tuple[int, ...], _now_us: int) -> Answer:
        return Answer(H_SUCCESS)

    def _unknown(self, _function: Function, _args: tuple[int, ...], _now_us: int) -> Answer:
        return Answer(H_FUNCTION)

    # State changes ---------------------------------------------------------------------------------------

    def settle(self, function: Function, now_us: int) -> None:
        """Let pass what ends by itself."""
        if 0 <= function.until_us <= now_us:
            self.end_isolation(function)

    def change(self, function: Function, state: State) -> None:
        """Enter `state`, which is not NORMAL: the AFU is isolated and its process elements are lost."""
        function.state = state
        function.until_us = -1
        function.afu.isolate()

    def end_isolation(self, function: Function) -> None:
        """Enter NORMAL: the AFU can be used again, but no process token of before means anything."""
        function.state = State.NORMAL
        function.until_us = -1
        function.tokens.clear()
        function.afu.is_isolated = False

    # The service processor's door ------------------------------------------------------------------------

    def console(self, what: str, details: Mapping[str, Any], now_us: int) -> bool:
        """Do what a lab person asks of the firmware; False when it is unknown. Raises KeyError for an AFU,
        a card or a detail that is not there.
        """
        if what == "phyp_answer":
            self.scripted += [(details["hcall"], details["rc"])] * int(details["times"])
        elif what == "phyp_hold":
            self.holds.append(Hold(details["hcall"], details["op"], 1000 * int(details["for_ms"])))
        elif what == "phyp_release":
            self.release(details["hcall"], details["op"], now_us)
        elif what == "phyp_silent_reset":
            for function in self._of_card(details["card"]):
                self.reset_silently(function, now_us)
        elif what == "phyp_error":
            function = self._of_afu(details["afu"])
            self.settle(function, now_us)
            getattr(self, _SEVERITIES[details["severity"]])(function, details, now_us)
        else:
            return False
        return True

    def release(self, name: str, op: str, now_us: int) -> None:
        """Let go who is held in this hcall, and hold nobody in it any more."""
        mine = [hold for hold in self.holds if (hold.hcall, hold.op) == (name, op)]
        self.holds = [hold for hold in self.holds if hold not in mine]
        for hold in mine:
            hold.until_us = min(hold.until_us, now_us)

    def reset_silently(self, function: Function, now_us: int) -> None:
        """Reset a function with no word to anybody."""
        if function.state in (State.NORMAL, State.DISABLE) and function.reset_done_us < 0:
            self.change(function, State.DISABLE)
            function.until_us = now_us + SILENT_RESET_US

    def fail_recoverably(self, function: Function, _details: Mapping[str, Any], _now_us: int) -> None:
        """DISABLE until the operating system resets the function."""
        if function.state is not State.PERM_UNAVAILABLE:
            function.is_reset_spoilt = function.reset_done_us >= 0
            self.change(function, State.DISABLE)

    def fail_for_ever(self, function: Function, _details: Mapping[str, Any], _now_us: int) -> None:
        """PERM_UNAVAILABLE."""
        function.reset_done_us = -1
        self.change(function, State.PERM_UNAVAILABLE)

    def fail_for_a_time(self, function: Function, details: Mapping[str, Any], now_us: int) -> None:
        """TEMP_UNAVAILABLE for ``for_ms``; a function in trouble already stays as it is."""
        if function.state is State.NORMAL:
            self.change(function, State.TEMP_UNAVAILABLE)
            function.until_us = now_us + 1000 * int(details["for_ms"])

    def count_correctable(self, function: Function, details: Mapping[str, Any], now_us: int) -> None:
        """One corrected error; over the threshold it is a recoverable one."""
        function.correctable_errors += 1
        if function.correctable_errors > CORRECTABLE_THRESHOLD:
            function.correctable_errors = 0
            self.fail_recoverably(function, details, now_us)

    def _of_afu(self, name: str) -> Function:
        return {function.afu.name: function for function in self.functions.values()}[name]

    def _of_card(self, name: str) -> list[Function]:
        found = [function for function in self.functions.values() if function.afu.card.name == name]
        if not found:
            raise KeyError(name)
        return found


_HANDLERS = {
    ("H_ATTACH_CA_PROCESS", "ATTACH"): "_attach",
    ("H_DETACH_CA_PROCESS", "DETACH"): "_detach",
    ("H_CONTROL_CA_FUNCTION", "READ_ERR_STATE"): "_read_state",
    ("H_CONTROL_CA_FUNCTION", "RESET"): "_reset",
    ("H_CONTROL_CA_FUNCTION", "SUSPEND_PROCESS"): "_name_process",
    ("H_CONTROL_CA_FUNCTION", "RESUME_PROCESS"): "_name_process",
    ("H_CONTROL_CA_FUNCTION", "TERMINATE_PROCESS"): "_name_process",
    ("H_CONTROL_CA_FUNCTION", "GET_AFU_ERR"): "_acknowledge",
    ("H_CONTROL_CA_FUNCTION", "GET_CONFIG"): "_acknowledge",
    ("H_CONTROL_CA_FUNCTION", "GET_DOWNLOAD_STATE"): "_acknowledge",
    ("H_CONTROL_CA_FUNCTION", "GET_ERROR_LOG"): "_acknowledge",
    ("H_CONTROL_CA_FUNCTION", "COLLECT_VPD"): "_vital_data",
    ("H_CONTROL_CA_FUNCTION", "GET_FUNCTION_ERR_INT"): "_acknowledge",
    ("H_CONTROL_CA_FUNCTION", "ACK_FUNCTION_ERR_INT"): "_acknowledge",
    ("H_COLLECT_CA_INT_INFO", "COLLECT"): "_name_process",
    ("H_CONTROL_CA_FAULTS", "RESPOND_PSL"): "_name_process",
    ("H_CONTROL_CA_FAULTS", "RESPOND_AFU"): "_name_process",
    ("H_DOWNLOAD_CA_FACILITY", "DOWNLOAD"): "_download",
    ("H_DOWNLOAD_CA_FACILITY", "VALIDATE"): "_download",
    ("H_CONTROL_CA_FACILITY", "RESET"): "_reset_facility",
    ("H_CONTROL_CA_FACILITY", "COLLECT_VPD"): "_vital_data",
}

_SEVERITIES = {
    "recoverable": "fail_recoverably",
    "unrecoverable": "fail_for_ever",
    "transient": "fail_for_a_time",
    "correctable": "count_correctable",
}


def build(cards: tuple[CardHardware, ...], processes_max: Mapping[str, int]) -> tuple[Function, ...]:
    """Functions for all AFUs, with the unit addresses 0x10, 0x11, … on card 0 and 0x20, … on card 1."""
    return tuple(
        Function(0x10 * (card.index + 1) + slice_number, afu, processes_max[afu.name])
        for card in cards
        for slice_number, afu in enumerate(card.afus)
    )
