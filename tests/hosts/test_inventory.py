"""Holds the inventory: where it is found, what it may say, and that every mistake in it is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hosts import inventory
from harness.hosts.login import Login
from harness.vocab.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "fixtures" / "inventories" / "example.toml"
WHERE = Path("lab/inventory.toml")

MINIMAL = """
[hosts.p8]
address = "p8.lab"
username = "root"
known_hosts = "known_hosts"
key_file = "id"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        inventory.parse(text, WHERE)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_an_inventory() -> None:
    hosts = inventory.load(EXAMPLE).hosts
    assert list(hosts) == ["p8", "lpar3"]
    assert hosts["p8"].allow_destructive == ("card0",)
    facts = {"contexts_max": 512, "unit": 0, "test_registers": False, "master_registers": True}
    assert hosts["p8"].facts["afu0.0"] == facts
    disk = {"range_bytes": 1 << 20, "overwrite": False, "address": "", "peer": ""}
    assert hosts["p8"].facts["devices"]["0002:01:00.0"] == disk
    assert hosts["p8"].facts.keys() == {"afu0.0", "devices"}
    assert hosts["p8"].console is not None
    assert hosts["p8"].console.command[0] == "ipmitool"
    assert hosts["lpar3"].facts["host"] == {"poll_period_ms": 3000}
    assert hosts["lpar3"].facts["afu0.0"]["unit"] == 16


def test_the_least_that_is_needed_has_safe_defaults() -> None:
    host = inventory.parse(MINIMAL, WHERE).host("p8")
    assert (host.port, host.allow_destructive, host.facts) == (22, (), {})


def test_every_mistake_is_told_with_its_place() -> None:
    text = MINIMAL.replace(
        'address = "p8.lab"', 'address = ""\nport = "22"\nadress = "x"\nuse_ssh_agent = true'
    )
    text += """
allow_destructive = ["card0", "afu0.0"]
[hosts.p8.afus."afu0.0"]
contexts_max = 0
units = 3
[hosts.p8.afus.card0]
[hosts.p8.console]
command = "ipmitool"
[hosts."bad name"]
address = "x"
[other]
"""
    told = "\n".join(problems(text))
    for place in (
        "lab/inventory.toml: the key 'other' is unknown",
        "hosts.p8: address: '' is not allowed here",
        "hosts.p8: port: '22' is not allowed here; allowed: a whole number",
        "hosts.p8: adress: this key is unknown",
        "did you mean 'address'?",
        "hosts.p8: it is not clear which key to log in with",
        "hosts.p8: allow_destructive[1]: 'afu0.0' is not allowed here",
        "hosts.p8.afus.afu0.0: contexts_max: 0 is not allowed here; allowed: at least 1",
        "hosts.p8.afus.afu0.0: units: this key is unknown",
        "hosts.p8.afus.card0: this is no AFU",
        "hosts.p8: console.command: 'ipmitool' is not allowed here",
        "hosts.bad name: this cannot be a host's name",
        "hosts.bad name: known_hosts: this key is missing",
    ):
        assert place in told


def test_passwords_are_refused_and_not_repeated() -> None:
    text = MINIMAL + 'password = "hunter2"\n[hosts.p8.console]\ncommand = ["x"]\nPassword = "hunter3"\n'
    told = problems(text)
    assert any("an inventory holds no secrets, and password is one" in problem for problem in told)
    assert any("Password is one" in problem for problem in told)
    assert not any("hunter" in problem for problem in told if "secrets" in problem)
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hosts = 3", "no host is described"),
        ("", "no host is described"),
        ("[hosts]\np8 = 3", "a host is described by a table"),
        ("[hosts", "this is not TOML"),
        (MINIMAL + "afus = 3", "AFUs are described by tables"),
    ],
)
def test_what_is_no_inventory_is_refused(text: str, says: str) -> None:
    assert any(says in problem for problem in problems(text))


def test_an_unreadable_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# caf\xe9")
    (tmp_path / "big").write_bytes(b"#" * (2 << 20))
    for path, says in (
        (tmp_path, "cannot be read"),
        (tmp_path / "latin", "cannot be read"),
        (tmp_path / "big", "too long"),
    ):
        with pytest.raises(UsageError, match=says):
            inventory.load(path)


def test_it_is_looked_for_in_three_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no inventory of lab hosts") as told:
        inventory.find(environ={})
    assert "--inventory" not in str(told.value)  # no command has such an option
    for name in ("inventory.toml", "variable.toml", "option.toml"):
        Path(name).touch()
    variable = {"CAPI_INVENTORY": "variable.toml"}
    assert inventory.find(environ={}) == Path("inventory.toml")
    assert inventory.find(environ=variable) == Path("variable.toml")
    assert inventory.find("option.toml", variable) == Path("option.toml")
    with pytest.raises(UsageError, match="there is no inventory missing"):
        inventory.find("missing.toml", variable)
    with pytest.raises(UsageError, match="CAPI_INVENTORY"):
        inventory.find(environ={"CAPI_INVENTORY": "missing.toml"})


def test_a_login_needs_its_files(tmp_path: Path) -> None:
    path = tmp_path / "inventory.toml"
    path.write_text(MINIMAL)
    hosts = inventory.load(path)
    with pytest.raises(UsageError) as caught:
        hosts.login("p8")
    told = str(caught.value)
    assert "hosts.p8.key_file: there is no private key" in told
    assert "ssh-keyscan -p 22 p8.lab" in told
    (tmp_path / "id").touch()
    (tmp_path / "known_hosts").touch()
    assert hosts.login("p8") == Login("p8.lab", "root", tmp_path / "id", tmp_path / "known_hosts", 22)


def test_an_unknown_host_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no host is called 'p88'.*allowed: p8.*did you mean 'p8'"):
        inventory.parse(MINIMAL, WHERE).host("p88")


def test_a_known_name_has_the_notation_of_known_hosts() -> None:
    assert Login("p8", "root", None, "").known_name == "p8"
    assert Login("p8", "root", None, "", 2222).known_name == "[p8]:2222"
