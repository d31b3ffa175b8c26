"""A link over a network in trouble: an answer comes whole, or it is an error that names the peer.

Each trouble is made between a link and a listener that speak mutual TLS, and ends again: the same
link then goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from strongroom.transport import Link, Peer, Request, Response
from strongroom.transport.link import PeerUnavailable
from tests.faults.proxy import CLEAR, Cut, Parted, Proxy, Silent, Slow, Trouble, proxied
from tests.support.peers import CLOCK, PATIENCE_SECONDS, Pair, pair

ANSWER = bytes(range(256)) * 400
SHORT_SECONDS = 0.3
"""For questions that must fail by it; no test passes because of how fast something is."""


@dataclass(slots=True)
class Answering:
    """Answers every question the same, and remembers which came."""

    asked: list[bytes] = field(default_factory=list)

    def __call__(self, _peer: Peer, request: Request) -> Response:
        self.asked.append(request.body)
        return Response(200, ANSWER)


@dataclass(frozen=True, slots=True)
class Way:
    """A listener, a proxy before it, and links through the proxy."""

    two: Pair
    proxy: Proxy
    app: Answering

    def link(self, seconds: float = PATIENCE_SECONDS) -> Link:
        return Link(self.proxy.address, self.two.server, self.two.custodian.peer, CLOCK, seconds)


@pytest.fixture(name="way")
def _way() -> Iterator[Way]:
    app = Answering()
    with pair(app) as two, proxied(two.address) as proxy:
        yield Way(two, proxy, app)


def asked(link: Link, body: bytes = b"") -> bytes:
    return link.ask("PUT", "/v1/something", body).body


@pytest.mark.parametrize(
    "trouble", [Parted(), Silent(), Slow(60), Cut(0), Cut(100)], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("open_already", [False, True], ids=["new", "kept"])
def test_trouble_is_an_error_that_names_the_peer_and_ends_with_it(
    way: Way, trouble: Trouble, open_already: bool
) -> None:
    impatient, patient = way.link(SHORT_SECONDS), way.link()
    with impatient, patient:
        if open_already:
            assert asked(patient) == ANSWER
        way.proxy.make(trouble)
        with pytest.raises(PeerUnavailable) as raised:
            asked(impatient if isinstance(trouble, Silent | Slow) else patient)
        assert str(way.two.custodian.peer) in raised.value.what
        assert raised.value.why
        way.proxy.make(CLEAR)
        assert asked(patient) == ANSWER


def test_slow_and_in_time_is_an_answer(way: Way) -> None:
    way.proxy.make(Slow(0.01))
    with way.link() as link:
        assert asked(link) == ANSWER


def test_cut_anywhere_an_answer_is_whole_or_none(way: Way) -> None:
    """Through the handshake, the head of the answer, its body and its last byte."""
    with way.link() as link:
        assert asked(link) == ANSWER
    cuts = [*range(0, 3000, 250), 4_000, 50_000, 100_000, len(ANSWER)]
    broken = 0
    for after_bytes in cuts:
        way.proxy.make(Cut(after_bytes))
        with way.link() as link:
            try:
                assert asked(link) == ANSWER
            except PeerUnavailable:
                broken += 1
    # More than the answer's own bytes go over the wire, so each of them cuts something off.
    assert broken == len(cuts)


def test_what_was_done_is_done_though_its_answer_was_cut(way: Way) -> None:
    """Whoever asks has to ask again, and must be able to."""
    with way.link() as link:
        assert asked(link, b"first") == ANSWER
        way.proxy.make(Cut(len(ANSWER) // 2))
        with pytest.raises(PeerUnavailable):
            asked(link, b"second")
        way.proxy.make(CLEAR)
        assert asked(link, b"second") == ANSWER
    assert way.app.asked[0] == b"first"
    assert way.app.asked.count(b"second") >= 2
