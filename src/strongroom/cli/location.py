"""`strongroom location`: where backups are kept."""

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.face import SecretFile, With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone
from strongroom.operations.add_location import add_location, describe_locations
from strongroom.operations.credentials import Credential

commands = Commands(name="location")


@commands.command
def add(
    url: str,
    /,
    *,
    name: str | None = None,
    facility: str = "",
    country: str = "",
    credential_file: SecretFile | None = None,
    face: With,
) -> int:
    """Add a location and copy to it what the others hold.

    Every object is checked before it is copied. Exits 3 when one could not be: it is named.

    Parameters
    ----------
    url
        A folder, or s3://bucket/prefix?endpoint=...; never with a credential in it.
    name
        A short name; made from the URL unless you say.
    facility
        Which building or provider it is in.
    country
        Which country it is in.
    credential_file
        A file with the key id and the secret, one a line, or - for stdin; kept sealed.
    """
    ((found, full),) = name_locations([url]).items()
    credential = None
    if credential_file is not None:
        credential = Credential.read(read_secret_file(credential_file, "the credential"))
    with face.deployment() as deployment:
        named = (found if name is None else name, full)
        added = add_location(deployment, named, (facility, country), credential)
    face.show(added)
    face.tell(
        f"Added location {added.name}: {added.url}",
        f"  copied to it: {output.count(added.copied, 'object')}, "
        f"{output.size(added.copied_bytes)}",
    )
    face.warn(*(f"warning: not copied: {one}" for one in added.left_out))
    return PartlyDone.exit_code if added.left_out else 0


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the locations and whether they answer. Exits 3 when one does not."""
    with face.deployment() as deployment:
        rows = describe_locations(deployment)
    face.table(
        ("location", "facility", "country", "url", "state"),
        [(row.name, row.facility or "-", row.country or "-", row.url, row.state) for row in rows],
        rows,
    )
    return PartlyDone.exit_code if any(row.state != "answers" for row in rows) else 0
