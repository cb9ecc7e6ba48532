"""Process element commands that hang or are refused, and a card's error interrupt, on the simulated host."""

from __future__ import annotations

import pytest

from tests.sim.playing import LINK_DOWN, NV, Item, Played, attached, load, sleep, wait, work

REFUSED = "cxl: Error adding process element to AFU"
LATE = "cxl afu0.0: WARNING: Process Element Command timed out!"
OPEN: Item = ("a0", "open", {"fd": "c0", "path": "/dev/cxl/afu0.0s"})
START: Item = ("a0", "ioctl", work("c0"))
UNMAP: Item = ("a0", "munmap", {"map": "c0.mmio"})
CLOSE: Item = ("a0", "close", {"fd": "c0"})
PSL: Item = ("nemesis", "inject", {"what": "psl_interrupt", "with": {"card": "card0"}})


def answers(command: str, answer: str, times: int = 1) -> Item:
    details = {"afu": "afu0.0", "command": command, "answer": answer, "times": times}
    return ("nemesis", "inject", {"what": "answer_command", "with": details})


@pytest.mark.parametrize(("answer", "errno", "said"), [("fail", "EIO", REFUSED), ("hang", "EBUSY", LATE)])
def test_an_attach_whose_command_is_not_done_fails_and_the_next_succeeds(
    answer: str, errno: str, said: str
) -> None:
    played = Played(NV, [answers("add", answer), wait(), OPEN, START, START, wait()])
    assert played.answer(3) == {"is": "fail", "errno": errno}
    assert played.answer(4)["is"] == "ok"
    assert played.says(said) == 1
    assert played.says("EEH: Recovering") == 0, "the card is not frozen"


@pytest.mark.parametrize("command", ["terminate", "remove"])
@pytest.mark.parametrize(("answer", "said"), [("fail", REFUSED), ("hang", LATE)])
def test_a_detach_tries_again_while_the_card_is_there(command: str, answer: str, said: str) -> None:
    again = attached(fd="c1", wed=0x77)
    played = Played(
        NV,
        [*attached(), answers(command, answer, 2), wait(), UNMAP, CLOSE, *again, load(fd="c1"), wait()],
    )
    assert played.answer(6)["is"] == "ok"
    assert played.says(said) == 2
    assert played.values(10) == [0x77]
    assert played.says("EEH: Recovering") == 0


def test_a_reset_forgets_answers_that_were_not_asked_for() -> None:
    played = Played(NV, [answers("add", "fail", 3), LINK_DOWN, sleep(20_000), *attached(), load(), wait()])
    assert played.values(6) == [0x5EED]
    assert played.says(REFUSED) == 0


def test_a_recovery_ends_a_command_that_hangs() -> None:
    played = Played(NV, [OPEN, wait(), answers("add", "hang"), wait(), START, LINK_DOWN, sleep(20_000)])
    assert played.answer(4) == {"is": "fail", "errno": "EIO"}
    assert played.says("Device link down, aborting Process Element Command!") == 1


@pytest.mark.parametrize("wrong", [answers("dance", "hang"), answers("add", "dance")])
def test_other_words_are_refused(wrong: Item) -> None:
    assert Played(NV, [wrong, wait()]).answer(0) == {"is": "fail", "errno": "EINVAL"}


def test_an_error_interrupt_is_said_and_starts_no_recovery() -> None:
    played = Played(NV, [*attached(), wait(), PSL, sleep(10_000), load(), wait()])
    assert played.says("cxl card0: PSL_ErrIVTE: ") == 1
    assert played.says("EEH: Recovering") == 0
    assert played.values(6) == [0x5EED]


def test_an_error_interrupt_of_a_frozen_card_is_a_detection() -> None:
    path = "/sys/kernel/debug/powerpc/PCI0000/err_injct"
    armed = ("nemesis", "write_file", {"path": path, "text": "1:1:0:0:0"})
    played = Played(NV, [*attached(), wait(), armed, wait(), load(), wait(), PSL, sleep(10_000)])
    assert played.says("PSL_ErrIVTE") == 0
    assert played.order("frozen=1", "EEH: Recovering PHB#0-PE#1", "EEH: Recovery successful.")
