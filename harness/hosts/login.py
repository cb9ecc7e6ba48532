"""How to reach a host by SSH and prove both sides' identity, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Login:
    """An address, a user, and the keys of both sides.

    `key` is the path of a private key, or the key's own text, or None for the user's SSH agent and usual key
    files. `known_host` is the path of a known_hosts file, or the text of one of its lines, which may also
    begin with the key's type.
    """

    address: str
    username: str
    key: Path | str | None
    known_host: Path | str
    port: int = 22

    @property
    def known_name(self) -> str:
        """The host's name in the notation of known_hosts."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.username}@{self.address}:{self.port}"
