"""`strongroom client erase`: destroy the keys of a client, everywhere, for ever."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.cli.signing import NO_MEANS, Means
from strongroom.cli.small_files import write_small_file
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.erase_client import Destroyed, erase_client


def erase(
    name: str,
    /,
    *,
    how: Annotated[Means, Parameter(name="*")] = NO_MEANS,
    face: With,
) -> int:
    """Destroy the keys of a client, so that none of its backups can be restored by anybody.

    It is asked for and waits (exit 5): for approvers in a team, and for a day in which it can be
    refused. The same command goes on. Every custodian destroys its keys and signs for it; then what
    lies at the locations is deleted. Exits 3 while a custodian or a location is away: run it again.

    Parameters
    ----------
    name
        The client's name.
    """
    janitor = how.janitor()
    with face.deployment(how.passphrase_file) as deployment:
        client = deployment.registry.known_client(name)
        if client.erasure is None:
            face.confirm(
                f"Erase {name}? Nobody will restore any of its backups. It cannot be undone."
            )
        erased = erase_client(deployment, client, janitor)
    face.show(erased)
    face.tell(
        f"{name} is erased since {output.moment(erased.erased_at)}: "
        f"{', '.join(erased.custodians)} have signed that they destroyed their keys of it.",
        f"Deleted at the locations now: {output.count(erased.deleted_objects, 'object')}, "
        f"{output.size(erased.deleted_bytes)}"
        + (
            f", {output.count(erased.deleted_exports, 'sealed export')} of keys among them."
            if erased.deleted_exports
            else "."
        ),
        f"What they signed: {face.command(f'client show {name} --deeds FOLDER')}",
        "Not reached from here: copies of exports that somebody keeps elsewhere, or a store as",
        "older versions, which the kit of their custodian opens; what was restored before;",
        "copies of custodians' disks.",
    )
    face.warn(
        *(
            f"warning: a sealed export is left, delete it by hand: {one}"
            for one in erased.exports_left
        ),
        *(f"warning: {one}" for one in erased.problems),
    )
    return PartlyDone.exit_code if erased.exports_left or erased.problems else 0


def describe_destroyed(one: Destroyed) -> str:
    """Return what a custodian has signed that it destroyed, as one line."""
    return (
        f"{one.custodian} on {output.moment(one.erased_at)}: {output.count(one.keys, 'key')}, "
        f"{output.count(len(one.exports), 'sealed export')} handed out, "
        f"{output.count(one.answers, 'stored answer')}"
    )


def write_deeds(folder: Path, found: Sequence[Destroyed]) -> None:
    """Write each custodian's signed deed as a file of its own."""
    if not found:
        raise UsageError("there are no deeds to write", "no custodian has destroyed keys of it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        why = (err.strerror or type(err).__name__).lower()
        raise UsageError(f"{folder} cannot be made", why, "Name another folder.") from err
    files = {folder / f"custodian-{one.index}.deed": one.deed.encode() for one in found}
    for path in files:
        if path.exists():
            raise UsageError(
                f"{path} is there already", "nothing was written", "Name another folder."
            )
    for path, data in files.items():
        write_small_file(path, data)
