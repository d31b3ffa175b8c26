"""`strongroom browse`: what is inside a snapshot."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.cli.signing import ASKED, Signing
from strongroom.errors import PartlyDone, printable
from strongroom.operations.browse import (
    ROWS_MAX,
    BrowseRequest,
    EntryRow,
    Listing,
    SourceRow,
    TableRow,
)
from strongroom.operations.browse import browse as look_inside


@dataclass(frozen=True, slots=True)
class How:
    """How much of it is listed."""

    recursive: bool = False
    """List what is below the folders, too."""
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = ROWS_MAX
    """List at most so many rows (10000); the command exits 3 where there are more."""


def browse(
    client: str,
    snapshot: str = "latest",
    path: str | None = None,
    /,
    *,
    how: Annotated[How, Parameter(name="*")] = How(),
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """List a snapshot's sources, the entries of a folder, or the tables of a database.

    Parameters
    ----------
    client
        The client's name.
    snapshot
        `latest`, the beginning of an id, or a time (the last good one at or before it).
    path
        SOURCE, SOURCE/FOLDER or SOURCE/TABLE; without it, the sources.
    """
    with face.deployment(sign.passphrase_file) as deployment:
        found = deployment.registry.client(client)
        request = BrowseRequest(snapshot, path, how.recursive, how.limit)
        listing = look_inside(deployment, found, request)
    _show(face, listing)
    if not listing.rows:
        face.tell("It is empty.")
    if not listing.left_out:
        return 0
    face.warn(f"{listing.left_out} more are not listed; --limit N lists up to N.")
    return PartlyDone.exit_code


def _show(face: Face, listing: Listing) -> None:
    titles: tuple[str, ...] = ()
    shown: list[tuple[str, ...]] = []
    for row in listing.rows:
        match row:
            case SourceRow():
                titles = ("source", "kind", "entries", "tables", "size")
                shown.append(
                    (
                        row.source,
                        row.kind,
                        str(row.entries),
                        "-" if row.tables is None else str(row.tables),
                        output.size(row.size_bytes),
                    )
                )
            case TableRow():
                titles = ("rows", "size", "table")
                shown.append(
                    (
                        "-" if row.rows is None else str(row.rows),
                        "-" if row.size_bytes is None else output.size(row.size_bytes),
                        printable(row.table),
                    )
                )
            case EntryRow():
                titles = ("kind", "size", "mode", "modified", "path")
                shown.append(
                    (
                        row.kind,
                        output.size(row.size_bytes) if row.kind == "file" else "-",
                        row.mode,
                        output.moment(row.modified_at) if row.modified_at else "-",
                        # A source that is one file has no path in it.
                        (printable(row.path) or "-")
                        + (f" -> {printable(row.link)}" if row.link else ""),
                    )
                )
    face.table(titles, shown, listing.rows)
