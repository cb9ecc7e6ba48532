"""Named defects of the simulated host, one a file: an override of one transition, and what catches it.

A file here defines a class that overrides methods of its component, and ``MUTANT``, which names it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from harness.vocab.oracle import Mutant


def mutants() -> dict[str, Mutant]:
    """All mutants by name."""
    modules = sorted(info.name for info in iter_modules(__path__))
    found = [import_module(f"{__name__}.{module}").MUTANT for module in modules]
    return {mutant.name: mutant for mutant in found}
