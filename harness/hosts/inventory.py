"""The inventory: which lab hosts there are, how they are reached, and what may be disturbed on them.

A TOML file with a table for each host. It has no passwords: keys only. All mistakes are told together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.hosts.login import Login
from harness.plan.mistakes import as_problems, nearest, parse_toml
from harness.vocab.errors import Problem, UsageError

VARIABLE = "CAPI_INVENTORY"
DEFAULT_NAME = "inventory.toml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_AFU = re.compile(r"afu\d{1,3}\.\d{1,3}")
_BDF = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SECRETS = ("password", "passphrase", "passwd")
_LIMIT_BYTES = 1 << 20

Text = Annotated[str, Field(min_length=1)]
CardName = Annotated[str, Field(pattern=r"^card\d{1,3}$")]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AfuFacts(_Table):
    """What sysfs does not tell of an AFU; the names are those of the agent protocol."""

    contexts_max: Annotated[int, Field(ge=1)] = 1
    unit: Annotated[int, Field(ge=0)] = 0
    test_registers: bool = False
    master_registers: bool = True


class DeviceFacts(_Table):
    """How a PCI device without CAPI is kept busy. That it has a table allows to disturb it.

    A disk: its first `range_bytes` are read; with `overwrite` they are filled with a pattern before, and what
    was there is lost. A network device: echo requests go from `address` to `peer`, which must answer.
    """

    range_bytes: Annotated[int, Field(ge=4096, le=64 << 20)] = 1 << 20
    overwrite: bool = False
    address: str = ""
    peer: str = ""


class Console(_Table):
    """The command that shows the host's console, as a list of words."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]


class LabHost(_Table):
    """One host. Files may be given relative to the inventory's folder, or with ``~``.

    Nothing is injected into a card that `allow_destructive` does not name, nor into another PCI device that
    has no table in `devices`. `platform` and `poll_period_ms`
    are hints for hosts whose agent cannot tell.
    """

    address: Text
    username: Text
    known_hosts: Text
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    key_file: Text | None = None
    use_ssh_agent: bool = False
    platform: Literal["powernv", "powervm"] | None = None
    poll_period_ms: Annotated[int, Field(ge=0)] | None = None
    allow_destructive: tuple[CardName, ...] = ()
    console: Console | None = None
    afus: Mapping[str, AfuFacts] = {}
    devices: Mapping[str, DeviceFacts] = {}

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """The ``facts`` of the agent's hello line."""
        facts = {name: afu.model_dump() for name, afu in self.afus.items()}
        if self.poll_period_ms is not None:
            facts["host"] = {"poll_period_ms": self.poll_period_ms}
        if self.devices:
            facts["devices"] = {bdf: device.model_dump() for bdf, device in self.devices.items()}
        return facts


class Inventory:
    """The hosts of one inventory file, by name."""

    def __init__(self, path: Path, hosts: Mapping[str, LabHost]) -> None:
        self.path = path
        self.hosts = hosts

    def host(self, name: str) -> LabHost:
        """The host called `name`. Raises UsageError."""
        if name not in self.hosts:
            problem = Problem(
                f"no host is called {name!r}",
                str(self.path),
                ", ".join(sorted(self.hosts)) or "none",
                nearest(name, self.hosts) or f"add a table [hosts.{name}]",
            )
            raise UsageError(problem)
        return self.hosts[name]

    def login(self, name: str) -> Login:
        """How to reach the host called `name`. Raises UsageError, also when a file is missing."""
        host = self.host(name)
        known_hosts = self._file(host.known_hosts)
        key = self._file(host.key_file) if host.key_file else None
        where = f"{self.path}: hosts.{name}"
        problems = []
        if key is not None and not key.is_file():
            problems.append(Problem(f"there is no private key {key}", f"{where}.key_file"))
        if not known_hosts.is_file():
            advice = f"make it with ssh-keyscan -p {host.port} {host.address}, and compare the fingerprint"
            problems.append(
                Problem(f"there is no file {known_hosts}", f"{where}.known_hosts", next_step=advice)
            )
        if problems:
            raise UsageError(problems)
        return Login(host.address, host.username, key, known_hosts, host.port)

    def _file(self, name: str) -> Path:
        return self.path.parent / Path(name).expanduser()


def find(option: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """The inventory's path: `option`, else the variable CAPI_INVENTORY, else inventory.toml here.

    Raises UsageError when there is none.
    """
    for path, where in ((option, "inventory"), (environ.get(VARIABLE, ""), VARIABLE)):
        if path:
            if Path(path).is_file():
                return Path(path)
            raise UsageError(Problem(f"there is no inventory {path}", where, "the path of a TOML file"))
    if Path(DEFAULT_NAME).is_file():
        return Path(DEFAULT_NAME)
    advice = "write one after the pattern of fixtures/inventories/example.toml"
    ways = f"{VARIABLE}=FILE, or ./{DEFAULT_NAME}"
    raise UsageError(Problem("there is no inventory of lab hosts", allowed=ways, next_step=advice))


def load(path: Path) -> Inventory:
    """Read an inventory. Raises UsageError with every mistake in it."""
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(Problem(f"the inventory cannot be read: {error}", str(path))) from error
    if len(data) > _LIMIT_BYTES:
        raise UsageError(Problem("the inventory is too long", str(path), f"{_LIMIT_BYTES} bytes"))
    return parse(text, path)


def parse(text: str, path: Path) -> Inventory:
    """An inventory from its text; `path` is for messages and relative files. Raises UsageError."""
    document = parse_toml(text, str(path))
    problems = list(_secrets(document, str(path)))
    for key in document.keys() - {"hosts"}:
        problems.append(Problem(f"the key {key!r} is unknown", str(path), "hosts", nearest(key, ["hosts"])))
    tables = document.get("hosts", {})
    hosts = {}
    if not isinstance(tables, dict) or not tables:
        problems.append(Problem("no host is described", str(path), "tables like [hosts.p8]"))
        tables = {}
    for name, table in tables.items():
        try:
            hosts[name] = _host(name, table, f"{path}: hosts.{name}")
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(problems)
    return Inventory(path, hosts)


def _host(name: str, table: Any, where: str) -> LabHost:
    problems: list[Problem] = []
    if not _NAME.fullmatch(name):
        problems.append(Problem("this cannot be a host's name", where, "letters, digits, dots, dashes"))
    if not isinstance(table, dict):
        raise UsageError([*problems, Problem("a host is described by a table", where)])
    table = {key: value for key, value in table.items() if key not in _SECRETS}  # told by _secrets
    afus = dict(_tables(_AFUS, table.pop("afus", {}), where, problems))
    devices = dict(_tables(_DEVICES, table.pop("devices", {}), where, problems))
    if ("key_file" in table) == bool(table.get("use_ssh_agent", False)):
        allowed = "either key_file, or use_ssh_agent = true"
        problems.append(Problem("it is not clear which key to log in with", where, allowed))
    try:
        host = LabHost.model_validate({**table, "afus": afus, "devices": devices})
    except ValidationError as error:
        problems += as_problems(error, where, LabHost)
    if problems:
        raise UsageError(problems)
    return host


class _Kind(NamedTuple):
    """A kind of tables within a host's: what their names are like, and what they hold."""

    word: str
    key: str
    name: re.Pattern[str]
    example: str
    model: type[AfuFacts | DeviceFacts]


_AFUS = _Kind("AFU", "afus", _AFU, "afu0.0", AfuFacts)
_DEVICES = _Kind("PCI device", "devices", _BDF, "0002:01:00.0", DeviceFacts)


def _tables(
    kind: _Kind, tables: Any, where: str, problems: list[Problem]
) -> Iterator[tuple[str, AfuFacts | DeviceFacts]]:
    if not isinstance(tables, dict):
        like = f'like [hosts.p8.{kind.key}."{kind.example}"]'
        problems.append(Problem(f"{kind.word}s are described by tables", where, like))
        return
    for name, table in tables.items():
        place = f"{where}.{kind.key}.{name}"
        if not kind.name.fullmatch(name):
            problems.append(
                Problem(f"this is no {kind.word}", place, f'names like "{kind.example}", in quotes')
            )
        try:
            yield name, kind.model.model_validate(table)
        except ValidationError as error:
            problems += as_problems(error, place, kind.model)


def _secrets(table: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Passwords, wherever they stand; their values are not repeated."""
    for key, value in table.items():
        if key.lower() in _SECRETS:
            advice = "remove it, and log in with a key: key_file, or use_ssh_agent = true"
            yield Problem(f"an inventory holds no secrets, and {key} is one", where, next_step=advice)
        elif isinstance(value, Mapping):
            yield from _secrets(value, f"{where}: {key}" if ": " not in where else f"{where}.{key}")
