"""Fixtures of the sources' tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
