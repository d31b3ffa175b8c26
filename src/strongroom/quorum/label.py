"""The label: what a session's key is for, bound into every seal, commitment and derivation.

A share made under one label opens under no other, so an approval for one session can never be
turned into the key of another (quorum.md 6, relabelling).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, cast

from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import statement_hash
from strongroom.ids import ClientId, InstallId, SessionId, SourceId, VaultId
from strongroom.quorum.fields import Fields
from strongroom.quorum.shares import COUNT_MAX, check_threshold

VaultClass = Literal["normal", "high"]

PROTOCOL = "strongroom/share-v1/"
FORMAT = "share-v1"
SUITE = "strongroom-share-v1"


def role(name: str, *parts: bytes) -> bytes:
    """Return the framed info of a seal or derivation of this protocol."""
    return frame((PROTOCOL + name).encode(), *parts)


def share_hash(name: str, *parts: bytes) -> bytes:
    """Return the H of the format: SHA-256 over the framed role and parts."""
    return statement_hash(PROTOCOL + name, *parts)


def dealings_of(vault_class: VaultClass) -> int:
    """Return how many independent keys a session of this class has."""
    return 2 if vault_class == "high" else 1


def take_class(fields: Fields) -> VaultClass:
    """Return the field `class`."""
    return cast("VaultClass", fields.choice("class", "normal", "high"))


@dataclass(frozen=True, slots=True)
class Label:
    """One session of one source; `threshold` of `members` custodians open its keys."""

    install: InstallId
    client: ClientId
    vault: VaultId
    session: SessionId
    source: SourceId
    vault_class: VaultClass
    roster_id: str
    threshold: int
    members: int
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the label as the object that headers hold."""
        return {
            "class": self.vault_class,
            "client": self.client,
            "created_at": format_instant(self.created_at),
            "install": self.install,
            "members": self.members,
            "roster": self.roster_id,
            "session": self.session,
            "source": self.source,
            "suite": SUITE,
            "threshold": self.threshold,
            "vault": self.vault,
        }

    @property
    def hash(self) -> bytes:
        """Return L, 32 bytes."""
        return _hash(self)

    @classmethod
    def parse(cls, raw: object, what: str) -> "Label":
        """Read the object that `to_json` made; raise Damaged for anything else."""
        fields = Fields(raw, what)
        fields.exact("suite", SUITE)
        label = cls(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            session=SessionId(fields.id("session")),
            source=SourceId(fields.id("source")),
            vault_class=take_class(fields),
            roster_id=fields.hash("roster"),
            threshold=fields.number("threshold", 1, COUNT_MAX),
            members=fields.number("members", 1, COUNT_MAX),
            created_at=fields.instant("created_at"),
        )
        fields.done()
        check_threshold(label.threshold, label.members, what)
        return label


@lru_cache(maxsize=64)
def _hash(label: Label) -> bytes:
    """Return L; every seal, commitment and derivation of a session asks for it."""
    return share_hash("label", canonical.dumps(label.to_json()))
