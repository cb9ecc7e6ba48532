"""Holds the SSH client: verification, the agent over a real connection, and every way to lose it."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from harness.hosts.host import Host
from harness.hosts.lines import LINE_LIMIT_BYTES, LineBuffer, escaped
from harness.hosts.ssh import SshAgentHost, SshLink
from harness.vocab.errors import InfraError, ProtocolError
from tests.agent.playing import Steps, kinds
from tests.hosts.sshd import Sshd

HELLO = """printf '{"hello":{}}\\n'"""
DRAIN = "head -c 100000 > /dev/null"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    paths = {"JOURNAL": "journal", "KMSG": "none", "TRACEFS": "none", "ROOT": ""}
    environ = {f"CAPI_AGENT_{key}": f"{folder}/{name}" for key, name in paths.items()}
    with Sshd(folder, **environ) as server:
        yield server


def play(run: str, steps: Steps) -> bytes:
    return json.dumps({"play": {"run": run, "schedule": 0, "steps": steps.entries}}).encode()


def to_end(host: Host, timeout_s: float = 20) -> list[dict[str, object]]:
    replies: list[dict[str, object]] = []
    while not replies or replies[-1]["is"] != "end":
        replies += [json.loads(line) for line in host.replies(timeout_s)]
    return replies


def opened(sshd: Sshd, command: str, **options: float) -> SshAgentHost:
    """A host whose agent is a shell command that does not read its source."""
    return SshAgentHost.open("ssh://fake", sshd.login, command=command, **options)  # type: ignore[arg-type]


def test_a_case_is_played_by_the_agent_at_the_other_end(sshd: Sshd) -> None:
    host = SshAgentHost.open("ssh://p8", sshd.login)
    try:
        assert isinstance(host, Host)
        assert json.loads(host.hello)["hello"]["protocol"] == 1
        for run in ("one", "two"):
            steps = Steps()
            step = steps.add("a0", ("sleep", {"ms": 1}))
            steps.wait()
            host.begin(play(run, steps))
            replies = to_end(host)
            assert kinds(replies, step) == ["ok"]
            assert replies[-1]["got"] == {"performed": 2}
    finally:
        host.close()


def test_a_line_in_two_halves_and_many_lines_at_once_are_put_right(sshd: Sshd) -> None:
    halves = "printf 'a'; sleep 0.2; printf 'b\\nc\\n'"
    host = opened(sshd, f"{HELLO}; {DRAIN}; {halves}; yes line | head -n 200000; cat > /dev/null")
    host.begin(b"x" * 100_000)
    lines: list[bytes] = []
    while len(lines) < 200_002:
        lines += host.replies(10)
    assert lines[:3] == [b"ab", b"c", b"line"]
    assert lines[-1] == b"line"
    host.close()


def test_a_big_play_does_not_block_while_the_host_speaks(sshd: Sshd) -> None:
    # The host writes 24 MB before it reads anything: neither side's window holds as much.
    command = f"{HELLO}; yes 0123456789abcdef | head -c 24000000; wc -c; cat > /dev/null"
    host = opened(sshd, command)
    host.begin(b"x" * 12_000_000)
    host.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"username": "mallory"}, "login was refused"),
        ({"port": 1}, "check address, port"),
        ({"known_host": "ssh-ed25519"}, "known host key is not a line"),
        ({"known_host": "ssh-ed25519 AAAA"}, "known host key is not a line"),
        ({"key": "no key"}, "private key's text is not understood"),
        ({"key": Path("/nowhere/id")}, "check address, port and files"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_login_that_fails_says_why(sshd: Sshd, change: dict[str, object], says: str) -> None:
    with pytest.raises(InfraError, match=says):
        SshAgentHost.open("ssh://p8", dataclasses.replace(sshd.login, **change), timeout_s=5)  # type: ignore[arg-type]


def test_a_host_with_another_key_is_refused(sshd: Sshd) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    login = dataclasses.replace(sshd.login, known_host=stranger)
    with pytest.raises(InfraError, match="host's key is not the known one"):
        SshLink.open(login)


def test_a_host_without_a_known_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    with pytest.raises(InfraError, match="not found in known_hosts"):
        SshLink.open(dataclasses.replace(sshd.login, known_host=empty))
    assert empty.read_text() == ""


def test_keys_may_be_given_as_texts(sshd: Sshd) -> None:
    key = sshd.client_key.export_private_key().decode()
    link = SshLink.open(dataclasses.replace(sshd.login, key=key, known_host=sshd.host_line))
    assert link.run("echo ok").stdout == b"ok\n"
    link.close()


def test_a_server_that_says_nothing_is_given_up(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = dataclasses.replace(sshd.login, port=silent.getsockname()[1], known_host=sshd.host_line)
        began = time.monotonic()
        with pytest.raises(InfraError):
            SshAgentHost.open("ssh://silent", login, timeout_s=1)
        assert time.monotonic() - began < 8


def test_plain_commands_give_both_outputs_and_the_status(sshd: Sshd) -> None:
    link = SshLink.open(sshd.login)
    outcome = link.run("echo out; echo err >&2; exit 3")
    assert (outcome.exit_status, outcome.stdout, outcome.stderr) == (3, b"out\n", b"err\n")
    outcome = link.run("yes | head -c 3000000 >&2; yes | head -c 300000")
    assert (outcome.exit_status, len(outcome.stdout), len(outcome.stderr)) == (0, 300_000, 3_000_000)
    with pytest.raises(InfraError, match="over 1000 bytes"):
        link.run("yes", limit_bytes=1000)
    with pytest.raises(InfraError, match="did not end within"):
        link.run("sleep 30", timeout_s=0.3)
    assert link.run("echo still").stdout == b"still\n"
    link.close()


def test_a_command_beside_the_agent(sshd: Sshd) -> None:
    host = SshAgentHost.open("ssh://p8", sshd.login)
    assert host.run("echo beside").stdout == b"beside\n"
    host.close()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo boom >&2; exit 7", ["exit status is 7", "boom"]),
        ("echo Welcome; cat > /dev/null", ["not the agent's hello but 'Welcome'", "login shell"]),
        ("printf '\\033[2J\\377'; exit 1", ["\\\\x1b[2J\\\\xff"]),
        ("cat > /dev/null", ["no line came within 1 s"]),
    ],
)
def test_an_agent_that_does_not_start_is_explained(sshd: Sshd, command: str, says: list[str]) -> None:
    with pytest.raises(InfraError) as caught:
        opened(sshd, command, timeout_s=1)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert message.startswith("ssh://fake (capi@127.0.0.1:")
    for text in says:
        assert text.replace("\\\\", "\\") in message.replace("\\\\", "\\")


def test_an_agent_that_ends_in_the_middle_is_explained(sshd: Sshd) -> None:
    host = opened(sshd, f"{HELLO}; {DRAIN}; echo one; printf two; echo Traceback >&2; exit 5")
    host.begin(b"x" * 100_000)
    assert host.replies(10) == [b"one"]
    with pytest.raises(InfraError) as caught:
        host.replies(10)
    for text in ("has ended", "exit status is 5", "Traceback", "unfinished line: 'two'"):
        assert text in str(caught.value)
    with pytest.raises(InfraError):
        host.begin(b"more")
    host.close()


def test_a_dropped_connection_is_an_infrastructure_error_at_once(sshd: Sshd) -> None:
    host = SshAgentHost.open("ssh://p8", sshd.login)
    steps = Steps()
    steps.add("a0", ("sleep", {"ms": 60_000}))
    host.begin(play("dropped", steps))
    assert host.replies(10)
    sshd.drop()
    began = time.monotonic()
    with pytest.raises(InfraError, match=r"connection is lost|receiving failed"):
        to_end(host)
    assert time.monotonic() - began < 5
    with pytest.raises(InfraError):
        host.begin(b"{}")
    host.close()
    host.close()


def test_silence_is_an_infrastructure_error(sshd: Sshd) -> None:
    host = opened(sshd, f"{HELLO}; cat > /dev/null")
    began = time.monotonic()
    with pytest.raises(InfraError, match="no line came within"):
        host.replies(0.4)
    assert 0.4 <= time.monotonic() - began < 3
    host.close()


def test_a_line_without_end_is_cut_off(sshd: Sshd) -> None:
    host = opened(sshd, f"{HELLO}; {DRAIN}; yes | tr -d '\\n'")
    host.begin(b"x" * 100_000)
    with pytest.raises(ProtocolError, match="a line is longer than"):
        host.replies(20)
    host.close()


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_flood_is_cut_off(sshd: Sshd, stream: str) -> None:
    host = opened(sshd, f"{HELLO}; {DRAIN}; yes >&{stream}", limit_bytes=3_000_000)
    host.begin(b"x" * 100_000)
    with pytest.raises(ProtocolError, match="over 3000000 bytes"):
        to_last_line(host)
    host.close()


def to_last_line(host: Host) -> None:
    while True:
        host.replies(20)


def test_closing_is_quick_even_when_the_host_does_not_answer(sshd: Sshd) -> None:
    host = opened(sshd, f"{HELLO}; yes")
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 2.5


def test_a_line_buffer_gives_lines_however_they_are_cut() -> None:
    text = b"one\n\ntwo\nthree"
    for size in range(1, len(text) + 1):
        buffer = LineBuffer()
        for start in range(0, len(text), size):
            buffer.feed(text[start : start + size])
        assert buffer.take() == [b"one", b"", b"two"]
        assert (buffer.take(), buffer.rest) == ([], b"three")


def test_a_line_buffer_bounds_lines_and_flow() -> None:
    buffer = LineBuffer(limit_bytes=4 * LINE_LIMIT_BYTES)
    buffer.feed(b"x" * LINE_LIMIT_BYTES)
    with pytest.raises(ProtocolError):
        buffer.feed(b"x\n")
    buffer = LineBuffer(limit_bytes=10)
    buffer.feed(b"12345678\n")
    buffer.begin_case()
    buffer.feed(b"12345678\n")
    with pytest.raises(ProtocolError):
        buffer.feed(b"12\n")


def test_whatever_a_host_sends_is_shown_as_printable_ascii() -> None:
    assert escaped(b"\x1b[31mred\n\xff\xc3\xa9") == "\\x1b[31mred\\n\\\\xff\\xe9"
