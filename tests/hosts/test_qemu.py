"""The host in QEMU: how a guest dies, with stand-ins for it; and the real guest, where one is built."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.guest import cache
from harness.guest.pseries import Clock
from harness.guest.qmp import Event, QmpError
from harness.hosts import health, qemu, rehearsal, urls
from harness.hosts.conversation import Door
from harness.hosts.guesthost import told
from harness.hosts.guests import Guest
from harness.hosts.health import Listening, Silence
from harness.hosts.host import Host
from harness.hosts.lastwords import LastWords, in_short
from harness.hosts.qemu import QemuHost
from harness.hosts.serial import SerialDoor
from harness.run.check import check_host
from harness.vocab.errors import InfraError, ProtocolError, UsageError

HELLO = b'{"hello":{"protocol":1,"features":["kernel-log"],"facts":{},"files":{}}}'
END = b'{"is":"end","t":700,"who":"harness","got":{"performed":1}}'
PANIC = ["guest: prepared", "[   12.000500] ordinary", "[   12.000700] Kernel panic - not syncing: no reason"]


# A URL ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "qemu://powervm",
        "qemu://powervm?door=ssh&clock=real",
        "qemu://powervm?clock=virtual",
        "qemu://powernv",
        "qemu://powernv?mend=cdev",
    ],
)
def test_a_good_url_passes(url: str) -> None:
    urls.check([url], dict)


def test_every_mistake_of_a_url_is_said_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        urls.check(["qemu://powervm?door=window&clock=real&clock=real&mutant=stale_mmio"], dict)
    said = [problem.what for problem in raised.value.problems]
    assert said == [
        "unknown door 'window'",
        "unknown query key 'mutant' of powervm",
        "more than one clock",
    ]
    with pytest.raises(UsageError, match="unknown guest 'powermac'"):
        urls.check(["qemu://powermac"], dict)
    with pytest.raises(UsageError, match="unknown query key 'clock' of powernv"):
        urls.check(["qemu://powernv?clock=virtual"], dict)


def test_the_hello_tells_what_only_the_harness_knows() -> None:
    facts = {"afu0.0": {"unit": 16}, "host": {"guest_build": "0123"}}
    hello = json.loads(told(HELLO, facts, ["virtual-time"]))["hello"]
    assert hello["features"] == ["kernel-log", "virtual-time"]
    assert hello["facts"] == facts
    with pytest.raises(ProtocolError, match="makes no sense"):
        told(b'{"hello": 3}', {}, ())


# Last words -------------------------------------------------------------------------------------------------


def test_the_console_goes_on_where_the_agent_stopped() -> None:
    words = LastWords()
    words.follow([b'{"is":"log","t":400,"raw":"6,812,12000500,-;ordinary"}', b'{"is":"invoke","t":450}'])
    *logs, end = map(json.loads, words.replies(PANIC, "the guest died: why"))
    assert logs == [{"is": "log", "t": 600, "raw": "4,0,12000700,-;Kernel panic - not syncing: no reason"}]
    assert end == {"is": "end", "t": 600, "who": "harness", "got": {"error": "the guest died: why"}}


def test_without_a_line_of_the_agents_the_console_begins_where_the_replies_end() -> None:
    words = LastWords()
    words.follow([b'{"is":"invoke","t":450}'])
    assert [json.loads(line)["t"] for line in words.replies(PANIC, "")] == [450, 650, 650]


def test_time_does_not_run_backwards_in_last_words() -> None:
    words = LastWords()
    words.follow([b'{"is":"log","t":400,"raw":"6,812,100,-;x"}', b'{"is":"trace","t":90000,"raw":"y"}'])
    assert all(json.loads(line)["t"] == 90000 for line in words.replies(["[    0.000200] z"], ""))


def test_a_sentence_names_the_kernels_complaint_or_else_its_last_lines() -> None:
    assert in_short(PANIC).startswith("the kernel said: Kernel panic - not syncing: no reason")
    assert in_short(["a", "", "b"]) == "the console's last lines: a | b"
    assert in_short([]) == "the console's last lines: none"


# The agent's port -------------------------------------------------------------------------------------------


def test_lines_come_whole_and_the_end_of_qemu_is_an_error() -> None:
    near, far = socket.socketpair()
    port = SerialDoor(near)
    port.begin(b'{"play":1}')
    assert far.recv(100) == b'{"play":1}\n'
    far.sendall(b"one\ntw")
    assert port.lines(1) == [b"one"]
    assert port.lines(0.01) == []
    far.sendall(b"o\n")
    assert port.lines(1) == [b"two"]
    far.close()
    with pytest.raises(InfraError, match="QEMU has ended"):
        port.lines(1)


def test_a_qemu_that_was_killed_before_it_read_all_has_ended_too() -> None:
    near, far = socket.socketpair()
    port = SerialDoor(near)
    port.begin(b'{"play":1}')
    far.close()  # what it has not read makes this a reset of the connection
    with pytest.raises(InfraError, match="QEMU has ended"):
        port.lines(1)


def test_a_greeting_must_be_a_hello() -> None:
    near, far = socket.socketpair()
    port = SerialDoor(near)
    assert port.greeting(0.01) == b""
    far.sendall(b"Segmentation fault\n")
    with pytest.raises(ProtocolError, match="not the agent's hello but 'Segmentation fault'"):
        port.greeting(1)


# Deaths, with stand-ins -------------------------------------------------------------------------------------


class FakeGuest:
    """A guest whose agent answers a play line with what the test says; None: not at all."""

    firmware: Any = SimpleNamespace(fault=None)
    fault = Guest.fault
    check = Guest.check

    def __init__(self, answer: list[bytes] | None) -> None:
        near, self.far = socket.socketpair()
        self.port = SerialDoor(near)
        self.happened: list[Event] = []
        self.asked: list[str] = []
        self.console = SimpleNamespace(is_flooded=False, bytes_read=9 << 20, last_received_ns=0)
        self.machine = SimpleNamespace(
            resume=lambda: self.asked.append("cont"),
            pause=lambda: self.asked.append("stop"),
            words=lambda: "nothing",
            is_alive=True,
            worked_s=0.0,
            qmp=SimpleNamespace(events=self.events, execute=lambda name, **_: self.asked.append(name)),
        )
        self.is_qemu_gone = self.has_ended = False
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with self.far.makefile("rb") as plays:
            for _ in plays:
                for line in self.answer or ():
                    self.far.sendall(line + b"\n")

    def events(self) -> list[Event]:
        if self.is_qemu_gone:
            raise QmpError("QEMU has ended")
        return self.happened

    def begin(self, play: bytes) -> None:
        self.port.begin(play)
        self.machine.resume()

    def lines(self, timeout_s: float) -> Any:
        return self.port.lines(timeout_s)

    def says(self) -> list[str]:
        return PANIC

    def end(self) -> None:
        self.has_ended = True
        self.far.close()


class FakeGuests:
    """Boots a guest, and then restores those of a list, the last one again and again.

    Its copy, the other place, is another; what both have made is one list.
    """

    clock = Clock.VIRTUAL
    facts: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, *_: object) -> None:
        self.firmware = SimpleNamespace(fault=None, durations_us=())
        self.made: list[FakeGuest] = []

    def copied(self) -> FakeGuests:
        copy = type(self)()
        copy.made = self.made
        return copy

    def boot(self) -> FakeGuest:
        guest = FakeGuest([END])
        guest.firmware = self.firmware
        guest.port.send_agent = lambda: None  # type: ignore[method-assign]
        guest.port.greeting = lambda _: HELLO  # type: ignore[method-assign]
        return guest

    def keep(self, guest: FakeGuest) -> None:
        guest.end()

    def restored(self, *, rehearsed: bool) -> FakeGuest:
        assert rehearsed
        self.made.append(FakeGuest([END] if self.made else self.first_answer))
        self.made[-1].firmware = self.firmware
        return self.made[-1]

    first_answer: list[bytes] | None = None

    def close(self) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[QemuHost]:
    monkeypatch.setattr(qemu, "Guests", FakeGuests)
    monkeypatch.setattr(qemu, "SILENCE", {Clock.VIRTUAL: Silence(0.4, 9.0)})
    monkeypatch.setattr(health, "_NMI_S", 0.0)
    host = QemuHost("qemu://powervm", None, Clock.VIRTUAL, Door.SERIAL)  # type: ignore[arg-type]
    yield host
    host.close()


def begun(host: QemuHost) -> Any:
    host.begin(b'{"play":1}')
    return host._talk.guest  # type: ignore[union-attr]


def end_of(host: QemuHost) -> dict[str, Any]:
    while True:
        last = json.loads(host.replies(5)[-1])
        if last["is"] == "end":
            return dict(last["got"])


def test_a_case_that_ends_is_followed_by_another_guest(host: QemuHost) -> None:
    first = begun(host)
    first.far.sendall(END + b"\n")
    assert end_of(host) == {"performed": 1}
    second = begun(host)
    assert second is not first
    assert end_of(host) == {"performed": 1}
    begun(host)  # in the place of the first
    assert (first.has_ended, first.asked) == (True, ["cont", "stop"])
    assert end_of(host) == {"performed": 1}


def test_the_next_guest_stands_ready_while_a_case_runs_and_never_two_in_one_place(host: QemuHost) -> None:
    ran: list[Any] = []
    for _ in range(4):
        guest = begun(host)
        ran.append(guest.firmware)
        assert not guest.has_ended
        assert len(host._next) == 1
        guest.far.sendall(END + b"\n")
        end_of(host)
    assert ran[0] is ran[2] is not ran[1] is ran[3]


def panics(guest: Any) -> None:
    guest.happened.append(Event("GUEST_PANICKED", {}))


def loses_qemu(guest: Any) -> None:
    guest.is_qemu_gone = True
    guest.far.shutdown(socket.SHUT_RDWR)


def floods(guest: Any) -> None:
    guest.console.is_flooded = True


def hangs(guest: Any) -> None:
    assert guest


@pytest.mark.parametrize(
    ("die", "said"),
    [
        (
            panics,
            "the guest died: its kernel panicked; the kernel said: Kernel panic - not syncing: no reason",
        ),
        (loses_qemu, "the guest died: QEMU has ended"),
        (floods, "the guest was stopped: it wrote 9 MiB on its console"),
        (hangs, "the guest died: it hung, and said nothing"),
    ],
)
def test_a_death_costs_one_case(host: QemuHost, die: Any, said: str) -> None:
    guest = begun(host)
    die(guest)
    lines = host.replies(5)
    assert json.loads(lines[-1])["got"]["error"].startswith(said)
    assert b"Kernel panic - not syncing: no reason" in lines[-2]
    assert ("inject-nmi" in guest.asked) == (die is hangs)
    begun(host)
    assert end_of(host) == {"performed": 1}
    assert guest.has_ended


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Oops: Exception in kernel mode, sig: 5 [#1]", "the guest died: something died in its kernel"),
        ("Kernel panic - not syncing: Fatal exception", "the guest died: its kernel panicked"),
        (
            "INFO: task eehd:33 blocked for more than 120 seconds.",
            "the guest died: a task hangs in its kernel",
        ),
        ("WARNING: CPU: 1 PID: 7 at lib/refcount.c:28 refcount_warn_saturate+0x1e4/0x1f0", ""),
    ],
)
def test_a_guest_with_a_death_in_its_kernel_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    clock = [100.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: clock[0])
    guest: Any = FakeGuest([])
    guest.says = lambda: [f"[    9.1] {said}", *["[    9.2] more"] * 99]
    listening, patient = Listening(guest), Silence(math.inf, math.inf)
    clock[0] += 1.9
    assert not health.trouble(guest, listening, patient)
    clock[0] += 0.2
    assert health.trouble(guest, listening, patient) == why
    listening.hear([b'{"is":"ok"}'])
    assert not health.trouble(guest, listening, patient)


def test_an_agent_may_tell_of_a_death_that_the_console_keeps_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: clock[0])
    guest: Any = FakeGuest([])
    guest.says = lambda: ["[    9.1] eth0: link becomes ready"]
    listening, patient = Listening(guest), Silence(math.inf, math.inf)
    listening.hear(
        [b'{"is":"ok","got":{"text":"Oops: "}}', b'{"is":"log","t":5,"raw":"4,1,5,-;EEH: Recovering"}']
    )
    clock[0] += 3
    assert not health.trouble(guest, listening, patient)
    listening.hear([b'{"is":"log","t":9,"raw":"4,2,9,-;Oops: Exception in kernel mode, sig: 5 [#1]"}'])
    for _ in range(3):
        clock[0] += 1.5
        listening.hear([b'{"is":"log","t":9,"raw":"4,3,9,-;watchdog: BUG: soft lockup"}'])
        assert not health.trouble(guest, listening, patient)
    clock[0] += 2.1
    assert health.trouble(guest, listening, patient) == "the guest died: something died in its kernel"


def test_silence_is_measured_in_work_too_and_any_word_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: clock[0])
    guest: Any = FakeGuest([])
    listening, limit = Listening(guest), Silence(60.0, 5.0)
    assert not listening.is_over(limit)
    guest.machine.worked_s = 5.1
    assert listening.is_over(limit)
    listening.hear([b'{"is":"ok"}'])
    assert not listening.is_over(limit)
    guest.machine.worked_s = 10.1
    assert not listening.is_over(limit)
    clock[0] = 160.1
    assert listening.is_over(limit)
    guest.console.last_received_ns = int(160.05e9)
    assert not listening.is_over(limit)


def test_a_guest_that_dies_after_its_last_line_has_played_its_case(host: QemuHost) -> None:
    guest = begun(host)
    guest.happened.append(Event("SHUTDOWN", {}))
    guest.far.sendall(END + b"\n")
    assert end_of(host) == {"performed": 1}


def test_a_failure_of_phyp_loses_the_host(host: QemuHost) -> None:
    begun(host)
    host._places[0].firmware.fault = KeyError("state")
    with pytest.raises(InfraError, match="simulates its hardware failed: KeyError"):
        host.replies(5)


def test_a_closed_host_says_so(host: QemuHost) -> None:
    host.close()
    with pytest.raises(InfraError, match="closed"):
        host.begin(b"{}")
    with pytest.raises(InfraError, match="closed"):
        host.replies(1)


def test_a_guest_that_does_not_boot_is_trouble_with_its_last_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stillborn(FakeGuests):
        def boot(self) -> FakeGuest:
            guest = super().boot()
            guest.port.greeting = lambda _: b""  # type: ignore[method-assign]
            panics(guest)
            return guest

    monkeypatch.setattr(qemu, "Guests", Stillborn)
    with pytest.raises(InfraError, match="its kernel panicked; the kernel said: Kernel panic"):
        QemuHost("qemu://powervm", None, Clock.VIRTUAL, Door.SERIAL)  # type: ignore[arg-type]


# The real guest ---------------------------------------------------------------------------------------------


def missing() -> str:
    try:
        cache.finished()
    except InfraError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def real() -> Iterator[QemuHost]:
    if why := missing():
        pytest.skip(f"no guest is tried: {why}")
    host = QemuHost.open("qemu://powervm")
    yield host
    directories = [place.files.directory for place in host._places]
    host.close()
    assert not any(directory.exists() for directory in directories)
    assert len(set(directories)) == 2


def case_of(*parts: tuple[str, str, dict[str, Any]]) -> bytes:
    case_of.number += 1  # type: ignore[attr-defined]
    steps = [
        {"step": n, "part": 0, "who": w, "do": do, "args": args} for n, (w, do, args) in enumerate(parts)
    ]
    return json.dumps({"play": {"run": f"t-{case_of.number}", "schedule": 0, "steps": steps}}).encode()  # type: ignore[attr-defined]


case_of.number = 0  # type: ignore[attr-defined]
OPEN = ("a0", "open", {"fd": "c0", "path": "/dev/cxl/afu0.0s"})
SLEEP = ("harness", "sleep", {"ms": 10_000})


def trigger(letter: str) -> tuple[str, str, dict[str, Any]]:
    return ("a0", "write_file", {"path": "/proc/sysrq-trigger", "text": letter})


def played(host: Host, play: bytes) -> list[dict[str, Any]]:
    host.begin(play)
    lines: list[dict[str, Any]] = []
    while not lines or lines[-1]["is"] != "end":
        lines += map(json.loads, host.replies(120))
    return lines


class Borrowed:
    """A host that somebody else closes."""

    def __init__(self, host: QemuHost) -> None:
        self.url, self.hello, self.window = host.url, host.hello, host.window
        self.begin, self.replies = host.begin, host.replies

    def close(self) -> None:
        pass


def test_the_real_driver_does_all_that_the_check_asks_for(real: QemuHost) -> None:
    checked = check_host(lambda: Borrowed(real))
    assert not checked.trouble
    assert [proof.name for proof in checked.proofs if proof.is_complete] == [
        "driver probed",
        "device node",
        "attach",
        "MMIO",
        "interrupt",
        "detach",
    ]
    assert checked.exit_code == 0


def test_ten_seconds_of_the_guest_take_a_moment_and_repeat(real: QemuHost) -> None:
    began = time.monotonic()
    ends = [played(real, case_of(OPEN, SLEEP))[-1] for _ in range(3)]
    assert (time.monotonic() - began) / 3 < 8
    times = [end["t"] for end in ends]
    assert 10_000_000 < min(times) <= max(times) < min(times) + 20_000


def test_a_real_panic_is_told_by_the_console_and_forgotten(real: QemuHost) -> None:
    *_, end = lines = played(real, case_of(OPEN, trigger("c"), SLEEP))
    assert "its kernel panicked; the kernel said: Kernel panic" in end["got"]["error"]
    assert any("Kernel panic - not syncing" in line["raw"] for line in lines if line["is"] == "log")
    assert played(real, case_of(OPEN))[-1]["got"] == {"performed": 1}


def test_a_real_qemu_that_is_killed_costs_its_case(real: QemuHost) -> None:
    real.begin(case_of(OPEN, ("a0", "read_file", {"path": "/proc/kallsyms", "count": 1000})))
    assert real._talk is not None
    guest = real._talk.guest
    guest.machine._process.kill()  # its keeper, and so QEMU
    said = end_of(real)["error"]
    assert said.startswith("the guest died: ")
    assert "QEMU" in said
    assert played(real, case_of(OPEN))[-1]["got"] == {"performed": 1}


def test_a_killed_harness_leaves_neither_process_nor_file() -> None:
    if why := missing():
        pytest.skip(f"no guest is tried: {why}")
    program = (
        "from harness.guest import cache, pseries\n"
        "from harness.hosts.guests import Guests\n"
        "g = Guests(cache.finished(), pseries.Clock.VIRTUAL)\n"
        "guest = g.boot()\n"
        "print(guest.machine._process.pid, g.files.directory, flush=True)\n"
        "import time; time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        keeper, directory = process.stdout.readline().split()
        assert Path(directory).exists()
        process.kill()
    end = time.monotonic() + 10
    while time.monotonic() < end and (Path(directory).exists() or Path(f"/proc/{keeper}").exists()):
        time.sleep(0.05)
    assert not Path(directory).exists()
    assert not Path(f"/proc/{keeper}").exists()


def test_how_old_a_saved_guest_is_covers_the_decrementer() -> None:
    assert rehearsal.AGE_MS / 1000 > 2**32 / 512e6  # ticks of 512 MHz
