"""`backup`: read a client's sources and keep what is new, under keys nobody here can open again.

Order: packs, keys objects, index, the snapshot's row at home, its record at the locations,
receipts. Before the record nothing counts; after it nothing is lost. One failing source does not
stop the others.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from strongroom.clients import Client, ClientSource, History, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.hashing import statement_hash
from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.ids import SessionId, new_id
from strongroom.locations import LocationUnavailable
from strongroom.operations.catch_up import learn_what_is_whole
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.enrol_writer import enrol_writer
from strongroom.operations.fill_locations import (
    count_lacking,
    put_client_objects,
    put_install_objects,
)
from strongroom.operations.placing import session_path
from strongroom.operations.prove_shares import prove_due
from strongroom.operations.receipts import complete, guard_against_rollback
from strongroom.operations.tombs import retire_gone
from strongroom.operations.vault_config import check_config
from strongroom.quorum import Dealing, SnapshotHeader
from strongroom.vault import SessionKeys, Vault, WorkerKeys

COMMITMENTS = "strongroom/facts-of-sources"
NAMES_SHOWN = 20
"""How many names a report tells; a source's facts hold as many."""
LARGE_BYTES = 8 << 20
COMMITMENTS_TOLD = 256
"""A fact tells so many sources' commitments; a hash stands for all where there are more."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a backup did with one source."""

    name: str
    state: str
    entries: int = 0
    read_bytes: int = 0
    stored_bytes: int = 0
    unreadable: int = 0
    changed_while_read: int = 0
    special: int = 0
    attributes_unread: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup did; `problems` is empty when all of it is done.

    A custodian that did not sign is a warning while enough others have.
    """

    client: str
    snapshot: str
    state: str
    read_bytes: int
    stored_bytes: int
    sent_bytes: int
    elapsed_seconds: float
    receipts: int
    receipts_needed: int
    receipts_of: int
    sources: list[SourceReport]
    warnings: list[str]
    problems: list[str]


class MayBeLarge(Exception):
    """The sources are not all seen to be small SQLite databases; nothing was written yet."""


@dataclass(slots=True)
class _Run:
    """What one backup carries from step to step."""

    deployment: Deployment
    client: Client
    history: History
    vault: Vault
    keys: WorkerKeys
    progress: Callable[[Vault.Progress], None]
    public_keys: list[bytes] = field(default_factory=list)
    """The custodians' keys for the client, by index."""
    dealt: list[tuple[str, Envelope]] = field(default_factory=list)
    reports: list[SourceReport] = field(default_factory=list)
    commitments: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prepare(deployment: Deployment) -> None:
    """Do what is done once before any number of clients are backed up."""
    deployment.tools.sweep()
    put_install_objects(deployment)


def back_up(
    deployment: Deployment, client: Client, progress: Callable[[Vault.Progress], None]
) -> BackupReport:
    """Back up one client; raises when nothing could be kept."""
    prepare(deployment)
    return back_up_prepared(deployment, client, progress)


def back_up_prepared(
    deployment: Deployment,
    client: Client,
    progress: Callable[[Vault.Progress], None],
    *,
    only_small: bool = False,
) -> BackupReport:
    """Back up one client after `prepare`; raises when nothing could be kept.

    With `only_small` it raises MayBeLarge unless all sources are small SQLite databases.
    """
    client.check_kept()
    tools = deployment.tools
    started = tools.clock.monotonic()
    with (
        tools.lock(client.vault),
        tools.history(client.id) as history,
        tools.index(client.id) as index,
    ):
        if only_small:
            _check_small(deployment, history.sources())
        keys = deployment.worker_keys(client)
        vault = deployment.vault(client, index, keys)
        run = _Run(deployment, client, history, vault, keys, progress)
        enrol_writer(deployment, client, history, keys)
        check_config(deployment, client, history, "write")
        complete(deployment, client, history, keys.writer_id)
        listing = guard_against_rollback(deployment, client, history, keys.writer_public)
        put_client_objects(deployment, client, history)
        run.problems.extend(learn_what_is_whole(deployment, client, history, vault))
        retire_gone(deployment, client, history, vault, keys)
        record, body_totals = _write(run)
        silent, forked = complete(deployment, client, history, keys.writer_id)
        snapshot = history.find(record.statement.hash.hex())
        learn_what_is_whole(deployment, client, history, vault, {snapshot.hash: record})
        named = deployment.roster.member
        unsigned = [f"{named(index)}: {why}" for index, why in silent.items()]
        run.problems.extend(f"{named(index)}: {why}" for index, why in forked.items())
        run.problems.extend(
            f"location {name} lacks {count} snapshots: `strongroom vault repair {client.name}`"
            for name, count in _count_lacking(run, listing).items()
        )
        if snapshot.state != "good":
            run.problems.extend(unsigned)
        run.problems.extend(prove_due(deployment, client, history))
        run.problems.extend(
            f"location {name}: {err}"
            for name, err in {**deployment.absent_locations, **deployment.copies.failures}.items()
        )
    return BackupReport(
        client=client.name,
        snapshot=snapshot.hash,
        state=snapshot.state,
        read_bytes=body_totals[0],
        stored_bytes=body_totals[1],
        sent_bytes=body_totals[2],
        elapsed_seconds=round(tools.clock.monotonic() - started, 3),
        receipts=snapshot.receipts,
        receipts_needed=deployment.roster.threshold,
        receipts_of=len(deployment.roster.members),
        sources=run.reports,
        warnings=[*run.warnings, *(unsigned if snapshot.state == "good" else [])],
        problems=run.problems,
    )


def _count_lacking(run: _Run, listing: Listing) -> dict[str, int]:
    """Return how many records each location lacks, those left out that are deleted."""
    lacking = count_lacking(run.deployment, listing)
    deleted = run.history.deleted() if lacking else []
    if not deleted:
        return lacking
    gone = {f"/{one.writer}/{one.sequence:08d}" for one in deleted}
    kept = {key: at for key, at in listing.items() if key[-42:] not in gone}
    return count_lacking(run.deployment, kept)


def _check_small(deployment: Deployment, sources: Sequence[ClientSource]) -> None:
    sizes = [deployment.tools.glance(source) for source in sources]
    if sum(LARGE_BYTES if size is None else size for size in sizes) >= LARGE_BYTES:
        raise MayBeLarge


def _write(run: _Run) -> tuple[Envelope, tuple[int, int, int]]:
    """Write one snapshot; returns its record, and bytes read, stored (one copy) and sent."""
    sources = run.history.sources()
    if not sources:
        raise UsageError(
            f"{run.client.name} has no source",
            hint=f"Add one: `strongroom source add {run.client.name} URL`.",
        )
    writer_id = run.keys.writer_id
    last = run.history.last(writer_id)
    sequence = last.sequence + 1 if last else 1
    run.public_keys = client_keys(run.deployment, run.client, run.history)
    with run.vault.write(run.progress) as writer:
        failures: list[StrongroomError] = []
        for source in sources:
            try:
                _add_source(run, writer, source)
            except LocationUnavailable:
                # Not this source's fault: without enough locations nothing can be kept.
                raise
            except StrongroomError as err:
                writer.carry(source.id, source.name, err.what)
                failures.append(err)
                run.reports.append(SourceReport(source.name, "failed", problem=str(err)))
                run.problems.append(f"source {source.name}: {err}")
        if len(failures) == len(sources):
            raise failures[0]
        writer.flush()
        _place_keys(run)
        header = SnapshotHeader(
            install=run.deployment.install,
            client=run.client.id,
            vault=run.client.vault,
            vault_class=run.client.vault_class,
            writer=SnapshotHeader.writer_id(run.keys.writer_public),
            sequence=sequence,
            previous=last.hash if last else SnapshotHeader.NO_PREVIOUS,
            created_at=run.deployment.tools.clock.now(),
            generation=len(run.history.tomb_hashes()),
            roster=run.deployment.roster.id,
            index=writer.place_index(sequence).hex(),
            fresh=tuple((SessionId(s), keys.statement.hash.hex()) for s, keys in run.dealt),
            sessions=tuple(SessionId(session) for session in writer.sessions),
        )
        record = header.sign(run.keys.writer_seed, writer.body(sequence, _card(run.client)))
        totals = (writer.read_bytes, writer.stored_bytes, writer.sent_bytes)
    _commit(run, header, record, totals)
    return record, totals


def _place_keys(run: _Run) -> None:
    """Place the keys objects side by side; when this returns, the locations hold all of them."""
    placing = [
        run.deployment.copies.put_async(
            session_path(run.deployment.install, run.client.vault, session), keys.encode()
        )
        for session, keys in run.dealt
    ]
    for placed in placing:
        placed.result()


def _add_source(run: _Run, writer: Vault.Writer, source: ClientSource) -> None:
    deployment, client = run.deployment, run.client
    with closing(deployment.tools.source(source, location_urls(deployment))) as opened:
        label = deployment.roster.label(
            client.id,
            client.vault,
            SessionId(new_id(deployment.tools.token)),
            source.id,
            client.vault_class,
            deployment.tools.clock.now(),
        )
        dealt = Dealing.deal(
            label,
            run.public_keys,
            run.keys.writer_seed,
            run.keys.structure,
            deployment.tools.token,
        )
        keys = SessionKeys(label.session, dealt.inner, dealt.outer)
        outcome = writer.add((source.id, source.name, source.url, source.kind), opened, keys)
    run.dealt.append((label.session, dealt.keys_object))
    run.commitments[source.id] = outcome.facts_commitment
    run.warnings += [f"source {source.name}: {told}" for told in warnings_of(outcome.facts)]
    run.problems.extend(
        f"source {source.name}: {reason}" for _, reason in outcome.unreadable[:NAMES_SHOWN]
    )
    run.reports.append(
        SourceReport(
            source.name,
            "partly" if outcome.unreadable else "kept",
            outcome.entries,
            outcome.read_bytes,
            outcome.stored_bytes,
            len(outcome.unreadable),
            _number(outcome.facts, "changed_while_read"),
            _number(outcome.facts, "special"),
            _number(outcome.facts, "attributes_unread"),
        )
    )


def warnings_of(facts: Mapping[str, object]) -> list[str]:
    """Return what a person should know of a source that was kept, from its facts."""
    left_out = facts.get("left_out_names")
    told = [
        f"{name} is Strongroom's own and was left out"
        for name in (left_out if isinstance(left_out, list) else [])
    ]
    for count, names, what, all_of_them in (
        (
            "changed_while_read",
            "changed_names",
            "changed while it was read; kept as it was read",
            "changed while they were read; kept as they were read",
        ),
        (
            "attributes_unread",
            "attributes_unread_names",
            "is kept without some of its attributes",
            "are kept without some of their attributes",
        ),
    ):
        found = facts.get(names)
        shown = found[:NAMES_SHOWN] if isinstance(found, list) else []
        told += [f"{name or 'it'} {what}" for name in shown]
        more = _number(facts, count) - len(shown)
        told += [f"{more} more {all_of_them}"] if more > 0 else []
    special = _number(facts, "special")
    if special:
        things = "socket, pipe or device is" if special == 1 else "sockets, pipes and devices are"
        told.append(f"{special} {things} named in the snapshot and not kept")
    return told


def _number(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name)
    return value if isinstance(value, int) else 0


def location_urls(deployment: Deployment) -> list[str]:
    """Return where the locations are."""
    return [location.url for location in deployment.copies.locations.values()]


def client_keys(deployment: Deployment, client: Client, history: History) -> list[bytes]:
    """Return the custodians' public keys for a client in order of index, certificates checked."""
    certificates = history.client_keys()
    keys: list[bytes] = []
    for member in deployment.roster.members:
        data = certificates.get(member.index)
        if data is None:
            raise Damaged(f"custodian {member.index} has certified no key for {client.name}")
        envelope = decode_envelope(data, f"the certificate of custodian {member.index}")
        certified = deployment.roster.check_client_key(envelope)
        if certified.client != client.id or certified.index != member.index:
            raise Damaged(f"the certificate of {member} is for another client or custodian")
        keys.append(certified.public)
    return keys


def _card(client: Client) -> dict[str, object]:
    """Return what a recovered server needs to know of a client, to be sealed in the snapshot."""
    keep = client.keep
    return {
        "name": client.name,
        "class": client.vault_class,
        "keep": {
            "daily": keep.daily,
            "weekly": keep.weekly,
            "monthly": keep.monthly,
            "floor": keep.floor,
        },
    }


def _commit(
    run: _Run, header: SnapshotHeader, record: Envelope, totals: tuple[int, int, int]
) -> None:
    """Make the row durable, then place the record: from here on it can only be completed."""
    snapshot = Snapshot(
        hash=record.statement.hash.hex(),
        writer=header.writer,
        sequence=header.sequence,
        state="writing",
        created_at=header.created_at,
        received_at=None,
        summary={
            "read_bytes": totals[0],
            "stored_bytes": totals[1],
            "entries": sum(report.entries for report in run.reports),
            "sources": sum(report.state != "failed" for report in run.reports),
            "roster": run.deployment.roster.version,
            "sources_failed": sum(report.state == "failed" for report in run.reports),
        },
    )
    told = [f"{source} {digest}" for source, digest in sorted(run.commitments.items())]
    few = len(told) <= COMMITMENTS_TOLD
    fact = run.deployment.fact(
        "backup.written",
        run.client.id,
        snapshot=snapshot.hash,
        sessions=len(header.fresh),
        facts=told if few else None,
        facts_hash=None if few else statement_hash(COMMITMENTS, "\n".join(told).encode()).hex(),
    )
    run.history.begin_snapshot(snapshot, record.encode(), fact)
