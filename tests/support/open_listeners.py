"""Listeners that somebody has opened too far, for those who have to find them."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from strongroom.transport import Badge, Response
from strongroom.transport.badge import server_context
from strongroom.transport.edge import Edge, Limits
from strongroom.transport.listener import bind

Change = Callable[[ssl.SSLContext], None]


@contextmanager
def served(badge: Badge, change: Change) -> Iterator[int]:
    """Run a listener that somebody has opened too far; it looks at nothing after the handshake."""
    context = server_context(badge)
    change(context)
    with bind(("127.0.0.1", 0)) as listening:
        edge = Edge(
            listening, context, lambda _shown, _asked: Response(200), Limits(), lambda _line: None
        )
        try:
            yield listening.getsockname()[1]
        finally:
            edge.close()


def older(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # With X25519 alone, a certificate on P-256 cannot be shown in TLS 1.2.
    context.set_ecdh_curve("prime256v1")


def certificate_optional(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL


def no_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_NONE
