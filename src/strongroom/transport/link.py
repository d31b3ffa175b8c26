"""A link: one peer asks another, over a connection that is kept while it lasts.

Nothing is sent before the other end has shown the certificate of exactly the peer that is expected.
One time limit holds for a whole question, from the look-up of the address to the last byte of the
answer, so a peer that answers a byte at a time is one that does not answer. What a question does
may be done twice only where its method says so (GET, PUT, DELETE): only such a one is asked again,
once, when a kept connection turns out to be gone.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self, TypeAlias

import h11

from strongroom.clock import Clock
from strongroom.crypto.certificates import WrongCertificate
from strongroom.crypto.hashing import same
from strongroom.errors import Refused, Unavailable, printable
from strongroom.transport.badge import Badge, client_context
from strongroom.transport.messages import FORBIDDEN, Request, Response, is_refusal
from strongroom.transport.peer import Peer, peer_of

ANSWER_BYTES_MAX: Final = 16 << 20
HEADER_BYTES_MAX: Final = 16 << 10
TIMEOUT_SECONDS: Final = 10.0
_READ_BYTES: Final = 64 << 10
_REPEATABLE: Final = {"GET", "PUT", "DELETE"}
_SHOWN: Final = 100
_DATES_FAIL: Final = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_SELF_MADE: Final = 18
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT."""


class PeerUnavailable(Unavailable):
    """A peer does not answer, or not in time, or not so that it can be understood."""

    code = "peer_unavailable"
    hint = "See whether it runs and can be reached from here; nothing else has to be done there."


class PeerRefused(Refused):
    """Who answers is not the peer that was expected, or refuses us."""

    code = "peer_refused"
    hint = "Somebody else may be listening there. Ask whoever runs that peer before trying again."


class PeerOutdated(PeerRefused):
    """Who answers shows a certificate that is not valid now; nothing is said of the rest of it.

    The expected peer is known by its key then, over a link that checks all but the dates.
    """

    code = "peer_outdated"
    hint = "See whether the clocks of both machines are right; a day apart is too much."


class _Gone(Exception):
    """A connection ended; `untouched` says that no byte of an answer had come."""

    def __init__(self, why: str, *, untouched: bool) -> None:
        super().__init__(why)
        self.untouched = untouched


class Way:
    """The way to one address, over one connection at a time; threads take turns.

    `who` stands in errors. `check` sees the certificate that the other end shows, before anything
    is sent, and raises WrongCertificate.
    """

    def __init__(
        self,
        address: tuple[str, int],
        who: str,
        context: ssl.SSLContext,
        check: Callable[[bytes], None],
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        self.address = address
        self.who = ""
        self.call(who)
        self._context = context
        self._check = check
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._turn = threading.Lock()
        self._connection: _Connection | None = None

    def call(self, who: str) -> None:
        """Name who is at the other end otherwise in errors: as people call it."""
        self.who = f"{who} at {_host_and_port(self.address)}"

    def connect(self, timeout_seconds: float | None = None) -> None:
        """Connect and check who is there, where that has not been done; raises as `ask` does."""
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        with self._turn, self._telling(seconds):
            if self._kept() is None:
                self._connection = self._connect(_Deadline(self._clock, seconds))

    def ask(
        self, method: str, path: str, body: bytes = b"", limit: int = ANSWER_BYTES_MAX
    ) -> Response:
        """Send a question and return the answer, which has at most `limit` bytes.

        Raises PeerUnavailable; PeerRefused where the other end is not who was expected, or does
        not take us for who we are. A status of the app's own is an answer.
        """
        request = Request(method, path, body)
        with self._turn, self._telling(self._timeout_seconds):
            deadline = _Deadline(self._clock, self._timeout_seconds)
            response = self._ask(request, deadline, limit)
        if is_refusal(response):
            said = printable(response.body[:_SHOWN].decode("utf-8", "replace").strip())
            if response.status == FORBIDDEN:
                raise PeerRefused(f"{self.who} refuses us", said)
            raise self._unavailable(f"it answers {response.status}: {said}")
        return response

    def close(self) -> None:
        """Give the connection back; a further question makes another."""
        with self._turn:
            self._drop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @contextmanager
    def _telling(self, seconds: float) -> Iterator[None]:
        """Raise what went wrong as an error that names the peer."""
        try:
            yield
        except _Gone as err:
            raise self._unavailable(str(err)) from err
        except TimeoutError as err:
            raise self._unavailable(f"not within {seconds:g} seconds") from err
        except ssl.SSLCertVerificationError as err:
            why = err.verify_message or "its certificate is refused"
            if err.verify_code == _SELF_MADE:
                why = "its certificate is of its own making, as of one that waits to be joined"
            if err.verify_code in _DATES_FAIL:
                raise PeerOutdated(self._doubted, why) from err
            raise PeerRefused(self._doubted, why) from err
        except WrongCertificate as err:
            raise PeerRefused(self._doubted, err.why) from err
        except ssl.SSLError as err:
            raise self._unavailable(f"TLS fails: {_words(err.reason)}") from err
        except OSError as err:
            raise self._unavailable((err.strerror or type(err).__name__).lower()) from err
        except h11.RemoteProtocolError as err:
            raise self._unavailable(f"what it says is not HTTP: {err}") from err

    def _ask(self, request: Request, deadline: "_Deadline", limit: int) -> Response:
        kept = self._kept()
        if kept is not None:
            try:
                return self._over(kept, request, deadline, limit)
            except _Gone as err:
                if not err.untouched or request.method not in _REPEATABLE:
                    raise
        return self._over(self._connect(deadline), request, deadline, limit)

    def _over(
        self, connection: "_Connection", request: Request, deadline: "_Deadline", limit: int
    ) -> Response:
        """Ask over this connection, and keep it only if all went well."""
        self._connection = None
        try:
            response = connection.ask(request, deadline, limit)
        except BaseException:
            connection.close()
            raise
        if connection.can_go_on():
            self._connection = connection
        else:
            connection.close()
        return response

    def _kept(self) -> "_Connection | None":
        kept = self._connection
        if kept is not None and kept.has_ended():
            self._drop()
            return None
        return kept

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, deadline: "_Deadline") -> "_Connection":
        plain = socket.create_connection(self.address, deadline.left())
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(deadline.left())
            secured = self._context.wrap_socket(plain, server_hostname=None)
        except BaseException:
            plain.close()
            raise
        try:
            shown = secured.getpeercert(binary_form=True)
            if shown is None:
                raise WrongCertificate("a peer is not known", "it shows no certificate")
            self._check(shown)
        except BaseException:
            secured.close()
            raise
        return _Connection(secured, _host_and_port(self.address))

    def _unavailable(self, why: str) -> PeerUnavailable:
        return PeerUnavailable(f"{self.who} does not answer", why)

    @property
    def _doubted(self) -> str:
        return f"who answers for {self.who} is not believed"


class Link(Way):
    """The way to one peer, which has to show its badge and sees ours. `close` may be called twice.

    With `key` the peer is known by its key (SubjectPublicKeyInfo in DER) and the dates of its
    certificate do not count: for bringing it a new one, and for nothing else.
    """

    Outdated: TypeAlias = PeerOutdated

    def __init__(
        self,
        address: tuple[str, int],
        badge: Badge,
        expected: Peer,
        clock: Clock,
        timeout_seconds: float = TIMEOUT_SECONDS,
        key: bytes | None = None,
    ) -> None:
        self.expected = expected
        self._install = badge.install
        self._key = key
        self._denied: frozenset[int] = frozenset()
        context = client_context(badge, check_dates=key is None)
        super().__init__(address, str(expected), context, self._recognise, clock, timeout_seconds)

    def refuse(self, serials: frozenset[int]) -> None:
        """Believe no certificate of these serials from the next connection on."""
        self._denied = serials

    def _recognise(self, certificate: bytes) -> None:
        peer, leaf = peer_of(certificate, self._install)
        if leaf.serial in self._denied:
            raise WrongCertificate("a denied certificate is shown", f"that of {peer} is denied")
        if peer != self.expected:
            raise WrongCertificate("another peer answers", f"{peer} answers there")
        if self._key is not None and not same(self._key, leaf.public):
            raise WrongCertificate("another key answers", "it has another key than it had")


class _Deadline:
    """How much of a question's time is left."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Return seconds, more than none; raise TimeoutError when there are none."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Connection:
    """One connection and where its HTTP stands."""

    def __init__(self, secured: ssl.SSLSocket, host: str) -> None:
        self._socket = secured
        self._host = host
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)

    def close(self) -> None:
        self._socket.close()

    def has_ended(self) -> bool:
        """Tell whether the other end has hung up: between answers it has nothing to say."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def can_go_on(self) -> bool:
        """Tell whether another question may follow, and make ready for it."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    def ask(self, request: Request, deadline: _Deadline, limit: int) -> Response:
        headers = [
            ("host", self._host),
            ("content-length", str(len(request.body))),
            ("content-type", "application/octet-stream"),
        ]
        asked = h11.Request(method=request.method, target=request.path, headers=headers)
        head = self._http.send(asked) or b""
        body = self._http.send(h11.Data(data=request.body)) or b""
        end = self._http.send(h11.EndOfMessage()) or b""
        try:
            self._send(head + body + end, deadline)
        except TimeoutError:
            raise
        except OSError as err:
            # It may have answered before it hung up: that it refuses us, or that this is too much.
            if not isinstance(err, BrokenPipeError | ConnectionResetError | ssl.SSLEOFError):
                raise
        return self._receive(deadline, limit)

    def _send(self, data: bytes, deadline: _Deadline) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(deadline.left())
            view = view[self._socket.send(view) :]

    def _receive(self, deadline: _Deadline, limit: int) -> Response:
        status = 0
        kind = ""
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(self._read(deadline, untouched=status == 0))
            elif isinstance(event, h11.Response):
                status = event.status_code
                kind = dict(event.headers).get(b"content-type", b"").decode("ascii", "replace")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > limit:
                    raise _Gone(f"its answer is larger than {limit} bytes", untouched=False)
            elif isinstance(event, h11.EndOfMessage):
                return Response(status, bytes(body), kind)
            elif not isinstance(event, h11.InformationalResponse):
                raise _Gone("it hung up in the middle of its answer", untouched=status == 0)

    def _read(self, deadline: _Deadline, *, untouched: bool) -> bytes:
        self._socket.settimeout(deadline.left())
        try:
            data = self._socket.recv(_READ_BYTES)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        except ssl.SSLError as err:
            if "ALERT" in (err.reason or ""):
                raise _Gone(f"it refuses us: {_words(err.reason)}", untouched=False) from err
            raise
        if not data:
            why = "it hung up in the middle of its answer"
            if untouched:
                why = "it hung up without an answer, as one does that refuses our certificate"
            raise _Gone(why, untouched=untouched)
        return data


def _host_and_port(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _words(reason: str | None) -> str:
    return printable((reason or "no reason given").replace("_", " ").lower())[:_SHOWN]
