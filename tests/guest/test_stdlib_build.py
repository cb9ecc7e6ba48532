"""Which modules of Python go into the guest."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from harness.guest import cache, stdlib

LIBRARY = {
    "site.py": "import os",
    "os.py": "def f():\n    import subprocess\n",
    "subprocess.py": "",
    "json/__init__.py": "from .decoder import loads\nfrom . import scanner\n",
    "json/decoder.py": "try:\n    import _json\nexcept ImportError:\n    pass\nfrom json import scanner\n",
    "json/scanner.py": "import re as regular",
    "json/tool.py": "import argparse",
    "re.py": "class A:\n    import enum\n",
    "enum.py": "import sys",
    "lib-dynload/_json.cpython-311-powerpc64le-linux-gnu.so": "",
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, text in LIBRARY.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(folder: Path, *asked: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in stdlib.closure(folder, asked)}


def test_what_is_imported_while_loading_comes_along(library: Path) -> None:
    assert names(library, "json") == set(LIBRARY) - {"subprocess.py", "json/tool.py"}


def test_a_module_brings_its_package(library: Path) -> None:
    assert {"json/tool.py", "json/__init__.py"} <= names(library, "json.tool")


def test_what_the_interpreter_itself_needs_is_always_there(library: Path) -> None:
    assert names(library) == {"site.py", "os.py"}


def test_imports_of_a_program_are_named_with_what_it_takes_from_them() -> None:
    source = "import os.path\nfrom json import loads\ndef f():\n    import late\n"
    assert stdlib.imported(source) == ("json", "json.loads", "os.path")


def test_the_agent_loads_with_the_modules_chosen_for_it(tmp_path: Path) -> None:
    """On this machine's Python, which names and splits the library's modules as the guest's does."""
    here = Path(sysconfig.get_path("stdlib"))
    chosen = stdlib.closure(here, stdlib.imported(cache.AGENT.read_text()))
    for path in chosen:
        target = tmp_path / path.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    program = (
        "import sys\n"
        f"sys.path[:] = [{str(tmp_path)!r}, {str(tmp_path / 'lib-dynload')!r}]\n"
        f"exec(compile(open({str(cache.AGENT)!r}).read(), 'agent', 'exec'), {{'__name__': 'agent'}})\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
