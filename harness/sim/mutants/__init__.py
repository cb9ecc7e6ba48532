"""Named defects of the simulated host, one a file: an override of one transition, and what catches it.

A file here defines a class that overrides methods of its component, and ``MUTANT``, which names it. The file
is called like the mutant, in small letters.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

from harness.vocab.oracle import Mutant

_SMALL = re.compile(r"(?<!^)(?=[A-Z])")


def named(name: str) -> Mutant:
    """The mutant called `name`; no other file is read. Raises KeyError when there is none."""
    module = f"{__name__}.{_SMALL.sub('_', name).lower()}"
    if not name.isidentifier() or find_spec(module) is None:
        raise KeyError(name)
    found = import_module(module).MUTANT
    if not isinstance(found, Mutant) or found.name != name:
        raise KeyError(name)
    return found
