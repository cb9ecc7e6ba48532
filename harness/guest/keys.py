"""The keys of one guest: made for it, known to nobody else, and gone with it.

The guest's own key is made here and handed in, so that the first connection is verified like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.guest import initramfs

_KIND = b"ssh-ed25519"
_OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
_RAW = serialization.Encoding.Raw


@dataclass(frozen=True, slots=True)
class Keys:
    """A pair for the guest and a pair for us; texts as SSH clients want them."""

    client_private: str
    client_public: str
    host_public: str
    host_private: bytes

    @classmethod
    def generate(cls) -> Self:
        """New keys."""
        client, host = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        return cls(
            client.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            ).decode(),
            client.public_key().public_bytes(*_OPENSSH).decode(),
            host.public_key().public_bytes(*_OPENSSH).decode(),
            _dropbear(host),
        )

    def archive(self) -> bytes:
        """An archive for the kernel to unpack over the initramfs: the guest's key, and who may log in."""
        return initramfs.pack(
            {
                "etc/dropbear/dropbear_ed25519_host_key": initramfs.secret(self.host_private),
                "root/.ssh/authorized_keys": initramfs.secret(f"{self.client_public}\n".encode()),
            }
        )


def _dropbear(key: Ed25519PrivateKey) -> bytes:
    """A private key in the format of dropbear's files: its kind, then both halves, each after its length."""
    halves = key.private_bytes(_RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    halves += key.public_key().public_bytes(_RAW, serialization.PublicFormat.Raw)
    return b"".join(len(part).to_bytes(4, "big") + part for part in (_KIND, halves))
