"""One QEMU: its command line, monitor, keeper and files; with the real one where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.guest import files as guest_files
from harness.guest import keeper
from harness.guest.files import GuestFiles
from harness.guest.keys import Keys
from harness.guest.machine import QEMU
from harness.guest.pseries import AFU_BYTES, AFUS, LAYOUT, Clock, PseriesMachine, command
from harness.guest.qmp import Qmp, QmpError
from harness.vocab.errors import InfraError

needs_qemu = pytest.mark.skipif(
    not shutil.which(QEMU), reason=f"there is no {QEMU} here: apt install qemu-system-ppc"
)


# The monitor ------------------------------------------------------------------------------------------------


class FakeQemu:
    """Greets, and answers each command by the function of its name; a text is sent as it is."""

    def __init__(self, **answers: Callable[[dict[str, object]], object]) -> None:
        self.answers = answers
        self.near, self.far = socket.socketpair()
        threading.Thread(target=self.serve, daemon=True).start()

    def say(self, value: object) -> None:
        self.far.sendall((value if isinstance(value, str) else json.dumps(value)).encode() + b"\r\n")

    def serve(self) -> None:
        self.say({"QMP": {"version": {}, "capabilities": []}})
        with self.far, self.far.makefile("rb") as commands:
            for line in commands:
                asked = json.loads(line)
                answer = self.answers.get(asked["execute"], lambda _: {"return": {}})(asked["arguments"])
                if answer is None:
                    return
                self.say({**answer, "id": asked["id"]} if isinstance(answer, dict) else answer)


def test_commands_are_answered_and_events_kept() -> None:
    qemu = FakeQemu(**{"query-status": lambda _: {"return": {"status": "running"}}})
    monitor = Qmp(qemu.near, 2)
    qemu.say({"event": "GUEST_PANICKED", "data": {"action": "pause"}})
    assert monitor.execute("query-status") == {"status": "running"}
    assert [event.name for event in monitor.events()] == ["GUEST_PANICKED"]
    assert monitor.events() == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": {"class": "GenericError", "desc": "no such disk"}}, "refused: no such disk"),
        ("this is not JSON", "makes no sense"),
        ("[1, 2]", "makes no sense"),
        (None, "has ended"),
        ({"return": "Error: no snapshot"}, "refused: Error: no snapshot"),
    ],
)
def test_what_goes_wrong_is_said(answer: object, said: str) -> None:
    monitor = Qmp(FakeQemu(**{"human-monitor-command": lambda _: answer}).near, 2)
    with pytest.raises(QmpError, match=said):
        monitor.monitor("loadvm ready")


def test_a_silent_qemu_is_not_waited_for_without_limit() -> None:
    near, _far = socket.socketpair()
    with pytest.raises(QmpError, match=r"said nothing for 0.1 s"):
        Qmp(near, 0.1)


def test_a_guest_cannot_fill_our_memory_with_events() -> None:
    qemu = FakeQemu()
    monitor = Qmp(qemu.near, 2)
    qemu.far.sendall(b'{"event": "RTC_CHANGE", "data": {}}\n' * 2000)
    monitor.execute("anything")
    assert len(monitor.events()) <= 256


# The keeper -------------------------------------------------------------------------------------------------


def keep(directory: Path, *words: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-I", "-S", keeper.__file__, str(directory), *words]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kept_pid(process: subprocess.Popen[bytes]) -> int:
    """The process that says its own number first."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def is_gone(pid: int, within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


SLEEPS = ("sh", "-c", "echo $$; exec sleep 100")


def test_nothing_is_left_when_the_harness_is_gone(tmp_path: Path) -> None:
    directory = tmp_path / "guest"
    directory.mkdir()
    process = keep(directory, *SLEEPS)
    pid = kept_pid(process)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(5) == 256 - signal.SIGKILL
    assert is_gone(pid)
    assert not directory.exists()


def test_the_files_stay_when_the_harness_says_so(tmp_path: Path) -> None:
    process = keep(tmp_path, *SLEEPS)
    pid = kept_pid(process)
    assert process.stdin is not None
    process.stdin.write(keeper.KEEP_FILES)
    process.stdin.close()
    process.wait(5)
    assert is_gone(pid)
    assert tmp_path.exists()


def test_a_killed_keeper_takes_its_charge_along(tmp_path: Path) -> None:
    process = keep(tmp_path, *SLEEPS)
    pid = kept_pid(process)
    process.kill()
    assert is_gone(pid)


def test_the_end_of_the_charge_is_passed_on(tmp_path: Path) -> None:
    assert keep(tmp_path, "sh", "-c", "exit 7").wait(5) == 7
    missing = keep(tmp_path, "no-such-program")
    assert missing.wait(5) == 127
    assert missing.stderr is not None
    assert b"no-such-program: No such file" in missing.stderr.read()


# Files and keys ---------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Iterator[GuestFiles]:
    (tmp_path / "initramfs.cpio").write_bytes(b"built")
    files = GuestFiles.make(tmp_path / "initramfs.cpio", LAYOUT)
    yield files
    files.remove()


def test_the_directory_is_private_and_whole_and_goes(made: GuestFiles) -> None:
    assert made.directory.stat().st_mode & 0o077 == 0
    assert made.client_key_path.stat().st_mode & 0o077 == 0
    assert made.initramfs.read_bytes().startswith(b"built\0\0\0" + b"070701")
    assert [made.memory(f"afu{number}").stat().st_size for number in range(AFUS)] == [AFU_BYTES] * AFUS
    assert made.all_ones(AFU_BYTES).read_bytes() == b"\xff" * AFU_BYTES
    made.remove()
    assert not made.directory.exists()


def test_no_room_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_files, "_free", lambda _: 1 << 20)
    with pytest.raises(InfraError, match="1 MiB are free, a guest needs"):
        GuestFiles.make(tmp_path / "initramfs.cpio", LAYOUT)


def test_files_that_cannot_be_made_leave_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_files, "_place", lambda: tmp_path)
    with pytest.raises(InfraError, match="cannot be made"):
        GuestFiles.make(tmp_path / "there is none", LAYOUT)
    assert list(tmp_path.iterdir()) == []


def test_the_guest_gets_its_own_key_and_our_public_one() -> None:
    keys = Keys.generate()
    size, kind, both, private, public = struct.unpack(">I11sI32s32s", keys.host_private)
    assert (size, kind, both) == (11, b"ssh-ed25519", 64)
    key = Ed25519PrivateKey.from_private_bytes(private).public_key()
    assert key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw) == public
    shown = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert shown.decode() == keys.host_public
    archive = keys.archive()
    assert keys.host_private in archive
    assert keys.client_public.encode() in archive
    assert b"PRIVATE KEY" not in archive


# QEMU -------------------------------------------------------------------------------------------------------


class NoFirmware:
    descriptors = ()
    arguments: tuple[str, ...] = ()


def test_the_guest_can_reach_nothing_and_only_this_machine_reaches_it(made: GuestFiles) -> None:
    words = command(made, Clock.VIRTUAL, {"qmp": 5}, (), None)
    (network,) = (word for word in words if word.startswith("user,"))
    assert "restrict=on" in network
    assert network.count("hostfwd=tcp:127.0.0.1:0-") == network.count("hostfwd") == 1


def test_clocks_and_boots_differ_in_their_words_only(made: GuestFiles) -> None:
    virtual = command(made, Clock.VIRTUAL, {}, (), Path("vmlinux"))
    real = command(made, Clock.REAL, {}, (), Path("vmlinux"))
    restored = command(made, Clock.VIRTUAL, {}, (), None)
    assert "shift=2,sleep=off" in virtual
    assert "-icount" not in real
    assert real[real.index("-smp") + 1] == "2"
    assert "-kernel" in virtual
    assert {"-kernel", "-initrd", "-append"}.isdisjoint(restored)


@needs_qemu
def test_a_state_is_saved_and_restored_by_another_qemu(made: GuestFiles) -> None:
    first = PseriesMachine(made, Clock.VIRTUAL, NoFirmware())
    made.memory("mailbox").write_bytes(b"saved" + bytes((4 << 20) - 5))
    assert first.ssh_port > 0
    assert not first.has_pending_interrupt
    first.save()
    first.stop()
    assert not first.is_alive
    made.memory("mailbox").write_bytes(bytes(4 << 20))
    second = PseriesMachine(made, Clock.VIRTUAL, NoFirmware())
    try:
        second.restore()
        assert made.memory("mailbox").read_bytes()[:5] == b"saved"
        second.resume()
        second.pause()
    finally:
        second.stop()


def ask_for_ever(machine: PseriesMachine) -> None:
    while True:
        machine.qmp.execute("query-status")


@needs_qemu
def test_a_killed_qemu_is_noticed(made: GuestFiles) -> None:
    machine = PseriesMachine(made, Clock.VIRTUAL, NoFirmware())
    machine._process.kill()
    with pytest.raises(QmpError):
        ask_for_ever(machine)
    machine.stop()


@needs_qemu
def test_why_qemu_did_not_start_is_said(made: GuestFiles) -> None:
    class Wrong(NoFirmware):
        arguments = ("-device", "no-such-device")

    with pytest.raises(InfraError, match="no-such-device"):
        PseriesMachine(made, Clock.VIRTUAL, Wrong())


def test_without_qemu_the_package_is_named(made: GuestFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(made.directory))
    with pytest.raises(InfraError, match="apt install qemu-system-ppc"):
        PseriesMachine(made, Clock.VIRTUAL, NoFirmware())
