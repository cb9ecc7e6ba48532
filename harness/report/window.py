"""Which records of a long history are shown: those that prove a finding, and what happened around them."""

from __future__ import annotations

from collections.abc import Iterable


def window(total: int, anchors: Iterable[int], limit: int) -> tuple[int, ...]:
    """At most `limit` indexes below `total`, in order: the nearest to any of `anchors`, and these first.

    The first and the last record are anchors too, since a beginning and an end explain much.
    """
    if total <= limit:
        return tuple(range(total))
    near = _distances(total, {0, total - 1, *(index for index in anchors if 0 <= index < total)})
    chosen = sorted(range(total), key=near.__getitem__)[:limit]
    return tuple(sorted(chosen))


def _distances(total: int, anchors: set[int]) -> list[int]:
    """For each index how far the nearest anchor is, found in one pass forwards and one backwards."""
    distances = [total] * total
    for order in (range(total), reversed(range(total))):
        distance = total
        for index in order:
            distance = 0 if index in anchors else distance + 1
            distances[index] = min(distances[index], distance)
    return distances
