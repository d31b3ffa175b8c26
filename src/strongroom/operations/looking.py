"""Opening a snapshot to look at it: what `browse` and `diff` ask a team for, each snapshot once.

Where somebody looks is nobody's business, so approvers see which snapshot is opened and no path.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import BROWSE
from strongroom.operations.open_keys import open_keys
from strongroom.operations.read_snapshot import FoundSnapshot, find_to_read
from strongroom.operations.requesting import Wish, asked_snapshot, permitted
from strongroom.procedures import Plan
from strongroom.quorum import Acts, SnapshotHeader
from strongroom.vault import SessionKeys, Vault


def find_to_look_at(
    deployment: Deployment, client: Client, history: History, vault: Vault, wanted: str
) -> FoundSnapshot:
    """Return the snapshot that is meant; what was asked for stays, whatever `latest` means now."""
    snapshot = asked_snapshot(deployment, _order(client, wanted)) or wanted
    return find_to_read(deployment, client, history, vault, snapshot)


@contextmanager
def opened_to_look(
    deployment: Deployment,
    client: Client,
    history: History,
    found: FoundSnapshot,
    wanted: str,
) -> Iterator[dict[str, SessionKeys]]:
    """Open the keys of a snapshot that was found by these words; raises Waiting in a team."""
    header = SnapshotHeader.read(found.statement)
    plan = Plan.of(
        f"browse {client.name}, snapshot {found.snapshot.hash[:12]} of "
        f"{format_instant(header.created_at)}",
        f"names, sizes and counts of {found.sources}",
    )
    opens = (found.snapshot.hash, len(header.sessions))
    wish = Wish(Acts.Procedure.BROWSE, {}, plan, _order(client, wanted), opens)
    with permitted(deployment, (client, history), wish) as permit:
        yield open_keys(deployment, client, history, found.statement, permit or BROWSE)


def _order(client: Client, wanted: str) -> str:
    return canonical.dumps(
        {"procedure": "browse", "client": client.name, "snapshot": wanted}
    ).decode()
