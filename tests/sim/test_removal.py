"""A card that an administrator removes from the PCI bus, on the simulated host."""

from __future__ import annotations

from tests.sim.playing import ALL_ONES, BDF, CHECK, NV, Item, Played, attached, load, sleep, wait

REMOVE: Item = ("nemesis", "write_file", {"path": f"/sys/bus/pci/devices/{BDF}/remove", "text": "1"})
RESCAN: Item = ("nemesis", "write_file", {"path": "/sys/bus/pci/rescan", "text": "1"})


def test_a_card_that_is_removed_is_gone_until_the_bus_is_scanned() -> None:
    state = ("nemesis", "read_file", {"path": f"/sys/bus/pci/devices/{BDF}/eeh_pe_state"})
    again = attached(fd="c1")
    played = Played(
        NV,
        [*attached(), wait(), REMOVE, wait(), load(), state, CHECK, wait(), RESCAN, wait(), *again, wait()],
    )
    assert played.values(6) == [ALL_ONES]
    assert [played.answer(step).get("errno") for step in (7, 8, 10, 12, 13)] == [
        "ENOENT",
        "ENODEV",
        None,
        None,
        None,
    ]


def test_a_removed_card_that_is_frozen_is_found_when_it_has_recovered() -> None:
    path = "/sys/kernel/debug/powerpc/PCI0000/err_injct"
    armed = ("nemesis", "write_file", {"path": path, "text": "1:1:0:0:0"})
    early: Item = ("a0", "open", {"fd": "c8", "path": "/dev/cxl/afu0.0s"})
    late: Item = ("a0", "open", {"fd": "c9", "path": "/dev/cxl/afu0.0s"})
    lost = [armed, wait(), load(), wait(), REMOVE, RESCAN, wait()]
    played = Played(NV, [*attached(), wait(), *lost, early, wait(), sleep(20_000), late, wait()])
    assert [played.answer(step).get("errno") for step in (11, 14)] == ["ENOENT", None]
    assert played.order("frozen=1", "EEH: Reset with hotplug activity", "EEH: Recovery successful.")
