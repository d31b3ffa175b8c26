"""Probing a listener: every way in that has to be closed is tried, and the one that is open.

Badges that no peer has are made for this by the authority itself: expired, of another authority,
for the wrong use, of a role that may not ask. A probe sends nothing that matters, so it believes
nothing that it is shown and sees how the listener behaves, whoever it is; the one attempt that has
to succeed is made as a peer makes it. What could not be looked at is unknown, never refused.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from strongroom.clock import Clock
from strongroom.crypto import certificates
from strongroom.crypto.certificates import Leaf, Use
from strongroom.errors import printable
from strongroom.ids import Token, new_id
from strongroom.transport.authority import LIFE, Authority
from strongroom.transport.badge import Badge, doubting_context, load
from strongroom.transport.link import TIMEOUT_SECONDS, Link, PeerRefused, PeerUnavailable
from strongroom.transport.messages import FORBIDDEN, Request
from strongroom.transport.peer import Peer, Role

OPEN: Final = Request("GET", "/v1/health")
"""What every peer may ask."""

CLOSED: Final = Request("PUT", "/v1/card")
"""What a probe may not ask."""

_READ_BYTES: Final = 1000
_OK: Final = 200


class Outcome(StrEnum):
    """How an attempt ended."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


class Attempt(NamedTuple):
    """One way in that was tried, what has to happen, what did, and what was seen of it."""

    name: str
    wanted: Outcome
    got: Outcome
    seen: str

    @property
    def is_wrong(self) -> bool:
        """Whether it ended as it must not."""
        return self.got is not Outcome.UNKNOWN and self.got is not self.wanted


class Probe:
    """Tries one listener after another with what an authority can make."""

    def __init__(
        self,
        authority: Authority,
        clock: Clock,
        token: Token,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._authority = authority
        self._clock = clock
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._self = Peer(Role.PROBE, new_id(token))

    def __call__(self, address: tuple[str, int], expected: Peer) -> list[Attempt]:
        """Return every attempt at this listener, the one that has to succeed last."""
        good = self._badge(self._self)
        return [
            self._try("plaintext", lambda: self._plaintext(address)),
            self._try("TLS 1.2 or older", lambda: self._older(address, good)),
            self._try("no certificate", lambda: self._asks(address, None, OPEN)),
            self._try("an expired certificate", lambda: self._asks(address, self._expired(), OPEN)),
            self._try(
                "a certificate of another authority",
                lambda: self._asks(address, self._foreign(), OPEN),
            ),
            self._try(
                "a certificate for the wrong use",
                lambda: self._asks(address, self._forged(self._self, Use.SERVE), OPEN),
            ),
            self._try(
                "a listener's role that asks",
                lambda: self._asks(address, self._forged(expected, Use.ASK), OPEN),
            ),
            self._try("a role that may not ask this", lambda: self._asks(address, good, CLOSED)),
            self._good(address, expected, good),
        ]

    def custodian(self, address: tuple[str, int], custodian: str) -> list[Attempt]:
        """Return every attempt at the listener of the custodian of this id."""
        return self(address, Peer.custodian(custodian))

    def _try(self, name: str, attempt: Callable[[], str]) -> Attempt:
        """Make an attempt that has to be refused; it returns what it got when it was let in."""
        try:
            seen = attempt()
        except _Refused as err:
            return Attempt(name, Outcome.REFUSED, Outcome.REFUSED, str(err))
        except OSError as err:
            why = (err.strerror or type(err).__name__).lower()
            return Attempt(name, Outcome.REFUSED, Outcome.UNKNOWN, why)
        return Attempt(name, Outcome.REFUSED, Outcome.ACCEPTED, seen)

    def _good(self, address: tuple[str, int], expected: Peer, badge: Badge) -> Attempt:
        name, wanted = "a good certificate", Outcome.ACCEPTED
        with Link(address, badge, expected, self._clock, self._timeout_seconds) as link:
            try:
                response = link.ask(OPEN.method, OPEN.path)
            except PeerRefused as err:
                return Attempt(name, wanted, Outcome.REFUSED, err.why)
            except PeerUnavailable as err:
                return Attempt(name, wanted, Outcome.UNKNOWN, err.why)
        if response.status != _OK:
            return Attempt(name, wanted, Outcome.REFUSED, f"status {response.status}")
        return Attempt(name, wanted, Outcome.ACCEPTED, "TLS 1.3")

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        plain = socket.create_connection(address, self._timeout_seconds)
        plain.settimeout(self._timeout_seconds)
        return plain

    def _plaintext(self, address: tuple[str, int]) -> str:
        with closing(self._connect(address)) as plain:
            heard = _ask(plain, OPEN)
            if heard.startswith(b"HTTP/"):
                return _first_line(heard)
            raise _Refused("it hangs up")

    def _older(self, address: tuple[str, int], badge: Badge) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Whatever this machine's library still speaks, with whatever it would not choose itself.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        load(context, badge.certificate, badge.seed)
        with closing(self._secure(address, context)) as secured:
            return f"it speaks {secured.version()}"

    def _asks(self, address: tuple[str, int], badge: Badge | None, request: Request) -> str:
        context = doubting_context()
        if badge is not None:
            load(context, badge.certificate, badge.seed)
        with closing(self._secure(address, context)) as secured:
            heard = _ask(secured, request)
        if not heard.startswith(b"HTTP/"):
            raise _Refused("it hangs up")
        line = _first_line(heard)
        if f" {FORBIDDEN} " in f"{line} ":
            raise _Refused(f"status {FORBIDDEN}")
        return line

    def _secure(self, address: tuple[str, int], context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = self._connect(address)
        try:
            return context.wrap_socket(plain)
        except TimeoutError:
            plain.close()
            raise
        except (ssl.SSLError, ConnectionError) as err:
            plain.close()
            reason = getattr(err, "reason", None) or err.strerror or "it hangs up"
            raise _Refused(reason.replace("_", " ").lower()) from err

    def _badge(self, peer: Peer, ago: timedelta = timedelta()) -> Badge:
        return self._authority.badge(peer, self._clock.now() - ago, self._token)

    def _expired(self) -> Badge:
        return self._badge(self._self, 2 * LIFE)

    def _foreign(self) -> Badge:
        now = self._clock.now()
        foreign = Authority.create(self._authority.install, now, self._token)
        return foreign.badge(self._self, now, self._token)

    def _forged(self, peer: Peer, use: Use) -> Badge:
        """Return what the authority never issues: a role with the other role's use."""
        badge = self._badge(self._self)
        uri = peer.uri(self._authority.install)
        leaf: Leaf = replace(badge.leaf, uri=uri, use=use)
        forged = certificates.issue(
            self._authority.seed,
            self._authority.certificate,
            leaf,
            self._token(certificates.SERIAL_BYTES),
            "probe",
        )
        return replace(badge, certificate=forged, leaf=leaf)


class _Refused(Exception):
    """An attempt was refused as it has to be."""


def _ask(connected: socket.socket, request: Request) -> bytes:
    """Ask by hand, and return the beginning of the answer or nothing."""
    asked = f"{request.method} {request.path} HTTP/1.1\r\nhost: probe\r\ncontent-length: 0\r\n\r\n"
    try:
        connected.sendall(asked.encode("ascii"))
        return connected.recv(_READ_BYTES)
    except (ConnectionError, ssl.SSLError) as err:
        if isinstance(err, TimeoutError):
            raise
        return b""


def _first_line(heard: bytes) -> str:
    return printable(heard.split(b"\r\n", 1)[0].decode("latin-1"))
