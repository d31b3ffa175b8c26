"""A port for custodians that are stopped and started again in one test."""

from collections.abc import Iterator

import pytest

from tests.support.ports import held


@pytest.fixture(name="kept_port")
def _kept_port() -> Iterator[int]:
    """Return a port that nobody else is given before the test ends."""
    with held(0) as holding:
        yield int(holding.getsockname()[1])
