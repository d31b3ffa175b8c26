"""The probe finds every listener that lets in what it must not, and says of none what it cannot."""

import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from strongroom.transport import Authority, Peer, Request, Response
from strongroom.transport.badge import load
from strongroom.transport.listener import bind
from strongroom.transport.peer import Role
from strongroom.transport.probing import CLOSED, Attempt, Outcome, Probe
from tests.support.open_listeners import certificate_optional, no_certificate, older, served
from tests.support.peers import (
    CLOCK,
    PATIENCE_SECONDS,
    badge_of,
    new_authority,
    pair,
    somebody,
)
from tests.support.ports import held

pytestmark = pytest.mark.loopback
CLOSED_WAYS = [
    "plaintext",
    "TLS 1.2 or older",
    "no certificate",
    "an expired certificate",
    "a certificate of another authority",
    "a certificate for the wrong use",
    "a listener's role that asks",
    "a role that may not ask this",
]
GOOD = "a good certificate"


def app(peer: Peer, request: Request) -> Response:
    """Answer as a custodian does: a probe may ask for its health and for nothing else."""
    if request.path == CLOSED.path and peer.role is not Role.SERVER:
        return Response(403, b"{}")
    return Response(200, b"{}")


def probe(authority: Authority, port: int, expected: Peer) -> dict[str, Attempt]:
    tried = Probe(authority, CLOCK, secrets.token_bytes, PATIENCE_SECONDS)
    return {attempt.name: attempt for attempt in tried(("127.0.0.1", port), expected)}


def wrong(attempts: dict[str, Attempt]) -> list[str]:
    return [name for name, attempt in attempts.items() if attempt.is_wrong]


def test_our_listener_refuses_all_but_the_good_one() -> None:
    with pair(app) as two:
        attempts = probe(two.authority, two.listener.port, two.custodian.peer)
    assert list(attempts) == [*CLOSED_WAYS, GOOD]
    assert wrong(attempts) == []
    assert {attempt.got for name, attempt in attempts.items() if name != GOOD} == {Outcome.REFUSED}
    assert attempts[GOOD].got is Outcome.ACCEPTED
    assert attempts["a role that may not ask this"].seen == "status 403"


def test_an_app_that_answers_every_role_is_found() -> None:
    with pair(lambda _peer, _request: Response(200, b"{}")) as two:
        attempts = probe(two.authority, two.listener.port, two.custodian.peer)
    assert wrong(attempts) == ["a role that may not ask this"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(older, [1, 6, 7], id="older protocols"),
        pytest.param(certificate_optional, [2, 6, 7], id="certificate optional"),
        # Who asks for no certificate is shown none: all of these are let in alike.
        pytest.param(no_certificate, [2, 3, 4, 5, 6, 7], id="no certificate"),
    ],
)
def test_a_listener_that_is_too_open_is_found(
    change: Callable[[ssl.SSLContext], None], found: list[int]
) -> None:
    authority = new_authority()
    custodian = badge_of(authority, somebody(Role.CUSTODIAN))
    with served(custodian, change) as port:
        attempts = probe(authority, port, custodian.peer)
    assert wrong(attempts) == [CLOSED_WAYS[number] for number in found]


def test_a_listener_that_trusts_another_authority_is_found() -> None:
    """It lets in the peers of somebody else, and not ours."""
    authority = new_authority()
    other = new_authority(authority.install)
    custodian = badge_of(authority, somebody(Role.CUSTODIAN))
    trusting = replace(custodian, authority=other.certificate)
    with served(
        trusting, lambda context: load(context, custodian.certificate, custodian.seed)
    ) as port:
        attempts = probe(authority, port, custodian.peer)
    assert wrong(attempts) == []
    assert attempts[GOOD].got is Outcome.UNKNOWN
    assert "refuses our certificate" in attempts[GOOD].seen


@contextmanager
def talking(answer: bytes) -> Iterator[int]:
    """Listen without TLS, and answer whatever comes with this; nothing hangs up at once."""
    with bind(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                accepted, _ = listening.accept()
                with closing(accepted):
                    accepted.settimeout(PATIENCE_SECONDS)
                    accepted.recv(100_000)
                    accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port: int = listening.getsockname()[1]
        try:
            yield port
        finally:
            done.set()
            with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as last:
                last.sendall(b"the end")
                last.settimeout(PATIENCE_SECONDS)
                last.recv(100)
            thread.join(PATIENCE_SECONDS)


def test_a_plaintext_listener_is_found() -> None:
    authority = new_authority()
    with talking(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as port:
        attempts = probe(authority, port, somebody(Role.CUSTODIAN))
    assert wrong(attempts) == ["plaintext"]
    assert attempts["plaintext"].seen == "HTTP/1.1 200 OK"


def test_an_impostor_is_found() -> None:
    """Another custodian of the install answers where one is expected."""
    with pair(app) as two:
        attempts = probe(two.authority, two.listener.port, somebody(Role.CUSTODIAN))
    assert wrong(attempts) == [GOOD]
    assert f"{two.custodian.peer} answers there" in attempts[GOOD].seen


def test_what_nobody_answers_is_unknown() -> None:
    with held(0) as holding:
        port = holding.getsockname()[1]
        attempts = probe(new_authority(), port, somebody(Role.CUSTODIAN))
    assert {attempt.got for attempt in attempts.values()} == {Outcome.UNKNOWN}
    assert wrong(attempts) == []


def test_what_says_nothing_is_unknown() -> None:
    with bind(("127.0.0.1", 0)) as listening:
        tried = Probe(new_authority(), CLOCK, secrets.token_bytes, 0.05)
        attempts = tried(listening.getsockname(), somebody(Role.CUSTODIAN))
    assert {attempt.got for attempt in attempts} == {Outcome.UNKNOWN}
