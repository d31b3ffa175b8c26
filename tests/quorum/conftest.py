"""One deployment for each test that asks for it."""

from collections.abc import Iterator

import pytest

from tests.quorum.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def high() -> Iterator[World]:
    made = World(vault_class="high")
    yield made
    made.close()
