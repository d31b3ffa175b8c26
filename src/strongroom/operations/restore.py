"""`restore`: bring a snapshot back and check it against what was true when it was taken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from strongroom.clients import Client
from strongroom.errors import Refused, UsageError
from strongroom.operations.deployment import Deployment, TargetOptions
from strongroom.operations.open_keys import open_keys, verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.operations.vault_config import check_config
from strongroom.vault import Vault


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Which snapshot, what of it, and where to.

    `folder` gets one entry per source, by name; `file` is the place of exactly one source.
    """

    snapshot: str
    folder: Path | None = None
    file: Path | None = None
    source: str | None = None
    options: TargetOptions = field(default_factory=TargetOptions)


@dataclass(frozen=True, slots=True)
class RestoredSource:
    """One source as it was brought back."""

    name: str
    to: str
    entries: int
    restored_bytes: int
    facts_checked: int


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did."""

    client: str
    snapshot: str
    created_at: datetime
    elapsed_seconds: float
    sources: list[RestoredSource]


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
        if snapshot.state != "good":
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
        places = _places(
            request, [source.name for source in wanted], [s.name for s in structure.sources]
        )
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
                    len(outcome.facts),
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
    )


def _places(request: RestoreRequest, names: list[str], known: list[str]) -> dict[str, Path]:
    if not names:
        raise UsageError(
            f"the snapshot has no source {request.source!r:.80}", f"it has: {', '.join(known)}"
        )
    if request.file is not None:
        if len(names) != 1:
            raise UsageError(
                f"{request.file} can take one source, the snapshot has {len(names)}",
                f"it has: {', '.join(known)}",
                hint="Name one with --source, or restore to a folder.",
            )
        return {names[0]: request.file}
    if request.folder is None:
        raise UsageError("no place to restore to is given")
    folder = request.folder
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not request.options.overwrite:
        raise Refused(
            f"{folder} is not empty",
            hint="Name a new or empty folder, or pass --overwrite.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return {name: folder / name for name in names}
