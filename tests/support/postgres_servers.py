"""Fixtures of PostgreSQL servers: one of each version for a whole run, empty before every test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.support.postgres import MAJORS, Postgres, PostgresAbsentError, running_postgres

Servers = Callable[[int], Postgres]


@pytest.fixture(name="servers", scope="session")
def _servers() -> Iterator[Servers]:
    """Servers by version, started when they are first asked for."""
    with ExitStack() as stack:

        @cache
        def started(major: int) -> Postgres | PostgresAbsentError:
            try:
                return stack.enter_context(running_postgres(major))
            except PostgresAbsentError as reason:
                return reason

        def server(major: int) -> Postgres:
            found = started(major)
            if isinstance(found, PostgresAbsentError):
                pytest.skip(str(found))
            found.empty()
            return found

        yield server


@pytest.fixture(name="server")
def _server(servers: Servers) -> Postgres:
    """An empty server of version 18."""
    return servers(18)


@pytest.fixture(name="server16")
def _server16(servers: Servers) -> Postgres:
    """An empty server of version 16."""
    return servers(16)


@pytest.fixture(name="each_server", params=MAJORS)
def _each_server(request: pytest.FixtureRequest, servers: Servers) -> Postgres:
    """An empty server of each version; a version that is not here is skipped, and why is said."""
    return servers(request.param)
