"""`strongroom vault`: look at what is stored."""

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.errors import Damaged, PartlyDone
from strongroom.operations.check_vault import CheckRequest, check_vault

SHOWN_MAX = 50

commands = Commands(name="vault", help="Vaults: check what is stored.")


@commands.command
def check(client: str, /, *, read: bool = False, read_data: bool = False, face: With) -> int:
    """Check that every location holds what was put there.

    Exits 40 when something is damaged, 3 when something is missing or could not be looked at.

    Parameters
    ----------
    read
        Read every byte at every location and hash it again; needs no key.
    read_data
        Also let the custodians open the newest good snapshot, decrypt everything in it and
        compute every chunk's id again.
    """
    with face.deployment() as deployment, face.progress(client) as progress:
        found = check_vault(
            deployment,
            deployment.registry.client(client),
            CheckRequest(read, read_data),
            progress,
        )
    face.show(found)
    if not face.json:
        face.table(
            ("problem", "location", "snapshots", "object", "why"),
            [
                (one.kind, one.location or "-", str(one.snapshots), one.object, one.why)
                for one in found.problems[:SHOWN_MAX]
            ],
            found.problems,
        )
    face.tell(
        f"{client}: looked at {found.objects} objects of {found.snapshots} good snapshots at "
        f"{found.locations} locations, read {output.size(found.read_bytes)}, opened "
        f"{found.chunks_opened} chunks, in {output.duration(found.elapsed_seconds)}.",
        f"{len(found.problems)} problems. {found.orphans} orphans (left by interrupted backups; "
        "harmless).",
    )
    if found.not_recomputed:
        face.tell(f"Chunk ids were not computed again: {found.not_recomputed}.")
    if any(one.kind == "damaged" for one in found.problems):
        return Damaged.exit_code
    return PartlyDone.exit_code if found.problems else 0
