"""Holds the console: on shell scripts that print what consoles print, and on streams that exist already."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from threading import enumerate as enumerate_threads

import pytest

from harness.hosts import console as console_module
from harness.hosts.console import Console, ConsoleWatch, clean, connect
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


# A console that exists already, watched all the time ------------------------------------------------------


@contextmanager
def watched(**limits: int) -> Iterator[tuple[ConsoleWatch, socket.socket]]:
    """A watch, and the machine's side of its console."""
    ours, theirs = socket.socketpair()
    with ConsoleWatch(ours.detach(), "the guest", **limits) as watch, theirs:
        yield watch, theirs


def texts(watch: ConsoleWatch) -> list[str]:
    return [line.text for line in watch.lines()]


def test_a_watch_reads_without_being_asked() -> None:
    with watched() as (watch, machine):
        began_ns = time.monotonic_ns()
        machine.sendall(b"[    0.000000] \x1b[1mLinux\x1b[0m\r\nlogin: ")
        assert watch.wait_for("login: ", timeout_s=10).text == "login: "
        assert texts(watch) == ["[    0.000000] Linux", "login: "]
        assert began_ns < watch.lines()[0].received_ns <= watch.last_received_ns < time.monotonic_ns()
        assert watch.bytes_read == 37
        machine.sendall(b"root\n")
        assert watch.wait_for("root", timeout_s=10).text == "login: root"


def test_a_watch_waits_for_any_of_some_texts() -> None:
    with watched() as (watch, machine):
        sender = Thread(target=lambda: [machine.sendall(f"line {n}\n".encode()) for n in range(2000)])
        sender.start()
        assert watch.wait_for("nothing", "line 1999", timeout_s=10).text == "line 1999"
        sender.join()
        began = time.monotonic()
        with pytest.raises(
            InfraError, match=r"the guest: waiting for 'a' or 'b': it did not .* was 'line 1999'"
        ):
            watch.wait_for("a", "b", timeout_s=0.2)
        assert time.monotonic() - began < 2


def test_a_new_case_begins_with_nothing() -> None:
    with watched() as (watch, machine):
        machine.sendall(b"old\nhalf of ")
        watch.wait_for("half", timeout_s=10)
        watch.begin()
        assert (watch.lines(), watch.bytes_read, watch.last_received_ns) == ([], 0, 0)
        machine.sendall(b"new\n")
        assert watch.wait_for("new", timeout_s=10).text == "new"


def test_the_end_of_a_console_ends_a_wait_at_once() -> None:
    with watched() as (watch, machine):
        machine.sendall(b"bye")
        machine.close()
        with pytest.raises(InfraError, match=r"the console has ended; the last line was 'bye'"):
            watch.wait_for("more", timeout_s=60)
        assert watch.is_over


def test_of_a_long_story_the_beginning_and_the_end_are_kept() -> None:
    with watched(keep_bytes=18 * (10 + 128)) as (watch, machine):
        machine.sendall(b"".join(b"line %05d\n" % n for n in range(10_000)))
        watch.wait_for("line 09999", timeout_s=10)
        kept = texts(watch)
        assert kept[:2] == ["line 00000", "line 00001"]
        assert kept[9] == "... 9982 lines left out ..."
        assert kept[-2:] == ["line 09998", "line 09999"]
        assert len(kept) == 19


def test_a_flood_is_drained_and_not_kept() -> None:
    chunk = b"0123456789abcde\n" * 4096
    with watched(limit_bytes=100_000) as (watch, machine):
        machine.sendall(b"the first line\n")
        for _ in range(200):  # blocks when nobody reads
            machine.sendall(chunk)
        machine.close()
        with pytest.raises(InfraError, match="has ended"):
            watch.wait_for("never", timeout_s=10)
        assert watch.is_flooded
        assert watch.bytes_read == 15 + 200 * len(chunk)
        assert sum(map(len, texts(watch))) <= 100_000
        assert texts(watch)[0] == "the first line"
        watch.begin()
        assert not watch.is_flooded


def test_a_watch_cuts_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "LINE_LIMIT_BYTES", 1000)
    with watched() as (watch, machine):
        machine.sendall(b"y" * 100_000 + b"\nend\n")
        watch.wait_for("end", timeout_s=10)
        assert len(texts(watch)) > 2
        assert sum(map(len, texts(watch))) == 100_003


def test_closing_a_watch_is_quick_and_leaves_no_thread() -> None:
    with watched() as (watch, _):
        began = time.monotonic()
        watch.close()
        watch.close()
        assert time.monotonic() - began < 2
        assert watch.is_over
    assert not [thread for thread in enumerate_threads() if "the guest" in thread.name]


def test_a_socket_a_terminal_and_a_fifo_can_be_watched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    terminal, name = os.openpty()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        for path in (tmp_path / "socket", tmp_path / "fifo", os.ttyname(name)):
            with ConsoleWatch(connect(path), str(path)) as watch:
                if path == tmp_path / "socket":
                    server.accept()[0].sendall(b"said\n")
                elif path == tmp_path / "fifo":
                    assert not watch.is_over
                    path.write_bytes(b"said\n")
                else:
                    os.write(terminal, b"said\n")
                assert watch.wait_for("said", timeout_s=10).text == "said"
    os.close(terminal)
    os.close(name)


def test_a_console_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:

        def serve() -> None:
            time.sleep(0.2)
            server.bind(str(path))
            time.sleep(0.2)
            server.listen()

        thread = Thread(target=serve)
        thread.start()
        os.close(connect(path))
        thread.join()


def test_a_console_that_does_not_come_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"no console at .*/none within 0\.1 s: .*No such file"):
        connect(tmp_path / "none", 0.1)
    with pytest.raises(InfraError, match=r"cannot be opened: .*directory"):
        connect(tmp_path, 0.1)
