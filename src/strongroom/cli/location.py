"""`strongroom location`: where backups are kept."""

from dataclasses import asdict, astuple, dataclass
from typing import Annotated

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.credential_files import NONE_GIVEN, CredentialFiles
from strongroom.cli.face import Face, With
from strongroom.cli.naming import name_locations
from strongroom.cli.signing import ASKED, Signing
from strongroom.clients import Registry
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.add_location import (
    SetLocation,
    add_location,
    check_removable,
    describe_locations,
    remove_location,
    set_credentials,
    set_site,
)

commands = Commands(name="location")


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """Where a location is: what fails together is no safer for being two."""

    facility: str | None = None
    """Which building it is in."""
    provider: str | None = None
    """Who runs it."""
    country: str | None = None
    """Which country it is in."""
    device: str | None = None
    """Which machine or disk it is on. Folders of one file system are seen to be together."""

    def said(self) -> dict[str, str]:
        """Return what was given, by name."""
        return {name: text for name, text in asdict(self).items() if text is not None}


NOTHING_SAID = SiteOptions()


@commands.command
def add(
    url: str,
    /,
    *,
    name: str | None = None,
    site: Annotated[SiteOptions, Parameter(name="*")] = NOTHING_SAID,
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
    """
    ((found, full),) = name_locations([url]).items()
    credentials = secrets.read()
    with face.deployment() as deployment:
        named = (found if name is None else name, full)
        added = add_location(deployment, named, Registry.Site(**site.said()), credentials)
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
def remove(
    name: str,
    /,
    *,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> None:
    """Forget a location and its credentials; what lies there stays.

    Parameters
    ----------
    name
        The location's name, as `location list` shows it.
    """
    with face.deployment(sign.passphrase_file) as deployment:
        check_removable(deployment, name)
        face.confirm(f"Forget location {name}? Backups will not go there any more.")
        url = remove_location(deployment, name)
    face.show({"name": name, "url": url})
    face.tell(f"Removed location {name}. What lies at {url} stays there.")


@commands.command(name="set")
def set_(
    name: str,
    /,
    *,
    site: Annotated[SiteOptions, Parameter(name="*")] = NOTHING_SAID,
    secrets: Annotated[CredentialFiles, Parameter(name="*")] = NONE_GIVEN,
    forget_janitor: bool = False,
    face: With,
) -> None:
    """Say where a location is, or give an object store other credentials.

    Credentials are tried first; nothing changes when the store refuses one.

    Parameters
    ----------
    name
        The location's name, as `location list` shows it.
    forget_janitor
        Remove the credential that may delete from this machine; keep it elsewhere first.
    """
    changes, credentials = site.said(), secrets != NONE_GIVEN or forget_janitor
    if not changes and not credentials:
        raise UsageError("nothing is given to set", "nothing was changed")
    if secrets.janitor_credential_file is not None and forget_janitor:
        raise UsageError("a janitor's credential cannot be given and forgotten at once")
    given = secrets.read()
    shown: dict[str, object] = {"name": name}
    with face.deployment() as deployment:
        if credentials:
            done = set_credentials(deployment, name, given, forget_janitor=forget_janitor)
            _tell_credentials(face, done)
            shown |= asdict(done)
        if changes:
            said = set_site(deployment, name, changes)
            face.tell(f"Location {name}: {_site(said)}.")
            shown |= asdict(said)
    face.show(shown)


def _tell_credentials(face: Face, done: SetLocation) -> None:
    may = "is sealed here" if done.janitor else "is not on this machine"
    worker = "a credential" if done.worker else "no credential"
    face.tell(f"Location {done.name}: backups have {worker}; the one that may delete {may}.")
    if done.same:
        face.warn(
            f"warning: worker and janitor of {done.name} have the same key: what makes backups "
            "can delete them"
        )


def _site(site: Registry.Site) -> str:
    return ", ".join(filter(None, astuple(site))) or "-"


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the locations and whether they answer. Exits 3 when one does not."""
    with face.deployment() as deployment:
        rows = describe_locations(deployment)
    face.table(
        ("location", "site", "janitor", "url", "state"),
        [
            (
                row.name,
                _site(Registry.Site(row.facility, row.provider, row.country, row.device)),
                row.janitor,
                row.url,
                row.state,
            )
            for row in rows
        ],
        rows,
    )
    for sentence in dict.fromkeys(one for row in rows for one in row.shares):
        face.tell(f"{sentence}.")
    return PartlyDone.exit_code if any(row.state != "answers" for row in rows) else 0
