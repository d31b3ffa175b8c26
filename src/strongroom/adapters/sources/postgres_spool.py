"""A folder in the spool for one dump: locked while its process lives, swept after it died.

A dump is plaintext in many files with names. Each is unlinked as soon as it is read; what a crash
leaves, `sweep_spool_folders` finds by name and by the missing lock.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from strongroom.adapters.sources.errors import SpoolFull, TargetFailed, printable, reason
from strongroom.adapters.sources.folder import remove_tree
from strongroom.adapters.sources.spool import (
    MARGIN_BYTES,
    SPOOL_PREFIX,
    TRIES,
    open_spool_file,
    sweep_spool,
)
from strongroom.ids import Token

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_SWEPT = b".swept"


class SpoolFolder:
    """A private folder with room for so many bytes, removed by `close`."""

    def __init__(self, spool: Path, bytes_needed: int, token: Token) -> None:
        self._handle = -1
        for _ in range(TRIES):
            # A spool file first: it makes and judges the spool, and knows the free space.
            path, handle = open_spool_file(spool, bytes_needed, token)
            try:
                os.unlink(path)
            finally:
                os.close(handle)
            self.path = path + b".dump"
            with _told(spool):
                self._handle = _make_locked(self.path)
            if self._handle >= 0:
                return
        with _told(spool):
            raise BlockingIOError(errno.EAGAIN, "another process sweeps away every new folder")

    def check_room(self, bytes_needed: int) -> None:
        """Raise SpoolFull where the next file does not fit."""
        room = os.statvfs(self.path)
        free = room.f_bavail * room.f_frsize
        if free < bytes_needed + MARGIN_BYTES:
            raise SpoolFull(
                f"the spool {printable(os.path.dirname(self.path))} is too small",
                f"the next file needs {bytes_needed} bytes, it has {free}",
            )

    def close(self) -> None:
        """Remove the folder and all in it; safe to call twice."""
        if self._handle >= 0:
            remove_tree(self.path)
            os.close(self._handle)
            self._handle = -1


def sweep_spool_folders(spool: Path) -> int:
    """Remove what a crash left in the spool, files and dumps; return how many there were."""
    # The files first: this refuses a spool that is not ours alone.
    swept = sweep_spool(spool)
    root = os.fsencode(spool)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(root):
            if name.startswith(SPOOL_PREFIX):
                swept += _sweep_one(os.path.join(root, name))
    return swept


def _make_locked(path: bytes) -> int:
    """Return the descriptor of a new folder, locked, or -1 where another's sweep was faster.

    It is not inherited by tools: when this process dies, the next sweep takes the folder away, and
    a tool that still writes ends because its folder is gone.
    """
    os.mkdir(path, 0o700)
    handle = -1
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        handle = os.open(path, _FLAGS)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(handle)):
            return handle
    if handle >= 0:
        os.close(handle)
    # A sweep of files locks a folder for a moment and leaves it.
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return -1


def _sweep_one(path: bytes) -> int:
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        swept = path if path.endswith(_SWEPT) else path + _SWEPT
        # A tool that outlived its process opens files by the old name, and finds none.
        os.rename(path, swept)
        remove_tree(swept)
    except OSError:
        return 0
    finally:
        os.close(handle)
    return 1


@contextlib.contextmanager
def _told(spool: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TargetFailed(
            f"the spool {printable(os.fsencode(spool))} cannot be used",
            reason(error),
            "Set another spool folder.",
        ) from error
