"""`strongroom restore`: bring a snapshot back."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.clients import parse_source_url
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.deployment import TargetOptions
from strongroom.operations.restore import RestoreRequest
from strongroom.operations.restore import restore as bring_back

DEFAULT = TargetOptions()
NOTES = {
    "bits_dropped": "setuid, setgid or sticky bits are not set; --privileged sets them",
    "special_left_out": "devices, pipes and sockets are not kept",
    "unreadable_left_out": "could not be read when the snapshot was taken",
    "links_left_out": "hard links to what could not be read",
    "times_differ": "the file system keeps coarser times",
    "roles_left_out": "the roles of the dump were not made",
}


def restore(
    client: str,
    snapshot: str = "latest",
    /,
    *,
    to: Annotated[str, Parameter(metavar="PATH")],
    source: str | None = None,
    how: Annotated[TargetOptions, Parameter(name="*")] = DEFAULT,
    face: With,
) -> int:
    """Bring a snapshot back and check it against what was recorded when it was taken.

    Parameters
    ----------
    client
        The client's name.
    snapshot
        `latest`, the beginning of an id, or a time (the last good one at or before it).
    to
        A new or empty folder, which gets one entry for each source; or the URL of one source.
    source
        Only this source.
    """
    if "://" in to:
        url = parse_source_url(to)
        request = RestoreRequest(snapshot, None, Path(_text(url.path)), source, how)
    else:
        request = RestoreRequest(snapshot, Path(to).absolute(), None, source, how)
    with face.deployment() as deployment, face.progress(client) as progress:
        found = deployment.registry.client(client)
        report = bring_back(deployment, found, request, progress)
    face.show(report)
    face.tell(
        f"Restored snapshot {report.snapshot[:12]} of {client} in "
        f"{output.duration(report.elapsed_seconds)}; equal in all of "
        f"{output.count(sum(one.facts_checked for one in report.sources), 'recorded fact')} "
        "that a restore can compare.",
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


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError as err:
        raise UsageError("the place to restore to is not UTF-8") from err
