"""The scheduler: time, blocking, and the order of tasks by seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from harness.sim.deciding import Decisions, Priorities, RandomWalk, Recorded, decider
from harness.sim.scheduler import Decide, Flow, Lock, Scheduler, Wait, WaitQueue, Wake, join


def test_time_jumps_only_when_nobody_can_run() -> None:
    scheduler = Scheduler(RandomWalk(1))
    seen: list[tuple[str, int]] = []

    def sleeper() -> Flow:
        yield 1000
        seen.append(("sleeper", scheduler.now_us))

    def worker() -> Flow:
        for _ in range(5):
            yield "work"
        seen.append(("worker", scheduler.now_us))

    scheduler.spawn(sleeper(), "s", 1)
    scheduler.spawn(worker(), "w", 2)
    assert not scheduler.run(100)
    assert [name for name, _ in seen] == ["worker", "sleeper"]
    assert seen[0][1] < 10
    assert seen[1][1] >= 1000


def test_stale_timer_moves_no_clock() -> None:
    scheduler = Scheduler(RandomWalk(1))
    queue = WaitQueue()
    times: list[int] = []

    def waiter() -> Flow:
        assert (yield Wait(queue, 50)) is Wake.WOKEN
        for _ in range(200):
            yield "on"
        times.append(scheduler.now_us)

    def waker() -> Flow:
        yield 5
        scheduler.wake(queue)
        yield 5_000_000

    scheduler.spawn(waiter(), "a", 1)
    scheduler.spawn(waker(), "b", 2)
    scheduler.run(1000)
    assert times[0] < 1000


def test_wait_ends_by_wake_by_time_or_by_interruption() -> None:
    scheduler = Scheduler(RandomWalk(1))
    queue = WaitQueue()
    why: dict[str, Wake] = {}

    def waiter(name: str, timeout_us: int) -> Flow:
        why[name] = yield Wait(queue, timeout_us)

    scheduler.spawn(waiter("timed", 10), "t", 1)
    cut = scheduler.spawn(waiter("cut", -1), "c", 2)

    def cutter() -> Flow:
        yield 100
        assert scheduler.interrupt(cut)

    scheduler.spawn(cutter(), "x", 3)
    scheduler.run(100)
    assert why == {"timed": Wake.TIMED_OUT, "cut": Wake.INTERRUPTED}


def test_uninterruptible_wait_is_not_cut() -> None:
    scheduler = Scheduler(RandomWalk(1))

    def waiter() -> Flow:
        yield Wait(WaitQueue(), is_interruptible=False)

    task = scheduler.spawn(waiter(), "w", 1)
    scheduler.run(10)
    assert not scheduler.interrupt(task)
    assert not task.is_done


def test_seed_decides_the_order_and_nothing_else_does() -> None:
    def order(seed: int) -> str:
        scheduler = Scheduler(RandomWalk(seed))
        seen: list[str] = []

        def task(name: str) -> Flow:
            for _ in range(4):
                seen.append(name)
                yield "step"

        for name in "abc":
            scheduler.spawn(task(name), name, 1)
        scheduler.run(100)
        return "".join(seen)

    assert order(7) == order(7)
    assert len({order(seed) for seed in range(20)}) > 10


def test_join_returns_after_the_end_and_lock_excludes() -> None:
    scheduler = Scheduler(RandomWalk(3))
    lock = Lock()
    inside: list[int] = []
    most: list[int] = []

    def worker(number: int) -> Flow:
        yield from lock.acquire()
        inside.append(number)
        most.append(len(inside))
        yield 10
        inside.remove(number)
        lock.release(scheduler)

    tasks = [scheduler.spawn(worker(n), "w", n) for n in range(3)]
    done: list[bool] = []

    def waiter() -> Flow:
        for task in tasks:
            yield from join(task)
        done.append(True)

    scheduler.spawn(waiter(), "j", 9)
    scheduler.run(1000)
    assert max(most) == 1
    assert done == [True]


def names_in_order(decide: Decide, tasks: int = 3, points: int = 4) -> str:
    """Which of some tasks ran, in order: each writes its name and goes on, `points` times."""
    scheduler = Scheduler(decide)
    seen: list[str] = []

    def task(name: str) -> Flow:
        for _ in range(points):
            seen.append(name)
            yield "step"

    for name in "abcdefgh"[:tasks]:
        scheduler.spawn(task(name), name, 1)
    scheduler.run(200)
    return "".join(seen)


def test_without_decisions_each_task_runs_until_it_must_wait() -> None:
    assert names_in_order(Decisions({})) == "aaaabbbbcccc"


def test_one_decision_is_one_deviation() -> None:
    assert names_in_order(Decisions({0: 2})) == "ccccaaaabbbb"
    assert names_in_order(Decisions({2: 1})) == "aabbbbccccaa"
    assert names_in_order(Decisions({2: 2})) == "aaccccbbbbaa"
    assert names_in_order(Decisions({2: 2 + 3 * 7})) == "aaccccbbbbaa", "a choice counts on from the first"


def test_priorities_let_the_first_go_on_but_for_the_changes() -> None:
    """Three tasks that never wait: without changes three stretches, and each change adds one at most."""
    for seed in range(50):
        for changes in range(4):
            order = names_in_order(Priorities(seed, changes, 10))
            stretches = 1 + sum(one != other for one, other in pairwise(order))
            assert 3 <= stretches <= 3 + changes
    assert len({names_in_order(Priorities(seed, 0, 10)) for seed in range(50)}) == 6
    assert len({names_in_order(Priorities(seed, 1, 10)) for seed in range(200)}) > 12


@pytest.mark.parametrize("strategy", [RandomWalk, lambda seed: Priorities(seed, 2, 8)])
def test_what_was_recorded_gives_the_same_order(strategy: Callable[[int], Decide]) -> None:
    orders = set()
    for seed in range(50):
        recorded = Recorded(strategy(seed))
        order = names_in_order(recorded)
        assert order == names_in_order(strategy(seed))
        assert names_in_order(Decisions(dict(recorded.decisions))) == order
        orders.add(order)
    assert len(orders) > 5, "the schedules must not all be one"


@pytest.mark.parametrize(
    "schedule", [None, "x", {}, {"strategy": "none"}, {"strategy": "priority", "seed": 1}, {"seed": 1}, []]
)
def test_a_schedule_that_makes_no_sense_is_refused(schedule: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        decider(schedule)
