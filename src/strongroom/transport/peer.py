"""Who is at the other end: read from its certificate, and from nothing else.

A peer is a role and an id, as the URI of its leaf says. Which role may do what is decided by
whoever is asked; here only the names are closed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from strongroom.crypto.certificates import Leaf, Use, WrongCertificate, read_leaf
from strongroom.ids import InstallId, parse_id

DOMAIN: Final = "strongroom.invalid"
_URI = re.compile(
    r"spiffe://([0-9a-f]{32})\.strongroom\.invalid/"
    r"(server|worker|custodian|probe)/([0-9a-f]{32})"
)
_SHOWN: Final = 8


class Role(StrEnum):
    """What a peer does; a leaf is for one of them."""

    SERVER = "server"
    WORKER = "worker"
    CUSTODIAN = "custodian"
    PROBE = "probe"


_USES: Final = {
    Role.SERVER: Use.ASK,
    Role.WORKER: Use.ASK,
    Role.CUSTODIAN: Use.SERVE,
    Role.PROBE: Use.ASK,
}
"""Whether a role listens or connects: a badge stolen from who connects makes no listener."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One process of an install, as its certificate names it."""

    role: Role
    id: str

    def __post_init__(self) -> None:
        """Raise UsageError for what no certificate of ours could say."""
        parse_id(self.id, f"a {self.role}'s id")

    def __str__(self) -> str:
        """Return the role and the beginning of the id."""
        return f"{self.role} {self.id[:_SHOWN]}"

    @classmethod
    def server(cls, of: str) -> "Peer":
        """Return the server of this id."""
        return cls(Role.SERVER, of)

    @classmethod
    def custodian(cls, of: str) -> "Peer":
        """Return the custodian of this id."""
        return cls(Role.CUSTODIAN, of)

    @property
    def use(self) -> Use:
        """What its leaf is for."""
        return _USES[self.role]

    def uri(self, install: InstallId) -> str:
        """Return the one way to name it in a certificate."""
        return f"spiffe://{install}.{DOMAIN}/{self.role}/{self.id}"

    @classmethod
    def of(cls, leaf: Leaf, install: InstallId) -> "Peer":
        """Return the peer of this install that a leaf names; raises WrongCertificate."""
        found = _URI.fullmatch(leaf.uri)
        if found is None:
            raise WrongCertificate("a certificate is refused", "its URI names no peer of ours")
        if found[1] != install:
            raise WrongCertificate("a certificate is refused", "it is of another install")
        peer = cls(Role(found[2]), found[3])
        if leaf.use is not peer.use:
            raise WrongCertificate(
                "a certificate is refused", f"a {peer.role} has none that may {leaf.use}"
            )
        return peer


@lru_cache(256)
def peer_of(certificate: bytes, install: InstallId) -> tuple[Peer, Leaf]:
    """Return who a certificate names, and what else it says; its chain is checked elsewhere."""
    leaf = read_leaf(certificate)
    return Peer.of(leaf, install), leaf
