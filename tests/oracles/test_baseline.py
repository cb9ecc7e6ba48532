"""A first snapshot that saw what a process held is no measure of what must be there in the end."""

from __future__ import annotations

import pytest

from harness.oracles.resources_return import ORACLE
from harness.wire.histfile import load
from tests.oracles.build import Story
from tests.topologies import POWERVM


@pytest.mark.parametrize(
    ("is_held_at_first", "counts", "kinds"),
    [
        (True, ("1\n", "0\n"), []),
        (False, ("1\n", "0\n"), ["use-count"]),
        (True, ("1\n", "2\n"), ["use-count"]),
    ],
)
def test_less_may_be_left_than_was_held(
    is_held_at_first: bool, counts: tuple[str, str], kinds: list[str]
) -> None:
    story = Story(POWERVM)
    if is_held_at_first:
        story.open("a0", "c0", "afu0.0s")
    story.snapshot(uses=counts[0])
    if not is_held_at_first:
        story.open("a0", "c0", "afu0.0s")
    story.exit("a0")
    story.wait(10)
    story.snapshot(uses=counts[1])
    assert [finding.kind for finding in ORACLE.judge(load(story.end()))] == kinds
