"""Short waits are longer on an emulated processor; others are the same everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.vocab.case import NOW, When
from harness.wire.lines import encode_play
from harness.wire.moments import SHORT_MS, TIMES, moment
from tests.run.cases import case, pause
from tests.topologies import POWERVM

SLOW = replace(POWERVM, features=POWERVM.features | {"emulated"})


@pytest.mark.parametrize(
    ("when", "after_ms"),
    [
        (NOW, 0),
        (When(after_ms=5), 5 * TIMES),
        (When(after_ms=SHORT_MS + 1), SHORT_MS + 1),
        (When(after_ms=5, phase="reset"), 5),
    ],
)
def test_a_short_wait_that_follows_no_phase_is_longer(when: When, after_ms: int) -> None:
    assert moment(when, SLOW) == replace(when, after_ms=after_ms)
    assert moment(when, POWERVM) == when


def test_the_host_is_sent_its_own_moments() -> None:
    late = replace(pause(1), when=When(after_ms=5))
    assert b'"after_ms":5}' in encode_play(case(late), POWERVM, "r1")
    assert b'"after_ms":100}' in encode_play(case(late), SLOW, "r1")
