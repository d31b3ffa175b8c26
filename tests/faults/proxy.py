"""A proxy between a server and a custodian that makes the trouble a network makes.

It passes bytes on without knowing what they say, so that TLS goes through it from end to end. The
trouble may change at any time and holds at once for connections that are open.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

PIECE_BYTES: Final = 16 << 10
_AT_ONCE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Clear:
    """Pass everything on."""


@dataclass(frozen=True, slots=True)
class Parted:
    """Break what is open and what comes: nobody is there, as when a machine is off."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Take connections and bytes and pass nothing on until it is clear: a cable is out."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Hold back each piece of an answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Break a connection when so many bytes of answers have gone through it since this began."""

    after_bytes: int


Trouble = Clear | Parted | Silent | Slow | Cut
CLEAR: Final = Clear()


class Proxy:
    """Listens on a port of loopback that it keeps, and passes on to another."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        """Listen; connections are made to `upstream` as they come."""
        self._upstream = upstream
        self._changed = threading.Condition()
        self._trouble: Trouble = CLEAR
        self._ended = False
        self._met = 0
        self._open: dict[_Pair, int] = {}
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))

    @property
    def address(self) -> tuple[str, int]:
        """Where clients find it."""
        host, port = self._listening.getsockname()
        return host, port

    @property
    def trouble(self) -> Trouble:
        """What happens now."""
        with self._changed:
            return self._trouble

    @property
    def met(self) -> int:
        """How many connections came."""
        with self._changed:
            return self._met

    def make(self, trouble: Trouble) -> None:
        """Make this trouble from now on, for open connections too."""
        with self._changed:
            self._trouble = trouble
            for pair in self._open:
                self._open[pair] = 0
                if isinstance(trouble, Parted):
                    pair.break_off()
            self._changed.notify_all()

    def start(self) -> None:
        """Take connections, in threads of its own."""
        self._begin(self._take)

    def end(self) -> None:
        """Break every connection and wait until each thread has ended."""
        with self._changed:
            self._ended = True
            for pair in self._open:
                pair.break_off()
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            # A close alone does not wake the thread that accepts.
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        # Who accepts is the first, and begins no other once it has ended.
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _take(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with self._changed:
                self._met += 1
            try:
                server = socket.create_connection(self._upstream, 10)
            except OSError:
                _break_off(client)
                continue
            server.settimeout(None)
            pair = _Pair(client, server)
            with self._changed:
                if self._ended or isinstance(self._trouble, Parted):
                    pair.break_off()
                    continue
                self._open[pair] = 0
            self._begin(partial(self._pass, pair, answers=False))
            self._begin(partial(self._pass, pair, answers=True))

    def _pass(self, pair: "_Pair", *, answers: bool) -> None:
        """Pass on one direction of a connection until it ends; the other ends with it."""
        here, there = (pair.server, pair.client) if answers else (pair.client, pair.server)
        try:
            while piece := here.recv(PIECE_BYTES):
                allowed = self._allowed(pair, len(piece), answers=answers)
                there.sendall(piece[:allowed])
                if allowed < len(piece):
                    break
            else:
                # A half that is closed is a word of TLS too: the other half may still speak.
                there.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        pair.break_off()
        with self._changed:
            self._open.pop(pair, None)

    def _allowed(self, pair: "_Pair", size: int, *, answers: bool) -> int:
        """Wait as the trouble wants; return how many of so many bytes may go."""
        with self._changed:
            while isinstance(self._trouble, Silent) and not self._ended:
                self._changed.wait()
            if answers and isinstance(self._trouble, Slow):
                slow = self._trouble
                self._changed.wait_for(lambda: self._trouble != slow or self._ended, slow.seconds)
            if answers and isinstance(self._trouble, Cut):
                left = max(0, self._trouble.after_bytes - self._open.get(pair, 0))
                self._open[pair] = self._open.get(pair, 0) + size
                return min(left, size)
            return size


@contextlib.contextmanager
def proxied(upstream: tuple[str, int]) -> Iterator[Proxy]:
    """Run a proxy before this address."""
    proxy = Proxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """The two sockets of one connection that goes through."""

    client: socket.socket
    server: socket.socket

    def break_off(self) -> None:
        for one in (self.client, self.server):
            _break_off(one)


def _break_off(one: socket.socket) -> None:
    """End a connection at once, and wake whoever reads from it or writes to it.

    The other side sees a reset, or an end before it: which one is a matter of microseconds.
    """
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        one.shutdown(socket.SHUT_RDWR)
    one.close()
