"""Debian's packages, with programs that stand for apt's: nothing here needs a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.guest import tools
from harness.guest.packages import USERLAND, Archive, Package, is_whole
from harness.vocab.errors import InfraError

KERNEL = "6.1.0-50-powerpc64le"
CONTENT = b"content of a package"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

CACHE = f"""#!/bin/sh
case "$*" in
*linux-image-powerpc64le) echo "Depends: linux-image-{KERNEL} (= 6.1.176-1)" ;;
*linux-headers-*) echo "Depends: linux-headers-6.1.0-50-common (= 6), linux-kbuild-6.1 (>= 6), gcc-12" ;;
esac
"""

GET = f"""#!/bin/sh
shift 2
echo "$@" >>"$HERE/asked"
case "$*" in
update*) echo "E: Failed to fetch http://x/y  404"; echo "E: Some more"; exit 100 ;;
"download --print-uris"*)
    shift 2
    for name in "$@"; do
        echo "'http://x/$name.deb' ${{name%:*}}_1%3a2_ppc64el.deb {len(CONTENT)} SHA256:{SHA256}"
    done ;;
*)
    echo "Get:1 http://x bookworm/main ppc64el busybox-static ppc64el 1:2 [965 kB]"
    printf "%s" "$COMES" >"busybox-static_1%3a2_ppc64el.deb" ;;
esac
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"apt-cache": CACHE, "apt-get": GET, "dpkg": "#!/bin/sh\necho amd64\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("COMES", CONTENT.decode())
    monkeypatch.delenv("CAPI_GUEST_MIRROR", raising=False)
    opened = Archive(tmp_path / "apt")
    opened.open()
    return opened


def busybox(sha256: str = SHA256) -> Package:
    return Package("busybox-static", "1:2", "busybox-static_1%3a2_ppc64el.deb", len(CONTENT), sha256)


def test_the_current_kernel_is_looked_up_and_what_it_is_built_with(archive: Archive) -> None:
    chosen = archive.current()
    assert chosen.kernel == KERNEL
    names = [package.name for package in chosen.packages]
    assert names == [
        f"linux-image-{KERNEL}",
        f"linux-headers-{KERNEL}",
        "linux-headers-6.1.0-50-common",
        "linux-kbuild-6.1",
        *USERLAND,
    ]
    assert busybox() in chosen.packages


def test_a_program_of_the_build_is_one_for_this_machine(archive: Archive, tmp_path: Path) -> None:
    archive.current()
    assert "linux-kbuild-6.1:amd64" in (tmp_path / "asked").read_text()


def test_an_index_that_cannot_be_fetched_is_said_by_its_first_trouble(archive: Archive) -> None:
    assert archive.refresh() == "Failed to fetch http://x/y  404"


def test_the_configuration_has_state_of_its_own(archive: Archive, tmp_path: Path) -> None:
    text = (tmp_path / "apt" / "apt.conf").read_text()
    assert f'Dir::State::lists "{tmp_path}/apt/lists";' in text
    assert 'APT::Architectures { "ppc64el"; "amd64"; };' in text
    assert "Signed-By: /usr/share/keyrings/debian" in (tmp_path / "apt" / "debian.sources").read_text()


def test_only_what_is_lacking_is_fetched(archive: Archive, tmp_path: Path) -> None:
    said: list[str] = []
    downloads = tmp_path / "downloads"
    archive.download([busybox()], downloads, said.append)
    assert is_whole(downloads, busybox())
    assert said == ["downloads 1 of 1 packages, 0.0 MB", "  busybox-static 1:2 [965 kB]"]
    archive.download([busybox()], downloads, said.append)
    assert len(said) == 2


@pytest.mark.parametrize("there", [CONTENT[:5], b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_file_that_is_not_the_right_one_is_fetched_again(
    archive: Archive, tmp_path: Path, there: bytes
) -> None:
    (tmp_path / busybox().file).write_bytes(there)
    archive.download([busybox()], tmp_path, print)
    assert (tmp_path / busybox().file).read_bytes() == CONTENT


def test_a_file_that_came_wrong_is_never_taken(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMES", "content of a pack")
    with pytest.raises(InfraError, match=r"not what Debian's signed index says: busybox.* again"):
        archive.download([busybox()], tmp_path, print)


def test_programs_that_are_missing_are_said_all_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "KEYRING", tmp_path / "keyring")
    with pytest.raises(InfraError) as raised:
        tools.require()
    line = str(raised.value).splitlines()[-1].strip()
    assert line == (
        "apt install --no-install-recommends apt binutils-powerpc64le-linux-gnu debian-archive-keyring dpkg "
        "gcc-powerpc64le-linux-gnu make qemu-system-ppc"
    )


def test_the_last_words_of_a_program_that_failed_are_said() -> None:
    command = ["sh", "-c", "for n in $(seq 40); do echo line $n; done; exit 3"]
    with pytest.raises(InfraError, match=r"(?s)trying failed: sh ended with 3.*line 40") as raised:
        tools.run(command, "trying")
    assert "line 10" not in str(raised.value)
