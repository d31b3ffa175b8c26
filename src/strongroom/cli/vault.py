"""`strongroom vault`: look at what is stored."""

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.errors import Damaged, PartlyDone, Stale
from strongroom.operations.check_vault import CheckOutcome, CheckRequest, check_vault
from strongroom.operations.fill_locations import repair_client

SHOWN_MAX = 50
ID_SHOWN = 12

commands = Commands(name="vault", help="Vaults: check what is stored, add what is missing.")


@commands.command
def check(client: str, /, *, read: bool = False, read_data: bool = False, face: With) -> int:
    """Check that every location holds what was put there.

    Exits 40 when something is damaged, 20 when the locations show an older state than was kept,
    3 when something is missing or could not be looked at.

    Parameters
    ----------
    client
        The client's name.
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
    if found.problems and not face.json:
        face.table(
            ("problem", "location", "snapshots", "object", "why"),
            [
                (one.kind, one.location or "-", str(one.snapshots), _short(one.object), one.why)
                for one in found.problems[:SHOWN_MAX]
            ],
            found.problems,
        )
    _tell(face, found, CheckRequest(read, read_data))
    kinds = {one.kind for one in found.problems}
    if "damaged" in kinds:
        return Damaged.exit_code
    if "stale" in kinds:
        return Stale.exit_code
    return PartlyDone.exit_code if kinds else 0


@commands.command
def repair(client: str, /, *, face: With) -> int:
    """Copy to every location what it lacks of a client.

    Every object is checked before it is copied, and nothing is overwritten. Exits 3 when
    something could not be copied, or a location does not answer.

    Parameters
    ----------
    client
        The client's name.
    """
    with face.deployment() as deployment:
        filled = repair_client(deployment, deployment.registry.client(client))
        absent = {name: str(err) for name, err in deployment.absent_locations.items()}
    rows = [
        {
            "location": name,
            "copied": one.copied,
            "copied_bytes": one.copied_bytes,
            "left_out": one.left_out,
        }
        for name, one in filled.items()
    ]
    face.show({"client": client, "locations": rows, "absent": absent})
    face.tell(
        *(
            f"{name}: copied {output.count(one.copied, 'object')}, {output.size(one.copied_bytes)}"
            for name, one in filled.items()
        )
    )
    left_out = [f"{name}: {key}" for name, one in filled.items() for key in one.left_out]
    face.warn(
        *(f"warning: not copied to {one}" for one in left_out),
        *(f"warning: location {name}: {why}" for name, why in absent.items()),
    )
    return PartlyDone.exit_code if left_out or absent else 0


def _short(key: str) -> str:
    """Return an object's key for people: without install and vault, ids cut short."""
    parts = key.split("/")
    own = parts[3:] if parts[1:2] == ["vaults"] else parts[1:] or parts
    return "/".join(part[:ID_SHOWN] for part in own)


def _tell(face: Face, found: CheckOutcome, request: CheckRequest) -> None:
    problems = len(found.problems)
    if problems > SHOWN_MAX:
        face.say(f"... and {problems - SHOWN_MAX} more; --json shows all.")
    verdict = f"{output.count(problems, 'problem')}" if problems else "no problem"
    face.tell(
        f"{found.client}: {verdict} in {output.count(found.objects, 'object')} of "
        f"{output.count(found.snapshots, 'good snapshot')} at "
        f"{output.count(found.locations, 'location')}, "
        f"{output.duration(found.elapsed_seconds)}"
    )
    if request.read or request.read_data:
        face.tell(f"Read {output.size(found.read_bytes)} and hashed it again.")
    else:
        face.tell("Only looked: listings, sizes and signatures. --read reads every byte.")
    if request.read_data:
        what = output.count(found.chunks_opened, "chunk")
        face.tell(f"Opened {what} of the newest good snapshot and computed the ids again.")
    if found.not_recomputed:
        face.tell(f"Some ids were not computed again: {found.not_recomputed}.")
    if found.orphans:
        face.tell(
            f"{output.count(found.orphans, 'orphan')}, left by interrupted backups; harmless."
        )
