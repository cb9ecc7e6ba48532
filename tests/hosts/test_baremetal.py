"""The bare-metal host in QEMU: which guest plays the next case; and the real guest, where one is built."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import registry
from harness.guest import cache
from harness.hosts import baremetal
from harness.hosts.baremetal import SILENCE, BareMetalGuest, BareMetalHost
from harness.hosts.conversation import Conversation, Door
from harness.hosts.guests import Guest
from harness.hosts.host import Host
from harness.run.check import check_host
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.vocab.errors import InfraError
from harness.vocab.phase import Phase
from harness.vocab.verdict import Verdict
from harness.wire import casefile

PES = "/sys/module/pciprep/parameters/pes"
LIMIT = "/sys/kernel/debug/powerpc/eeh_max_freezes"
RESCAN = "/sys/bus/pci/rescan"
NAME = "/sys/class/cxl/card0/device/uevent"
UEVENT = "/sys/bus/pci/devices/0004:01:00.0/uevent"


class FakeGuest(BareMetalGuest):
    """A guest that has booted, and what its files say."""

    def __init__(self) -> None:
        self.files = {
            PES: "0004:01:00.0 800 0\n0000:01:00.0 800 0\n",
            LIMIT: "5\n",
            UEVENT: "DRIVER=e1000e\n",
            NAME: "PCI_SLOT_NAME=0000:01:00.0\n",
        }
        self.files["/proc/sys/kernel/tainted"] = "12288\n"
        self.lost: dict[str, str] = {}  # what a scan of the bus brings back
        self.written: list[tuple[str, str]] = []
        self.console_lines = ["[    0.000000] Linux"]
        self.phb = SimpleNamespace(is_frozen=False, thaw=self.thaw)
        self.power: Any = SimpleNamespace(phbs={4: self.phb}, watch=None)
        self.firmware: Any = SimpleNamespace(fault=None, facts={}, forget=lambda: None)
        self.console: Any = SimpleNamespace(begin=self.console_lines.clear, last_received_ns=0)
        self.devices, self.state = (), {}
        self.is_hanging = self.gave_up = False
        self.makes_sense = True
        self.ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        return self.ended.is_set()

    def thaw(self) -> None:
        self.phb.is_frozen = False

    def says(self) -> list[str]:
        return self.console_lines

    def end(self) -> None:
        self.ended.set()


class FakeConversation(Conversation):
    """With an agent that answers at once."""

    guest: FakeGuest

    def meet(self) -> bytes:
        if self.guest.is_hanging:
            self.guest.gave_up = not self.guest.ended.wait(5)
            raise InfraError("it did not boot")
        return b'{"hello":{"features":[],"facts":{}}}'

    def trouble(self, silence: Any) -> str:
        return ""

    def play(self, play: Any) -> list[dict[str, Any]]:
        guest, answers = self.guest, []
        for step in play["steps"]:
            path = step["args"]["path"]
            got = {"text": guest.files[path]} if path in guest.files else {"errno": "ENOENT"}
            if step["do"] == "write_file":
                guest.written.append((path, step["args"]["text"]))
                guest.files[path] = step["args"]["text"]
                if path == RESCAN and not guest.phb.is_frozen:
                    guest.files.update(guest.lost)
            number = step["step"] if guest.makes_sense else 1000
            answers.append({"is": "ok", "step": number, "do": step["do"], "got": got})
        return answers


class FakeHost(BareMetalHost):
    """A host of fake guests."""

    def __init__(self) -> None:
        self.made: list[FakeGuest] = []
        self.may_boot = threading.Event()
        self.may_boot.set()
        self.complaints: set[int] = set()  # which guests complain as they boot
        self.hanging: set[int] = set()  # and which do not boot
        build: Any = SimpleNamespace(identity=SimpleNamespace(inputs="0" * 64))
        super().__init__("qemu://powernv", build, Door.SERIAL)

    def _first(self) -> BareMetalGuest:
        self.may_boot.wait(5)
        number, guest = len(self.made), FakeGuest()
        if number in self.complaints:
            complains(guest)
        guest.is_hanging = number in self.hanging
        self.made.append(guest)
        return guest

    def _converse(self, guest: Any) -> Conversation:
        return FakeConversation(self.url, guest, self._door)

    def after(self, guest: Guest, *, is_dead: bool = False) -> Any:
        """The guest for the next case."""
        return self._replacement(self._converse(guest), is_dead=is_dead)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.setattr(baremetal, "SETTLE_S", 0.05)
    monkeypatch.setattr(baremetal, "_LOOK_S", 0.01)
    host = FakeHost()
    assert host._replaced().guest is host.made[0]
    yield host
    host.close()


def test_a_guest_that_is_well_plays_the_next_case_with_its_freezes_forgotten(host: FakeHost) -> None:
    guest = host.made[0]
    guest.files[LIMIT] = "10000\n"
    assert host.after(guest) is guest
    assert guest.files[LIMIT] == "5\n"
    assert ("/sys/module/pciprep/parameters/forget", "1") in guest.written
    assert not host.why_booted


def test_a_device_that_was_plugged_anew_may_come_in_another_order(host: FakeHost) -> None:
    guest = host.made[0]
    guest.files[PES] = "0000:01:00.0 800 0\n0004:01:00.0 800 0\n"
    assert host.after(guest) is guest


def test_a_device_that_was_given_up_is_thawed_and_found_again(host: FakeHost) -> None:
    guest = host.made[0]
    guest.phb.is_frozen = True
    guest.lost = {PES: guest.files[PES], UEVENT: guest.files.pop(UEVENT)}
    guest.files[PES] = "0000:01:00.0 800 0\n"
    assert host.after(guest) is guest
    assert not guest.phb.is_frozen
    assert not host.why_booted


def complains(guest: FakeGuest) -> None:
    guest.console_lines.append("[   12.000700] WARNING: CPU: 0 PID: 1 at drivers/misc/cxl/x.c:5 x+0x1/0x2")


def stays_frozen(guest: FakeGuest) -> None:
    guest.phb.is_frozen = True


def loses_a_device(guest: FakeGuest) -> None:
    guest.files[PES] = ""


def gets_another_name(guest: FakeGuest) -> None:
    guest.files[NAME] = "PCI_SLOT_NAME=0003:01:00.0\n"


def loses_its_driver(guest: FakeGuest) -> None:
    guest.files[UEVENT] = ""


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (complains, "its kernel complained: WARNING"),
        (stays_frozen, "the PE below PHB 4 stays frozen"),
        (loses_a_device, f"not as it had booted: {PES}"),
        (gets_another_name, f"not as it had booted: {NAME}"),
        (loses_its_driver, f"not as it had booted: {UEVENT}"),
    ],
)
def test_a_guest_that_is_not_as_it_was_is_replaced(host: FakeHost, spoil: Any, why: str) -> None:
    guest = host.made[0]
    spoil(guest)
    another = host.after(guest)
    assert another is host.made[1]
    assert guest.has_ended
    assert host.why_booted[0].startswith(why)
    assert host.after(another) is another


def test_a_dead_guest_is_replaced(host: FakeHost) -> None:
    assert host.after(host.made[0], is_dead=True) is host.made[1]
    assert host.why_booted == ["it died"]


def test_the_next_guest_boots_while_cases_run_and_the_first_case_has_the_machine_for_itself(
    host: FakeHost,
) -> None:
    assert len(host.made) == 1
    host.after(host.made[0])
    assert host._spare
    assert host._spare.result(5) is host.made[1]
    assert host.after(host.made[0], is_dead=True) is host.made[1]
    assert len(host.made) == 2
    host.after(host.made[1])
    assert host._spare.result(5) is host.made[2]


def test_a_spare_that_did_not_boot_is_made_good_when_it_is_needed(host: FakeHost) -> None:
    host.complaints = {1}
    assert host.after(host.made[0], is_dead=True) is host.made[2]
    assert host.made[1].has_ended


def test_when_two_guests_do_not_boot_there_is_trouble_and_then_another_is_tried(host: FakeHost) -> None:
    host.complaints = {1, 2}
    with pytest.raises(InfraError, match="a guest complained as it booted: WARNING"):
        host.after(host.made[0], is_dead=True)
    assert [guest.has_ended for guest in host.made] == [True, True, True]
    assert host.after(host.made[0], is_dead=True) is host.made[3]


def test_what_a_guest_said_before_its_first_case_is_no_evidence_of_that(host: FakeHost) -> None:
    assert host.made[0].says() == []


def test_a_guest_whose_answers_make_no_sense_is_replaced(host: FakeHost) -> None:
    host.made[0].makes_sense = False
    assert host.after(host.made[0]) is host.made[1]
    assert "answers what was not asked" in host.why_booted[0]


def test_a_guest_is_ended_when_none_can_take_its_place(host: FakeHost) -> None:
    host._booter.shutdown()
    with pytest.raises(RuntimeError):
        host.after(host.made[0])
    assert host.made[0].has_ended


def test_a_host_that_is_closed_does_not_wait_until_a_spare_has_booted(host: FakeHost) -> None:
    host.hanging = {1}
    host.after(host.made[0])
    while len(host.made) < 2:
        pass
    host.close()
    assert not host.made[1].gave_up
    assert host.made[1].has_ended


def test_a_host_that_is_closed_ends_its_spare_guests(host: FakeHost) -> None:
    host.after(host.made[0])
    assert host._spare
    host._spare.result(5)
    host.close()
    assert host.made[1].has_ended


def test_a_spare_guest_that_begins_to_boot_while_the_host_closes_ends_too(host: FakeHost) -> None:
    host.may_boot.clear()
    host.after(host.made[0])
    closing = threading.Thread(target=host.close)
    closing.start()
    while not host._is_closed:
        pass
    host.may_boot.set()
    closing.join(5)
    assert not closing.is_alive()
    assert host.made[1].has_ended


class Booting(Conversation):
    """With a guest that nothing is wrong with but what its console says."""

    def trouble(self, silence: Any) -> str:
        return ""


def test_a_guest_that_could_not_be_prepared_says_so_at_once() -> None:
    guest = FakeGuest()
    guest.port = SimpleNamespace(send_agent=lambda: None, greeting=lambda _: b"")  # type: ignore[assignment]
    guest.console_lines.append("guest: failed: insmod /lib/modules/common/00-virtio.ko")
    with pytest.raises(InfraError, match=r"could not be prepared: guest: failed: insmod /lib/.*virtio\.ko"):
        Booting("qemu://powernv", guest, Door.SERIAL).meet()


def test_a_defect_of_the_simulated_hardware_loses_the_host() -> None:
    guest = FakeGuest()
    guest.firmware.fault = KeyError("card")
    with pytest.raises(InfraError, match="what simulates its hardware failed: KeyError: 'card'"):
        Conversation("qemu://powernv", guest, Door.SERIAL).trouble(SILENCE)


# The real guest ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[BareMetalHost]:
    try:
        cache.finished()
    except InfraError as error:
        pytest.skip(f"no guest is tried: {error}")
    host = BareMetalHost.open("qemu://powernv")
    yield host
    host.close()


class Borrowed:
    """A host that somebody else closes."""

    def __init__(self, host: BareMetalHost) -> None:
        self.url, self.hello, self.window = host.url, host.hello, host.window
        self.begin, self.replies = host.begin, host.replies

    def close(self) -> None:
        pass


def played(host: Host, *parts: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    played.number += 1  # type: ignore[attr-defined]
    steps = [
        {"step": n, "part": 0, "who": "harness" if do == "sleep" else "a0", "do": do, "args": args}
        for n, (do, args) in enumerate(parts)
    ]
    run = f"t-{played.number}"  # type: ignore[attr-defined]
    host.begin(json.dumps({"play": {"run": run, "schedule": 0, "steps": steps}}).encode())
    lines: list[dict[str, Any]] = []
    while not lines or lines[-1]["is"] != "end":
        lines += map(json.loads, host.replies(120))
    return lines


played.number = 0  # type: ignore[attr-defined]


def test_the_real_drivers_do_all_that_the_check_asks_for(real: BareMetalHost) -> None:
    checked = check_host(lambda: Borrowed(real))
    assert not checked.trouble
    assert all(proof.is_complete for proof in checked.proofs)
    assert checked.exit_code == 0


def test_the_kernel_finds_a_frozen_pe_by_itself_and_recovers_the_device(real: BareMetalHost) -> None:
    boots = len(real.why_booted)
    pe = "/sys/bus/pci/devices/0004:01:00.0/eeh_pe_config_addr"
    number = next(
        line["got"]["text"].strip()
        for line in played(real, ("read_file", {"path": pe}))
        if line["is"] == "ok"
    )
    arm = {"path": "/sys/kernel/debug/powerpc/PCI0004/err_injct", "text": f"{int(number, 16):x}:1:4:0:0\n"}
    said = played(real, ("write_file", arm), ("sleep", {"ms": 15_000}))
    logged = [line["raw"].partition(";")[2] for line in said if line["is"] == "log"]
    assert "EEH: Frozen PE#fd on PHB#4 detected" in logged
    assert "EEH: Recovery successful." in logged
    played(real, ("read_file", {"path": pe}))
    assert len(real.why_booted) == boots


def test_a_plain_kernel_waits_a_minute_for_a_device_that_eeh_keeps_from_answering(
    real: BareMetalHost,
) -> None:
    wait = "/sys/module/pciprep/parameters/wait"
    freeze = {"what": "freeze_eeh_pe", "with": {"device": "0004:01:00.0"}}
    said = played(
        real,
        ("write_file", {"path": wait, "text": "1"}),
        ("inject", freeze),
        ("sleep", {"ms": 85_000}),
        ("write_file", {"path": wait, "text": "0"}),
    )
    logged = {line["raw"].partition(";")[2]: line["t"] for line in said if line["is"] == "log"}
    assert "e1000e 0004:01:00.0: not ready 65535ms after bus reset; giving up" in logged
    reset_us, recovered_us = (
        logged[f"EEH: {text}"] for text in ("Reset without hotplug activity", "Recovery successful.")
    )
    assert recovered_us - reset_us > 60_000_000


@pytest.mark.parametrize(
    ("story", "shows"),
    [
        ("recovery-with-reflash", {Phase.DETECTED, Phase.QUIESCE, Phase.RESET, Phase.RECOVERED}),
        ("removed-and-found-again", {Phase.QUIESCE, Phase.CONTEXT_PURGED}),
        ("terminate-command-fails", {Phase.CONTEXT_PURGED}),
    ],
)
def test_a_saved_story_passes_all_oracles(real: BareMetalHost, story: str, shows: set[Phase]) -> None:
    """Those without a recovery in place, which finding 13 is about."""
    path = Path(__file__).parents[2] / "fixtures" / "cases" / "baremetal" / f"{story}.json"
    case = casefile.load(path.read_text(encoding="utf-8"), registry.events(), str(path)).case
    performance = Runner(lambda: Borrowed(real)).perform(case)
    judgement = judge(performance.history, tuple(registry.oracles().values()))
    assert not performance.trouble
    assert judgement.verdict is Verdict.PASS, judgement.findings
    assert shows <= performance.history.marks.keys()


def test_a_panic_behind_the_ssh_door_costs_one_case() -> None:
    try:
        cache.finished()
    except InfraError as error:
        pytest.skip(f"no guest is tried: {error}")
    host = BareMetalHost.open("qemu://powernv?door=ssh", door="ssh")
    try:
        said = played(host, ("write_file", {"path": "/proc/sysrq-trigger", "text": "c"}))
        assert any("Kernel panic" in line.get("raw", "") for line in said)
        assert said[-1]["got"]["error"].startswith("the guest died: its kernel panicked")
        assert "error" not in played(host, ("read_file", {"path": "/proc/version"}))[-1]["got"]
        assert host.why_booted == ["it died"]
    finally:
        host.close()
