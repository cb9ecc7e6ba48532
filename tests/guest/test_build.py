"""The course of a build: what is kept, what is built again, and what is never taken for whole."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import threading
from pathlib import Path

import pytest

from harness.guest import __main__ as door
from harness.guest import build as builder
from harness.guest import cache, initramfs, module, tools
from harness.guest.packages import Chosen, Package, sha256_of
from harness.vocab.errors import InfraError
from harness.vocab.verdict import ExitCode

KERNEL = "6.1.0-50-powerpc64le"


class FakeArchive:
    """Debian's archive without apt."""

    trouble = ""
    version = "1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        pass

    def refresh(self) -> str:
        return self.trouble

    def current(self) -> Chosen:
        package = Package("a", self.version, f"a_{self.version}_ppc64el.deb", 1, self.version * 64)
        return Chosen(KERNEL, (package,))

    def download(self, packages: tuple[Package, ...], folder: Path, _: builder.Say) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for package in packages:
            (folder / package.file).write_text("x")


class Bench:
    """A cache in a temporary place, a build whose long part is faked, and what was said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.made = 0
        self.trouble: BaseException | None = None

    def make(
        self, chosen: Chosen, downloads: Path, work: Path, result: Path, say: builder.Say
    ) -> dict[str, str]:
        self.made += 1
        (result / cache.VMLINUX).write_text("kernel")
        if self.trouble:
            raise self.trouble
        (result / cache.INITRAMFS).write_text(f"files {chosen.packages[0].version}")
        return {".text": "0" * 64}

    def build(self) -> cache.Build:
        return builder.build(self.said.append)

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path / "cache")
    monkeypatch.setenv("CAPI_GUEST_CACHE", str(made.root))
    monkeypatch.setattr(builder, "Archive", FakeArchive)
    monkeypatch.setattr(builder, "_make", made.make)
    monkeypatch.setattr(builder, "require", lambda: None)
    monkeypatch.setattr(builder, "run", lambda *_: ["compiler 1"])
    monkeypatch.setattr(FakeArchive, "trouble", "")
    monkeypatch.setattr(FakeArchive, "version", "1")
    return made


def test_a_finished_guest_is_found_and_says_what_it_is(bench: Bench) -> None:
    built = bench.build()
    found = cache.finished()
    assert found == built
    assert found.vmlinux.read_text() == "kernel"
    assert found.identity.kernel == KERNEL
    assert found.identity.packages == {"a": "1"}
    assert found.directory.name == f"guest-{KERNEL}-{found.identity.inputs[:12]}"
    assert found.identity.files["vmlinux"] == sha256_of(found.vmlinux)


def test_building_again_builds_nothing(bench: Bench) -> None:
    bench.build()
    bench.build()
    assert bench.made == 1
    assert bench.said[-1].startswith("is built already")


def test_a_new_package_is_a_new_guest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench.build()
    monkeypatch.setattr(FakeArchive, "version", "2")
    other = bench.build()
    assert one.directory != other.directory
    assert cache.finished() == other
    assert {path.name for path in (bench.root / "downloads").iterdir()} == {"a_2_ppc64el.deb"}


def test_only_the_two_newest_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    for version in "1234":
        monkeypatch.setattr(FakeArchive, "version", version)
        built.append(bench.build())
        os.utime(built[-1].directory, (int(version), int(version)))
    assert {name for name in bench.names if name.startswith("guest-")} == {
        made.directory.name for made in built[-2:]
    }


def test_an_older_guest_becomes_the_current_one_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench.build()
    monkeypatch.setattr(FakeArchive, "version", "2")
    bench.build()
    monkeypatch.setattr(FakeArchive, "version", "1")
    assert bench.build() == one == cache.finished()
    assert bench.made == 2


def test_without_a_build_the_advice_is_to_build(bench: Bench) -> None:
    with pytest.raises(InfraError, match=r"no guest is built in .*: run `make guest`"):
        cache.finished()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("initramfs.cpio", "half", "initramfs.cpio: is not what was built"),
        ("vmlinux", None, "vmlinux: is missing"),
        ("identity.json", "{", "identity.json: cannot be read"),
        ("identity.json", "[1]", "identity.json: cannot be read"),
        ("identity.json", '{"kernel": 1}', "identity.json: cannot be read"),
    ],
)
def test_a_damaged_guest_is_refused_said_and_built_again(
    bench: Bench, name: str, content: str | None, complaint: str
) -> None:
    path = bench.build().directory / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(InfraError, match=f"{complaint}.*run `make guest`, which builds it again"):
        cache.finished()
    bench.build()
    assert any(re.search(f"{complaint}.*: builds it again", said) for said in bench.said)
    assert bench.made == 2
    assert cache.finished().identity.kernel == KERNEL


def test_a_guest_of_other_sources_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.build()
    monkeypatch.setattr(cache, "sources", lambda: "other")
    with pytest.raises(InfraError, match="built from other sources than these: run `make guest`"):
        cache.finished()


@pytest.mark.parametrize(
    "trouble", [KeyboardInterrupt(), InfraError("no driver"), OSError(errno.EIO, "disk")]
)
def test_a_build_that_ends_early_leaves_nothing_half(bench: Bench, trouble: BaseException) -> None:
    bench.trouble = trouble
    with pytest.raises((KeyboardInterrupt, InfraError)):
        bench.build()
    assert bench.names == {"lock", "downloads"}
    bench.trouble = None
    assert bench.build() == cache.finished()


def test_what_a_killed_build_left_is_removed(bench: Bench) -> None:
    bench.root.mkdir()
    remains = bench.root / "building-x" / "result"
    remains.mkdir(parents=True)
    (remains / "vmlinux").write_text("half")
    bench.build()
    assert "building-x" not in bench.names


def test_a_failed_build_leaves_the_one_before_in_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.build()
    monkeypatch.setattr(FakeArchive, "version", "2")
    bench.trouble = InfraError("compiler")
    with pytest.raises(InfraError, match="compiler"):
        bench.build()
    assert cache.finished() == before


def test_a_full_disk_is_said_before_anything_is_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=builder.SPACE_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InfraError, match=r"too little space; a build needs \d+ MB.*CAPI_GUEST_CACHE"):
        bench.build()
    assert bench.names == {"lock"}


def test_a_disk_that_fills_up_is_said(bench: Bench) -> None:
    bench.trouble = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InfraError, match="too little space"):
        bench.build()


def test_a_second_build_waits_for_the_first(bench: Bench) -> None:
    bench.root.mkdir()
    done = threading.Event()
    waiting = threading.Event()

    def say(step: str) -> None:
        bench.said.append(step)
        waiting.set()

    def second() -> None:
        builder.build(say)
        done.set()

    with (bench.root / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert bench.said == [f"another build is under way in {bench.root}: waits for it"]
        assert not done.is_set()
        assert bench.made == 0
    thread.join(10)
    assert done.is_set()
    assert bench.made == 1


def test_an_index_that_is_old_is_said_and_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeArchive, "trouble", "404")
    bench.build()
    assert bench.said[0].endswith("(404): goes on with what there is")


def test_no_index_at_all_is_an_error_that_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: FakeArchive) -> Chosen:
        raise InfraError("unknown package")

    monkeypatch.setattr(FakeArchive, "trouble", "could not connect")
    monkeypatch.setattr(FakeArchive, "current", nothing)
    with pytest.raises(InfraError, match="could not connect; see to the network"):
        bench.build()
    with pytest.raises(InfraError, match="build without --offline"):
        builder.build(bench.said.append, is_offline=True)


@pytest.mark.parametrize(
    ("trouble", "code", "words"),
    [
        (None, ExitCode.PASS, ""),
        (InfraError("no driver"), ExitCode.INFRA, "error: no driver"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
    ],
)
def test_the_exit_code_says_how_it_went(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    trouble: BaseException | None,
    code: ExitCode,
    words: str,
) -> None:
    bench.trouble = trouble
    assert door.main([]) == code
    assert words in capsys.readouterr().err


def test_the_command_knows_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert door.main(["--help"]) == ExitCode.PASS
    assert door.main(["--unknown"]) == ExitCode.USAGE
    monkeypatch.setattr(tools, "missing", lambda: ("make", "qemu-system-ppc"))
    capsys.readouterr()
    assert door.main(["--missing"]) == ExitCode.PASS
    assert capsys.readouterr().out == "make qemu-system-ppc\n"


def test_the_guest_that_is_built_here_has_its_parts() -> None:
    """The real one, where it is built."""
    try:
        built = cache.finished()
    except InfraError as error:
        pytest.skip(str(error))
    modules = {f"{name}.ko" for name in (*module.NAMES, "cxl-powervm", "cxl-powernv")}
    assert set(built.identity.files) == {"vmlinux", "initramfs.cpio", *modules}
    assert ".text" in built.identity.code
    assert built.vmlinux.read_bytes()[:6] == b"\x7fELF\x02\x01"
    for name, renamed in (("cxl-powervm.ko", b"phypsim_plpar_hcall9"), ("cxl-powernv.ko", b"capicard_")):
        driver = (built.directory / name).read_bytes()
        assert b"\0" + renamed in driver
        assert f"vermagic={built.identity.kernel} ".encode() in driver
    assert built.initramfs.stat().st_size < 32 << 20
    assert initramfs.pack({})[:6] == built.initramfs.read_bytes()[:6]
