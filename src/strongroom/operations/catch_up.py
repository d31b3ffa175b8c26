"""Learning: the index of a home is a cache, and whatever it lost is read from the locations again.

Snapshots are learnt in the order of the history, each with the key of the writer that signed it:
a later one refers to segments of earlier ones, whoever wrote them.
"""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.locations import ObjectMissing
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.quorum import SnapshotHeader
from strongroom.vault import Vault

_NOTHING: Mapping[str, Envelope] = MappingProxyType({})


def catch_up(
    deployment: Deployment,
    client: Client,
    history: History,
    vault: Vault,
    records: Mapping[str, Envelope] = _NOTHING,
) -> None:
    """Make every good snapshot usable that the index does not know; the caller has the lock.

    `records` are those that need not be read again, by hash.
    """
    for snapshot in _unknown(history, vault):
        record = records.get(snapshot.hash) or fetch_record(deployment, client, snapshot)
        _learn(history, vault, snapshot, record)


def learn_what_can_be(
    deployment: Deployment, client: Client, history: History, vault: Vault
) -> None:
    """Do the same, and pass over what cannot be learnt; the caller has the lock."""
    for snapshot in _unknown(history, vault):
        with suppress(StrongroomError):
            _learn(history, vault, snapshot, fetch_record(deployment, client, snapshot))


def learn_what_is_whole(
    deployment: Deployment,
    client: Client,
    history: History,
    vault: Vault,
    records: Mapping[str, Envelope] = _NOTHING,
) -> list[str]:
    """Do the same for a backup, and return why snapshots that are beyond help were passed over.

    Nothing new is built on them: what only they had stored is stored anew. One of `records`, and a
    location that does not answer or shows an older state, stop it.
    """
    told: list[str] = []
    for snapshot in _unknown(history, vault):
        known = records.get(snapshot.hash)
        try:
            record = known or fetch_record(deployment, client, snapshot)
            _learn(history, vault, snapshot, record)
        except (Damaged, ObjectMissing) as err:
            if known is not None:
                raise
            told.append(
                f"snapshot {snapshot.hash[:12]} cannot be read, nothing builds on it: {err}"
            )
    return told


def learn_buried(history: History, vault: Vault) -> int:
    """Make known what deleted snapshots had stored and others still need; return how many were.

    What cannot be read is passed over: whoever needs it says so.
    """
    learnt = 0
    writers = {str(SnapshotHeader.writer_id(key)): key for key, _ in history.writers()}
    for one in history.deleted():
        if not one.index or vault.knows(one.hash, one.writer, one.sequence):
            continue
        with suppress(StrongroomError):
            vault.learn_index(one.hash, writers[one.writer], one.sequence, one.index)
            learnt += 1
    return learnt


def catch_up_alone(deployment: Deployment, client: Client, history: History, vault: Vault) -> None:
    """Do the same for a caller without the lock, which is taken only when something is unknown."""
    if _unknown(history, vault):
        with deployment.tools.lock(client.vault):
            catch_up(deployment, client, history, vault)


def catch_up_for(
    deployment: Deployment,
    client: Client,
    history: History,
    vault: Vault,
    wanted: tuple[Snapshot, Vault.Structure],
) -> None:
    """Learn what one snapshot needs; takes the lock only when a segment of it is unknown.

    So a restore goes on beside a running backup. An earlier snapshot that is lost stops it only
    when this one needs it.
    """
    snapshot, structure = wanted
    if vault.holds(structure):
        return
    failure: StrongroomError | None = None
    with deployment.tools.lock(client.vault):
        for earlier in (*_unknown(history, vault), snapshot):
            try:
                _learn(history, vault, earlier, fetch_record(deployment, client, earlier))
            except StrongroomError as err:
                failure = failure or err
            if earlier.hash == snapshot.hash:
                break
    if failure is not None and not vault.holds(structure):
        raise failure


def _unknown(history: History, vault: Vault) -> list[Snapshot]:
    """Return the good snapshots that the index does not know, oldest first.

    They are looked for from the newest back, and no further once the others are as many as the
    index knows: of ten thousand, a backup asks for its own.
    """
    here, there = vault.tally(), history.tally()
    found: list[Snapshot] = []
    if here != there:
        for snapshot in history.good_newest_first():
            if not vault.knows(snapshot.hash, snapshot.writer, snapshot.sequence):
                found.append(snapshot)
                count, total = there.pop(snapshot.writer, (0, 0))
                if count > 1:
                    there[snapshot.writer] = count - 1, total - snapshot.sequence
            if here == there:
                break
    return found[::-1]


def _learn(history: History, vault: Vault, snapshot: Snapshot, record: Envelope) -> None:
    header, writer = verified_header(history, record.statement)
    what = (snapshot.hash, record.body, writer, header.sequence, header.index)
    try:
        vault.learn(*what)
    except (Damaged, ObjectMissing):
        # It may refer to what a deleted snapshot had stored, which a lost index forgot.
        if not history.deleted():
            raise
        learn_buried(history, vault)
        vault.learn(*what)
