"""Clients: whose data is kept, where it comes from, where it goes, what was kept.

`Registry` is the server's own table of clients and locations; `History` is one client's database.
They know people's names for things; no name leaves the home in clear.
"""

from strongroom.clients.history import ClientSource, History, Snapshot
from strongroom.clients.model import Client, Keep
from strongroom.clients.registry import Registry
from strongroom.clients.source_url import parse_source_url

__all__ = [
    "Client",
    "ClientSource",
    "History",
    "Keep",
    "Registry",
    "Snapshot",
    "parse_source_url",
]
