"""A badge: a peer's key, its certificate and the authority that both ends trust.

The key exists in memory only. TLS libraries read keys from files, so it goes through a file in
memory without a name, which is gone when the call returns. Contexts made here are closed: TLS 1.3,
one key exchange, a certificate required of the other end always, no tickets, so that every
connection checks certificates anew. A live context takes a renewed badge without a restart.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from strongroom.crypto import certificates
from strongroom.crypto.certificates import Leaf, WrongCertificate, read_leaf
from strongroom.crypto.hashing import same
from strongroom.errors import StrongroomError
from strongroom.ids import InstallId
from strongroom.transport.peer import Peer

KEY_EXCHANGE: Final = "X25519"
NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name."""


@dataclass(frozen=True, slots=True)
class Badge:
    """By what a peer shows who it is, for a day."""

    install: InstallId
    peer: Peer
    seed: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    authority: bytes = field(repr=False)
    leaf: Leaf = field(repr=False)

    @classmethod
    def make(cls, install: InstallId, seed: bytes, certificate: bytes, authority: bytes) -> "Badge":
        """Return the badge; raises WrongCertificate unless key, certificate and authority fit."""
        leaf = read_leaf(certificate, authority)
        if not same(leaf.public, certificates.public_key(seed)):
            raise WrongCertificate("a certificate is refused", "it is for another key than ours")
        return cls(install, Peer.of(leaf, install), seed, certificate, authority, leaf)

    def renewed(self, certificate: bytes, now: datetime) -> "Badge":
        """Return the badge with a new certificate: for the same key, peer and authority only.

        It may not end before this one, unless this one has not even begun: that was made by a
        clock that ran ahead, and nobody takes it for as long as that.
        """
        badge = Badge.make(self.install, self.seed, certificate, self.authority)
        if badge.peer != self.peer:
            raise WrongCertificate("a renewed certificate is refused", f"it is for {badge.peer}")
        if badge.leaf.not_after < self.leaf.not_after and self.leaf.not_before <= now:
            raise WrongCertificate(
                "a renewed certificate is refused", "it ends before the one it should replace"
            )
        return badge


def server_context(badge: Badge) -> ssl.SSLContext:
    """Return the context of a listener: whoever connects shows a certificate of our authority."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    # A ticket would let a connection begin without its certificate being looked at again.
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificates.pem(badge.authority))
    load(context, badge.certificate, badge.seed)
    return context


def client_context(badge: Badge, *, check_dates: bool = True) -> ssl.SSLContext:
    """Return the context of whoever connects.

    Without dates checked it is for one thing: to bring a new certificate to a peer that was off
    for longer than a day. Then the peer is known by its key (see `Link`).
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    # Who answers is checked by the URI of its certificate, which is exact; a name of a host may
    # change, and anybody's certificate may hold it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if not check_dates:
        context.verify_flags |= NO_CHECK_TIME
    context.load_verify_locations(cadata=certificates.pem(badge.authority))
    load(context, badge.certificate, badge.seed)
    return context


def stranger_context(certificate: bytes, seed: bytes) -> ssl.SSLContext:
    """Return the context of a listener that waits to be joined: nobody has an authority yet.

    It asks for no certificate, so it may answer nothing but a joining, which both ends prove.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    load(context, certificate, seed)
    return context


def doubting_context() -> ssl.SSLContext:
    """Return the context of whoever believes nothing that it is shown.

    For a joining, where both ends prove a secret over the key that was shown, and for a probe,
    which says nothing that matters and wants to know what happens.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load(context: ssl.SSLContext, certificate: bytes, seed: bytes) -> None:
    """Let a context show this certificate from its next connection on."""
    chain = certificates.private_key_pem(seed) + certificates.pem(certificate).encode("ascii")
    with _unnamed_file(chain) as path:
        context.load_cert_chain(path)


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    # The first releases of Python 3.11 can name no such group. Then OpenSSL's own are offered, with
    # X25519 first among them.
    with suppress(ssl.SSLError):
        context.set_ecdh_curve(KEY_EXCHANGE)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


@contextmanager
def _unnamed_file(data: bytes) -> Iterator[str]:
    handle = os.memfd_create("strongroom", os.MFD_CLOEXEC)
    try:
        os.write(handle, data)
        yield f"/proc/self/fd/{handle}"
    except OSError as err:
        raise StrongroomError(
            "a key cannot be handed to TLS",
            (err.strerror or type(err).__name__).lower(),
            "Strongroom reads it from /proc/self/fd, which must be there.",
        ) from err
    finally:
        os.close(handle)
