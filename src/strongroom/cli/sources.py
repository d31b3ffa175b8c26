"""What a person types as a source, made into a source of a client."""

import os

from strongroom.app import App
from strongroom.cli.face import read_secret_file
from strongroom.clients import Client, ClientSource, parse_source_url
from strongroom.errors import UsageError
from strongroom.operations.add_client import add_source
from strongroom.operations.credentials import read_password
from strongroom.operations.deployment import Deployment


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
