"""`recover`, the ledger: the facts that the locations have come back, and new epochs begin.

What is found of a log becomes an epoch that takes no more facts; this home signs under a name of
its own, for the old one may still be somebody's. What is lost is named, and in the first leaf of
the new epoch. Nothing is written to any location.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from strongroom.clients import Client
from strongroom.errors import Damaged, StrongroomError
from strongroom.facts import Fact
from strongroom.ids import ClientId
from strongroom.ledger import Log
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.find_logs import FoundLog, LogsAtLocations

Cause = Literal["recovered", "put_back"]
Record = Callable[[Fact], None]


@dataclass(slots=True)
class LedgerRecovery:
    """Brings logs back one by one; `facts` counts those that came back."""

    deployment: Deployment
    logs: LogsAtLocations
    facts: int = 0
    problems: list[str] = field(default_factory=list)
    _server_keys: set[bytes] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, deployment: Deployment, listing: Listing) -> "LedgerRecovery":
        """Look at what the locations list."""
        return cls(deployment, LogsAtLocations(deployment.copies, deployment.rosters, listing))

    def bring_client(
        self, client: Client, log: Log, structure: bytes | None, record: Record | None = None
    ) -> None:
        """Bring a client's log back; without its structure key nothing of it can be read.

        With `record` the epoch that custodians were told of goes on after it, under its name.
        """
        ids = self.logs.logs_of(client.id)
        if structure is None:
            self.problems += [
                f"client {client.id[:8]}: its log {one[:8]} is sealed under a key that no good "
                "snapshot gives, so its facts are not read"
                for one in ids
            ]
            return
        found = [one for one in (self._read(log_id, [structure]) for log_id in ids) if one]
        self._server_keys.update(*(one.server_keys for one in found))
        self._adopt(log, found, client.id, record)

    def bring_server(self) -> None:
        """Bring the server's log back, by the keys that lie in the clients'."""
        registry = self.deployment.registry
        if len(registry.log.epochs()) > 1:
            return
        origin = registry.log.epoch().origin
        own = None if origin is None else Log.stretch.log_of(origin)
        ids = [one for one in self.logs.logs_of(None) if one != own]
        keys = sorted(self._server_keys)
        found = [one for one in (self._read(log_id, keys) for log_id in ids) if one]
        # Where a team was waited for, this log has a name, and lies at the locations under it.
        self._adopt(registry.log, found, None, None if own is None else registry.record)

    def _read(self, log_id: str, parents: Sequence[bytes]) -> FoundLog | None:
        """Read a log under the first key that fits; one that cannot be read is named."""
        failure: StrongroomError = Damaged(
            f"nothing of the log {log_id[:8]} can be read",
            "no key that is here opens its first object",
        )
        for parent in parents:
            # No copy is damaged because it was sealed under another key than the one tried.
            if not self.logs.opens(log_id, parent):
                continue
            try:
                found = self.logs.read(log_id, parent)
                found.parse_facts()
            except StrongroomError as err:
                failure = err
            else:
                return found
        self.problems.append(f"the ledger is not whole: {failure}")
        return None

    def _adopt(
        self,
        log: Log,
        found: Sequence[FoundLog],
        client: ClientId | None,
        record: Record | None = None,
    ) -> None:
        there = {view.epoch().origin for view in log.epochs()}
        pasts = [one for one in in_order(found) if one.past.origin not in there]
        if not pasts:
            return
        if record is None:
            begin_epoch(self.deployment, log, pasts, client, "recovered")
        else:
            log.put_before([one.past for one in pasts], self.deployment.tools.clock.now())
            record(_begun(self.deployment, pasts, client, "recovered"))
        self.facts += sum(len(one.past.leaves) for one in pasts)
        self.problems += [
            f"the ledger is not whole: {one.lost} facts of the log {one.id[:8]} are lost: {one.why}"
            for one in pasts
            if one.lost
        ]


def in_order(found: Sequence[FoundLog]) -> list[FoundLog]:
    """Return logs by when their first facts were made."""
    return sorted(found, key=lambda one: (one.parse_facts()[0].at, one.id))


def begin_epoch(
    deployment: Deployment,
    log: Log,
    pasts: Sequence[FoundLog],
    client: ClientId | None,
    cause: Cause,
) -> None:
    """Put what was found before a new epoch, whose first fact tells of the newest of it."""
    first = _begun(deployment, pasts, client, cause)
    log.begin_after([one.past for one in pasts], first, deployment.tools.clock.now())


def _begun(
    deployment: Deployment, pasts: Sequence[FoundLog], client: ClientId | None, cause: Cause
) -> Fact:
    """Return what tells that an epoch follows these."""
    last = pasts[-1] if pasts else None
    return deployment.fact(
        "ledger.epoch_begun",
        client or deployment.install,
        client=client or "",
        cause=cause,
        lost=sum(one.lost for one in pasts),
        log=last.id if last else None,
        size=last.checkpoint.size if last else None,
        root=last.checkpoint.root.hex() if last else None,
        cosigned=last.cosigned if last else None,
    )
