"""From a URL to a Host: one table of schemes, and every mistake in a URL said before anything is opened.

sim://powernv    sim://powervm    sim://powervm?mutant=NAME      simulated, over SSH on this machine
sim://powervm?driver=linux-6.1                                   with Linux' driver instead of the reference's
qemu://powervm    qemu://powervm?door=ssh&clock=real             a real Linux in QEMU, above a simulated PHYP
qemu://powernv    qemu://powernv?door=ssh&mend=cdev              a real Linux in QEMU, on bare metal
ssh://NAME                                                       a lab host of the inventory
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from harness.hosts.host import Host
from harness.hosts.simulated import SimulatedSshHost
from harness.vocab.errors import Problem, UsageError
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform

_SIM_KEYS = ("mutant", "driver")
SIM_DRIVERS: Mapping[str, frozenset[Platform]] = {"linux-6.1": frozenset({Platform.POWERVM})}
"""Drivers that the simulator imitates beside its own, and where."""

_DOORS = ("serial", "ssh")
QEMU_KEYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "powervm": {"door": _DOORS, "clock": ("virtual", "real")},
    "powernv": {"door": _DOORS, "mend": ("nothing", "cdev")},
}
"""How the agent of a guest is reached, whose time its clock shows, and which defect the driver is spared, to
see what comes after it; what comes first is meant without."""

Mutants = Callable[[], Mapping[str, Mutant]]
"""Where the mutants that exist are asked for, when a URL names one."""


class Scheme(NamedTuple):
    """One kind of host: how its URLs look, what is wrong with one, and how it is opened."""

    form: str
    problems: Callable[[Parts, Mutants], Iterator[Problem]]
    open: Callable[[Parts], Host]


class Parts(NamedTuple):
    """A URL taken apart."""

    url: str
    scheme: str
    name: str
    query: tuple[tuple[str, str], ...]

    @property
    def mutant(self) -> str:
        """The mutant that the query names, or an empty string."""
        return dict(self.query).get("mutant", "")

    @property
    def driver(self) -> str:
        """The driver that the query names, or an empty string: the reference driver."""
        return dict(self.query).get("driver", "")


def check(urls: Iterable[str], mutants: Mutants) -> None:
    """Raise UsageError with every problem of every URL; open nothing."""
    problems = [problem for url in urls for problem in _problems(url, mutants)]
    if problems:
        raise UsageError(problems)


def opener(url: str) -> Callable[[], Host]:
    """What opens the host at `url`, which `check` has passed; it raises InfraError."""
    parts = _parts(url)
    scheme = SCHEMES[parts.scheme]
    return lambda: scheme.open(parts)


def _parts(url: str) -> Parts:
    split = urlsplit(url)
    name = split.netloc + split.path.rstrip("/")
    return Parts(url, split.scheme, name, tuple(parse_qsl(split.query, keep_blank_values=True)))


def _problems(url: str, mutants: Mutants) -> Iterator[Problem]:
    forms = ", ".join(scheme.form for scheme in SCHEMES.values())
    try:
        parts = _parts(url)
    except ValueError as error:
        yield Problem(f"{error}", url, forms)
        return
    if "://" not in url or parts.scheme not in SCHEMES:
        yield Problem("unknown kind of host", url, forms)
        return
    yield from SCHEMES[parts.scheme].problems(parts, mutants)


def _sim_problems(parts: Parts, mutants: Mutants) -> Iterator[Problem]:
    platforms = {platform.value: platform for platform in Platform}
    if parts.name not in platforms:
        yield _unknown("platform", parts.name, platforms, parts.url)
    for key, _ in parts.query:
        if key not in _SIM_KEYS:
            yield Problem(f"unknown query key {key!r}", parts.url, ", ".join(_SIM_KEYS))
    names = [value for key, value in parts.query if key == "mutant"]
    if len(names) > 1:
        yield Problem("more than one mutant", parts.url, "one at a time")
    for name in names:
        known = mutants()
        if name not in known:
            yield _unknown("mutant", name, known, parts.url)
        elif parts.name in platforms and platforms[parts.name] not in known[name].platforms:
            allowed = ", ".join(sorted(f"sim://{platform.value}" for platform in known[name].platforms))
            yield Problem(f"{name} does not exist on {parts.name}", parts.url, allowed)
    yield from _driver_problems(parts, platforms)


def _driver_problems(parts: Parts, platforms: Mapping[str, Platform]) -> Iterator[Problem]:
    names = [value for key, value in parts.query if key == "driver"]
    if len(names) > 1:
        yield Problem("more than one driver", parts.url, "one at a time")
    for name in names:
        if name not in SIM_DRIVERS:
            yield _unknown("driver", name, SIM_DRIVERS, parts.url)
        elif parts.name in platforms and platforms[parts.name] not in SIM_DRIVERS[name]:
            allowed = ", ".join(f"sim://{platform.value}?driver={name}" for platform in SIM_DRIVERS[name])
            yield Problem(f"driver {name} is not imitated on {parts.name} yet", parts.url, allowed)
    if names and parts.mutant:
        words = "leave one of the two out"
        yield Problem(
            "a mutant is a defect of the reference driver's host", parts.url, "mutant or driver", words
        )


def _unknown(what: str, name: str, known: Iterable[str], where: str) -> Problem:
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else ""
    return Problem(f"unknown {what} {name!r}", where, ", ".join(known) or "none", hint)


def _open_sim(parts: Parts) -> Host:
    return SimulatedSshHost.open(parts.url, parts.name, parts.mutant, driver=parts.driver)


def _qemu_problems(parts: Parts, _mutants: Mutants) -> Iterator[Problem]:
    if parts.name not in QEMU_KEYS:
        yield _unknown("guest", parts.name, QEMU_KEYS, parts.url)
        return
    keys = QEMU_KEYS[parts.name]
    for key, value in parts.query:
        if key not in keys:
            yield Problem(f"unknown query key {key!r} of {parts.name}", parts.url, ", ".join(keys))
        elif value not in keys[key]:
            yield _unknown(key, value, keys[key], parts.url)
    for key in keys:
        if sum(key == named for named, _ in parts.query) > 1:
            yield Problem(f"more than one {key}", parts.url, "one at a time")


def _open_qemu(parts: Parts) -> Host:
    if parts.name == Platform.POWERNV.value:
        from harness.hosts.baremetal import BareMetalHost  # noqa: PLC0415 - who simulates needs no guest

        return BareMetalHost.open(parts.url, **dict(parts.query))
    from harness.hosts.qemu import QemuHost  # noqa: PLC0415 - as above

    return QemuHost.open(parts.url, **dict(parts.query))


def _lab_problems(parts: Parts, _mutants: Mutants) -> Iterator[Problem]:
    for key, _ in parts.query:
        yield Problem(f"unknown query key {key!r}", parts.url, "none")
    from harness.hosts.lab import check_name  # noqa: PLC0415 - as in _open_lab

    yield from check_name(parts.name)


def _open_lab(parts: Parts) -> Host:
    from harness.hosts.lab import open_lab  # noqa: PLC0415 - who simulates needs no inventory

    return open_lab(parts.url)


SCHEMES: Mapping[str, Scheme] = {
    "sim": Scheme(
        "sim://powernv or sim://powervm, then perhaps ?mutant=NAME or ?driver=NAME", _sim_problems, _open_sim
    ),
    "qemu": Scheme(
        "qemu://powervm or qemu://powernv, then perhaps ?door=ssh, "
        "for powervm also ?clock=real, for powernv ?mend=cdev",
        _qemu_problems,
        _open_qemu,
    ),
    "ssh": Scheme("ssh://NAME of the inventory", _lab_problems, _open_lab),
}
