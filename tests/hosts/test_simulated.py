"""A simulated host over real SSH: verified, private, gone with who started it, and typed when it breaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.hosts.inproc import InprocHost
from harness.hosts.login import Login
from harness.hosts.simulated import SimulatedServer, SimulatedSshHost
from harness.hosts.ssh import SshLink
from harness.run.runner import Runner
from harness.vocab.errors import InfraError
from tests.run.cases import GOOD_CASE, OPEN, case, pause
from tests.run.fake import FakeSimulated

PROGRAM = (sys.executable, str(Path(__file__).with_name("fakeserver.py")))


@pytest.fixture
def server():
    server = SimulatedServer.start("powervm", program=PROGRAM)
    yield server
    server.stop()


def open_host(mutant: str = "") -> SimulatedSshHost:
    return SimulatedSshHost.open("sim://powervm", "powervm", mutant, PROGRAM)


def is_over(process_id: int, within_s: float = 8.0) -> bool:
    """Whether the process is gone soon (a zombie is)."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_over_ssh_and_in_process_give_the_same_history_bit_for_bit() -> None:
    cases = [case(OPEN, *[pause(n) for n in range(size)]) for size in (1, 50, 600, 3)]
    direct = Runner(lambda: InprocHost("inproc:", FakeSimulated()))
    remote = Runner(open_host)
    try:
        for item in cases:
            remote.begin(item)
        found = [remote.collect() for _ in cases]
        assert all(not performance.trouble for performance in found)
        assert [p.digest for p in found] == [direct.perform(item).digest for item in cases]
    finally:
        remote.close()


def test_only_this_machine_is_listened_to(server) -> None:
    others = [
        address[4][0]
        for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET, socket.SOCK_STREAM)
        if not address[4][0].startswith("127.")
    ]
    for address in (*others, "127.0.0.2"):
        with socket.socket() as sock:
            sock.settimeout(2)
            assert sock.connect_ex((address, server.door.port)) != 0


def test_the_key_files_are_private(server) -> None:
    directory = server.door.client_key_path.parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_stranger_gets_in_neither_with_a_password_nor_with_another_key(server) -> None:
    other = SimulatedServer.start("powervm", program=PROGRAM)
    try:
        login = server.door.login
        stranger = Login(login.address, "root", other.door.client_key_path, login.known_host, login.port)
        with pytest.raises(InfraError, match="refused"):
            SshLink.open(stranger)
    finally:
        other.stop()


def test_another_host_key_is_refused(server) -> None:
    other = SimulatedServer.start("powervm", program=PROGRAM)
    try:
        login = server.door.login
        wrong = Login(login.address, login.username, login.key, other.door.host_key, login.port)
        with pytest.raises(InfraError, match="key"):
            SshLink.open(wrong)
    finally:
        other.stop()


def test_commands_look_around(server) -> None:
    link = SshLink.open(server.door.login)
    try:
        assert link.run("uname").stdout == b"Linux \xff\n"
        refused = link.run("rm -rf /")
        assert (refused.exit_status, refused.stderr) == (127, b"no such command\n")
    finally:
        link.close()


@pytest.mark.skipif(not shutil.which("ssh"), reason="the ssh program is not installed")
def test_the_printed_line_works_with_the_ssh_program(server) -> None:
    command = [*server.door.ssh_command.split(), "-o", "BatchMode=yes"]
    one = subprocess.run([*command, "uname"], capture_output=True, timeout=20, check=True)
    assert one.stdout == b"Linux \xff\n"
    shell = subprocess.run(
        command, input=b"uname\nexit\nuname\n", capture_output=True, timeout=20, check=True
    )
    assert shell.stdout.count(b"Linux") == 1


def test_nothing_is_left_after_stop(server) -> None:
    directory = server.door.client_key_path.parent
    server.stop()
    assert is_over(server.process.pid)
    assert not directory.exists()


def test_a_server_that_was_killed_leaves_no_files_either(server) -> None:
    server.process.kill()
    server.stop()
    assert not server.door.client_key_path.parent.exists()


@pytest.mark.parametrize("how", ["kill", "term"])
def test_the_server_ends_when_its_parent_does(how) -> None:
    """A process in between starts a server and dies, by a signal that it cannot or does not handle."""
    program = (
        "import sys,signal; from harness.hosts.simulated import SimulatedServer\n"
        f"s = SimulatedServer.start('powervm', program={PROGRAM!r})\n"
        "print(s.process.pid, s.door.client_key_path.parent, flush=True)\n"
        "signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    process_id, directory = parent.stdout.readline().split()
    parent.send_signal({"kill": signal.SIGKILL, "term": signal.SIGTERM}[how])
    parent.wait()
    parent.stdout.close()
    assert is_over(int(process_id))
    assert not Path(directory).exists()


def test_the_server_ends_on_sigterm(server) -> None:
    os.kill(server.process.pid, signal.SIGTERM)
    assert is_over(server.process.pid)


def test_a_server_that_cannot_start_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InfraError, match="cannot listen"):
            SimulatedServer.start("powervm", port=taken.getsockname()[1], program=PROGRAM)


@pytest.mark.parametrize(
    ("mutant", "words"),
    [
        ("die", "gone|ended"),
        ("crash", "the simulator has a defect"),
        ("garbage", r"login"),
        ("long-line", "longer than|a line of"),
        ("flood", "too much|bytes came"),
    ],
)
def test_trouble_of_every_kind_is_typed_and_the_host_can_be_reopened(mutant, words) -> None:
    """The third case breaks the host, at the latest; the two before it are performed."""
    runner = Runner(lambda: open_host(mutant))
    try:
        found = []
        for _ in range(3):
            if runner.is_lost:
                break
            found.append(runner.perform(GOOD_CASE))
        assert found[-1].trouble
        assert re.search(words, found[-1].trouble)
        assert len(found[-1].trouble) < 4000
        assert found[-1].trouble.isprintable()
        runner.reopen()
        assert not runner.is_lost
    finally:
        runner.close()


def test_the_line_that_says_where_to_connect_is_json_with_four_keys() -> None:
    process = subprocess.Popen(
        [*PROGRAM, "--platform", "powervm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert set(ready) == {"port", "host_key", "client_key_path", "known_hosts_path"}
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
