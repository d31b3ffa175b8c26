"""Where a vault is, and how far something has come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

VaultClass = Literal["normal", "high"]


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """The ids that every key and every seal of a vault is bound to."""

    install: str
    client: str
    vault: str
    vault_class: VaultClass

    @property
    def root(self) -> str:
        """Return the key prefix of everything in the vault, without a slash at its end."""
        return f"{self.install}/vaults/{self.vault}"

    @property
    def vault_bytes(self) -> bytes:
        """Return the raw 16 bytes of the vault's id, as seals use it."""
        return bytes.fromhex(self.vault)

    def index_key(self, digest: bytes) -> str:
        """Return where the index object of this hash lies."""
        return f"{self.root}/index/{digest.hex()}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backup, restore or check has come; the expected size may be unknown."""

    done_bytes: int
    expected_bytes: int | None


Report = Callable[[Progress], None]
"""Told now and then how far it is; called on the thread that does the work."""
