"""What events believe of the host while a case is drawn: targets, and how the sketch changes."""

from __future__ import annotations

from harness.events.attach import Attach
from harness.events.bind_driver import BindDriver
from harness.events.detach import Detach
from harness.events.drop_link import DropLink
from harness.events.exceed_correctable_errors import ExceedCorrectableErrors
from harness.events.exit_actor import ExitActor
from harness.events.fork import Fork
from harness.events.freeze_eeh_pe import FreezeEehPe
from harness.events.kill_actor import KillActor
from harness.events.load import Load
from harness.events.map import Map
from harness.events.open import Open
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.raise_correctable_error import RaiseCorrectableError
from harness.events.raise_psl_error import RaisePslError
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.remove_card import RemoveCard
from harness.events.rescan_card import RescanCard
from harness.events.store import Store
from harness.events.unbind_driver import UnbindDriver
from harness.events.unmap import Unmap
from harness.gen.choosers import SeededChooser
from harness.vocab.sketch import Sketch
from tests.topologies import POWERNV, POWERVM


def after(*steps, sketch=None):
    sketch = sketch or Sketch()
    for actor, event in steps:
        sketch = event.advance(actor, sketch)
    return sketch


OPENED = after(("a0", Open("c0", "afu0.0", "s")))
ATTACHED = after(("a0", Attach("c0", err_ff=True, irqs=3, wed=1)), sketch=OPENED)
MAPPED = after(("a0", Map("c0", "c0.mmio")), sketch=ATTACHED)


def test_a_context_goes_from_open_to_attached_to_mapped():
    target = [("a0", "c0")]
    assert Attach.enabled(OPENED, POWERNV) == target
    assert Map.enabled(OPENED, POWERNV) == []
    assert Attach.enabled(ATTACHED, POWERNV) == []
    assert Map.enabled(ATTACHED, POWERNV) == target
    assert Load.enabled(ATTACHED, POWERNV) == []
    assert Map.enabled(MAPPED, POWERNV) == []
    assert Load.enabled(MAPPED, POWERNV) == target


def test_unmap_and_detach_undo_it():
    unmapped = after(("a0", Unmap("c0.mmio")), sketch=MAPPED)
    assert Load.enabled(unmapped, POWERNV) == []
    assert Map.enabled(unmapped, POWERNV) == [("a0", "c0")]
    assert Detach.enabled(after(("a0", Detach("c0")), sketch=MAPPED), POWERNV) == []


def test_open_stops_when_contexts_run_out():
    assert ("a2", "afu1.0") in Open.enabled(Sketch(), POWERNV)
    full = after(("a0", Open("c0", "afu1.0", "d")))
    assert {subject for _, subject in Open.enabled(full, POWERNV)} == {"afu0.0", "afu0.1"}


def test_names_are_never_used_twice():
    again = Open.draw(("a0", "afu0.0"), MAPPED, POWERNV, SeededChooser(1))
    assert again.fd == "c1"
    first = Store.draw(("a0", "c0"), MAPPED, POWERNV, SeededChooser(1))
    second = Store.draw(("a0", "c0"), first.advance("a0", MAPPED), POWERNV, SeededChooser(1))
    assert first.value != second.value


def test_interrupts_are_those_of_the_context():
    drawn = {RaiseAfuInterrupt.draw(("a0", "c0"), MAPPED, POWERNV, SeededChooser(n)).irq for n in range(99)}
    assert drawn == {1, 2, 3}


def test_a_child_can_use_its_parents_mappings_and_outlives_it():
    forked = after(("a0", Fork("a3")), sketch=MAPPED)
    assert ("a3", "c0") in Load.enabled(forked, POWERNV)
    orphan = after(("nemesis", KillActor("a0")), sketch=forked)
    assert Load.enabled(orphan, POWERNV) == [("a3", "c0")]
    RaiseAfuInterrupt.draw(("a3", "c0"), orphan, POWERNV, SeededChooser(1))
    assert Load.enabled(after(("a3", ExitActor()), sketch=orphan), POWERNV) == []


def test_the_last_actor_is_left_alone():
    alone = after(("a1", ExitActor()), ("a2", ExitActor()), sketch=MAPPED)
    assert KillActor.enabled(alone, POWERNV) == ()
    assert ExitActor.enabled(alone, POWERNV) == ()
    assert KillActor.enabled(MAPPED, POWERNV) == [("nemesis", "a0")]


def test_a_driver_is_bound_only_where_it_was_unbound():
    assert BindDriver.enabled(Sketch(), POWERNV) == []
    gone = after(("nemesis", UnbindDriver("card1")))
    assert BindDriver.enabled(gone, POWERNV) == [("nemesis", "card1")]
    assert UnbindDriver.enabled(gone, POWERNV) == [("nemesis", "card0")]
    assert BindDriver.enabled(after(("nemesis", BindDriver("card1")), sketch=gone), POWERNV) == []


def test_a_removed_card_is_found_by_a_scan_and_not_bound():
    assert RescanCard.enabled(Sketch(), POWERNV) == []
    removed = after(("nemesis", RemoveCard("card1")))
    assert RescanCard.enabled(removed, POWERNV) == [("nemesis", "card1")]
    assert (
        RemoveCard.enabled(removed, POWERNV)
        == UnbindDriver.enabled(removed, POWERNV)
        == [("nemesis", "card0")]
    )
    assert BindDriver.enabled(removed, POWERNV) == []
    assert RescanCard("card1").fits(removed)
    assert not RescanCard("card0").fits(removed), "a scan gives no driver to a card that is there"
    assert RescanCard.enabled(after(("nemesis", RescanCard("card1")), sketch=removed), POWERNV) == []


def test_an_eeh_pe_is_armed_only_where_somebody_can_set_it_off():
    assert FreezeEehPe.enabled(ATTACHED, POWERNV) == []
    assert FreezeEehPe.enabled(MAPPED, POWERNV) == [("nemesis", "card0")]


def test_corrected_errors_stay_below_the_threshold_together():
    two = after(("nemesis", RaiseCorrectableError("afu0.0", 2)))
    drawn = {
        RaiseCorrectableError.draw(("nemesis", "afu0.0"), two, POWERVM, SeededChooser(n)).count
        for n in range(50)
    }
    assert drawn == {1}
    three = after(("nemesis", RaiseCorrectableError("afu0.0", 1)), sketch=two)
    exceeded = after(("nemesis", ExceedCorrectableErrors("afu0.0")))
    for sketch in (three, exceeded):
        assert ("nemesis", "afu0.0") not in RaiseCorrectableError.enabled(sketch, POWERVM)
        assert ("nemesis", "afu0.1") in RaiseCorrectableError.enabled(sketch, POWERVM)


def test_errors_of_a_card_reach_its_afus_and_those_of_phyp_one():
    assert DropLink("card0").disturbs(POWERNV) == {"afu0.0", "afu0.1"}
    assert RaisePslError("afu0.1").disturbs(POWERNV) == {"afu0.0", "afu0.1"}
    assert FreezeEehPe("card1", "load").disturbs(POWERNV) == {"afu1.0"}
    assert RaiseRecoverableError("afu0.1").disturbs(POWERVM) == {"afu0.1"}
