"""`strongroom restore`: bring a snapshot back."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output, sources
from strongroom.cli.face import Face, SecretFile, With
from strongroom.cli.signing import ASKED, Signing
from strongroom.clients import parse_source_url
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.deployment import CommandPlace, DatabasePlace, TargetOptions
from strongroom.operations.restore import RestoreReport, RestoreRequest
from strongroom.operations.restore import restore as bring_back

DEFAULT = TargetOptions()
NOTES = {
    "bits_dropped": "setuid, setgid or sticky bits are not set; --privileged sets them",
    "special_left_out": "devices, pipes and sockets are not kept",
    "unreadable_left_out": "could not be read when the snapshot was taken",
    "links_left_out": "hard links to what could not be read",
    "attributes_dropped": "some attributes are not set; --privileged sets them",
    "attributes_not_taken": "the file system did not take all attributes",
    "times_differ": "the file system keeps coarser times",
    "triggers_left_out": "triggers of the chosen tables are left out; they may need other tables",
    "foreign_keys_left_out": "foreign keys to tables that are not chosen are left out",
    "tables_not_counted": "rows were not counted when the snapshot was taken, nor compared now",
    "roles_left_out": "the roles of the dump were not made",
    "owners_and_grants_left_out": "owners and grants are not set; --privileged sets them",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What of a snapshot goes where."""

    to: Annotated[str, Parameter(metavar="PATH")]
    """A new or empty folder, which gets one entry for each source; or the URL of one source, such
    as postgresql://HOST/DATABASE: a new database, or one that is there and empty; or
    command:["PROGRAM","ARGUMENT"], which gets one stream of bytes on its stdin."""
    source: str | None = None
    """Only this source."""
    only: Annotated[tuple[str, ...], Parameter(metavar="PATH")] = ()
    """Only this file, this folder with everything below it, or this table, as `SOURCE/PATH` or
    `SOURCE/TABLE`; repeatable. With --source, or where there is one source, the rest will do."""
    password_file: SecretFile | None = None
    """For postgresql://: a file with the password there, or - for stdin; kept nowhere. Without it,
    you are asked on a terminal where the server wants one."""


def restore(
    client: str,
    snapshot: str = "latest",
    /,
    *,
    place: Annotated[Place, Parameter(name="*")],
    how: Annotated[TargetOptions, Parameter(name="*")] = DEFAULT,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Bring a snapshot back and check it against what was recorded when it was taken.

    Parameters
    ----------
    client
        The client's name.
    snapshot
        `latest`, the beginning of an id, or a time (the last good one at or before it).
    """
    request = _request(face, place, RestoreRequest(snapshot, options=how))
    with face.deployment(sign.passphrase_file) as deployment, face.progress(client) as progress:
        found = deployment.registry.client(client)
        report = bring_back(deployment, found, request, progress)
    return show_report(face, report)


def show_report(face: Face, report: RestoreReport) -> int:
    """Tell what a restore did; return the exit code."""
    face.show(report)
    face.tell(
        f"Restored {_asked_for(report)}snapshot {report.snapshot[:12]} of {report.client} in "
        f"{output.duration(report.elapsed_seconds)}; {_compared(report)}.",
        *(
            f"  {one.name}: {output.entries(one.entries)}, "
            f"{output.size(one.restored_bytes)} -> {one.to}"
            for one in report.sources
        ),
    )
    face.warn(
        *(
            f"note: {one.name}: {output.entries(number)}: {NOTES.get(note, note)}"
            for one in report.sources
            for note, number in one.notes.items()
        ),
        *(
            f"warning: {place} is what a restore that was killed had put aside to replace it; "
            "it was left there"
            for one in report.sources
            for place in one.put_aside
        ),
        *(
            [f"warning: snapshot {report.snapshot[:12]} never became good: too few receipts"]
            if not report.good
            else []
        ),
        *(
            f"warning: {name} is not in this snapshot: it failed when the snapshot was taken"
            for name in report.carried
        ),
    )
    return PartlyDone.exit_code if report.carried else 0


def _asked_for(report: RestoreReport) -> str:
    chosen = sum(one.chosen for one in report.sources)
    return f"{output.count(chosen, 'part')} of " if chosen else ""


def _compared(report: RestoreReport) -> str:
    """Say what a restore was compared with; of a part of a tree nothing was recorded alone."""
    checked = sum(one.facts_checked for one in report.sources)
    if not checked:
        return "nothing was recorded of a part alone, so its seals and sizes were checked"
    return f"equal in all of {output.count(checked, 'recorded fact')} that a restore can compare"


def _request(face: Face, place: Place, asked: RestoreRequest) -> RestoreRequest:
    """Add the place to what is asked for."""
    password = sources.read_password_file(place.password_file)
    asked = replace(asked, source=place.source, only=place.only)
    is_url = "://" in place.to or place.to.lower().startswith("command:")
    url = parse_source_url(place.to) if is_url else None
    if url is not None and url.server:
        if asked.options.overwrite:
            raise UsageError(
                "a restore never replaces what is in a database",
                "--overwrite is for files and folders",
                hint="Name a new database; drop or rename the old one yourself.",
            )
        face.app.check_database_url(url.text)
        if password is None:
            password = sources.ask_wanted_password(face, url.text)
        return replace(asked, url=DatabasePlace(url.text, password))
    if password is not None:
        raise UsageError(
            "a password is given, and the place takes none", hint="Leave out --password-file."
        )
    if url is not None and url.arguments:
        if asked.options != DEFAULT:
            raise UsageError(
                "a command gets one stream of bytes, and no options with it",
                "--overwrite and --privileged are for files and folders",
            )
        face.app.check_command(url.arguments)
        return replace(asked, url=CommandPlace(url.arguments, url.text))
    if url is not None:
        return replace(asked, file=Path(_text(url.path)))
    return replace(asked, folder=Path(place.to).absolute())


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError as err:
        raise UsageError("the place to restore to is not UTF-8") from err
