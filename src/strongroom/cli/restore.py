"""`strongroom restore`: bring a snapshot back."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.clients import parse_source_url
from strongroom.errors import UsageError
from strongroom.operations.deployment import TargetOptions
from strongroom.operations.restore import RestoreRequest
from strongroom.operations.restore import restore as bring_back

DEFAULT = TargetOptions()


def restore(
    client: str,
    snapshot: str = "latest",
    /,
    *,
    to: str,
    source: str | None = None,
    how: Annotated[TargetOptions, Parameter(name="*")] = DEFAULT,
    face: With,
) -> None:
    """Bring a snapshot back and check it against what was recorded when it was taken.

    Parameters
    ----------
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
        f"{output.duration(report.elapsed_seconds)}; every recorded fact was checked.",
        *(
            f"  {one.name}: {one.entries} entries, {output.size(one.bytes)} -> {one.to}"
            for one in report.sources
        ),
    )


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError as err:
        raise UsageError("the place to restore to is not UTF-8") from err
