"""Opening a snapshot to look at it: what `browse`, `diff` and `vault check` ask a team for.

Where somebody looks is nobody's business, so approvers see which snapshot is opened and no path.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.crypto.envelope import Statement
from strongroom.operations.deployment import Deployment
from strongroom.operations.grants import BROWSE, Act
from strongroom.operations.open_keys import open_keys
from strongroom.operations.read_snapshot import FoundSnapshot, find_to_read
from strongroom.operations.requesting import Permit, Wish, asked_snapshot, permitted
from strongroom.procedures import Plan
from strongroom.quorum import Acts, SnapshotHeader
from strongroom.vault import SessionKeys, Vault

_CHECKED: Final = "the newest good one, to check it"
"""What stands for the snapshot in the order of a check; no snapshot can be named so."""


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


def asked_to_check(deployment: Deployment, client: Client) -> str | None:
    """Return the snapshot that `vault check --read-data` asked for, where that is not over."""
    return asked_snapshot(deployment, _order(client, _CHECKED))


@contextmanager
def permitted_to_check(
    deployment: Deployment, client: Client, history: History, statement: Statement
) -> Iterator[Act | Permit]:
    """Ask to open a snapshot and compare all that is in it; raises Waiting in a team.

    What it yields opens the keys when the rest was looked at.
    """
    header = SnapshotHeader.read(statement)
    plan = Plan.of(
        f"check {client.name}, snapshot {statement.hash.hex()[:12]} of "
        f"{format_instant(header.created_at)}",
        "decrypts everything in it, compares it, and shows and keeps nothing of it",
    )
    opens = (statement.hash.hex(), len(header.sessions))
    wish = Wish(Acts.Procedure.BROWSE, {}, plan, _order(client, _CHECKED), opens)
    with permitted(deployment, (client, history), wish) as permit:
        yield permit or BROWSE


def _order(client: Client, wanted: str) -> str:
    return canonical.dumps(
        {"procedure": "browse", "client": client.name, "snapshot": wanted}
    ).decode()
