"""A folder in memory, where a sync costs nothing, for tests that would wait for a disk most of all.

A process that is killed loses nothing that it wrote, in memory as on a disk; what a disk loses with
its power is played by the tests themselves.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PLACE = Path("/dev/shm")  # noqa: S108  # what is made within is private
ROOM = 2 << 30


@pytest.fixture(name="tmp_path")
def memory_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Make a test's own folder in memory, given back when the test ends.

    It is on the disk where that is wanted, where memory is short, and for what is long.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    if (
        os.environ.get("STRONGROOM_ON_DISK")
        or request.node.get_closest_marker("long")
        or not _has_room()
    ):
        yield tmp_path_factory.mktemp(name)
        return
    made = _make(name)
    yield made
    _remove(made)


def _has_room() -> bool:
    """Say whether there is such a place, with room, where files are run and have attributes."""
    try:
        found = os.statvfs(PLACE)
        if found.f_bavail * found.f_frsize < ROOM or found.f_flag & os.ST_NOEXEC:
            return False
        with tempfile.NamedTemporaryFile(dir=PLACE) as file:
            os.setxattr(file.fileno(), "user.strongroom", b"1")
    except OSError:
        return False
    return True


def _make(name: str) -> Path:
    # By a number and not by chance: what is random looks like a secret.
    number = 0
    while True:
        made = PLACE / f"strongroom-{name}{number}"
        try:
            made.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return made


def _remove(made: Path) -> None:
    """Remove a folder, also where a test took the right to, as far as nobody writes in it yet."""
    for inner, folders, _ in os.walk(made):
        for path in (Path(inner, one) for one in folders):
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(made, ignore_errors=True)
