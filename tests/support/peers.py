"""An install with an authority, two peers and a listener between them, as tests of transport need.

The clock is the machine's: OpenSSL knows no other.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from strongroom.clock import SystemClock
from strongroom.crypto import certificates
from strongroom.ids import InstallId, new_id
from strongroom.transport import Authority, Badge, Link, Peer, Request, Response
from strongroom.transport.edge import Limits
from strongroom.transport.listener import Listener, bind
from strongroom.transport.peer import Role

CLOCK = SystemClock()
PATIENCE_SECONDS = 60.0
"""Far more than anything takes: a slow machine must not make a test fail."""


def somebody(role: Role) -> Peer:
    """Return a peer that nobody has met."""
    return Peer(role, new_id(secrets.token_bytes))


def new_authority(install: InstallId | None = None) -> Authority:
    """Return an authority of this install, or of one of its own."""
    install = install or InstallId(new_id(secrets.token_bytes))
    return Authority.create(install, CLOCK.now(), secrets.token_bytes)


def badge_of(authority: Authority, peer: Peer, earlier: timedelta = timedelta()) -> Badge:
    """Return a badge as a peer gets it, made some time ago."""
    seed = secrets.token_bytes(certificates.SEED_BYTES)
    request = certificates.make_request(seed)
    hosts = ("127.0.0.1", "localhost")
    made = authority.issue(request, peer, hosts, CLOCK.now() - earlier, secrets.token_bytes)
    return Badge.make(authority.install, seed, made, authority.certificate)


@dataclass(frozen=True, slots=True)
class Pair:
    """A custodian that listens, and what a server needs to ask it."""

    authority: Authority
    custodian: Badge
    server: Badge
    listener: Listener
    told: list[str]

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.listener.port)

    def link(self, badge: Badge | None = None, expected: Peer | None = None) -> Link:
        """Return a link from the server, or from whoever has this badge."""
        return Link(
            self.address,
            badge or self.server,
            expected or self.custodian.peer,
            CLOCK,
            PATIENCE_SECONDS,
        )


def echo(peer: Peer, request: Request) -> Response:
    """Say who asked for what."""
    head = f"{peer} {request.method} {request.path} ".encode()
    return Response(200, head + request.body, "text/plain")


@contextmanager
def pair(app: object = echo, limits: Limits | None = None) -> Iterator[Pair]:
    """Run a listener before this app."""
    authority = new_authority()
    custodian = badge_of(authority, somebody(Role.CUSTODIAN))
    server = badge_of(authority, somebody(Role.SERVER))
    told: list[str] = []
    listening = bind(("127.0.0.1", 0))
    try:
        with Listener(
            listening,
            custodian,
            app,  # type: ignore[arg-type]  # a test may give what fails
            CLOCK,
            limits,
            told.append,
        ) as listener:
            yield Pair(authority, custodian, server, listener, told)
    finally:
        listening.close()
