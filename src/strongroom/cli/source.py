"""`strongroom source`: where a client's data comes from."""

from cyclopts import App as Commands

from strongroom.cli import sources
from strongroom.cli.face import With
from strongroom.operations.add_client import check_source, remove_source

commands = Commands(name="source")


@commands.command
def add(client: str, url: str, /, *, face: With) -> None:
    """Add a source to a client.

    Parameters
    ----------
    client
        The client's name.
    url
        sqlite:///PATH, file:///PATH or a path, whose kind is found out; NAME=URL names it.
    """
    with face.deployment() as deployment:
        found = deployment.registry.client(client)
        source = sources.add(face.app, deployment, found, url)
    face.show(source)
    face.tell(f"Added source {source.name} to {client}: {source.kind} {source.url}")


@commands.command
def remove(client: str, name: str, /, *, face: With) -> None:
    """Stop backing up a source; what was kept of it stays.

    Parameters
    ----------
    client
        The client's name.
    name
        The source's name, as `source list` shows it.
    """
    with face.deployment() as deployment:
        found = deployment.registry.client(client)
        check_source(deployment, found, name)
        face.confirm(f"Stop backing up source {name} of {client}?")
        source = remove_source(deployment, found, name)
    face.show(source)
    face.tell(f"{client} no longer backs up {source.name}. Its snapshots stay.")


@commands.command(name="list")
def list_(client: str, /, *, face: With) -> None:
    """List a client's sources.

    Parameters
    ----------
    client
        The client's name.
    """
    with (
        face.deployment() as deployment,
        deployment.tools.history(deployment.registry.client(client).id) as history,
    ):
        rows = history.sources()
    face.table(("source", "kind", "url"), [(row.name, row.kind, row.url) for row in rows], rows)
    if not rows:
        face.tell(f"{client} has no source. Add one: {face.command(f'source add {client} PATH')}")
