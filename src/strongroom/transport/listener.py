"""The listener: whoever asks has shown a certificate of our authority, or is not heard.

It fails closed: a context that would let somebody in without one, or with an older protocol, is
refused before a socket is served. At every request, also on a connection that has lasted, the
certificate is looked at again: its dates, its install, its role, the deny list.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from strongroom.clock import Clock
from strongroom.crypto.certificates import DenyList, WrongCertificate, read_deny_list
from strongroom.errors import Refused, StrongroomError
from strongroom.transport.badge import Badge, load, server_context
from strongroom.transport.edge import Edge, Limits
from strongroom.transport.messages import FORBIDDEN, Request, Response, refusal
from strongroom.transport.peer import Peer, peer_of

App = Callable[[Peer, Request], Response]
"""Answer what a peer asks; errors are for the app to write, what it raises is a status 500."""

_BACKLOG = 128


class ListenerUnsafe(Refused):
    """A listener would have let in who shows nothing."""

    code = "listener_unsafe"
    hint = "This is a mistake in the program, which refused to make it: report it."


class AddressTaken(StrongroomError):
    """The address to listen at cannot be had."""

    code = "address_taken"
    hint = "Give another port, or stop what listens there: `ss -ltnp` shows it."


def bind(address: tuple[str, int]) -> socket.socket:
    """Return a listening socket; port 0 takes any free one. Raises AddressTaken."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as err:
        reason = (err.strerror or type(err).__name__).lower()
        raise AddressTaken(f"nobody can listen at {host} port {port}", reason) from err


class Listener(AbstractContextManager["Listener"]):
    """Serves an app to peers of this install; `port` is the one that was taken.

    It begins when it is made and ends when the block does. `tell` hears of what failed.
    """

    def __init__(
        self,
        listening: socket.socket,
        badge: Badge,
        app: App,
        clock: Clock,
        limits: Limits | None = None,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._badge = badge
        self._app = app
        self._clock = clock
        self._denied = DenyList(0, frozenset())
        self._context = closed(server_context(badge))
        self.port: int = listening.getsockname()[1]
        self._edge = Edge(listening, self._context, self._handle, limits or Limits(), tell)

    def renew(self, badge: Badge) -> None:
        """Show this badge from the next connection on; nothing that runs is interrupted."""
        load(self._context, badge.certificate, badge.seed)
        self._badge = badge

    def deny(self, data: bytes) -> DenyList:
        """Refuse the certificates of this list from the next request on; return the list.

        Raises WrongCertificate for a list that is not the authority's or older than the last.
        """
        denied = read_deny_list(data, self._badge.authority)
        if denied.number < self._denied.number:
            raise WrongCertificate(
                "a deny list is refused",
                f"it is number {denied.number}, and number {self._denied.number} is known",
            )
        self._denied = denied
        return denied

    def close(self) -> None:
        """Stop listening; running answers end first."""
        self._edge.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self.close()

    def _handle(self, certificate: bytes | None, request: Request) -> Response:
        try:
            return self._app(self._who(certificate), request)
        except WrongCertificate as err:
            return refusal(FORBIDDEN, str(err))

    def _who(self, certificate: bytes | None) -> Peer:
        if certificate is None:
            raise WrongCertificate("nobody is heard without a certificate")
        peer, leaf = peer_of(certificate, self._badge.install)
        if not leaf.not_before <= self._clock.now() <= leaf.not_after:
            raise WrongCertificate("a certificate is refused", f"that of {peer} has expired")
        if leaf.serial in self._denied.serials:
            raise WrongCertificate("a certificate is refused", f"that of {peer} is denied")
        return peer


def closed(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context when it lets in only who shows a certificate; raises ListenerUnsafe."""
    problems = [
        problem
        for problem, is_there in (
            ("it asks for no certificate", context.verify_mode is not ssl.CERT_REQUIRED),
            ("it trusts no authority", not context.get_ca_certs()),
            ("it speaks older protocols", context.minimum_version < ssl.TLSVersion.TLSv1_3),
        )
        if is_there
    ]
    if problems:
        raise ListenerUnsafe("a listener is not started", ", ".join(problems))
    return context
