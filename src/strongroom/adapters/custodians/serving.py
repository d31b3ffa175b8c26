"""A custodian's process at work: the custodian, and what the server brings to the process itself.

The server brings a new certificate before the old one ends, and the list of those that count no
more. Both are kept before they are shown, so that a restart goes on with them.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from strongroom.adapters.custodians.home import CustodianHome
from strongroom.adapters.custodians.served import Allowed, ServedCustodian
from strongroom.clock import Clock
from strongroom.quorum import LocalCustodian
from strongroom.transport import Badge, Peer, Request, Response


class Shows(Protocol):
    """The listener, as far as it is changed while it runs."""

    def renew(self, badge: Badge) -> None:
        """Show this badge from the next connection on."""
        ...

    def deny(self, data: bytes) -> object:
        """Refuse the certificates of this list from the next request on."""
        ...


class Serving:
    """Answers requests for the custodian of a home; called by many threads at once."""

    def __init__(
        self,
        home: CustodianHome,
        allowed: Allowed,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._home = home
        self._listener: Shows | None = None
        self._shown = threading.Event()
        custodian = home.custodian()
        self.card: LocalCustodian.Wire.Member = custodian.card()
        orders = {"badge": self._take_badge, "deny-list": self._take_deny_list}
        self._served = ServedCustodian(custodian, home.install(), clock, allowed, orders, tell)

    def shown_by(self, listener: Shows) -> None:
        """Take the listener that this is served by; nothing is answered before that."""
        deny_list = self._home.deny_list()
        if deny_list is not None:
            listener.deny(deny_list)
        self._listener = listener
        self._shown.set()

    def __call__(self, peer: Peer, request: Request) -> Response:
        """Answer one request."""
        self._shown.wait()
        return self._served(peer, request)

    def _take_badge(self, certificate: bytes) -> None:
        badge = self._home.renew(certificate)
        if self._listener is not None:
            self._listener.renew(badge)

    def _take_deny_list(self, data: bytes) -> None:
        self._home.keep_deny_list(data)
        if self._listener is not None:
            self._listener.deny(data)
