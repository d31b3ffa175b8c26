"""What a person types as a source, made into a source of a client."""

import os

from strongroom.app import App
from strongroom.clients import Client, ClientSource, parse_source_url
from strongroom.errors import UsageError
from strongroom.operations.add_client import add_source
from strongroom.operations.deployment import Deployment


def sniffed(app: App, typed: str) -> tuple[str, str, str]:
    """Return name, kind and absolute URL of `NAME=URL`, `URL` or a path; looks at the disk."""
    name, text = ClientSource.split_name(typed)
    url = parse_source_url(text, os.getcwd())
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


def add(app: App, deployment: Deployment, client: Client, typed: str) -> ClientSource:
    """Add one typed source to a client."""
    name, kind, url = sniffed(app, typed)
    return add_source(deployment, client, name, kind, url)
