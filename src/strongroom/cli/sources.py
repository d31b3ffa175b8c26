"""What a person types as a source, made into a source of a client."""

import os

from strongroom.app import App
from strongroom.cli.face import Face, read_secret_file
from strongroom.clients import Client, ClientSource, parse_source_url
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.operations.add_client import add_source
from strongroom.operations.credentials import read_password
from strongroom.operations.deployment import Deployment

PASSWORD_TRIES = 3


def sniffed(app: App, typed: str) -> tuple[str, str, str]:
    """Return name, kind and absolute URL of `NAME=URL`, `URL` or a path; looks at the disk.

    A server is not asked: it may be away now and there at night.
    """
    name, text = ClientSource.split_name(typed)
    url = parse_source_url(text, os.getcwd())
    if url.server:
        app.check_database_url(url.text)
        return name or url.default_name, "postgresql", url.text
    if url.arguments:
        app.check_command(url.arguments)
        return name or url.default_name, "command", url.text
    found = app.sniff(url.path)
    if url.kind is not None and url.kind != found:
        raise UsageError(
            f"{url.text} is no SQLite database",
            "it is a folder" if found == "tree" else "its first bytes are not those of one",
            hint="If it is encrypted (SQLCipher), or no database at all, name it as file:///PATH.",
        )
    if url.kind is None:
        url = url.of_kind(found)
    return name or url.default_name, url.kind or found, url.text


def add(
    deployment: Deployment,
    client: Client,
    found: tuple[str, str, str],
    password: str | None = None,
) -> ClientSource:
    """Add what `sniffed` found to a client; a password is for a source that can use one."""
    name, kind, url = found
    return add_source(
        deployment, client, name, kind, url, password if kind == "postgresql" else None
    )


def read_password_file(name: str | None) -> str | None:
    """Return the password in a file, or from stdin for `-`; None where no file is named."""
    return None if name is None else read_password(read_secret_file(name, "the password"))


def ask_wanted_password(face: Face, url: str) -> str | None:
    """Ask on the terminal for the password that a database's server wants.

    None where it wants none, or nobody can be asked. Raises what else keeps us from the server.
    """
    if not face.can_ask or not face.app.wants_password(url):
        return None
    return _ask_until_right(face, url)


def ask_password_to_keep(face: Face, url: str) -> str | None:
    """Ask as `ask_wanted_password` does; for a server that is away, take what is typed untried."""
    if not face.can_ask:
        return None
    try:
        wanted = face.app.wants_password(url)
    except StrongroomError as err:
        face.warn(f"warning: {err}", "The password cannot be tried now; press Enter for none.")
        typed = face.ask_secret(_prompt(url))
        return read_password(typed) if typed else None
    return _ask_until_right(face, url) if wanted else None


def ask_new_password(face: Face, url: str) -> str:
    """Ask on the terminal for a password, and try it at a server that is there."""
    if not face.can_ask:
        raise UsageError(
            "no password is given, and nobody can be asked here",
            hint="Name a file with --password-file, or - to pass it through stdin.",
        )
    try:
        face.app.wants_password(url)
    except StrongroomError as err:
        face.warn(f"warning: {err}", "The password cannot be tried now.")
        return read_password(face.ask_secret(_prompt(url)))
    return _ask_until_right(face, url)


def _ask_until_right(face: Face, url: str) -> str:
    for _ in range(PASSWORD_TRIES):
        typed = read_password(face.ask_secret(_prompt(url)))
        if not face.app.wants_password(url, typed):
            return typed
        face.warn("The server does not take it.")
    raise Refused(
        f"none of {PASSWORD_TRIES} passwords was right",
        "nothing was done",
        hint="Try again, or give the right one with --password-file.",
    )


def _prompt(url: str) -> str:
    return f"Password for {url}"
