"""The second half of `recover`: each client, from its vault.

What counts is what a writer pinned in the kits' key tables signed, in an unbroken chain, with a
threshold of receipts by the roster's custodians. A location that shows less than another is
behind; one that shows something else is damaged or forged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from strongroom.clients import Client, ClientSource, History, Keep, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Stale
from strongroom.ids import ClientId, SourceId, VaultId
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.open_keys import fetch_keys, open_keys, verified_header
from strongroom.operations.placing import client_key_key, place_kit_entries
from strongroom.operations.vault_config import place_config
from strongroom.quorum import LocalCustodian, Opening, SnapshotHeader
from strongroom.vault import Vault, WorkerKeys

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class RecoveredClient:
    """A client as it was found; `behind` counts snapshots each location lacks."""

    name: str
    sources: int
    snapshots: int
    newest: str
    received_at: datetime | None
    behind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Shown:
    """One snapshot as the locations show it."""

    snapshot: Snapshot
    record: Envelope
    receipts: Mapping[int, Envelope]
    received: Mapping[int, datetime]
    where: frozenset[str]


@dataclass(slots=True)
class _Rebuild:
    """What the steps of one client's recovery share."""

    deployment: Deployment
    history: History
    listing: Listing
    pin: LocalCustodian.Pin
    client: Client


def recover_clients(deployment: Deployment, listing: Listing) -> list[RecoveredClient]:
    """Rebuild every client that the custodians know.

    A custodian that was away during an earlier recovery knows fewer writers than the others, so
    each client's longest list of writers counts.
    """
    pins: dict[str, LocalCustodian.Pin] = {}
    for custodian in deployment.embedded():
        for pin in custodian.pins():
            other = pins.get(pin.client)
            if other is None or len(pin.writers) > len(other.writers):
                pins[pin.client] = pin
    return [_recover_client(deployment, listing, pins[client]) for client in sorted(pins)]


def _recover_client(
    deployment: Deployment, listing: Listing, pin: LocalCustodian.Pin
) -> RecoveredClient:
    tools = deployment.tools
    client = Client(
        ClientId(pin.client),
        f"client-{pin.client[:8]}",
        VaultId(pin.vault),
        pin.vault_class,
        Keep(),
        tools.clock.now(),
    )
    with tools.history(client.id) as history, tools.index(client.id) as index:
        rebuild = _Rebuild(deployment, history, listing, pin, client)
        shown = _find_snapshots(rebuild)
        _adopt_writers(rebuild, shown)
        good = [one for one in shown if one.snapshot.state == "good"]
        structure_key = tools.token(KEY_BYTES)
        if good:
            structure_key = _structure_key(rebuild, good[-1])
        secret = tools.token(KEY_BYTES) + structure_key + tools.token(KEY_BYTES)
        keys = WorkerKeys(secret[:32], secret[32:64], secret[64:])
        tools.secrets.write(f"worker-{client.id}", secret)
        for one in shown:
            history.adopt_snapshot(one.snapshot, one.received)
        vault = deployment.vault(client, index)
        for one in good:
            header, writer = verified_header(history, one.record.statement)
            vault.learn(one.snapshot.hash, one.record.body, writer, header.sequence, header.index)
        if good:
            header, writer = verified_header(history, good[-1].record.statement)
            structure = vault.structure(good[-1].record.body, writer, header.sequence)
            client = _adopt_identity(rebuild, structure)
        _begin_writer(rebuild, keys, shown)
        sources = len(history.sources())
    deployment.registry.add_client(
        client, deployment.fact("client.recovered", client.id, snapshots=len(good))
    )
    newest = good[-1].snapshot if good else None
    return RecoveredClient(
        client.name,
        sources,
        len(good),
        newest.hash if newest else "",
        newest.received_at if newest else None,
        _behind(deployment, shown),
    )


def _find_snapshots(rebuild: _Rebuild) -> list[_Shown]:
    """Return what the pinned writers signed, oldest first; raises Stale for a broken chain."""
    shown: list[_Shown] = []
    for writer in rebuild.pin.writers:
        chain = _read_chain(rebuild, writer.key, writer.revoked_after)
        _check_chain(rebuild, writer.id, chain)
        shown.extend(chain)
    folder = f"{rebuild.deployment.install}/vaults/{rebuild.client.vault}/snapshots/"
    strangers = {
        key[len(folder) :].split("/")[0] for key in rebuild.listing if key.startswith(folder)
    } - {writer.id for writer in rebuild.pin.writers}
    if strangers and not shown:
        raise Damaged(
            f"the vault {rebuild.client.vault[:8]} was not written by this client's writer",
            "its snapshots are signed by a key that no custodian knows: it is forged",
            hint="Do not trust these locations; look for another copy.",
        )
    return shown


def _read_chain(rebuild: _Rebuild, key: bytes, revoked_after: int | None) -> list[_Shown]:
    deployment, client = rebuild.deployment, rebuild.client
    writer = SnapshotHeader.writer_id(key)
    folder = f"{deployment.install}/vaults/{client.vault}/snapshots/{writer}/"
    chain: list[_Shown] = []
    for place in sorted(name for name in rebuild.listing if name.startswith(folder)):

        def accept(data: bytes, place: str = place) -> None:
            statement = decode_envelope(data, place).statement
            header = SnapshotHeader.parse(statement, key)
            if place != f"{folder}{header.sequence:08d}" or header.vault != client.vault:
                raise Damaged(f"{place} is a snapshot of another place", "it was moved there")

        record = decode_envelope(deployment.copies.get(place, accept), place)
        header = SnapshotHeader.parse(record.statement, key)
        if revoked_after is None or header.sequence <= revoked_after:
            chain.append(_show(rebuild, header, record, rebuild.listing[place]))
    return chain


def _show(
    rebuild: _Rebuild, header: SnapshotHeader, record: Envelope, where: frozenset[str]
) -> _Shown:
    deployment = rebuild.deployment
    receipts = _read_receipts(rebuild, header, record)
    received = {
        index: deployment.roster.check_receipt(envelope).received_at
        for index, envelope in receipts.items()
    }
    times = sorted(received.values())
    good = len(times) >= deployment.roster.threshold
    snapshot = Snapshot(
        hash=record.statement.hash.hex(),
        writer=header.writer,
        sequence=header.sequence,
        state="good" if good else "pending",
        created_at=header.created_at,
        received_at=times[(len(times) - 1) // 2] if good else None,
        summary={"sources": len(header.fresh), "recovered": True},
    )
    return _Shown(snapshot, record, receipts, received, where)


def _read_receipts(
    rebuild: _Rebuild, header: SnapshotHeader, record: Envelope
) -> dict[int, Envelope]:
    deployment = rebuild.deployment
    folder = (
        f"{deployment.install}/vaults/{header.vault}/receipts/{header.writer}/"
        f"{header.sequence:08d}/"
    )
    receipts: dict[int, Envelope] = {}
    for place in (name for name in rebuild.listing if name.startswith(folder)):

        def accept(data: bytes, place: str = place) -> None:
            deployment.roster.check_receipt(decode_envelope(data, place), record.statement)

        try:
            envelope = decode_envelope(deployment.copies.get(place, accept), place)
        except Damaged:
            # A forged receipt counts for nothing; whether enough are left is decided later.
            continue
        receipts[deployment.roster.check_receipt(envelope).index] = envelope
    return receipts


def _check_chain(rebuild: _Rebuild, writer: str, chain: list[_Shown]) -> None:
    previous = "0" * 64
    for expected, one in enumerate(chain, start=1):
        header = SnapshotHeader.read(one.record.statement)
        if header.sequence != expected:
            raise Stale(
                f"snapshot {expected} of vault {header.vault[:8]} is at no location",
                f"snapshot {header.sequence}, which follows it, is: somebody removed it",
                hint="Look for another copy that still has it.",
            )
        if header.previous != previous:
            raise Damaged(
                f"snapshot {expected} of vault {header.vault[:8]} does not follow the one before",
                "the chain of hashes is broken",
            )
        previous = one.snapshot.hash
    _check_no_receipts_removed(chain)
    folder = f"{rebuild.deployment.install}/vaults/{rebuild.client.vault}/receipts/{writer}/"
    receipted = [
        int(name[len(folder) :].split("/")[0])
        for name in rebuild.listing
        if name.startswith(folder)
    ]
    if max(receipted, default=0) > len(chain):
        raise Stale(
            f"the locations show an older state of vault {rebuild.client.vault[:8]} than was kept",
            f"custodians signed for snapshot {max(receipted)}, the newest there is {len(chain)}",
            hint="Look for another copy that still has it.",
        )


def _check_no_receipts_removed(chain: list[_Shown]) -> None:
    """Raise Stale for a snapshot with too few receipts that is followed by a good one.

    A custodian signs in order, so whoever signed for the later one had signed for the earlier.
    """
    good = [one.snapshot.sequence for one in chain if one.snapshot.state == "good"]
    for one in chain:
        if one.snapshot.state != "good" and one.snapshot.sequence < max(good, default=0):
            raise Stale(
                f"receipts of snapshot {one.snapshot.sequence} are at no location",
                f"custodians signed for snapshot {max(good)} after it: somebody removed them",
                hint="Look for another copy that still has them.",
            )


def _adopt_writers(rebuild: _Rebuild, shown: list[_Shown]) -> None:
    for writer in rebuild.pin.writers:
        last = max(
            (s.snapshot.sequence for s in shown if s.snapshot.writer == writer.id), default=0
        )
        rebuild.history.revoke_writer(writer.key, last)


def _structure_key(rebuild: _Rebuild, newest: _Shown) -> bytes:
    deployment, client = rebuild.deployment, rebuild.client
    statement = newest.record.statement
    opened = open_keys(deployment, client, rebuild.history, statement)
    session, wanted = SnapshotHeader.read(statement).fresh[0]
    envelope = fetch_keys(deployment, client, rebuild.history, session, wanted)
    return Opening.unwrap_structure_key(envelope, opened[session].inner)


def _adopt_identity(rebuild: _Rebuild, structure: Vault.Structure) -> Client:
    """Return the client under its own name, and write its sources."""
    deployment, found = rebuild.deployment, structure.client
    for source in structure.sources:
        row = ClientSource(
            SourceId(source.id), source.name, source.url, source.kind, deployment.tools.clock.now()
        )
        rebuild.history.add_source(
            row, deployment.fact("source.recovered", rebuild.client.id, source=source.id)
        )
    return replace(rebuild.client, name=Client.check_name(found.name), keep=Keep(**found.keep))


def _begin_writer(rebuild: _Rebuild, keys: WorkerKeys, shown: list[_Shown]) -> None:
    """Enrol the new writer at the custodians that are here; the others keep their certificates."""
    deployment, client = rebuild.deployment, rebuild.client
    revoked = {
        writer.id: max(
            (s.snapshot.sequence for s in shown if s.snapshot.writer == writer.id), default=0
        )
        for writer in rebuild.pin.writers
        if writer.revoked_after is None
    }
    certificates = _certificates_at_locations(rebuild)
    for custodian in deployment.embedded():
        index = custodian.card().index
        custodian.resume([one.receipts[index] for one in shown if index in one.receipts])
        known = {
            writer.id
            for pin in custodian.pins()
            if pin.client == client.id
            for writer in pin.writers
        }
        own = {writer: last for writer, last in revoked.items() if writer in known}
        envelope = custodian.succeed(client.id, keys.writer_public, own)
        serial = deployment.roster.check_client_key(envelope).serial
        place = client_key_key(deployment.install, client.id, custodian.card().id, serial)
        deployment.copies.put(place, envelope.encode())
        place_kit_entries(deployment.copies, custodian, client.id, rebuild.listing)
        certificates[index] = envelope.encode()
    place_config(deployment, client, keys)
    rebuild.history.begin_writer(
        keys.writer_public,
        certificates,
        deployment.fact("writer.enrolled", client.id, writer=keys.writer_public.hex()),
    )


def _certificates_at_locations(rebuild: _Rebuild) -> dict[int, bytes]:
    deployment = rebuild.deployment
    certificates: dict[int, bytes] = {}
    for member in deployment.roster.members:
        folder = f"{deployment.install}/client-keys/{rebuild.client.id}/{member.id}/"
        for place in sorted(name for name in rebuild.listing if name.startswith(folder)):

            def accept(data: bytes, place: str = place) -> None:
                deployment.roster.check_client_key(decode_envelope(data, place))

            certificates[member.index] = deployment.copies.get(place, accept)
    return certificates


def _behind(deployment: Deployment, shown: list[_Shown]) -> dict[str, int]:
    missing = dict.fromkeys(deployment.copies.locations, 0)
    for one in shown:
        for name in missing:
            missing[name] += name not in one.where
    return {name: count for name, count in missing.items() if count}
