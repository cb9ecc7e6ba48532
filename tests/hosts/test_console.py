"""Holds the console watcher, on shell scripts that print what consoles print."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.hosts import console as console_module
from harness.hosts.console import Console, clean
from harness.vocab.errors import InfraError

PANIC = r"""
printf '[    0.000000] Linux version 6.1.0\r\n'
printf '\033[2J\033[1;31m[   12.345678] EEH: Frozen PE#1 on PHB#0 detected\033[0m\r\n'
printf '\377\376\001 garbage\007\r\n'
printf 'half a '; sleep 0.2; printf 'line\r\n'
printf '\033]0;title\007the last line has no end'
"""


def shell(script: str) -> Console:
    return Console(["/bin/sh", "-c", script])


def interactive() -> Console:
    return Console(["/bin/sh", "-c", 'while read -r line; do eval "$line"; done'])


def test_lines_come_clean_and_whole() -> None:
    with shell(PANIC) as console:
        assert list(console.lines(10)) == [
            "[    0.000000] Linux version 6.1.0",
            "[   12.345678] EEH: Frozen PE#1 on PHB#0 detected",
            "\\xff\\xfe\\x01 garbage\\x07",
            "half a line",
            "the last line has no end",
        ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\r\n", "plain"),
        (b"50%\r100%\r\n", "100%"),
        (b"\x1b[0;1mbold\x1b(", "bold\\x1b("),
        (b"caf\xc3\xa9\ttab", "caf\xe9\ttab"),
        (b"\x1b]2;t\x1b\\x", "x"),
        (b"\xc2\x9b31m", "\\x9b31m"),
        (b"", ""),
    ],
)
def test_a_line_is_shown_without_what_a_terminal_would_obey(data: bytes, text: str) -> None:
    assert clean(data) == text


def test_a_line_is_waited_for_and_the_next_are_kept() -> None:
    with shell("echo one; echo two; echo three; sleep 30") as console:
        assert console.wait_for("tw", 10) == "two"
        assert console.wait_for("three", 10) == "three"
        began = time.monotonic()
        with pytest.raises(InfraError, match=r"waiting for 'four': it did not come within 0\.2 s"):
            console.wait_for("four", 0.2)
        assert time.monotonic() - began < 2


def test_a_console_that_ends_is_told_of() -> None:
    with shell("echo bye") as console, pytest.raises(InfraError, match=r"has ended; the last line was 'bye'"):
        console.wait_for("more", 10)


def test_a_command_is_answered_between_markers() -> None:
    with interactive() as console:
        assert console.run("echo one; echo two") == ["one", "two"]
        assert console.run("true") == []
        assert console.run("printf unfinished") == ["unfinished"]


def test_an_echo_of_the_command_is_not_its_answer() -> None:
    with Console(["/bin/sh", "-c", 'stty echo; while read -r line; do eval "$line"; done']) as console:
        time.sleep(0.2)
        assert console.run("echo one") == ["one"]


def test_commands_are_quick() -> None:
    with interactive() as console:
        console.run("true")
        began = time.monotonic()
        for _ in range(20):
            console.run("true")
        assert time.monotonic() - began < 0.9  # with pexpect's own delay, 1 s and more


def test_a_command_that_is_not_answered_fails() -> None:
    with interactive() as console, pytest.raises(InfraError, match=r"did not come|was not answered"):
        console.run("sleep 30", 0.3)


def test_a_flood_is_passed_on_whole_and_its_reader_may_stop() -> None:
    with shell("yes 0123456789 2> /dev/null | head -n 50000; echo end") as console:
        assert console.wait_for("0123456789", 10)
        assert sum(1 for _ in console.lines(10)) == 50_000
    with shell("yes 0123456789") as console:
        assert console.wait_for("0123456789", 10)


def test_a_line_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "LINE_LIMIT_BYTES", 1000)
    with shell("yes 2> /dev/null | tr -d '\\n' 2> /dev/null | head -c 100000") as console:
        lines = list(console.lines(10))
        assert len(lines) > 1
        assert sum(map(len, lines)) == 100_000


def test_a_command_that_does_not_exist_is_an_infrastructure_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="cannot be started"):
        Console([str(tmp_path / "nothing")])


def test_closing_is_quick_even_when_the_command_resists() -> None:
    console = shell("trap '' HUP INT TERM; echo ready; sleep 60 & wait")
    console.wait_for("ready", 10)
    began = time.monotonic()
    console.close()
    console.close()
    assert time.monotonic() - began < 3
