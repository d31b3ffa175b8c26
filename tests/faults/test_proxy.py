"""The proxy of the tests of faults makes each trouble it names, and no other."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests.faults.proxy import CLEAR, PIECE_BYTES, Cut, Parted, Proxy, Silent, Slow, proxied

LIMIT_SECONDS = 30.0
"""Long past anything that works; a test that reaches it has failed."""


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """Answer every connection with what it said, until it says no more."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer(one: socket.socket) -> None:
        with closing(one):
            try:
                while said := one.recv(PIECE_BYTES):
                    one.sendall(said)
            except OSError:
                pass

    def take() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(one,), daemon=True).start()

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    try:
        yield listening.getsockname()
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        taking.join(LIMIT_SECONDS)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with echoing() as upstream, proxied(upstream) as made:
        yield made


@contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with closing(socket.create_connection(proxy.address, LIMIT_SECONDS)) as one:
        yield one


def heard(one: socket.socket, size: int) -> bytes:
    """Return so many bytes, or fewer when the connection ends."""
    found = b""
    while len(found) < size and (more := one.recv(size - len(found))):
        found += more
    return found


def broken(proxy: Proxy) -> bool:
    """Return whether a new connection ends without a word."""
    try:
        with connected(proxy) as one:
            return heard_until_broken(one) == b""
    except ConnectionError:
        return True


def heard_until_broken(one: socket.socket) -> bytes:
    """Return what comes before the connection ends, by a reset or without."""
    found = b""
    with suppress(ConnectionError):
        while more := one.recv(PIECE_BYTES):
            found += more
    return found


def test_passes_everything_on_and_counts_connections(proxy: Proxy) -> None:
    said = bytes(range(256)) * 1000
    for number in (1, 2):
        with connected(proxy) as one:
            threading.Thread(target=one.sendall, args=(said,), daemon=True).start()
            assert heard(one, len(said)) == said
            one.shutdown(socket.SHUT_WR)
            assert one.recv(1) == b""
        assert proxy.met == number


def test_parted_breaks_what_is_open_and_what_comes_until_it_is_clear(proxy: Proxy) -> None:
    with connected(proxy) as one:
        one.sendall(b"before")
        assert heard(one, 6) == b"before"
        proxy.make(Parted())
        assert heard_until_broken(one) == b""
    assert broken(proxy)
    proxy.make(CLEAR)
    with connected(proxy) as one:
        one.sendall(b"after")
        assert heard(one, 5) == b"after"


def test_silent_holds_everything_and_lets_it_go_when_it_is_clear(proxy: Proxy) -> None:
    proxy.make(Silent())
    with connected(proxy) as one:
        one.sendall(b"held")
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.settimeout(LIMIT_SECONDS)
        proxy.make(CLEAR)
        assert heard(one, 4) == b"held"


def test_slow_holds_back_answers(proxy: Proxy) -> None:
    proxy.make(Slow(0.2))
    with connected(proxy) as one:
        before = time.monotonic()
        one.sendall(b"slow")
        assert heard(one, 4) == b"slow"
        assert time.monotonic() - before >= 0.2
        proxy.make(Slow(3600))
        one.sendall(b"again")
        proxy.make(CLEAR)
        assert heard(one, 5) == b"again"


def test_cut_breaks_off_in_the_middle_of_an_answer(proxy: Proxy) -> None:
    with connected(proxy) as one:
        one.sendall(b"whole")
        assert heard(one, 5) == b"whole"
        proxy.make(Cut(3))
        one.sendall(b"in half")
        # What was on its way may be lost with a reset, and never is there more.
        assert b"in ".startswith(heard_until_broken(one))


def test_nobody_upstream_breaks_off() -> None:
    # Bound and not listening: nobody else can take the port meanwhile.
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        with proxied(bound.getsockname()) as proxy:
            assert broken(proxy)


def test_ends_with_connections_open(proxy: Proxy) -> None:
    proxy.make(Silent())
    before = threading.active_count()
    with connected(proxy) as one:
        one.sendall(b"never heard")
        proxy.end()
        assert heard_until_broken(one) == b""
    assert threading.active_count() <= before + 2
