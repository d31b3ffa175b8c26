"""An install whose custodians are asked over mutual TLS, each through a proxy that makes trouble.

The custodians are those that the install made for itself; here each is served by a listener of its
own, and operations get links to them in the place of the custodians themselves.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from strongroom.adapters.custodians.remote import remote_custodian
from strongroom.adapters.custodians.served import ServedCustodian
from strongroom.clock import Clock, SystemClock
from strongroom.database import Database
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.conclude import conclude
from strongroom.operations.deployment import Deployment
from strongroom.quorum import LocalCustodian
from strongroom.transport import Badge, Link, Peer
from strongroom.transport.listener import Listener, bind
from strongroom.transport.peer import Role
from tests.faults.proxy import CLEAR, Proxy, Silent, Slow, Trouble, proxied
from tests.journeys.world import LiveState, World, restored_state, silent
from tests.support.peers import PATIENCE_SECONDS, badge_of, new_authority, somebody

IMPATIENCE_SECONDS: Final = 0.3
"""How long one is waited for of whom nothing will come."""
CUSTODIANS: Final = (1, 2, 3)


class Skewed(SystemClock):
    """A clock that is wrong by so much, and runs well otherwise."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


@dataclass(frozen=True, slots=True)
class Seat:
    """One custodian: what it writes to, where it is met, and who it is there."""

    database: Database
    proxy: Proxy
    badge: Badge


@dataclass(frozen=True, slots=True)
class Apart:
    """The install, and its custodians behind their proxies."""

    world: World
    server: Badge
    seats: dict[int, Seat]

    def make(self, trouble: Trouble, *indices: int) -> None:
        """Make this trouble before these custodians, and none before the others."""
        for index, seat in self.seats.items():
            seat.proxy.make(trouble if index in indices else CLEAR)

    @contextmanager
    def open(self) -> Iterator[Deployment]:
        """Open the home for one command, with links to its custodians."""
        with self.world.open() as deployment, ExitStack() as stack:
            links = {index: stack.enter_context(self.link(index)) for index in self.seats}
            asked = {
                index: remote_custodian(link, deployment.roster.member(index))
                for index, link in links.items()
            }
            apart = replace(deployment, custodians=asked)
            try:
                yield apart
            finally:
                conclude(apart)

    def link(self, index: int) -> Link:
        """Return a link to a custodian, which waits for those that answer only."""
        seat = self.seats[index]
        mute = isinstance(seat.proxy.trouble, Silent | Slow)
        seconds = IMPATIENCE_SECONDS if mute else PATIENCE_SECONDS
        return Link(seat.proxy.address, self.server, seat.badge.peer, SystemClock(), seconds)

    def back_up(self, client: str) -> BackupReport:
        with self.open() as deployment:
            return back_up(deployment, deployment.registry.client(client), silent)

    def restore(self, client: str, snapshot: str = "latest") -> LiveState:
        with self.open() as deployment:
            return restored_state(deployment, client, self.world.root / "restored", snapshot)


@contextmanager
def apart(
    world: World, clock_of: Callable[[int], Clock] = lambda _index: SystemClock()
) -> Iterator[Apart]:
    """Serve the custodians of an install, each by a clock of its own."""
    with world.open() as deployment:
        install, tools = deployment.install, deployment.tools
        members: Sequence[int] = [member.index for member in deployment.roster.members]
    authority = new_authority(install)
    server = badge_of(authority, somebody(Role.SERVER))
    seats: dict[int, Seat] = {}
    with ExitStack() as stack:
        for index in members:
            database, kek = tools.custodian_home(index, False)
            stack.callback(database.close)
            clock = clock_of(index)
            local = LocalCustodian.open(database, kek, clock, tools.token)
            badge = badge_of(authority, Peer(Role.CUSTODIAN, local.card().id))
            served = ServedCustodian(local, install, clock)
            listening = stack.enter_context(closing(bind(("127.0.0.1", 0))))
            listener = stack.enter_context(Listener(listening, badge, served, SystemClock()))
            proxy = stack.enter_context(proxied(("127.0.0.1", listener.port)))
            seats[index] = Seat(database, proxy, badge)
        yield Apart(world, server, seats)
