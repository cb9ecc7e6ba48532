"""The pool: results come back, and what fails, dies or does not end concerns itself only."""

from __future__ import annotations

import os
import time

from harness.score.pool import Failed, Pool, Task


def run(*tasks: Task, jobs: int = 2) -> dict[str, object]:
    pool = Pool(jobs)
    for task in tasks:
        pool.add(task)
    return {key: result for key, result in pool.results() if key}


def test_results_come_back_with_their_keys() -> None:
    assert run(*(Task(str(n), lambda n=n: n * n) for n in range(5))) == {str(n): n * n for n in range(5)}


def test_a_task_that_raises_dies_or_hangs_does_not_concern_the_others() -> None:
    results = run(
        Task("raises", lambda: 1 // 0),
        Task("dies", lambda: os._exit(7)),
        Task("hangs", lambda: time.sleep(60), limit_s=0.3),
        Task("works", lambda: "done"),
    )
    assert results["works"] == "done"
    whys = {key: result.why for key, result in results.items() if isinstance(result, Failed)}
    assert "ZeroDivisionError" in whys["raises"]
    assert "exit code 7" in whys["dies"]
    assert "did not end" in whys["hangs"]


def test_tasks_may_be_added_while_results_are_taken() -> None:
    pool = Pool(1)
    pool.add(Task("first", lambda: 1))
    seen = []
    for key, _ in pool.results():
        if key == "first":
            pool.add(Task("second", lambda: 2))
        seen += [key] if key else []
    assert seen == ["first", "second"]


def test_closing_ends_what_is_under_way() -> None:
    pool = Pool(1)
    pool.add(Task("long", lambda: time.sleep(60)))
    pool.add(Task("never", lambda: 0))
    before = time.monotonic()
    next(pool.results())
    pool.close()
    assert time.monotonic() - before < 10
    assert pool.waiting == 0
