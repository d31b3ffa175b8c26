"""Finding a snapshot that somebody wants to read: its record, its writer, its structure.

The one way to restore, to browse and to compare. Nothing here opens a key: what only the
structure tells is judged first, so that custodians are not asked for what cannot be done.
"""

from dataclasses import dataclass

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Statement
from strongroom.errors import Refused
from strongroom.operations.catch_up import catch_up_for
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.operations.vault_config import check_config
from strongroom.quorum import SnapshotHeader
from strongroom.vault import Vault


@dataclass(frozen=True, slots=True)
class FoundSnapshot:
    """A snapshot that can be read as soon as custodians release its keys."""

    snapshot: Snapshot
    statement: Statement
    structure: Vault.Structure

    @property
    def sources(self) -> str:
        """Return the names of its sources, for a sentence."""
        return ", ".join(source.name for source in self.structure.sources)


def find_to_read(
    deployment: Deployment, client: Client, history: History, vault: Vault, wanted: str
) -> FoundSnapshot:
    """Return the snapshot meant by `latest`, an id prefix or a time, ready to be opened.

    Raises UsageError when there is none, Refused for one that is not good and can become it.
    """
    snapshot = history.find(wanted)
    own = SnapshotHeader.writer_id(deployment.worker_keys(client).writer_public)
    if snapshot.state != "good" and snapshot.writer == own:
        raise Refused(
            f"snapshot {snapshot.hash[:12]} is {snapshot.state}",
            "too few custodians have signed that they can open it",
            hint=f"Run `strongroom backup {client.name}`; it collects missing receipts.",
        )
    check_config(deployment, client, history, "read")
    record = fetch_record(deployment, client, snapshot)
    header, writer = verified_header(history, record.statement)
    structure = vault.structure(record.body, writer, header.sequence)
    catch_up_for(deployment, client, history, vault, (snapshot, structure))
    return FoundSnapshot(snapshot, record.statement, structure)
