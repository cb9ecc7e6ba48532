"""ResetAfu: an administrator resets one AFU; refused as long as it has contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.events._requests import cxl_path, write_file
from harness.events._targets import OnAfu
from harness.vocab.event import Role
from harness.vocab.request import Request
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class ResetAfu(OnAfu):
    """Write to the reset file of `afu`."""

    role: ClassVar[Role] = Role.CONTROL
    weight: ClassVar[int] = 6

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One write; the driver does not look at the text."""
        return write_file(cxl_path(self.afu, "reset"), "1")
