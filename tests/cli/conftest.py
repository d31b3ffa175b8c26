"""A first home for tests of the command line, in a folder that is the current one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.first_home import FirstHome
from tests.support.transcript import at_home


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder, with everything that a run finds in the environment below it."""
    with at_home(tmp_path):
        yield tmp_path


@pytest.fixture
def first(folder: Path) -> FirstHome:
    """Return a home with two locations and one good snapshot of the client `acme`."""
    return FirstHome.make(folder, "one", "two")
