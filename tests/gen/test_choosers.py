"""The seeded chooser: the published sequence of splitmix64, and choices that are fair."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.gen.choosers import SeededChooser, weighted_index


def test_words_are_those_of_splitmix64():
    chooser = SeededChooser(1234567)
    words = [chooser.integer(0, (1 << 64) - 1) for _ in range(5)]
    assert words == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_choices_are_pinned():
    chooser = SeededChooser(7)
    assert [chooser.integer(-3, 96) for _ in range(10)] == PINNED


PINNED = [2, 31, 85, 35, 36, 92, 20, -2, 13, 69]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (5, 5), (-2, 7), (0, 953), (0, 70_000)])
def test_integers_stay_within_bounds_and_reach_them(low, high):
    chooser = SeededChooser(1)
    drawn = [chooser.integer(low, high) for _ in range(max(200, 12 * (high - low)))]
    assert min(drawn) >= low
    assert max(drawn) <= high
    if high - low < 1000:
        assert {low, high} <= set(drawn)


def test_weights_are_heeded():
    chooser = SeededChooser(2)
    drawn = Counter(chooser.weighted("abc", (1, 0, 3)) for _ in range(4000))
    assert set(drawn) == {"a", "c"}
    assert 900 < drawn["a"] < 1100


def test_chance_is_in_percent():
    chooser = SeededChooser(3)
    assert 1900 < sum(chooser.chance(20) for _ in range(10_000)) < 2100
    assert not any(chooser.chance(0) for _ in range(100))
    assert all(chooser.chance(100) for _ in range(100))


def test_a_ticket_belongs_to_its_weight():
    assert [weighted_index(ticket, (2, 0, 1)) for ticket in range(3)] == [0, 0, 2]
    with pytest.raises(ValueError, match="ticket 3"):
        weighted_index(3, (2, 0, 1))
