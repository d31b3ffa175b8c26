"""Tombstones of a home and at the locations: placing them, and what follows from them.

A home carries out only tombstones of its own making, which its own database holds. One that lies at
a location explains holes and nothing more: whoever stole a writer's key must not let a recovered
home delete.
"""

from collections.abc import Container, Mapping, Sequence

from strongroom.clients import Client, History
from strongroom.errors import StrongroomError
from strongroom.operations.deployment import Deployment
from strongroom.vault import Vault, WorkerKeys

Holes = Mapping[tuple[str, int], History.Buried]
"""Snapshots that tombstones explain the absence of, by writer and sequence."""


def place_of(deployment: Deployment, client: Client) -> Vault.Place:
    """Return where a client's vault is."""
    return Vault.Place(deployment.install, client.id, client.vault, client.vault_class)


def read_own(
    deployment: Deployment, client: Client, keys: WorkerKeys, row: History.TombRow
) -> Vault.Tomb:
    """Return a tombstone of this home as it was signed."""
    name = f"tombs/{keys.writer_id}-{row.generation:08d}"
    return Vault.Tomb.parse(row.record, place_of(deployment, client), keys.writer_public, name)


def place_tombs(deployment: Deployment, client: Client, history: History, keys: WorkerKeys) -> None:
    """Place every tombstone that an interrupted run has begun; the same bytes each time."""
    root = place_of(deployment, client).root
    for row in history.tombs():
        if not row.placed:
            tomb = read_own(deployment, client, keys, row)
            deployment.copies.put(f"{root}/{tomb.key}", row.record)
            history.place_tomb(row)


def retire_gone(
    deployment: Deployment, client: Client, history: History, vault: Vault, keys: WorkerKeys
) -> None:
    """Let dedup refer to nothing that a tombstone lists or that is lost; the caller has the lock.

    An index that lost its last rows or was rebuilt learns of them here, before it is used.
    """
    hashes, lost = history.tomb_hashes(), history.copies.lost()
    if not hashes and not lost:
        return
    done = vault.forgetting.retired_by()
    fresh = sorted(lost - done)
    if fresh:
        vault.forgetting.retire(fresh, packs_in(fresh), sessions_in(fresh))
    if done.issuperset(hashes):
        return
    for row in history.tombs():
        if row.hash not in done:
            tomb = read_own(deployment, client, keys, row)
            vault.forgetting.retire((row.hash,), packs_in(tomb.objects), sessions_in(tomb.objects))


def packs_in(objects: Sequence[str]) -> list[str]:
    """Return the ids of the packs among keys of objects."""
    return [key.rpartition("/")[2] for key in objects if key.startswith("packs/")]


def sessions_in(objects: Sequence[str]) -> list[str]:
    """Return the sessions whose keys objects are among keys of objects."""
    return [key.rpartition("/")[2] for key in objects if key.startswith("keys/")]


def objects_of(
    deployment: Deployment, client: Client, rows: Sequence[History.TombRow]
) -> frozenset[str]:
    """Return the full keys of the objects that these tombstones of this home took, or will."""
    if not rows:
        return frozenset()
    keys, root = deployment.worker_keys(client), place_of(deployment, client).root
    return frozenset(
        f"{root}/{key}"
        for row in rows
        for key in read_own(deployment, client, keys, row).objects
        if key not in row.rescued
    )


def read_holes(
    deployment: Deployment,
    client: Client,
    listed: Container[str],
    tombs: Sequence[str],
    writers: Mapping[str, bytes],
) -> tuple[dict[tuple[str, int], History.Buried], frozenset[str]]:
    """Return the snapshots and the objects that tombstones at these keys list.

    Only those that these writers have signed count. One that cannot be read explains nothing. An
    index object that goes counts as long as a location lists it: what waits may need it.
    """
    place = place_of(deployment, client)
    found: dict[tuple[str, int], History.Buried] = {}
    gone: set[str] = set()
    for key in tombs:
        name = Vault.tomb_name(key.rpartition("/")[2])
        writer = writers.get(name[0]) if name else None
        if writer is None:
            continue

        def accept(data: bytes, key: str = key, writer: bytes = writer) -> None:
            Vault.Tomb.parse(data, place, writer, key)

        try:
            data = deployment.copies.get(key, accept)
        except StrongroomError:
            continue
        tomb = Vault.Tomb.parse(data, place, writer, key)
        gone.update(tomb.objects)
        for one in tomb.snapshots:
            buried = History.Buried(one.hash, one.writer, one.sequence, one.index)
            found[one.writer, one.sequence] = buried
    holes = {
        at: History.Buried(one.hash, one.writer, one.sequence, "")
        if f"index/{one.index}" in gone and f"{place.root}/index/{one.index}" not in listed
        else one
        for at, one in found.items()
    }
    return holes, frozenset(gone)
