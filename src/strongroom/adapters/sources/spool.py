"""The spool: a folder for copies that cannot stream, each without a name as soon as it is open.

A spooled copy is plaintext. It has a name only between its creation and the next few calls; a
crash in between leaves a file that `sweep_spool` finds by its name.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from strongroom.adapters.sources.errors import SpoolFull, TargetFailed, printable, reason
from strongroom.errors import Refused
from strongroom.ids import Token

SPOOL_PREFIX = b"strongroom-spool-"
MARGIN_BYTES = 1 << 20


def sweep_spool(folder: Path) -> int:
    """Remove what a crash left in the spool and return how many files that were."""
    swept = 0
    root = os.fsencode(folder)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(root):
            if name.startswith(SPOOL_PREFIX):
                swept += _sweep_one(os.path.join(root, name))
    return swept


def open_spool_file(folder: Path, bytes_needed: int, token: Token) -> tuple[bytes, int]:
    """Create a file with room for so many bytes; return its path and descriptor.

    The caller unlinks it as soon as it has opened it again. Raises SpoolFull before anything
    is written.
    """
    root = os.fsencode(folder)
    try:
        os.makedirs(root, 0o700, exist_ok=True)
        _check_private(root)
        room = os.statvfs(root)
        free = room.f_bavail * room.f_frsize
        if free < bytes_needed + MARGIN_BYTES:
            raise SpoolFull(
                f"the spool {printable(root)} is too small",
                f"a copy needs {bytes_needed + MARGIN_BYTES} bytes, it has {free}",
            )
        path = os.path.join(root, SPOOL_PREFIX + token(8).hex().encode())
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        # A sweep by another process leaves a locked file alone.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise TargetFailed(
            f"the spool {printable(root)} cannot be used",
            reason(error),
            "Set another spool folder.",
        ) from error
    return path, handle


def _sweep_one(path: bytes) -> int:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:
        return 0
    finally:
        os.close(handle)
    return 1


def _check_private(root: bytes) -> None:
    if os.stat(root).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(
            f"the spool {printable(root)} is refused",
            "others may write to it",
            "Use a folder of mode 0700.",
        )
