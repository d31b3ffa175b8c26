"""`restore`: bring a snapshot, or parts of it, back and check it against what was true then."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from strongroom.clients import Client
from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import check_file_name
from strongroom.operations.choosing import (
    as_path,
    check_parts,
    check_table,
    sort_choices,
    tables_alone,
)
from strongroom.operations.deployment import (
    CommandPlace,
    DatabasePlace,
    Deployment,
    Place,
    TargetOptions,
)
from strongroom.operations.grants import Act
from strongroom.operations.intent import announced
from strongroom.operations.open_keys import open_keys
from strongroom.operations.read_snapshot import FoundSnapshot, find_to_read
from strongroom.operations.requesting import Wish, asked_snapshot, permitted
from strongroom.operations.witnessing import OpenLog
from strongroom.procedures import Plan
from strongroom.quorum import Acts, SnapshotHeader
from strongroom.vault import Target, Vault

SourceRecord: TypeAlias = Vault.SourceRecord
HELD_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """Which snapshot, what of it, and where to.

    `folder` gets one entry per source, by name; `file` or `url` is the place of exactly one source.
    `only` are paths and tables, as `sort_choices` reads them; nothing means everything.
    """

    snapshot: str
    folder: Path | None = None
    file: Path | None = None
    source: str | None = None
    options: TargetOptions = field(default_factory=TargetOptions)
    url: DatabasePlace | CommandPlace | None = None
    only: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["folder", "file", "database", "command"]:
        """Return what kind of place it goes to."""
        if self.url is not None:
            return "database" if isinstance(self.url, DatabasePlace) else "command"
        return "folder" if self.file is None else "file"

    def order(self, client: str) -> str:
        """Return the command as one text, always the same for the same command.

        A password is not part of it: whoever runs it gives it again.
        """
        to = self.url or self.file or self.folder
        arguments = list(self.url.arguments) if isinstance(self.url, CommandPlace) else None
        return canonical.dumps(
            {
                "procedure": "restore",
                "client": client,
                "snapshot": self.snapshot,
                "kind": self.kind,
                "to": str(to),
                "arguments": arguments,
                "source": self.source,
                "only": list(self.only),
                "overwrite": self.options.overwrite,
                "privileged": self.options.privileged,
            }
        ).decode()

    @classmethod
    def of_order(cls, order: str, password: str | None = None) -> "tuple[str, RestoreRequest]":
        """Return client and request of what `order` wrote; raises Damaged for anything else."""
        try:
            raw = canonical.loads(order.encode())
            kind, to = raw["kind"], raw["to"]
            url: DatabasePlace | CommandPlace | None = None
            if kind == "database":
                url = DatabasePlace(to, password)
            elif kind == "command":
                url = CommandPlace(tuple(raw["arguments"]), to)
            request = cls(
                raw["snapshot"],
                Path(to) if kind == "folder" else None,
                Path(to) if kind == "file" else None,
                raw["source"],
                TargetOptions(raw["overwrite"], raw["privileged"]),
                url,
                tuple(raw["only"]),
            )
            if request.order(raw["client"]) == order:
                return raw["client"], request
        except (KeyError, TypeError, ValueError, RecursionError):
            pass
        raise Damaged("what was asked for cannot be read", "its command is not one of ours")


@dataclass(frozen=True, slots=True)
class RestoredSource:
    """One source as it was brought back; `notes` counts what was left out or altered."""

    name: str
    to: str
    entries: int
    restored_bytes: int
    facts_checked: int
    notes: Mapping[str, int]
    chosen: int = 0
    """How many paths or tables of it were asked for; 0 for all of it."""
    put_aside: Sequence[Path] = ()
    """What a restore to this place that was killed had put aside; it was left there."""


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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One source to bring back: what of it, and the place that is open for it."""

    source: SourceRecord
    parts: Sequence[str]
    place: str
    target: Target
    put_aside: Sequence[Path]


def restore(
    deployment: Deployment,
    client: Client,
    request: RestoreRequest,
    progress: Callable[[Vault.Progress], None],
) -> RestoreReport:
    """Restore one snapshot; nothing appears under a final name before it was checked.

    Every target is opened before the custodians release a key: a folder that is not empty or a
    database that lets nobody in is found before anything was asked for.
    """
    tools = deployment.tools
    started = tools.clock.monotonic()
    order = request.order(client.name)
    with tools.history(client.id) as history, tools.index(client.id) as index:
        vault = deployment.vault(client, index)
        # What was approved is a snapshot, whatever `latest` means by now.
        snapshot = asked_snapshot(deployment, order) or request.snapshot
        found = find_to_read(deployment, client, history, vault, snapshot)
        with (
            _opened(deployment, request, found.structure) as wanted,
            permitted(
                deployment, (client, history), _wish(client, request, found, wanted)
            ) as permit,
        ):
            log = OpenLog.of_client(client, history)
            to = {"to": str(request.url or request.file or request.folder)}
            intent = deployment.intent(
                "restore.done", client.id, private=to, snapshot=found.snapshot.hash
            )
            # What is written down here is witnessed together with the opening of the keys.
            with announced(deployment, log, intent, witnessed=False) as told:
                by = permit or Act(Act.RESTORE, {"target": request.kind})
                keys = open_keys(deployment, client, history, found.statement, by)
                with vault.read(found.structure, keys) as reader:
                    restored = _restore_all(reader, wanted, progress)
                told.update(
                    snapshot=found.snapshot.hash,
                    sources=len(restored),
                    chosen=sum(one.chosen for one in restored),
                )
    everything = request.source is None and not request.only
    return RestoreReport(
        client.name,
        found.snapshot.hash,
        found.snapshot.created_at,
        round(tools.clock.monotonic() - started, 3),
        restored,
        [one.name for one in found.structure.carried] if everything else [],
        # Nobody can collect the receipts of a writer that a recovery replaced.
        found.snapshot.state == "good",
    )


def _wish(
    client: Client, request: RestoreRequest, found: FoundSnapshot, wanted: Sequence[_Wanted]
) -> Wish:
    """Return what an approver gets to see of a restore, and signs."""
    header = SnapshotHeader.read(found.statement)
    options = [
        *(["overwrites what is there"] if request.options.overwrite else []),
        *(["sets owners and setuid bits"] if request.options.privileged else []),
    ]
    plan = Plan.of(
        f"restore {client.name}, snapshot {found.snapshot.hash[:12]} of "
        f"{format_instant(header.created_at)}",
        *options,
        *(
            f"{one.source.name} ({one.source.kind}, {one.source.entries} entries, "
            f"{one.source.plain_bytes} bytes"
            + (f", only {', '.join(one.parts)}" if one.parts else "")
            + f") -> {one.place}"
            for one in wanted
        ),
    )
    return Wish(
        Acts.Procedure.RESTORE,
        {"target": request.kind},
        plan,
        request.order(client.name),
        (found.snapshot.hash, len(header.sessions)),
    )


@contextmanager
def _opened(
    deployment: Deployment, request: RestoreRequest, structure: Vault.Structure
) -> Iterator[list[_Wanted]]:
    """Open a target for each source that is meant; whatever is not finished is abandoned."""
    named = _named(request, structure)
    chosen = sort_choices(request.only, named, request.source)
    if request.only:
        named = [one for one in named if one.name in chosen]
    parts = {
        one.name: check_parts(one.kind, one.name, chosen[one.name]) if chosen.get(one.name) else []
        for one in named
    }
    known = ", ".join(source.name for source in structure.sources)
    new_folder = request.folder is not None and not os.path.lexists(request.folder)
    places = _places(request, [one.name for one in named], known)
    put_aside = {
        name: deployment.tools.sweep_partial(place) if isinstance(place, Path) else ()
        for name, place in places.items()
    }
    _make_folder(request)
    wanted: list[_Wanted] = []
    try:
        for one in named:
            place, aside = places[one.name], put_aside[one.name]
            target = deployment.tools.target(one.kind, place, request.options, parts[one.name])
            wanted.append(_Wanted(one, parts[one.name], str(place), target, aside))
        yield wanted
    finally:
        for each in wanted:
            each.target.abandon()
        if new_folder and request.folder is not None:
            # It stays where something was restored to it.
            with suppress(OSError):
                request.folder.rmdir()


def _restore_all(
    reader: Vault.Reader,
    wanted: Sequence[_Wanted],
    progress: Callable[[Vault.Progress], None],
) -> list[RestoredSource]:
    """Restore source by source; an error names those that are finished before it."""
    # All are judged before the first is written.
    parts = {one.source.id: _part(reader, one.source, one.parts) for one in wanted}
    restored: list[RestoredSource] = []
    for one in wanted:
        try:
            outcome = reader.restore(one.source.id, one.target, progress, parts[one.source.id])
        except StrongroomError as err:
            if restored:
                finished = ", ".join(f"{each.name} -> {each.to}" for each in restored)
                err.why = f"{err.why}; restored before it, and whole: {finished}".removeprefix("; ")
            raise
        restored.append(
            RestoredSource(
                one.source.name,
                one.place,
                outcome.entries,
                outcome.bytes,
                len(outcome.compared),
                outcome.notes,
                len(one.parts),
                one.put_aside,
            )
        )
    return restored


def _part(reader: Vault.Reader, source: SourceRecord, chosen: Sequence[str]) -> Vault.Part | None:
    """Return what to read of a source, None for all of it; raises UsageError for unknown names."""
    if not chosen:
        return None
    if source.kind == "tree":
        # What was recorded is of the whole tree and says nothing of a part.
        return reader.choose(source.id, [as_path(text) for text in chosen], {})
    facts = reader.facts(source.id)
    if source.kind == "postgresql":
        files, facts = tables_alone(source.name, facts, chosen)
        return reader.choose(source.id, files, facts)
    rows = facts.get("rows")
    for table in chosen:
        check_table(source.name, table, list(rows) if isinstance(rows, dict) else [])
    # A database that is one file is read whole; its target takes the tables out.
    return None


def _named(request: RestoreRequest, structure: Vault.Structure) -> list[SourceRecord]:
    """Return the sources that are meant, all where none is named; raises UsageError."""
    named = [one for one in structure.sources if request.source in (None, one.name)]
    if not named:
        known = ", ".join(source.name for source in structure.sources)
        failed = request.source in [one.name for one in structure.carried]
        raise UsageError(
            f"the snapshot has no source {request.source!a:.80}",
            f"it failed when the snapshot was taken; it has: {known}"
            if failed
            else f"it has: {known}",
        )
    return named


def _places(request: RestoreRequest, names: list[str], known: str) -> Mapping[str, Place]:
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
    return _below(request.folder, names)


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


def _make_folder(request: RestoreRequest) -> None:
    """Make the folder to restore to; refuse one that holds something."""
    folder = request.folder
    if folder is None:
        return
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder")
        held = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        if held and not request.options.overwrite:
            raise Refused(
                f"{folder} is not empty",
                f"it holds {', '.join(f'{name!a:.60}' for name in held[:HELD_SHOWN])}"
                + (f" and {len(held) - HELD_SHOWN} more" if len(held) > HELD_SHOWN else ""),
                hint="Name a new or empty folder, or pass --overwrite.",
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StrongroomError(
            f"{folder} cannot be restored to",
            (err.strerror or type(err).__name__).lower(),
            hint="Name another folder with --to, or mend its rights; nothing was restored.",
        ) from err
