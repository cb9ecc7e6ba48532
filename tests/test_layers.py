"""Holds the layers: imports point down only, and a few modules of the world are used in their place only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = {
    "vocab": 0,
    "wire": 1,
    "events": 1,
    "oracles": 1,
    "sim": 1,
    "plan": 1,
    "report": 1,
    "agent": 1,
    "registry": 1.5,  # looks into the folders of layer 1 by name, imports only the vocabulary
    "gen": 2,
    "hosts": 2,
    "guest": 1.75,  # one host kind's machinery, above the simulator's PHYP
    "run": 3,
    "score": 3.5,  # performs the harness itself, many times
    "cli": 4,
    "pytest_plugin": 4,
    "__main__": 5,
}
"""Every part of the harness, with its layer. Parts of one layer do not know each other."""

FENCES = {
    "paramiko": ("harness/hosts/ssh.py",),
    "pexpect": ("harness/hosts/console.py",),
    "hypothesis": ("harness/gen/", "harness/score/machine.py", "harness/pytest_plugin.py"),
    "libcst": ("harness/score/operators.py",),
    "mutmut": ("harness/score/operators.py",),
    "asyncssh": ("harness/hosts/",),
    "typer": ("harness/cli.py",),
    "orjson": ("harness/wire/", "harness/sim/"),
    "time": ("harness/hosts/", "harness/guest/", "harness/agent/", "harness/run/deadline.py"),
}
"""Modules that may only be imported by files whose path begins so."""

STANDARD_LIBRARY_ONLY = {"vocab", "wire", "events", "oracles", "sim", "agent", "registry"}


def imported(source: str) -> Iterator[str]:
    """Absolute names of the modules that `source` imports, wherever in it; relative ones keep their dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the file at `path`, relative to the repository."""
    part = path.split("/")[1].removesuffix(".py")
    return [
        f"{path} imports {name}: {reason}" for name in imported(source) if (reason := wrong(path, part, name))
    ]


def wrong(path: str, part: str, name: str) -> str:
    first, _, rest = name.partition(".")
    if not first:
        return "imports are absolute"
    if first == "harness":
        return wrong_layer(part, rest.partition(".")[0])
    allowed = FENCES.get(first)
    if part in STANDARD_LIBRARY_ONLY and first not in sys.stdlib_module_names and not allowed:
        return "only the standard library is allowed here"
    if allowed and not path.startswith(allowed):
        return f"only {', '.join(allowed)} may"
    return ""


def wrong_layer(part: str, other: str) -> str:
    if part == "agent":
        return "the agent imports nothing of harness"
    if other == part:
        return ""
    if other not in LAYERS:
        return "this part has no layer"
    return "imports point down" if LAYERS[other] >= LAYERS[part] else ""


def sources() -> list[Path]:
    return [path for path in sorted((ROOT / "harness").rglob("*.py")) if path.parent != ROOT / "harness"] + [
        path for path in sorted((ROOT / "harness").glob("*.py")) if path.name != "__init__.py"
    ]


def test_imports_point_down_and_stay_inside_their_fences() -> None:
    found = [
        violation
        for path in sources()
        for violation in violations(path.relative_to(ROOT).as_posix(), path.read_text())
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_part_of_the_harness_has_a_layer() -> None:
    parts = {path.relative_to(ROOT / "harness").parts[0].removesuffix(".py") for path in sources()}
    assert parts <= set(LAYERS)
    assert {"vocab", "wire", "events", "oracles", "sim"} <= parts


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("harness/vocab/case.py", "from harness.wire import lines"),
        ("harness/wire/lines.py", "import harness.events.attach"),
        ("harness/wire/lines.py", "from harness import registry"),
        ("harness/oracles/x.py", "def f():\n    from harness.sim.card import Card"),
        ("harness/gen/cases.py", "from harness.hosts.host import Host"),
        ("harness/run/judge.py", "from harness import cli"),
        ("harness/agent/agent.py", "from harness.vocab import event"),
        ("harness/run/x.py", "from . import judge"),
        ("harness/run/x.py", "from harness.utils import helper"),
        ("harness/run/x.py", "import paramiko"),
        ("harness/hosts/lab.py", "import pexpect"),
        ("harness/run/x.py", "from hypothesis import given"),
        ("harness/run/judge.py", "import time"),
        ("harness/run/judge.py", "from time import sleep"),
        ("harness/vocab/case.py", "import pydantic"),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "harness/wire/lines.py",
            "import json\nfrom harness.vocab.case import Case\nfrom harness.wire import klog",
        ),
        (
            "harness/gen/cases.py",
            "import hypothesis\nfrom harness import registry\nfrom harness.events import open",
        ),
        ("harness/hosts/ssh.py", "import paramiko\nimport time"),
        ("harness/run/deadline.py", "import time"),
        ("harness/cli.py", "import typer\nfrom harness.run import judge\nfrom harness import registry"),
        ("harness/plan/testplan.py", "import pydantic"),
    ],
)
def test_a_right_import_is_allowed(path: str, source: str) -> None:
    assert violations(path, source) == []
