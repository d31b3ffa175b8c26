"""`vault check`: is everything where it should be, and is it what was put there?

Without keys: which objects each location lacks or holds altered, and which no snapshot names.
With `read_data` the custodians open the newest good snapshot, and every chunk of it is decrypted
and its id computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from strongroom.clients import Client, History, Snapshot
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Stale, StrongroomError, UsageError
from strongroom.facts import Fact
from strongroom.locations import Location
from strongroom.operations.catch_up import catch_up_alone
from strongroom.operations.deployment import Deployment, Listing
from strongroom.operations.open_keys import open_keys, verified_header
from strongroom.operations.placing import receipt_path, session_path, snapshot_path
from strongroom.operations.receipts import fetch_record
from strongroom.operations.vault_config import check_config
from strongroom.quorum import SnapshotHeader
from strongroom.vault import Vault


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be; `snapshots` counts those it hits."""

    kind: str
    location: str
    object: str
    snapshots: int
    why: str


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check looked at and found; `problems` is empty when all is well."""

    client: str
    snapshots: int
    objects: int
    locations: int
    read_bytes: int
    chunks_opened: int
    not_recomputed: str
    orphans: int
    elapsed_seconds: float
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """`read` hashes every byte at every location; `read_data` also opens the newest snapshot."""

    read: bool = False
    read_data: bool = False


def check_vault(
    deployment: Deployment,
    client: Client,
    request: CheckRequest,
    progress: Callable[[Vault.Progress], None],
) -> CheckOutcome:
    """Look at all locations; findings are returned, an impossible look is raised."""
    tools = deployment.tools
    started = tools.clock.monotonic()
    with tools.history(client.id) as history, tools.index(client.id) as index:
        vault = deployment.vault(client, index)
        good = [one for one in history.snapshots() if one.state == "good"]
        if not good:
            raise UsageError(
                f"there is nothing to check of {client.name}",
                "no good snapshot is known",
                hint=f"Run `strongroom backup {client.name}` first.",
            )
        problems: list[Problem] = []
        check_config(deployment, client, history, "check")
        catch_up_alone(deployment, client, history, vault)
        records = _records(deployment, client, history, good, problems)
        checked = [
            Vault.Checked(
                header.sequence,
                header.index,
                vault.structure(record.body, writer, header.sequence),
            )
            for header, writer, record in records
        ]
        report = vault.check(checked, request.read or request.read_data, progress)
        problems += [
            Problem(one.kind, one.location, one.object, one.snapshots, one.why)
            for one in report.findings
        ]
        wanted = _wanted_objects(deployment, client, history, good, records)
        listed = _list_small_objects(deployment, client)
        problems += _check_small_objects(deployment, wanted, listed)
        orphans = {key for _, key in report.orphans}
        if len(records) == len(good):
            # With a record missing nobody can say which keys objects it named.
            orphans |= _unnamed(deployment, client, history, wanted, listed)
        chunks, reason = 0, ""
        if request.read_data and records:
            _, writer, record = records[-1]
            keys = open_keys(deployment, client, history, record.statement)
            opened = vault.read_data(checked[-1].structure, writer, keys, progress)
            chunks, reason = opened.chunks, opened.not_recomputed
            problems += [
                Problem(one.kind, one.location, one.object, one.snapshots, one.why)
                for one in opened.findings
            ]
        outcome = CheckOutcome(
            client.name,
            len(good),
            report.objects + len(wanted),
            len(deployment.copies.locations),
            report.bytes_read,
            chunks,
            reason,
            len(orphans),
            round(tools.clock.monotonic() - started, 3),
            problems,
        )
        history.record(_checked(deployment, client, request, outcome))
    return outcome


def _checked(
    deployment: Deployment, client: Client, request: CheckRequest, outcome: CheckOutcome
) -> Fact:
    return deployment.fact(
        "vault.checked",
        client.id,
        objects=outcome.objects,
        problems=len(outcome.problems),
        read_data=request.read_data,
    )


def _records(
    deployment: Deployment,
    client: Client,
    history: History,
    good: list[Snapshot],
    problems: list[Problem],
) -> list[tuple[SnapshotHeader, bytes, Envelope]]:
    records: list[tuple[SnapshotHeader, bytes, Envelope]] = []
    for snapshot in good:
        try:
            record = fetch_record(deployment, client, snapshot)
        except StrongroomError as err:
            key = snapshot_path(deployment.install, client, snapshot)
            problems.append(Problem(_kind_of(err), "every location", key, 1, str(err)))
            continue
        header, writer = verified_header(history, record.statement)
        records.append((header, writer, record))
    return records


def _kind_of(err: StrongroomError) -> str:
    """Say what it means when no location gives a record: rolled back, altered, or silent."""
    if isinstance(err, Stale):
        return "stale"
    return "damaged" if isinstance(err, Damaged) else "unavailable"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A small object that every location should hold; the hash where one was signed."""

    key: str
    digest: str | None


def _wanted_objects(
    deployment: Deployment,
    client: Client,
    history: History,
    good: list[Snapshot],
    records: list[tuple[SnapshotHeader, bytes, Envelope]],
) -> list[_Wanted]:
    """Return records, keys objects, and the receipts that custodians gave."""
    install = deployment.install
    custodians = history.custodians_of()
    wanted = [_Wanted(snapshot_path(install, client, one), one.hash) for one in good]
    wanted += [
        _Wanted(session_path(install, client.vault, session), digest)
        for header, _, _ in records
        for session, digest in header.fresh
    ]
    wanted += [
        _Wanted(receipt_path(install, client, one, deployment.roster.member(index).id), None)
        for one in good
        for index in custodians.get(one.hash, ())
    ]
    return wanted


def _list_small_objects(deployment: Deployment, client: Client) -> Listing:
    root = f"{deployment.install}/vaults/{client.vault}"
    return {
        key: names
        for part in ("snapshots", "keys", "receipts")
        for key, names in deployment.copies.list(f"{root}/{part}").items()
    }


def _unnamed(
    deployment: Deployment,
    client: Client,
    history: History,
    wanted: list[_Wanted],
    listed: Listing,
) -> set[str]:
    """Return the small objects that no snapshot names, finished or not."""
    install = deployment.install
    named = {one.key for one in wanted}
    folders: list[str] = []
    for snapshot in history.snapshots():
        named.add(snapshot_path(install, client, snapshot))
        folders.append(receipt_path(install, client, snapshot, ""))
        if snapshot.state != "good":
            named |= _keys_of_unfinished(deployment, client, history, snapshot)
    return {key for key in listed if key not in named and not key.startswith(tuple(folders))}


def _keys_of_unfinished(
    deployment: Deployment, client: Client, history: History, snapshot: Snapshot
) -> set[str]:
    data = history.record_of(snapshot)
    if data is None:
        record = fetch_record(deployment, client, snapshot)
    else:
        record = decode_envelope(data, f"snapshot {snapshot.hash[:12]}")
    header, _ = verified_header(history, record.statement)
    return {session_path(deployment.install, client.vault, one) for one, _ in header.fresh}


def _check_small_objects(
    deployment: Deployment, wanted: list[_Wanted], listed: Listing
) -> list[Problem]:
    """Compare records, keys objects and receipts at every location with what was signed."""
    return [
        Problem(kind, name, one.key, 1, why)
        for one in wanted
        for name, location in deployment.copies.locations.items()
        if name not in deployment.copies.failures
        for kind, why in _look(location, one, name in listed.get(one.key, frozenset()))
    ]


def _look(location: Location, wanted: _Wanted, listed: bool) -> list[tuple[str, str]]:
    if not listed:
        return [("missing", "the location does not list it")]
    try:
        found = decode_envelope(location.get(wanted.key), wanted.key).statement.hash.hex()
    except Damaged as err:
        return [("damaged", str(err))]
    except StrongroomError as err:
        return [("unavailable", str(err))]
    if wanted.digest is not None and found != wanted.digest:
        return [("damaged", "its hash is not the one that was signed")]
    return []
