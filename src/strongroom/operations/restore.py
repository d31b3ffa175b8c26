"""`restore`: bring a snapshot back and check it against what was true when it was taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from strongroom.clients import Client
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import check_file_name
from strongroom.operations.catch_up import catch_up_for
from strongroom.operations.deployment import DatabasePlace, Deployment, TargetOptions
from strongroom.operations.open_keys import open_keys, verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.operations.vault_config import check_config
from strongroom.quorum import SnapshotHeader
from strongroom.vault import Vault


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Which snapshot, what of it, and where to.

    `folder` gets one entry per source, by name; `file` or `url` is the place of exactly one source.
    """

    snapshot: str
    folder: Path | None = None
    file: Path | None = None
    source: str | None = None
    options: TargetOptions = field(default_factory=TargetOptions)
    url: DatabasePlace | None = None


@dataclass(frozen=True, slots=True)
class RestoredSource:
    """One source as it was brought back; `notes` counts what was left out or altered."""

    name: str
    to: str
    entries: int
    restored_bytes: int
    facts_checked: int
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did; `carried` names the sources that the snapshot was taken without."""

    client: str
    snapshot: str
    created_at: datetime
    elapsed_seconds: float
    sources: list[RestoredSource]
    carried: list[str]
    good: bool = True
    """False for one that a recovery found with too few receipts; it was named by its id."""


def restore(
    deployment: Deployment,
    client: Client,
    request: RestoreRequest,
    progress: Callable[[Vault.Progress], None],
) -> RestoreReport:
    """Restore one snapshot; nothing appears under a final name before it was checked."""
    tools = deployment.tools
    started = tools.clock.monotonic()
    with tools.history(client.id) as history, tools.index(client.id) as index:
        snapshot = history.find(request.snapshot)
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
        vault = deployment.vault(client, index)
        structure = vault.structure(record.body, writer, header.sequence)
        wanted = [s for s in structure.sources if request.source in (None, s.name)]
        places = _places(request, [source.name for source in wanted], structure)
        catch_up_for(deployment, client, history, vault, (snapshot, structure))
        keys = open_keys(deployment, client, history, record.statement)
        restored: list[RestoredSource] = []
        for source in wanted:
            target = tools.target(source.kind, places[source.name], request.options)
            outcome = vault.restore(structure, source.id, keys, target, progress)
            restored.append(
                RestoredSource(
                    source.name,
                    str(places[source.name]),
                    outcome.entries,
                    outcome.bytes,
                    len(outcome.compared),
                    outcome.notes,
                )
            )
        history.record(
            deployment.fact(
                "restore.done", client.id, snapshot=snapshot.hash, sources=len(restored)
            )
        )
    return RestoreReport(
        client.name,
        snapshot.hash,
        snapshot.created_at,
        round(tools.clock.monotonic() - started, 3),
        restored,
        [one.name for one in structure.carried] if request.source is None else [],
        # Nobody can collect the receipts of a writer that a recovery replaced.
        snapshot.state == "good",
    )


def _places(
    request: RestoreRequest, names: list[str], structure: Vault.Structure
) -> Mapping[str, Path | DatabasePlace]:
    known = ", ".join(source.name for source in structure.sources)
    if not names:
        failed = request.source in [one.name for one in structure.carried]
        raise UsageError(
            f"the snapshot has no source {request.source!a:.80}",
            f"it failed when the snapshot was taken; it has: {known}"
            if failed
            else f"it has: {known}",
        )
    single = request.file or request.url
    if single is not None:
        if len(names) != 1:
            raise UsageError(
                f"{single} can take one source, the snapshot has {len(names)}",
                f"it has: {known}",
                hint="Name one with --source, or restore to a folder.",
            )
        return {names[0]: single}
    if request.folder is None:
        raise UsageError("no place to restore to is given")
    places = _below(request.folder, names)
    try:
        _make_folder(request.folder, request.options.overwrite)
    except OSError as err:
        raise StrongroomError(
            f"{request.folder} cannot be restored to",
            (err.strerror or type(err).__name__).lower(),
            hint="Name another folder with --to, or mend its rights; nothing was restored.",
        ) from err
    return places


def _below(folder: Path, names: list[str]) -> dict[str, Path]:
    """Return a place for each name; the vault refused bad names already, and this is the target."""
    places: dict[str, Path] = {}
    for name in names:
        try:
            places[name] = folder / check_file_name(name)
        except ValueError as err:
            raise Damaged(f"the snapshot names a source {name!a:.80}", str(err)) from err
    if len(places) != len(names):
        raise Damaged("the snapshot names two sources alike", "one would replace the other")
    return places


def _make_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise Refused(
            f"{folder} is not empty",
            hint="Name a new or empty folder, or pass --overwrite.",
        )
    folder.mkdir(parents=True, exist_ok=True)
