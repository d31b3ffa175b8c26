"""`strongroom vault prune`: delete what no kept snapshot needs, after a wait."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.cli.signing import NO_MEANS, Means
from strongroom.errors import PartlyDone
from strongroom.operations.prune import PruneOutcome, PruneRequest
from strongroom.operations.prune import prune as prune_vault


def prune(
    client: str,
    /,
    *,
    dry_run: bool = False,
    oldest: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    below_floor: bool = False,
    means: Annotated[Means, Parameter(name="*")] = NO_MEANS,
    face: With,
) -> int:
    """Delete what no kept snapshot of a client needs: announce it, and later do it.

    The first run plans by the keep policy and puts a tombstone at the locations that lists what
    goes. A run after the wait (`prune_wait_hours` in strongroom.toml) looks again, rescues what a
    snapshot needs, and deletes. Exits 3 when a location could not be reached or something could
    not be done there, 4 when the plan takes too much, 5 while that waits with --below-floor.

    Parameters
    ----------
    client
        The client's name.
    dry_run
        Only show what would go; nothing is changed at any location.
    oldest
        Let at most this many snapshots go this time, the oldest ones.
    below_floor
        Ask whether the plan may take more than half, or one of the newest within the floor: others
        approve it where there is a team, and it waits (`init --delay-hours`). The same command then
        goes on; what was backed up since stays.
    """
    credential = means.janitor()
    with face.deployment(means.passphrase_file) as deployment:
        found = prune_vault(
            deployment,
            deployment.registry.client(client),
            PruneRequest(dry_run, oldest, credential, below_floor),
        )
    face.show(found)
    _tell(face, found, dry_run=dry_run)
    face.warn(*(f"warning: {one}" for one in found.problems))
    return PartlyDone.exit_code if found.problems else 0


def _tell(face: Face, found: PruneOutcome, *, dry_run: bool) -> None:
    if found.deleted_objects:
        face.tell(
            f"{found.client}: deleted {output.count(found.deleted_objects, 'object')}, "
            f"{output.size(found.deleted_bytes)} over all locations"
        )
    goes = (
        f"{output.count(found.goes_snapshots, 'snapshot')}, "
        f"{output.count(found.goes_objects, 'object')}, {output.size(found.goes_bytes)}"
    )
    stays = (
        f"{output.count(found.stays_snapshots, 'snapshot')}, "
        f"{output.count(found.stays_objects, 'object')}, {output.size(found.stays_bytes)}"
    )
    if found.goes_objects:
        verb = "would go" if dry_run else "go"
        face.tell(f"{found.client}: {verb}: {goes}", f"{found.client}: stay: {stays}")
        if found.goes_orphans:
            face.tell(f"  {output.count(found.goes_orphans, 'object')} of them no snapshot names")
        if found.snapshots:
            face.tell(f"  snapshots: {' '.join(one[:12] for one in found.snapshots)}")
    else:
        face.tell(f"{found.client}: nothing more goes; stay: {stays}")
    face.tell(*(f"  {note}" for note in found.notes))
    if found.not_before_at is not None:
        face.tell(
            f"Tombstone {found.generation} is at the locations. From "
            f"{output.moment(found.not_before_at)} on,",
            f"{face.command(f'vault prune {found.client}')} deletes what it lists.",
        )
