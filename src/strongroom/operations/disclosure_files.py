"""The files of private values, kept open between the facts of a command.

Opening such a file and closing it again waits for the disk several times, which costs ten times
what a fact does. So the last ones that were used stay open: the server's, and one client's. What
is added is made durable here before anything is signed, not with each fact: see
docs/decisions/0015-private-values-before-the-signature.md.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Final

from strongroom.ids import ClientId
from strongroom.ledger import Disclosures

KEPT_OPEN: Final = 2


class DisclosureFiles:
    """Opens the private values of the server, or of a client; one user at a time has each."""

    def __init__(self, opened: Callable[[ClientId | None], Disclosures]) -> None:
        self._opened = opened
        self._idle: dict[ClientId | None, Disclosures] = {}
        self._lock = Lock()

    @contextmanager
    def of(self, client: ClientId | None) -> Iterator[Disclosures]:
        """Yield one client's private values, or (with None) the server's and the names.

        Within that, somebody else who asks for the same gets the file opened a second time.
        """
        with self._lock:
            disclosures = self._idle.pop(client, None)
        if disclosures is None:
            disclosures = self._opened(client)
        try:
            yield disclosures
        except BaseException:
            disclosures.close()
            raise
        with self._lock:
            surplus = [self._idle.pop(client)] if client in self._idle else []
            self._idle[client] = disclosures
            if len(self._idle) > KEPT_OPEN:
                surplus.append(self._idle.pop(next(iter(self._idle))))
        _close(surplus)

    def settle(self) -> None:
        """Make all durable that was added before this."""
        with self._lock:
            for disclosures in self._idle.values():
                disclosures.settle()

    def close(self) -> None:
        """Close what is open and idle; what is asked for later is opened again."""
        with self._lock:
            idle, self._idle = self._idle, {}
        _close(idle.values())


def _close(several: Iterable[Disclosures]) -> None:
    with ExitStack() as stack:
        for disclosures in several:
            stack.callback(disclosures.close)
