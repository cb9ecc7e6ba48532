"""PHYP by its hcalls alone."""

from __future__ import annotations

import pytest

from harness.sim import phyp as firmware
from harness.sim.card import CardHardware
from harness.sim.phyp import (
    H_HARDWARE,
    H_LONG_BUSY_ORDER_100_MSEC,
    H_PARAMETER,
    H_RESOURCE,
    H_STATE,
    Phyp,
    State,
)
from harness.vocab.phase import HCALLS

UNIT = 0x10


@pytest.fixture
def phyp() -> Phyp:
    card = CardHardware("card0", 0, ("afu0.0", "afu0.1"))
    return Phyp(firmware.build((card,), {"afu0.0": 2, "afu0.1": 2}))


def state(phyp: Phyp, now_us: int = 0, unit: int = UNIT) -> int:
    return phyp.hcall("H_CONTROL_CA_FUNCTION", "READ_ERR_STATE", unit, (), now_us).r4


def attach(phyp: Phyp, number: int, now_us: int = 0) -> tuple[int, int]:
    return tuple(phyp.hcall("H_ATTACH_CA_PROCESS", "ATTACH", UNIT, (number, 0xABC), now_us))


def reset(phyp: Phyp, now_us: int) -> int:
    return phyp.hcall("H_CONTROL_CA_FUNCTION", "RESET", UNIT, (), now_us).rc


def fail(phyp: Phyp, severity: str, now_us: int = 0, **details: object) -> None:
    assert phyp.console("phyp_error", {"afu": "afu0.0", "severity": severity, **details}, now_us)


def test_attach_gives_tokens_until_resources_end(phyp: Phyp) -> None:
    assert attach(phyp, 0) == (0, 1)
    assert attach(phyp, 1) == (0, 2)
    assert attach(phyp, 2)[0] == H_RESOURCE
    assert phyp.hcall("H_DETACH_CA_PROCESS", "DETACH", UNIT, (1,), 0).rc == 0
    assert phyp.hcall("H_DETACH_CA_PROCESS", "DETACH", UNIT, (1,), 0).rc == H_PARAMETER
    assert attach(phyp, 2) == (0, 3)


def test_recoverable_error_isolates_until_a_reset(phyp: Phyp) -> None:
    attach(phyp, 0)
    afu = phyp.functions[UNIT].afu
    assert afu.load(0, 0, 8) == 0xABC
    fail(phyp, "recoverable")
    assert state(phyp) == State.DISABLE
    assert state(phyp, unit=0x11) == State.NORMAL
    assert afu.load(0, 0, 8) == (1 << 64) - 1
    assert attach(phyp, 1)[0] == H_STATE
    assert reset(phyp, 1000) == H_LONG_BUSY_ORDER_100_MSEC
    assert reset(phyp, 1000 + firmware.RESET_US) == 0
    assert state(phyp, 2_000_000) == State.NORMAL
    assert phyp.hcall("H_DETACH_CA_PROCESS", "DETACH", UNIT, (1,), 2_000_000).rc == H_PARAMETER


def test_error_during_reset_spoils_it(phyp: Phyp) -> None:
    fail(phyp, "recoverable")
    reset(phyp, 0)
    fail(phyp, "recoverable", 1000)
    assert reset(phyp, firmware.RESET_US) == H_HARDWARE
    assert state(phyp, firmware.RESET_US) == State.DISABLE
    reset(phyp, 1_000_000)
    assert reset(phyp, 2_000_000) == 0


def test_transient_error_ends_by_itself_and_leaves_dead_elements(phyp: Phyp) -> None:
    attach(phyp, 0)
    fail(phyp, "transient", 0, for_ms=100)
    assert state(phyp, 50_000) == State.TEMP_UNAVAILABLE
    assert reset(phyp, 50_000) == H_STATE
    assert state(phyp, 100_000) == State.NORMAL
    assert phyp.functions[UNIT].afu.load(0, 0, 8) == (1 << 64) - 1
    attach(phyp, 0, 100_000)
    assert phyp.functions[UNIT].afu.load(0, 0, 8) == 0xABC


def test_unrecoverable_error_is_for_ever(phyp: Phyp) -> None:
    fail(phyp, "unrecoverable")
    assert reset(phyp, 0) == H_STATE
    fail(phyp, "recoverable", 1)
    assert phyp.hcall("H_CONTROL_CA_FACILITY", "RESET", 0x11, (), 5).rc in (0, H_LONG_BUSY_ORDER_100_MSEC)
    assert state(phyp, 1 << 40) == State.PERM_UNAVAILABLE


def test_correctable_errors_count_up_to_the_threshold(phyp: Phyp) -> None:
    for _ in range(firmware.CORRECTABLE_THRESHOLD):
        fail(phyp, "correctable")
    assert state(phyp) == State.NORMAL
    fail(phyp, "correctable")
    assert state(phyp) == State.DISABLE


def test_silent_reset_tells_nobody_and_forgets_tokens(phyp: Phyp) -> None:
    attach(phyp, 0)
    assert phyp.console("phyp_silent_reset", {"card": "card0"}, 0)
    assert state(phyp, 1000) == State.DISABLE
    assert state(phyp, firmware.SILENT_RESET_US) == State.NORMAL
    assert phyp.hcall("H_DETACH_CA_PROCESS", "DETACH", UNIT, (1,), 1 << 30).rc == H_PARAMETER


def test_scripted_answers_come_once_each(phyp: Phyp) -> None:
    phyp.console("phyp_answer", {"hcall": "H_ATTACH_CA_PROCESS", "rc": 1, "times": 2}, 0)
    assert [attach(phyp, 0)[0] for _ in range(3)] == [1, 1, 0]


def test_unknown_things_are_refused(phyp: Phyp) -> None:
    assert phyp.hcall("H_CONTROL_CA_FUNCTION", "READ_ERR_STATE", 0x99, (), 0).rc == H_PARAMETER
    assert phyp.hcall("H_CONTROL_CA_FUNCTION", "DANCE", UNIT, (), 0).rc == firmware.H_FUNCTION
    assert not phyp.console("dance", {}, 0)
    with pytest.raises(KeyError):
        phyp.console("phyp_silent_reset", {"card": "card9"}, 0)


def test_every_hcall_of_the_interface_is_answered(phyp: Phyp) -> None:
    _, token = attach(phyp, 0)
    for name, op in firmware._HANDLERS:
        args = (1, 0xABC) if name == "H_ATTACH_CA_PROCESS" else (token,)
        answer = phyp.hcall(name, op, UNIT, args, 0)
        assert answer.rc in (0, H_LONG_BUSY_ORDER_100_MSEC), (name, op)
        phyp = Phyp(firmware.build((CardHardware("card0", 0, ("afu0.0",)),), {"afu0.0": 2}))
        assert attach(phyp, 0) == (0, token)
    assert {name for name, _ in firmware._HANDLERS} == set(HCALLS)


@pytest.mark.parametrize("op", ["SUSPEND_PROCESS", "RESUME_PROCESS", "TERMINATE_PROCESS"])
def test_an_hcall_on_a_process_wants_its_token(phyp: Phyp, op: str) -> None:
    assert phyp.hcall("H_CONTROL_CA_FUNCTION", op, UNIT, (1,), 0).rc == H_PARAMETER
    attach(phyp, 0)
    assert phyp.hcall("H_CONTROL_CA_FUNCTION", op, UNIT, (1,), 0).rc == 0


def test_download_is_busy_and_then_done(phyp: Phyp) -> None:
    def download(now_us: int) -> int:
        return phyp.hcall("H_DOWNLOAD_CA_FACILITY", "DOWNLOAD", UNIT, (), now_us).rc

    assert download(0) == download(1000) == H_LONG_BUSY_ORDER_100_MSEC
    assert download(firmware.RESET_US) == 0


def test_a_continued_reset_begins_no_other(phyp: Phyp) -> None:
    assert reset(phyp, 0) == H_LONG_BUSY_ORDER_100_MSEC
    assert phyp.hcall("H_CONTROL_CA_FACILITY", "RESET", UNIT, (), 300_000).rc == H_LONG_BUSY_ORDER_100_MSEC
    assert phyp.hcall("H_CONTROL_CA_FUNCTION", "RESET", UNIT, (0, 0, 0, 0, 1), 400_000).rc == 0
    assert reset(phyp, 500_000) == H_LONG_BUSY_ORDER_100_MSEC, "without a token it is another"


def test_a_facility_reset_ends_although_its_functions_finish_apart(phyp: Phyp) -> None:
    def facility(now_us: int) -> int:
        return phyp.hcall("H_CONTROL_CA_FACILITY", "RESET", UNIT, (), now_us).rc

    assert reset(phyp, 0) == H_LONG_BUSY_ORDER_100_MSEC, "one function is being reset already"
    assert facility(200_000) == H_LONG_BUSY_ORDER_100_MSEC
    assert facility(300_000) == H_LONG_BUSY_ORDER_100_MSEC, "the first is done, the second is not"
    assert facility(460_000) == 0
    assert facility(470_000) == H_LONG_BUSY_ORDER_100_MSEC, "another reset begins anew"
