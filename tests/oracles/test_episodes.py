"""Where one trouble of a device ends and the next begins."""

from __future__ import annotations

import pytest

from harness.oracles._episode import split
from harness.vocab.history import Kind, Record
from harness.vocab.phase import Phase

LOST = (Phase.DETECTED, Phase.FAILED_PERMANENTLY, Phase.FAILED_PERMANENTLY)
RECOVERY = (Phase.CONFIRMED, Phase.DETECTED, Phase.ERROR_DETECTED, Phase.RESET, Phase.RESUME, Phase.RECOVERED)


@pytest.mark.parametrize(
    ("is_final", "expected"),
    [(True, [(*LOST, *RECOVERY[:-1]), RECOVERY[-1:]]), (False, [LOST, RECOVERY])],
)
def test_a_device_that_was_given_up_and_found_anew_begins_afresh(
    is_final: bool, expected: list[tuple[Phase, ...]]
) -> None:
    marks = [
        Record(number, number, "", Kind.LOG, "6", {}, phase=phase, subject="nvme-0")
        for number, phase in enumerate((*LOST, *RECOVERY))
    ]
    episodes = split("nvme-0", marks, is_final=is_final)
    assert [tuple(mark.phase for mark in episode.marks) for episode in episodes] == expected
