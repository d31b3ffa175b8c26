"""The authority of an install: it signs badges for a day each, and lists those that are denied.

It keeps nothing: its seed lies sealed in the home, and what it has signed is told by whoever asks
it to. A certificate is renewed for the key it was made for and for no other; who has lost a key
joins anew. Short lives do most of the work of revocation; the deny list does the rest of a day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from strongroom.crypto import certificates
from strongroom.crypto.certificates import DenyList, Leaf, WrongCertificate
from strongroom.ids import InstallId, Token
from strongroom.transport.badge import Badge
from strongroom.transport.peer import Peer

LIFE: Final = timedelta(hours=24)
EARLIER: Final = timedelta(hours=1)
"""How long before it is made a certificate is valid: clocks of two machines differ."""

AUTHORITY_LIFE: Final = timedelta(days=3650)
HOSTS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Authority:
    """The one whose certificates count in this install; `seed` is the secret of it all."""

    install: InstallId
    seed: bytes = field(repr=False)
    certificate: bytes = field(repr=False)

    @classmethod
    def create(cls, install: InstallId, now: datetime, token: Token) -> "Authority":
        """Draw a seed and return the authority with its own certificate."""
        seed = token(certificates.SEED_BYTES)
        begins, ends = now.replace(microsecond=0) - EARLIER, now.replace(microsecond=0)
        certificate = certificates.make_authority(
            seed,
            f"Strongroom {install}",
            token(certificates.SERIAL_BYTES),
            begins,
            ends + AUTHORITY_LIFE,
        )
        return cls(install, seed, certificate)

    @classmethod
    def open(cls, install: InstallId, secret: bytes) -> "Authority":
        """Return the authority of which this is the secret."""
        at = certificates.SEED_BYTES
        return cls(install, secret[:at], secret[at:])

    @property
    def secret(self) -> bytes:
        """The seed, and the certificate behind it: what is kept sealed."""
        return self.seed + self.certificate

    def issue(
        self, request: bytes, peer: Peer, hosts: Sequence[str], now: datetime, token: Token
    ) -> bytes:
        """Return a certificate for the key of a request, in DER.

        Who the request comes from is for the caller to know; names in it do not count.
        """
        return self._sign(certificates.read_request(request), peer, hosts, now, token)

    def renew(self, previous: bytes, now: datetime, token: Token) -> bytes:
        """Return a certificate as this one, also where it has expired: same key, peer and hosts.

        Whether its peer still counts is for the caller to know.
        """
        leaf = certificates.read_leaf(previous, self.certificate)
        return self._sign(leaf.public, Peer.of(leaf, self.install), leaf.hosts, now, token)

    def badge(self, peer: Peer, now: datetime, token: Token) -> Badge:
        """Return a badge on a fresh key, for this very process: nothing of it is ever kept."""
        seed = token(certificates.SEED_BYTES)
        certificate = self._sign(certificates.public_key(seed), peer, (), now, token)
        return Badge.make(self.install, seed, certificate, self.certificate)

    def deny(
        self, previous: bytes | None, serials: Iterable[int], now: datetime, number: int = 1
    ) -> bytes:
        """Return the deny list after this one, with these serials as well, in DER.

        It has this number, or where that is not higher than the one before, the next.
        """
        before = DenyList(0, frozenset())
        if previous is not None:
            before = certificates.read_deny_list(previous, self.certificate)
        after = DenyList(max(before.number + 1, number), before.serials | frozenset(serials))
        at = now.replace(microsecond=0)
        return certificates.sign_deny_list(
            self.seed, self.certificate, after, at, at + AUTHORITY_LIFE
        )

    def _sign(
        self, public: bytes, peer: Peer, hosts: Sequence[str], now: datetime, token: Token
    ) -> bytes:
        if len(hosts) > HOSTS_MAX:
            raise WrongCertificate(
                "no certificate is issued", f"{len(hosts)} hosts are more than {HOSTS_MAX}"
            )
        at = now.replace(microsecond=0)
        wanted = Leaf(
            uri=peer.uri(self.install),
            hosts=tuple(hosts),
            use=peer.use,
            serial=0,
            not_before=at - EARLIER,
            not_after=at + LIFE,
            public=public,
        )
        serial = token(certificates.SERIAL_BYTES)
        return certificates.issue(self.seed, self.certificate, wanted, serial, str(peer))
