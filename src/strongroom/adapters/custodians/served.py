"""A custodian that is served: who asks, what, and how often is judged before it hears of it.

The carrier (a listener of mutual TLS) has found out who asks; the custodian decides alone what it
answers. In between, the route, the role and the rates are checked, and an error becomes what
travels. What failed is told to whoever runs this, without what was asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from strongroom.adapters.custodians.rates import HOUR_SECONDS, MINUTE_SECONDS, Rate
from strongroom.clock import Clock
from strongroom.crypto import canonical
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.ids import InstallId
from strongroom.quorum import Custodian, LocalCustodian
from strongroom.transport import Peer, Request, Response

Wire = LocalCustodian.Wire
Order = Callable[[bytes], None]
"""Take what only the server may bring: a certificate, a deny list."""

PREFIX: Final = "/v1/"
OCTETS: Final = "application/octet-stream"
_NO_ORDERS: Final[Mapping[str, Order]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Allowed:
    """How often may be asked."""

    # A small team restores by hand; five an hour for each client is too few for a day of drills.
    releases_per_hour_of_client: int = 60
    releases_per_hour: int = 240
    questions_per_minute_of_peer: int = 6000
    # A fleet is enrolled in an hour; whoever stole its server needs hours to use up a custodian,
    # also with former writers, of which one client may bring 999.
    writers_per_hour: int = 1000


class ServedCustodian:
    """Answers requests of peers for one custodian; called by many threads at once."""

    def __init__(
        self,
        custodian: Custodian,
        install: InstallId,
        clock: Clock,
        allowed: Allowed | None = None,
        orders: Mapping[str, Order] = _NO_ORDERS,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Serve a custodian; `orders` are what the server may bring to this process, by route."""
        limits = allowed or Allowed()
        self._custodian = custodian
        self._health = _health(custodian, install)
        self._orders = orders
        self._tell = tell
        self._questions = Rate(limits.questions_per_minute_of_peer, MINUTE_SECONDS, clock)
        self._of_client = Rate(limits.releases_per_hour_of_client, HOUR_SECONDS, clock)
        self._of_all = Rate(limits.releases_per_hour, HOUR_SECONDS, clock)
        self._writers = Rate(limits.writers_per_hour, HOUR_SECONDS, clock)

    def __call__(self, peer: Peer, request: Request) -> Response:
        """Answer one request; an error of any kind is an answer, too."""
        try:
            return self._answer(peer, request)
        except Exception as err:  # noqa: BLE001  # whatever fails, the asker learns that it failed
            if not isinstance(err, Refused | UsageError):
                self._tell(f"{peer} asked {request.path[:40]!r}, and it failed: {_words(err)}")
            return Response(*Wire.report(err))

    def _answer(self, peer: Peer, request: Request) -> Response:
        if not self._questions.take(f"{peer.role} {peer.id}"):
            raise Wire.TooManyAsked(f"{peer} asks too often", f"over {self._questions.most}/min")
        if (request.method, request.path) == ("GET", f"{PREFIX}health"):
            return Response(200, self._health)
        name = request.path.removeprefix(PREFIX)
        if request.method != "PUT" or name == request.path:
            raise UsageError(f"there is no {request.method:.10} {request.path!r:.60}")
        if name in self._orders:
            self._order(peer, name, request.body)
            return Response(200, b"", OCTETS)
        Wire.check_asker(peer.role, name)
        if name == "release":
            self._count_release(request.body)
        if name == "enrol":
            self._count_writers(request.body)
        return Response(200, Wire.answer(self._custodian, name, request.body), OCTETS)

    def _count_writers(self, body: bytes) -> None:
        count = Wire.writers_of_enrolment(body)
        if not self._writers.take("all", count):
            raise Wire.TooManyAsked(
                f"{self._custodian.card()} takes no client with {count} writers for now",
                f"{self._writers.most} writers an hour are the limit",
                hint="Run the command again in an hour, and find out who enrols so many; for a "
                "large fleet raise writers_per_hour in `custodian.toml` there.",
            )

    def _order(self, peer: Peer, name: str, body: bytes) -> None:
        if peer.role != "server":
            raise Refused(f"a {peer.role} may not bring a {name}", "only the server may")
        self._orders[name](body)

    def _count_release(self, body: bytes) -> None:
        client = Wire.client_of_release(body)
        for rate, whose in ((self._of_client, client), (self._of_all, "all")):
            if not rate.take(whose):
                of = "all clients together" if whose == "all" else f"client {client[:8]}"
                raise Wire.TooManyAsked(
                    f"{self._custodian.card()} opens nothing more of {of}",
                    f"{rate.most} releases an hour are the limit",
                )


def _health(custodian: Custodian, install: InstallId) -> bytes:
    card = custodian.card()
    return canonical.dumps(
        {
            "custodian": card.id,
            "format": "custodian-v1",
            "index": card.index,
            "install": install,
            "state": "serving",
        }
    )


def _words(err: Exception) -> str:
    return str(err) if isinstance(err, StrongroomError) else type(err).__name__
