"""`strongroom location`: where backups are kept."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import SecretFile, With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.add_location import (
    add_location,
    describe_locations,
    remove_location,
    set_credentials,
)
from strongroom.operations.credentials import Credential, Credentials

commands = Commands(name="location")


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where an object store's credentials are read from, to be kept sealed."""

    credential_file: SecretFile | None = None
    """For an object store: a file with the key id and the secret that backups use, one a line, or -
    for stdin; best is one that may not delete."""
    janitor_credential_file: SecretFile | None = None
    """The same for the credential that may delete, which backups never use. Whoever has this
    machine has it then: better give it only to the commands that delete."""

    def read(self) -> Credentials:
        """Read what is named; stdin can be only one of the two."""
        worker, janitor = self.credential_file, self.janitor_credential_file
        if "-" == worker == janitor:
            raise UsageError(
                "only one thing can be read from stdin", hint="Put the other in a file."
            )
        return Credentials(
            _read(worker, "the credential"), _read(janitor, "the janitor's credential")
        )


NONE_GIVEN = CredentialFiles()


def _read(name: str | None, what: str) -> Credential | None:
    return None if name is None else Credential.read(read_secret_file(name, what))


@commands.command
def add(
    url: str,
    /,
    *,
    name: str | None = None,
    facility: str = "",
    country: str = "",
    secrets: Annotated[CredentialFiles, Parameter(name="*")] = NONE_GIVEN,
    face: With,
) -> int:
    """Add a location and copy to it what the others hold.

    Every object is checked before it is copied. Exits 3 when one could not be: it is named. A
    location that was lost is made again in its place by the same URL. What a location lacks later,
    `vault repair` fills. What object stores need, and how they keep backups from being deleted:
    docs/how-to/object-stores.md.

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
    """
    ((found, full),) = name_locations([url]).items()
    credentials = secrets.read()
    with face.deployment() as deployment:
        named = (found if name is None else name, full)
        added = add_location(deployment, named, (facility, country), credentials)
    face.show(added)
    face.tell(
        f"{'Made location' if added.again else 'Added location'} {added.name}"
        f"{' again' if added.again else ''}: {added.url}",
        f"  copied to it: {output.count(added.copied, 'object')}, "
        f"{output.size(added.copied_bytes)}",
    )
    if added.again and added.shards:
        face.tell(f"Next, for its shards of packs: {face.command('vault repair --all')}")
    face.warn(*(f"warning: not copied: {one}" for one in added.left_out))
    return PartlyDone.exit_code if added.left_out else 0


@commands.command
def remove(name: str, /, *, face: With) -> None:
    """Forget a location and its credentials; what lies there stays.

    Parameters
    ----------
    name
        The location's name, as `location list` shows it.
    """
    face.confirm(f"Forget location {name}? Backups will not go there any more.")
    with face.deployment() as deployment:
        url = remove_location(deployment, name)
    face.show({"name": name, "url": url})
    face.tell(f"Removed location {name}. What lies at {url} stays there.")


@commands.command(name="set")
def set_(
    name: str,
    /,
    *,
    secrets: Annotated[CredentialFiles, Parameter(name="*")] = NONE_GIVEN,
    forget_janitor: bool = False,
    face: With,
) -> None:
    """Give an object store other credentials, as after they were changed there.

    Each is tried first; nothing changes when the store refuses one.

    Parameters
    ----------
    name
        The location's name, as `location list` shows it.
    forget_janitor
        Remove the credential that may delete from this machine; keep it elsewhere first.
    """
    if secrets == NONE_GIVEN and not forget_janitor:
        raise UsageError("no credential is given", "nothing was changed")
    if secrets.janitor_credential_file is not None and forget_janitor:
        raise UsageError("a janitor's credential cannot be given and forgotten at once")
    credentials = secrets.read()
    with face.deployment() as deployment:
        done = set_credentials(deployment, name, credentials, forget_janitor=forget_janitor)
    face.show(done)
    may = "is sealed here" if done.janitor else "is not on this machine"
    worker = "a credential" if done.worker else "no credential"
    face.tell(f"Location {name}: backups have {worker}; the one that may delete {may}.")
    if done.same:
        face.warn(
            f"warning: worker and janitor of {name} have the same key: what makes backups can "
            "delete them"
        )


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the locations and whether they answer. Exits 3 when one does not."""
    with face.deployment() as deployment:
        rows = describe_locations(deployment)
    face.table(
        ("location", "facility", "country", "janitor", "url", "state"),
        [
            (
                row.name,
                row.facility or "-",
                row.country or "-",
                row.janitor,
                row.url,
                row.state,
            )
            for row in rows
        ],
        rows,
    )
    return PartlyDone.exit_code if any(row.state != "answers" for row in rows) else 0
