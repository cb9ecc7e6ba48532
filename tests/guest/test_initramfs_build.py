"""The archive that the kernel unpacks: read back by rules written down here once more."""

from __future__ import annotations

import stat
import subprocess

import pytest

from harness.guest import cache, initramfs
from harness.guest.initramfs import Entry
from harness.hosts.ssh import BOOTSTRAP

HEADER_BYTES = 110


def read(archive: bytes) -> dict[str, Entry]:
    """What is in an archive, in its order, up to its end mark."""
    found: dict[str, Entry] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, device, name_bytes = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        assert fields[2:4] == [0, 0], "everything belongs to root"
        assert fields[5] == 0, "nothing has a time"
        name_end = at + HEADER_BYTES + name_bytes
        name = archive[at + HEADER_BYTES : name_end - 1].decode()
        begin = name_end + -name_end % 4
        if name == "TRAILER!!!":
            return found
        found[name] = Entry(mode, archive[begin : begin + size], device)
        at = begin + size + -size % 4


def test_an_archive_is_read_back() -> None:
    tree = {
        "etc/name": initramfs.file(b"a\n"),
        "bin/sh": initramfs.link("busybox"),
        "bin/busybox": initramfs.file(b"\x7fELF-", is_program=True),
        "dev/console": initramfs.console(),
        "root": initramfs.directory(0o700),
        "root/key": initramfs.secret(b"12345"),
    }
    found = read(initramfs.pack(tree))
    assert {name: found[name] for name in tree} == tree
    assert found["dev/console"].device == (5, 1)
    assert stat.S_IMODE(found["root/key"].mode) == 0o600


def test_parents_come_before_their_children_and_keep_the_mode_that_was_asked_for() -> None:
    found = list(read(initramfs.pack({"a/b/c": initramfs.file(b""), "a/b": initramfs.directory(0o700)})))
    assert found == ["a", "a/b", "a/b/c"]
    archive = initramfs.pack({"a/b/c": initramfs.file(b""), "a/b": initramfs.directory(0o700)})
    assert stat.S_IMODE(read(archive)["a/b"].mode) == 0o700


def test_the_order_in_which_a_tree_was_made_does_not_matter() -> None:
    one = {"b": initramfs.file(b"1"), "a": initramfs.file(b"2")}
    other = dict(reversed(one.items()))
    assert initramfs.pack(one) == initramfs.pack(other)


@pytest.mark.parametrize("size", range(5))
def test_another_archive_may_follow_one(size: int) -> None:
    assert len(initramfs.pack({"a": initramfs.file(bytes(size))})) % 4 == 0


def test_the_agent_begins_as_it_does_over_ssh() -> None:
    script = (cache.ROOTFS / "usr/sbin/serve-agent").read_text()
    assert f"exec {BOOTSTRAP} \\\n" in script


@pytest.mark.parametrize("name", ["etc/prepare", "usr/sbin/serve-agent", "usr/sbin/serve-ssh"])
def test_a_script_of_the_guest_can_be_parsed_and_is_a_program(name: str) -> None:
    script = cache.ROOTFS / name
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert script.read_bytes().startswith(b"#!/bin/busybox sh\n")
