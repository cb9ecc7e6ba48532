"""The data of a timeline: order and places, lanes, lives of contexts, and windows of long histories."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from harness.report.axis import Axis
from harness.report.contexts import State, lives
from harness.report.timeline import MOST_CONTEXTS, timeline
from harness.report.window import window
from harness.vocab.history import History, Kind, Record
from harness.vocab.verdict import Judgement, Verdict
from tests.report.samples import FINDING, TOPOLOGY, Teller, intent, stale_mmio

JUDGEMENT = Judgement(Verdict.FAIL, (FINDING,), ("loads_give_all_ones",))


@pytest.fixture(scope="module")
def drawn():
    return timeline(stale_mmio(), JUDGEMENT)


def lane(drawn, title):
    return next(lane for lane in drawn.lanes if lane.title == title)


def test_lanes_go_from_cause_to_effect(drawn):
    titles = [lane.title for lane in drawn.lanes]
    assert titles == [
        "nemesis", "a0", "a1", "a2", "harness", "probe", "kernel trace", "kernel log",
        "c0 · afu0.0 · element 1", "c1 · afu0.1 · element 2",
    ]  # fmt: skip


def test_the_proof_of_a_finding_is_flagged_everywhere(drawn):
    assert [(flag.seq, flag.number) for flag in drawn.flags] == [(22, 1), (29, 1)]
    assert [row.seq for row in drawn.rows if row.findings] == [22, 29]
    assert [bar.seq for bar in lane(drawn, "a0").bars if bar.is_flagged] == [22, 29]


def test_bars_tell_how_operations_ended(drawn):
    (read,) = (bar for bar in lane(drawn, "a1").bars if bar.title.startswith("ReadEvent"))
    assert read.style == "fail"
    assert read.label == "read EINTR"
    assert "took 4.7" in read.title


def test_an_operation_that_was_never_answered_reaches_to_the_end():
    teller = Teller()
    teller.begin(0, "a0", "read", fd="c0").after(50).log("last words")
    drawn = timeline(History("c", TOPOLOGY, (intent("a0", "Read"),), tuple(teller.records)), JUDGEMENT)
    (bar,) = lane(drawn, "a0").bars
    assert bar.style == "unanswered"
    assert bar.x + bar.width == pytest.approx(drawn.width)


def test_phases_are_bands_in_their_order(drawn):
    names = [band.phase for band in drawn.bands]
    assert names == ["detected", "quiesce", "reset", "slot-reset", "recovered"]
    for before, after in pairwise(drawn.bands):
        assert before.x + before.width == pytest.approx(after.x)


def test_waits_are_drawn_as_breaks_with_their_length(drawn):
    assert [gap.label for gap in drawn.breaks] == ["+2.410 s", "+800.00 ms", "+1.500 s"]


def test_a_life_goes_from_opened_to_purged():
    life = lives(stale_mmio())[0]
    assert [state for _, state in life.changes] == [
        State.OPENED, State.ATTACHED, State.GARBAGE, State.PURGED, State.GONE,
    ]  # fmt: skip
    assert life.process_element == 1


def test_a_process_element_that_is_used_again_is_another_life():
    teller = Teller()
    for step in (0, 2):
        teller.begin(step, "a0", "open", fd=f"c{step}", path="/dev/cxl/afu0.0s").end(step, "a0", "open")
        teller.begin(step, "a0", "ioctl", 1, fd=f"c{step}", name="START_WORK")
        teller.trace("cxl_attach", afu="afu0.0", pe=1).end(step, "a0", "ioctl", part=1)
        teller.trace("cxl_detach", afu="afu0.0", pe=1)
    first, second = lives(History("c", TOPOLOGY, (intent("a0", "Attach"),) * 3, tuple(teller.records)))
    assert (first.fd, second.fd) == ("c0", "c2")
    assert [s for _, s in first.changes] == [s for _, s in second.changes]
    assert first.process_element == second.process_element == 1


def test_a_context_that_only_the_kernel_speaks_of_has_a_lane():
    teller = Teller()
    teller.trace("cxl_attach", afu="afu0.0", pe=9).trace("cxl_detach", afu="afu0.0", pe=9)
    (life,) = lives(History("c", TOPOLOGY, (), tuple(teller.records)))
    assert life.title == "afu0.0 · element 9"
    assert life.state is State.PURGED


def test_data_of_an_unexpected_form_is_left_alone():
    teller = Teller()
    teller.trace("cxl_attach", afu=3, pe="x").trace("cxl_detach")
    teller.begin(0, "a0", "open", path=7).end(0, "a0", "open").end(5, "a0", "close")
    assert lives(History("c", TOPOLOGY, (intent("a0", "x"),) * 6, tuple(teller.records))) == ()


def test_every_record_has_its_own_place_in_order():
    records = [Record(seq, 0, "kernel", Kind.LOG, "4", {}) for seq in range(50)]
    axis = Axis(records)
    places = [axis.at(record.seq) for record in records]
    assert all(after > before for before, after in pairwise(places))


def test_ticks_do_not_repeat_a_label_and_do_not_overlap(drawn):
    for before, after in pairwise(drawn.ticks):
        assert before.label != after.label
        assert after.x - before.x >= 70


def test_a_clock_that_steps_back_does_not_turn_the_axis():
    records = [Record(seq, time_us, "a", Kind.LOG, "4", {}) for seq, time_us in enumerate((5, 90, 3, 4))]
    axis = Axis(records)
    assert axis.at(0) < axis.at(1) < axis.at(2) < axis.at(3)


def test_nothing_recorded_gives_no_timeline():
    assert timeline(History("c", TOPOLOGY, (), ()), JUDGEMENT) is None


def test_a_window_holds_the_anchors_and_what_is_near():
    chosen = window(10_000, (5000, 7000), 100)
    assert len(chosen) == 100
    assert {0, 4999, 5000, 5001, 6999, 7000, 7001, 9999} <= set(chosen)
    assert list(chosen) == sorted(chosen)


def test_a_window_of_more_anchors_than_room_is_bounded():
    assert len(window(10_000, range(10_000), 100)) == 100
    assert window(3, (), 100) == (0, 1, 2)
    assert window(10_000, (-5, 99_999), 4) == (0, 1, 9998, 9999)


def test_a_long_history_is_windowed_around_its_finding():
    teller = Teller()
    for number in range(20_000):
        teller.after(3).log(f"line {number}")
    finding = replace(FINDING, records=(12_345,))
    judgement = replace(JUDGEMENT, findings=(finding,))
    drawn = timeline(History("c", TOPOLOGY, (), tuple(teller.records)), judgement)
    assert len(drawn.rows) == 400
    assert [row.seq for row in drawn.rows if row.findings] == [12_345]
    assert sum(row.left_out for row in drawn.rows) + len(drawn.rows) == 20_000
    assert drawn.notices == ("400 of 20,000 records are shown: those around findings and phases.",)


def test_many_contexts_are_bounded_with_a_notice():
    teller = Teller()
    for number in range(100):
        teller.trace("cxl_attach", afu="afu0.0", pe=number)
    drawn = timeline(History("c", TOPOLOGY, (), tuple(teller.records)), JUDGEMENT)
    assert sum(lane.kind == "context" for lane in drawn.lanes) == MOST_CONTEXTS
    assert "24 of 100 contexts are drawn." in drawn.notices


def test_contexts_of_probes_are_counted_not_drawn(drawn):
    assert drawn.notices == ("Not drawn: 1 context of the closing steps.",)
    assert "p0" in {life.fd for life in lives(stale_mmio())}
