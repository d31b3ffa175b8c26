"""Two peers over loopback: what is accepted, and every way in that is not."""

import secrets
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from strongroom.crypto import certificates
from strongroom.crypto.certificates import Leaf, Use
from strongroom.errors import Refused, StrongroomError
from strongroom.transport import Badge, Link, Peer, Request, Response
from strongroom.transport.badge import client_context, server_context, stranger_context
from strongroom.transport.edge import Limits
from strongroom.transport.link import PeerRefused, PeerUnavailable
from strongroom.transport.listener import AddressTaken, Listener, ListenerUnsafe, bind, closed
from strongroom.transport.peer import Role
from tests.support.peers import (
    CLOCK,
    PATIENCE_SECONDS,
    Pair,
    badge_of,
    echo,
    new_authority,
    pair,
    somebody,
)
from tests.support.ports import held

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    with pair() as made:
        yield made


def test_who_asks_is_known_and_heard(two: Pair) -> None:
    with two.link() as link:
        response = link.ask("POST", "/v1/thing?a=b", b"body")
    assert response.status == 200
    assert response.body == f"{two.server.peer} POST /v1/thing?a=b ".encode() + b"body"
    assert two.told == []


def test_one_connection_serves_many_questions_of_many_threads(two: Pair) -> None:
    bodies = [secrets.token_bytes(100_000) for _ in range(8)]
    answers: dict[int, bytes] = {}
    with two.link() as link:

        def ask(number: int) -> None:
            answers[number] = link.ask("PUT", "/", bodies[number]).body

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    head = f"{two.server.peer} PUT / ".encode()
    assert answers == {number: head + body for number, body in enumerate(bodies)}


def with_badge(two: Pair, badge: Badge) -> str:
    """Ask with another badge, and return why nobody answered."""
    with (
        two.link(badge) as link,
        pytest.raises(PeerUnavailable, match="does not answer") as caught,
    ):
        link.ask("GET", "/")
    return caught.value.why


def test_attack_evil_authority(two: Pair) -> None:
    """Another authority signs a badge for a server of this very install."""
    evil = new_authority(two.authority.install)
    badge = badge_of(evil, two.server.peer)
    trusting = Badge(
        badge.install,
        badge.peer,
        badge.seed,
        badge.certificate,
        two.authority.certificate,
        badge.leaf,
    )
    assert "refuses our certificate" in with_badge(two, trusting)


def test_attack_expired_leaf(two: Pair) -> None:
    expired = badge_of(two.authority, two.server.peer, timedelta(days=2))
    assert "refuses our certificate" in with_badge(two, expired)


def forged(two: Pair, peer: Peer, use: Use, uri: str = "") -> Badge:
    """Return a badge that our authority has signed, though it never would."""
    seed = secrets.token_bytes(certificates.SEED_BYTES)
    leaf = Leaf(
        uri or peer.uri(two.authority.install),
        (),
        use,
        0,
        two.server.leaf.not_before,
        two.server.leaf.not_after,
        certificates.public_key(seed),
    )
    signed = certificates.issue(
        two.authority.seed, two.authority.certificate, leaf, secrets.token_bytes(16), "forged"
    )
    return Badge(two.authority.install, peer, seed, signed, two.authority.certificate, leaf)


def test_attack_wrong_extended_key_usage(two: Pair) -> None:
    """A badge made to listen does not connect; OpenSSL refuses it at the handshake."""
    assert "refuses our certificate" in with_badge(two, forged(two, two.server.peer, Use.SERVE))


def test_attack_wrong_role(two: Pair) -> None:
    """A listener's role in a badge made to connect: the handshake is good, the peer is not."""
    custodian = somebody(Role.CUSTODIAN)
    with (
        two.link(forged(two, custodian, Use.ASK)) as link,
        pytest.raises(PeerRefused, match="refuses us") as caught,
    ):
        link.ask("GET", "/")
    assert "a custodian has none that may ask" in caught.value.why


def test_attack_name_that_is_none_of_ours(two: Pair) -> None:
    other_install = somebody(Role.SERVER).id
    for uri, why in (
        ("spiffe://example.org/server/1", "names no peer of ours"),
        (f"spiffe://{other_install}.strongroom.invalid/server/{'0' * 32}", "another install"),
    ):
        with (
            two.link(forged(two, two.server.peer, Use.ASK, uri)) as link,
            pytest.raises(PeerRefused, match="refuses us") as caught,
        ):
            link.ask("GET", "/")
        assert why in caught.value.why


def raw(two: Pair, context: ssl.SSLContext) -> bytes:
    """Speak HTTP over TLS by hand and return what comes back before the end."""
    with socket.create_connection(two.address, PATIENCE_SECONDS) as plain:
        plain.settimeout(PATIENCE_SECONDS)
        with context.wrap_socket(plain) as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return secured.recv(1000)


def test_attack_no_certificate(two: Pair) -> None:
    context = client_context(two.server)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=certificates.pem(two.authority.certificate))
    assert raw(two, context).startswith(b"HTTP/1.1 200")
    try:
        heard = raw(two, bare)
    except OSError:
        heard = b""
    assert heard == b""


def test_attack_tls_1_2(two: Pair) -> None:
    context = client_context(two.server)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        raw(two, context)


def test_attack_plaintext(two: Pair) -> None:
    with socket.create_connection(two.address, PATIENCE_SECONDS) as plain:
        plain.settimeout(PATIENCE_SECONDS)
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            heard = plain.recv(1000)
        except ConnectionResetError:
            heard = b""
    assert b"HTTP" not in heard


def test_attack_another_custodian_answers(two: Pair) -> None:
    """A badge of this install is not enough: it has to be exactly the one that is asked."""
    with (
        two.link(expected=somebody(Role.CUSTODIAN)) as link,
        pytest.raises(PeerRefused, match="not believed") as caught,
    ):
        link.ask("GET", "/")
    assert f"{two.custodian.peer} answers there" in caught.value.why


def test_attack_impostor_of_another_authority_answers(two: Pair) -> None:
    evil = new_authority(two.authority.install)
    with (
        Link(
            two.address,
            badge_of(evil, two.server.peer),
            two.custodian.peer,
            CLOCK,
            PATIENCE_SECONDS,
        ) as link,
        pytest.raises(PeerRefused, match="not believed") as caught,
    ):
        link.ask("GET", "/")
    assert "certificate" in caught.value.why


def test_attack_expired_listener_is_met_by_its_key_alone() -> None:
    """A custodian that was off for days is believed only by its key, to bring it a certificate."""
    authority = new_authority()
    custodian = badge_of(authority, somebody(Role.CUSTODIAN), timedelta(days=3))
    server = badge_of(authority, somebody(Role.SERVER))
    other = badge_of(authority, custodian.peer)
    listening = bind(("127.0.0.1", 0))
    with listening, Listener(listening, custodian, echo, CLOCK) as listener:
        address = ("127.0.0.1", listener.port)

        def ask(key: bytes | None) -> Response:
            with Link(address, server, custodian.peer, CLOCK, PATIENCE_SECONDS, key) as link:
                return link.ask("GET", "/")

        with pytest.raises(Link.Outdated, match="not believed") as outdated:
            ask(None)
        assert "expired" in outdated.value.why
        with pytest.raises(PeerRefused) as caught:
            ask(other.leaf.public)
        assert "another key" in caught.value.why
        assert ask(custodian.leaf.public).status == 200


def test_nobody_listens() -> None:
    authority = new_authority()
    server = badge_of(authority, somebody(Role.SERVER))
    expected = somebody(Role.CUSTODIAN)
    with held(0) as holding:
        port = holding.getsockname()[1]
        with (
            Link(("127.0.0.1", port), server, expected, CLOCK) as link,
            pytest.raises(PeerUnavailable, match=f"{expected} at 127.0.0.1:{port}") as caught,
        ):
            link.ask("GET", "/")
    assert caught.value.why == "connection refused"


def test_a_silent_peer_is_waited_for_no_longer_than_said() -> None:
    authority = new_authority()
    server = badge_of(authority, somebody(Role.SERVER))
    with bind(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with (
            Link(("127.0.0.1", port), server, somebody(Role.CUSTODIAN), CLOCK, 0.2) as link,
            pytest.raises(PeerUnavailable) as caught,
        ):
            link.ask("GET", "/")
    assert caught.value.why == "not within 0.2 seconds"


def test_too_much_is_refused_in_both_directions() -> None:
    with pair(limits=Limits(body_bytes=1000)) as two, two.link() as link:
        assert link.ask("POST", "/", b"x" * 1000).status == 200
        with pytest.raises(PeerUnavailable, match="413: the body is larger than 1000 bytes"):
            link.ask("POST", "/", b"x" * 1001)
        assert link.ask("POST", "/", b"x" * 1000).status == 200
        assert link.ask("GET", "/" + "x" * 1999).status == 200
        with pytest.raises(PeerUnavailable, match="414: the path is longer than 2000 bytes"):
            link.ask("GET", "/" + "x" * 2000)
        with pytest.raises(PeerUnavailable) as caught:
            link.ask("POST", "/", b"x" * 1000, limit=1000)
        assert caught.value.why == "its answer is larger than 1000 bytes"
        assert link.ask("POST", "/", b"x" * 900, limit=1000).status == 200


def test_a_body_of_unknown_length_has_the_same_limit() -> None:
    with pair(limits=Limits(body_bytes=1000)) as two:
        context = client_context(two.server)
        with (
            socket.create_connection(two.address, PATIENCE_SECONDS) as plain,
            context.wrap_socket(plain) as secured,
        ):
            chunk = b"258\r\n" + b"x" * 600 + b"\r\n"
            head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            secured.sendall(head + chunk + chunk)
            assert secured.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nhost", id="half a header"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx", id="half a body"),
    ],
)
def test_who_does_not_go_on_is_hung_up_on(begun: bytes) -> None:
    limits = Limits(header_seconds=0.1, body_seconds=0.1)
    with (
        pair(limits=limits) as two,
        socket.create_connection(two.address, PATIENCE_SECONDS) as plain,
        client_context(two.server).wrap_socket(plain) as secured,
    ):
        with suppress(OSError):  # It may have hung up already.
            secured.sendall(begun)
        heard = b""
        while data := read(secured):
            heard += data
    assert heard == b"" or heard.startswith(b"HTTP/1.1 408")


def read(secured: ssl.SSLSocket) -> bytes:
    try:
        return secured.recv(1000)
    except (ConnectionError, ssl.SSLEOFError):
        return b""


def test_a_kept_connection_that_ended_is_made_anew() -> None:
    with pair(limits=Limits(idle_seconds=0.05)) as two, two.link() as link:
        for _ in range(3):
            assert link.ask("POST", "/").status == 200
            kept = link._connection
            assert kept is not None
            poll = select.poll()
            poll.register(kept._socket, select.POLLIN)
            assert poll.poll(1000 * PATIENCE_SECONDS)


def test_what_may_not_be_done_twice_is_not_asked_again() -> None:
    """The peer hangs up as it is asked: a GET is asked once more, a POST is not."""
    asked: list[str] = []

    def fail_once(peer: Peer, request: Request) -> Response:
        asked.append(request.method)
        if asked.count(request.method) == 2:
            for connection in connections:
                connection.shutdown(socket.SHUT_RDWR)
        return echo(peer, request)

    connections: list[socket.socket] = []
    with pair(fail_once) as two:
        for method, times in (("GET", 3), ("POST", 2)):
            with two.link() as link:
                link.ask(method, "/")
                kept = link._connection
                assert kept is not None
                connections[:] = [kept._socket]
                if method == "GET":
                    assert link.ask(method, "/").status == 200
                else:
                    with pytest.raises(PeerUnavailable):
                        link.ask(method, "/")
            assert asked.count(method) == times


def test_a_failing_app_fails_one_request() -> None:
    def app(_peer: Peer, request: Request) -> Response:
        if request.path == "/bad":
            raise RuntimeError("secret inside")
        return Response(204)

    with pair(app) as two, two.link() as link:
        with pytest.raises(PeerUnavailable, match="500: it failed there") as caught:
            link.ask("GET", "/bad")
        assert "secret" not in str(caught.value)
        assert link.ask("GET", "/good").status == 204
        assert two.told == ["a request failed: RuntimeError: secret inside"]


def test_renewed_badge_is_shown_without_a_restart() -> None:
    with pair() as two:
        later = two.authority.renew(two.custodian.certificate, CLOCK.now(), secrets.token_bytes)
        with two.link() as kept:
            kept.ask("GET", "/")
            two.listener.renew(two.custodian.renewed(later, CLOCK.now()))
            assert shown(two) == later
            assert kept.ask("GET", "/").status == 200


def test_a_certificate_of_a_clock_that_ran_ahead_is_due_and_replaced() -> None:
    """It would be refused everywhere until that date, and nothing earlier be taken for it."""
    authority = new_authority()
    ahead = badge_of(authority, somebody(Role.CUSTODIAN), -timedelta(days=400))
    now = CLOCK.now()
    today = authority.renew(ahead.certificate, now, secrets.token_bytes)
    assert ahead.leaf.is_due(now)
    renewed = ahead.renewed(today, now)
    assert not renewed.leaf.is_due(now)
    assert renewed.leaf.is_due(renewed.leaf.not_after)
    with pytest.raises(Refused, match="before the one it should replace"):
        ahead.renewed(today, ahead.leaf.not_before)
    yesterday = authority.renew(today, now - timedelta(days=1), secrets.token_bytes)
    with pytest.raises(Refused, match="before the one it should replace"):
        renewed.renewed(yesterday, now)


def shown(two: Pair) -> bytes | None:
    with (
        socket.create_connection(two.address, PATIENCE_SECONDS) as plain,
        client_context(two.server).wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True)


def test_attack_denied_certificate_is_refused_on_a_living_connection() -> None:
    with pair() as two, two.link() as link:
        assert link.ask("GET", "/").status == 200
        first = two.authority.deny(None, [two.server.leaf.serial], CLOCK.now())
        second = two.authority.deny(first, [7], CLOCK.now())
        assert two.listener.deny(second).serials == {7, two.server.leaf.serial}
        with pytest.raises(PeerRefused, match="refuses us") as refused:
            link.ask("GET", "/")
        assert "is denied" in refused.value.why
        with pytest.raises(Refused, match="deny list") as caught:
            two.listener.deny(first)
        assert "number 2 is known" in caught.value.why
        evil = new_authority(two.authority.install)
        with pytest.raises(Refused, match="deny list"):
            two.listener.deny(evil.deny(None, [], CLOCK.now()))


def test_a_listener_without_an_authority_is_not_started() -> None:
    authority = new_authority()
    badge = badge_of(authority, somebody(Role.CUSTODIAN))
    open_to_all = stranger_context(badge.certificate, badge.seed)
    with pytest.raises(ListenerUnsafe) as caught:
        closed(open_to_all)
    assert caught.value.why == "it asks for no certificate, it trusts no authority"
    old = server_context(badge)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ListenerUnsafe, match="not started") as caught:
        closed(old)
    assert caught.value.why == "it speaks older protocols"


def test_a_taken_address_says_so() -> None:
    with bind(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(AddressTaken, match=f"port {port}"):
            bind(("127.0.0.1", port))


def test_a_socket_outlives_its_listener() -> None:
    """Whoever bound it goes on with the same port: nobody else can take it in between."""
    authority = new_authority()
    custodian = badge_of(authority, somebody(Role.CUSTODIAN))
    server = badge_of(authority, somebody(Role.SERVER))
    with bind(("127.0.0.1", 0)) as listening:
        for _ in range(2):
            with Listener(listening, custodian, echo, CLOCK) as listener:
                address = ("127.0.0.1", listener.port)
                with Link(address, server, custodian.peer, CLOCK, PATIENCE_SECONDS) as link:
                    assert link.ask("GET", "/").status == 200


def test_errors_are_of_the_house() -> None:
    for kind in (PeerUnavailable, PeerRefused, AddressTaken, ListenerUnsafe):
        assert issubclass(kind, StrongroomError)
        assert kind("it").hint
