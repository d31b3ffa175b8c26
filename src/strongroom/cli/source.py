"""`strongroom source`: where a client's data comes from."""

from cyclopts import App as Commands

from strongroom.cli import sources
from strongroom.cli.face import SecretFile, With
from strongroom.operations.add_client import check_source, remove_source, set_password
from strongroom.operations.credentials import check_password

commands = Commands(name="source")


@commands.command
def add(client: str, url: str, /, *, password_file: SecretFile | None = None, face: With) -> None:
    """Add a source to a client.

    Parameters
    ----------
    client
        The client's name.
    url
        sqlite:///PATH, file:///PATH or a path, whose kind is found out,
        postgresql://[USER@]HOST[:PORT]/DATABASE, or command:["PROGRAM","ARGUMENT"], whose stdout
        is kept; NAME=URL names it.
    password_file
        For PostgreSQL: a file with the password, or - for stdin; kept sealed. Without it, you
        are asked on a terminal where the server wants one.
    """
    password = sources.read_password_file(password_file)
    found = sources.sniffed(face.app, url)
    check_password(password, [found[1]])
    if password is None and found[1] == "postgresql":
        password = sources.ask_password_to_keep(face, found[2])
    with face.deployment() as deployment:
        source = sources.add(deployment, deployment.registry.client(client), found, password)
    face.show(source)
    face.tell(f"Added source {source.name} to {client}: {source.kind} {source.url}")


@commands.command(name="set")
def set_(client: str, name: str, /, *, password_file: SecretFile | None = None, face: With) -> None:
    """Give a source another password, as after it was changed at the server, or after `recover`.

    Parameters
    ----------
    client
        The client's name.
    name
        The source's name, as `source list` shows it.
    password_file
        A file with the password, or - for stdin; kept sealed. Without it, you are asked on a
        terminal.
    """
    password = sources.read_password_file(password_file)
    with face.deployment() as deployment:
        found = deployment.registry.client(client)
        source = check_source(deployment, found, name)
        check_password(password or "", [source.kind])
        if password is None:
            password = sources.ask_new_password(face, source.url)
        source = set_password(deployment, found, name, password)
    face.show(source)
    face.tell(f"The next backup of {client} opens {source.name} with this password.")


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
