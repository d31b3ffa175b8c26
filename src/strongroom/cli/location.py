"""`strongroom location`: where backups are kept."""

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.face import With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone
from strongroom.operations.add_location import add_location, describe_locations

commands = Commands(name="location", help="Locations: where backups are kept.")


@commands.command
def add(
    url: str,
    /,
    *,
    name: str | None = None,
    facility: str = "",
    country: str = "",
    credential_file: str | None = None,
    face: With,
) -> None:
    """Add a location and copy to it what the others hold.

    Parameters
    ----------
    url
        A folder, or s3://bucket/prefix?endpoint=...; never with a credential in it.
    name
        A short name; otherwise made from the URL.
    facility
        Which building or provider it is in.
    country
        Which country it is in.
    credential_file
        A file with the key id and the secret, one a line, or - for stdin; kept sealed.
    """
    ((found, full),) = name_locations([url]).items()
    credential = read_secret_file(credential_file, "the credential") if credential_file else None
    with face.deployment() as deployment:
        added = add_location(deployment, (name or found, full), (facility, country), credential)
    face.show(added)
    face.tell(
        f"Added location {added.name}: {added.url}",
        f"  copied {added.copied} objects, {output.size(added.copied_bytes)}",
    )


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the locations and whether they answer."""
    with face.deployment() as deployment:
        rows = describe_locations(deployment)
    face.table(
        ("location", "state", "facility", "country", "url"),
        [(row.name, row.state, row.facility or "-", row.country or "-", row.url) for row in rows],
        rows,
    )
    return PartlyDone.exit_code if any(row.state != "answers" for row in rows) else 0
