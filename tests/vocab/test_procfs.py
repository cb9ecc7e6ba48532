"""Tests of the parsers of /proc and sysfs texts."""

from __future__ import annotations

import pytest

from harness.vocab import procfs

INTERRUPTS = """\
           CPU0       CPU8
 16:          0          5      XICS   2 Edge      IPI
 33:          1          2      XICS  99 Edge      cxl-afu0.0-pe1-1
 34:          7          0      XICS 100 Edge      cxl-afu0.0-pe1-1
 35:          0          0      XICS 101 Edge      cxl-card0-err
 36:          0   truncated cxl-afu0.0
LOC:      12345      54321   Local timer interrupts for timer event device
"""
SLABINFO = """\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>
cxl_context           12     36    224   18    1 : tunables    0    0    0 : slabdata      2      2      0
pid                  400    448    128   32    1 : tunables    0    0    0 : slabdata     14     14      0
"""
EEH = """\
EEH Subsystem is enabled
no device=0
no device node=1
no config address=0
check not wanted=2
eeh_total_mmio_ffs=30
eeh_false_positives=4
eeh_slot_resets=5
"""


def test_interrupts_are_summed_over_cpus_and_rows() -> None:
    assert procfs.interrupts(INTERRUPTS) == {"cxl-afu0.0-pe1-1": 10, "cxl-card0-err": 0}
    assert procfs.interrupts("") == {}


def test_allocations_are_summed_by_function_of_the_driver() -> None:
    text = """\
      3 cxl_alloc_afu+0x48/0xf0 [cxl] waste=1800/600 age=8843/8924/9005 pid=93
      1 cxl_context_alloc+0x34/0x50 [cxl] waste=64/64 age=311 pid=112
        cxl_context_alloc+0x34/0x50 [cxl]
     10 cxl_context_alloc.isra.0+0x40/0x50 [cxl] age=1/2/3 pid=112-113
      2 trouble_leak+0x34/0x80 [trouble] age=7 pid=1
      5 kasprintf+0x38/0x60 age=1 pid=1
      4 <not-available> age=1 pid=1
"""
    assert procfs.allocations(text) == {"cxl_alloc_afu": 3, "cxl_context_alloc": 11}


def test_slabs_have_active_objects() -> None:
    assert procfs.slabs(SLABINFO) == {"cxl_context": 12, "pid": 400}


def test_eeh_counters_keep_their_names() -> None:
    counters = procfs.eeh_counters(EEH)
    assert counters["eeh_slot_resets"] == 5
    assert counters["no device node"] == 1
    assert len(counters) == 7


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("0x00000018 0x00000000\n", ""),
        ("0x0000007f 0x00000100\n", ""),
        ("0x00000018 0x00000001\n", "frozen"),
        ("0x00000018 0x00000003\n", "frozen"),
        ("0x00000018 0x00000002\n", "recovering"),
        ("0x00000078 0x00000802\n", "recovering"),
        ("0x00000008 0x00000000\n", "frozen"),
        ("0x00000000 0x00000000\n", "frozen"),
    ],
)
def test_an_eeh_pe_is_fine_when_enabled_and_neither_frozen_nor_recovering(text: str, trouble: str) -> None:
    assert procfs.eeh_pe_trouble(text) == trouble


@pytest.mark.parametrize("text", ["", "0x18", "frozen solid", "0x18 0x0 0x0"])
def test_an_unreadable_eeh_pe_state_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"hexadecimal|invalid literal"):
        procfs.eeh_pe_state(text)
