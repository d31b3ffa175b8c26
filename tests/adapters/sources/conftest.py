"""Fixtures of the sources' tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.in_memory import PLACE

NOBODY = 65534


@pytest.fixture
def plain_user_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user without rights; as root, the test runs as that user."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="strongroom-test-"))
    groups, group = os.getgroups(), os.getegid()
    os.chown(folder, NOBODY, NOBODY)
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
        shutil.rmtree(folder)


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder where tests lie, and one on a file system in memory: they keep different things."""
    if request.param == "disk":
        yield tmp_path
        return
    if not os.access(PLACE, os.W_OK):
        pytest.skip(f"no file system in memory: {PLACE} cannot be written")
    with tempfile.TemporaryDirectory(dir=PLACE, prefix="strongroom-test-") as made:
        yield Path(made)
