"""Linux 6.1's driver on the simulated PowerVM host: each test is one thing that its source says."""

from __future__ import annotations

import struct

import pytest

from harness.hosts.urls import SIM_DRIVERS
from harness.sim.host import DRIVERS
from tests.sim.playing import ALL_ONES, VM, Item, Played, attached, load, sleep, store, wait

POLL_MS = 3_000
NOTICED = sleep(POLL_MS + 2_000)
GET_PROCESS_ELEMENT = ("a0", "ioctl", {"fd": "c0", "request": 0x4004CA01, "data": "00000000"})


def linux(*items: Item, seed: int = 1) -> Played:
    return Played(VM, items, seed=seed, driver="linux-6.1")


def inject(what: str, **details: object) -> Item:
    return ("nemesis", "inject", {"what": what, "with": details})


def error(severity: str, afu: str = "afu0.0", **details: object) -> Item:
    return inject("phyp_error", afu=afu, severity=severity, **details)


def answers(hcall: str, rc: int, times: int = 1) -> Item:
    return inject("phyp_answer", hcall=hcall, rc=rc, times=times)


def write(path: str, text: str) -> Item:
    return ("nemesis", "write_file", {"path": f"/sys/class/cxl/{path}", "text": text})


def test_the_urls_know_the_drivers_that_the_simulator_has() -> None:
    assert {"", *SIM_DRIVERS} == DRIVERS.keys()


# The periodic check ----------------------------------------------------------------------------------------


def test_disable_detaches_resets_and_resumes() -> None:
    played = linux(*attached(), wait(), error("recoverable"), NOTICED, load(), *attached(fd="c1"), wait())
    assert played.order(
        "pci_error_handlers: afu0.0 event=1 state=2",
        "cxl_context_detach_all: afu0.0",
        "cxl_detach: afu0.0 pe=0",
        "afu_release_irqs: afu0.0 pe=0",
        "op=RESET",
        "pci_error_handlers: afu0.0 event=2 state=1",
        "pci_error_handlers: afu0.0 event=3 state=0",
    )
    assert played.says("op=DETACH") == 0  # the link is down
    assert played.values(6) == [ALL_ONES]
    assert played.answer(8)["is"] == "ok"


def test_temporary_unavailability_is_noted_and_no_more() -> None:
    played = linux(
        *attached(),
        wait(),
        error("transient", for_ms=POLL_MS + 1_000),
        NOTICED,
        GET_PROCESS_ELEMENT,
        ("a0", "poll", {"fd": "c0", "timeout_ms": 0}),
        wait(),
    )
    assert played.says("R4: 0x3") > 0
    assert played.says("cxl_context_detach_all") == 0
    assert played.answer(6)["is"] == "ok"  # still started
    assert played.answer(7)["revents"] == 0


def test_permanent_failure_is_said_and_ends_the_checks_while_contexts_stay_started() -> None:
    played = linux(*attached(), wait(), error("unrecoverable"), sleep(30_000), load(), wait())
    assert played.says("AFU is in permanent error state") == 1
    assert played.says("R4: 0x4") == 1
    assert played.says("cxl_detach:") == 0
    assert played.values(6) == [ALL_ONES]


def test_a_reset_that_fails_is_followed_by_the_whole_recovery_again() -> None:
    played = linux(
        *attached(),
        wait(),
        error("recoverable"),
        (
            "nemesis",
            "inject",
            error("recoverable")[2],
            {"sees": [["trace", ["op=RESET"]]], "within_ms": 9000},
        ),
        sleep(9_000),
    )
    assert played.says("cxl_context_detach_all") == 2
    assert played.order("op=RESET", "cxl_context_detach_all", "op=RESET", "event=3")


# Contexts --------------------------------------------------------------------------------------------------


def test_detach_with_the_link_up_that_phyp_refuses_is_a_warning_and_not_tried_again() -> None:
    played = linux(
        *attached(), wait(), answers("H_DETACH_CA_PROCESS", -1), wait(), ("a0", "exit", {}), wait()
    )
    assert played.order("cxl_detach: afu0.0 pe=0", "op=DETACH", "cxl_h_detach_process(", "WARNING")
    assert played.says("context.c:248 __detach_context") == 1
    assert played.says("op=DETACH") == 1


def test_detach_with_the_link_down_asks_phyp_for_nothing_and_warns_of_nothing() -> None:
    played = linux(*attached(), wait(), error("recoverable"), wait(), ("a0", "exit", {}), wait(500))
    assert played.says("op=DETACH") == 0
    assert played.says("WARNING") == 0


def test_a_reader_of_a_context_that_was_never_attached_is_not_woken() -> None:
    opened = ("a0", "open", {"fd": "c0", "path": "/dev/cxl/afu0.0s"})
    blocked = ("a0", "read", {"fd": "c0"})
    played = linux(opened, blocked, wait(100), error("recoverable"), NOTICED, wait(1_000, interrupt=True))
    assert played.says("cxl_context_detach_all") == 1
    assert played.answer(5)["interrupted"] == ["a0"]
    assert played.answer(1) == {"is": "fail", "errno": "EIO"}  # the context is closed by now


def test_an_attached_reader_is_woken() -> None:
    played = linux(*attached(), ("a0", "read", {"fd": "c0"}), wait(100), error("recoverable"), wait())
    assert played.answer(3) == {"is": "fail", "errno": "EIO"}


def test_a_read_that_ends_while_the_state_is_not_normal_gives_eio() -> None:
    timed = ("a0", "read", {"fd": "c0", "timeout_ms": 800})
    played = linux(*attached(), timed, wait(100), error("transient", for_ms=2_000), wait())
    assert played.answer(3) == {"is": "fail", "errno": "EIO"}


def test_the_page_in_place_of_the_device_keeps_what_is_stored_to_it() -> None:
    played = linux(
        *attached(),
        load(),
        wait(),
        error("recoverable"),
        NOTICED,
        load(offset=8),
        store(7),
        load(offset=8),
        wait(),
    )
    assert played.values(7) == [ALL_ONES]
    assert played.values(9) == [7]


def test_the_process_element_is_phyps_and_none_before_the_attach() -> None:
    opened, attach, _ = attached()
    played = linux(opened, GET_PROCESS_ELEMENT, attach, GET_PROCESS_ELEMENT, wait())
    assert played.answer(1)["data"] == "ffffffff"
    assert played.answer(3)["data"] == "01000000"


def test_an_open_that_finds_no_slot_leaks_its_context() -> None:
    slabs = ("probe", "read_file", {"path": "/proc/slabinfo"})
    opens = [("a0", "open", {"fd": f"c{n}", "path": "/dev/cxl/afu0.0s"}) for n in range(4)]
    played = linux(slabs, wait(), *opens, wait(), ("a0", "exit", {}), wait(), sleep(1_000), slabs, wait())
    assert played.answer(5) == {"is": "fail", "errno": "ENOSPC"}
    before, after = (
        dict(line.split()[:2] for line in played.answer(n)["text"].splitlines()[1:]) for n in (0, 10)
    )
    assert int(after["kmalloc-1k"]) == int(before["kmalloc-1k"]) + 1
    assert after["kmalloc-64"] == before["kmalloc-64"]


# Hcalls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rc", "errno", "warnings"),
    [
        (-1, "EBUSY", 0),
        (-75, "EBUSY", 0),
        (-16, "EBUSY", 0),
        (-4, "EINVAL", 0),
        (-7, "EINVAL", 1),
        (18, "EINVAL", 1),
    ],
)
def test_what_an_attach_makes_of_a_code(rc: int, errno: str, warnings: int) -> None:
    played = linux(answers("H_ATTACH_CA_PROCESS", rc), wait(), *attached(), wait())
    assert played.answer(3) == {"is": "fail", "errno": errno}
    assert played.says("Unexpected return code") == warnings
    assert played.says("afu_release_irqs") == 1


def test_busy_is_waited_for_up_to_a_minute() -> None:
    patient = linux(answers("H_ATTACH_CA_PROCESS", 9903, 60), wait(), *attached(), wait(90_000))
    assert patient.answer(3)["is"] == "ok"
    given_up = linux(answers("H_ATTACH_CA_PROCESS", 9903, 61), wait(), *attached(), wait(90_000))
    assert given_up.answer(3) == {"is": "fail", "errno": "EBUSY"}
    assert given_up.says("Giving up waiting for CXL hcall 0x344 after 61000 msec") == 1
    at_once = linux(answers("H_ATTACH_CA_PROCESS", 9905), wait(), *attached(), wait())
    assert at_once.says("Giving up waiting for CXL hcall 0x344 after 100000 msec") == 1


# Interrupts ------------------------------------------------------------------------------------------------


def test_interrupts_are_read_from_the_lowest_on() -> None:
    raised = [store(1 << 56 | irq, offset=0x18) for irq in (2, 1)]
    read = ("a0", "read", {"fd": "c0", "timeout_ms": 100})
    played = linux(*attached(), *raised, wait(), sleep(10), read, read, wait())
    irqs = [struct.unpack_from("<HHHHHH", bytes.fromhex(played.answer(n)["data"]))[5] for n in (7, 8)]
    assert irqs == [1, 2]


def test_a_psl_interrupt_that_phyp_says_nothing_about_is_a_warning() -> None:
    error = store(4 << 56 | 9, offset=0x18)
    played = linux(
        *attached(), wait(), answers("H_COLLECT_CA_INT_INFO", -1), wait(), error, wait(), sleep(10)
    )
    assert played.says("Unable to get IRQ info: -16") == 1
    assert played.says("cxl_psl_irq:") == 0


def test_a_slice_error_that_phyp_is_busy_about_sleeps_at_interrupt_level() -> None:
    error = store(5 << 56, offset=0x18)
    played = linux(
        *attached(), wait(), answers("H_CONTROL_CA_FUNCTION", 1), wait(), error, wait(), sleep(500)
    )
    assert played.order("scheduling while atomic", "PSL Slice error received", "op=ACK_FUNCTION_ERR_INT")


# What the administrator asks for --------------------------------------------------------------------------


def test_a_polite_reset_of_a_card_locks_it_for_ever() -> None:
    played = linux(
        write("card0/reset", "1"), wait(), sleep(10_000), *attached(), write("card0/reset", "1"), wait()
    )
    assert played.answer(0)["is"] == "ok"
    assert played.answer(4) == {"is": "fail", "errno": "EBUSY"}
    assert played.answer(6) == {"is": "fail", "errno": "EBUSY"}


def test_a_forced_reset_detaches_and_lets_attach_again() -> None:
    played = linux(
        *attached(), wait(), write("card0/reset", "-1"), wait(), load(), *attached(fd="c1"), wait()
    )
    assert played.order(
        "cxl_context_detach_all: afu0.0", "op=DETACH", "cxl_context_detach_all: afu0.1", "op=RESET"
    )
    assert played.values(6) == [ALL_ONES]
    assert played.answer(8)["is"] == "ok"


def test_the_close_of_a_flash_node_tells_nobody() -> None:
    flash = [("a1", "open", {"fd": "f", "path": "/dev/cxl/card0"}), ("a1", "close", {"fd": "f"})]
    played = linux(
        *attached(), wait(), *flash, wait(), NOTICED, GET_PROCESS_ELEMENT, ("a0", "exit", {}), wait()
    )
    assert played.says("op=RESET") == 1
    assert played.says("cxl_context_detach_all") == 0
    assert played.answer(8)["is"] == "ok"
    assert played.says("cxl_h_detach_process(0x0000000000000010, 0x00000001): -4") == 1
    assert played.says("__detach_context") > 0


def test_one_flash_node_is_open_at_a_time() -> None:
    first = ("a0", "open", {"fd": "f", "path": "/dev/cxl/card0"})
    second = ("a1", "open", {"fd": "f", "path": "/dev/cxl/card1"})
    played = linux(first, wait(), second, wait(1_000, interrupt=True))
    assert played.answer(3)["interrupted"] == ["a1"]
    assert played.answer(2) == {"is": "fail", "errno": "EPERM"}


def test_a_mode_that_does_not_exist_is_refused_after_the_old_one_was_left() -> None:
    mode = ("probe", "read_file", {"path": "/sys/class/cxl/afu0.0/mode"})
    played = linux(write("afu0.0/mode", "dedicated_process"), wait(), mode, wait())
    assert played.answer(0) == {"is": "fail", "errno": "EINVAL"}
    assert played.answer(2)["text"] == "none\n"
    assert played.order("Deactivating AFU(0) directed mode", "op=RESET")


def test_the_error_buffer_reads_as_empty() -> None:
    buffer = ("a0", "read_file", {"path": "/sys/class/cxl/afu0.0/afu_err_buff"})
    played = linux(buffer, wait(), answers("H_CONTROL_CA_FUNCTION", -1), wait(), buffer, wait())
    assert played.answer(0)["text"] == ""
    assert played.answer(4) == {"is": "fail", "errno": "EBUSY"}


def test_a_master_maps_the_afu_as_a_whole_and_finds_memory_there() -> None:
    played = linux(*attached(node="afu0.0m"), load(), store(5), load(offset=8), wait())
    assert played.values(3) == [0]
    assert played.values(5) == [5]
