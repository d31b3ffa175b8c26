"""The spool: a folder for copies that cannot stream, each without a name as soon as it is open.

A spooled copy is plaintext. It has a name only between its creation and the next few calls; a
crash in between leaves a file that `sweep_spool` finds by its name.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from strongroom.adapters.sources.errors import SpoolFull, TargetFailed, printable, reason
from strongroom.errors import Refused
from strongroom.ids import Token

SPOOL_PREFIX = b"strongroom-spool-"
MARGIN_BYTES = 1 << 20
# How often a sweep by another process may be faster before that is an error.
TRIES = 5
_SPOOL_HINT = (
    "Set `spool` in strongroom.toml to a folder of your own with mode 0700, or remove "
    "what is there."
)


def sweep_spool(folder: Path) -> int:
    """Remove what a crash left in the spool and return how many files that were."""
    root = os.fsencode(folder)
    if not os.path.lexists(root):
        return 0
    with _told(root), _private(root) as here:
        return sum(
            _sweep_one(here, name)
            for name in map(os.fsencode, os.listdir(here))
            if name.startswith(SPOOL_PREFIX)
        )


def open_spool_file(folder: Path, bytes_needed: int, token: Token) -> tuple[bytes, int]:
    """Create a file with room for so many bytes; return its path and descriptor.

    The caller opens it again, makes sure of that with `check_opened`, and unlinks it before a
    byte is written. Raises SpoolFull or Refused before there is a file.
    """
    root = os.fsencode(folder)
    with _told(root):
        os.makedirs(root, 0o700, exist_ok=True)
        with _private(root) as here:
            room = os.fstatvfs(here)
            free = room.f_bavail * room.f_frsize
            if free < bytes_needed + MARGIN_BYTES:
                raise SpoolFull(
                    f"the spool {printable(root)} is too small",
                    f"a copy needs {bytes_needed + MARGIN_BYTES} bytes, it has {free}",
                )
            name, handle = _make_locked(here, token)
    return os.path.join(root, name), handle


def check_opened(handle: int, times: int) -> None:
    """Raise Refused unless this process has the file open so often beside this descriptor.

    An engine opens a spool file by its name; whoever swapped a folder of the path meanwhile would
    be handed the copy.
    """
    wanted = os.fstat(handle)
    found = 0
    for number in map(int, os.listdir("/proc/self/fd")):
        # The listing's own descriptor is among them and closed by now.
        with contextlib.suppress(OSError):
            info = os.fstat(number)
            same = (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino)
            found += same and number != handle
    if found != times:
        raise Refused(
            "a file in the spool is not the one that was made there",
            "somebody swapped it, or a folder of its path",
            "Set `spool` in strongroom.toml to a folder that only you can change.",
        )


def _make_locked(here: int, token: Token) -> tuple[bytes, int]:
    """Return name and descriptor of a new file, locked so that other processes' sweeps spare it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    for _ in range(TRIES):
        name = SPOOL_PREFIX + token(8).hex().encode()
        handle = os.open(name, flags, 0o600, dir_fd=here)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return name, handle
        # A sweep found it before it was locked, and takes it away.
        os.close(handle)
    raise BlockingIOError(errno.EAGAIN, "another process sweeps away every new file")


def _sweep_one(here: int, name: bytes) -> int:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=here)
    except OSError:
        return 0
    finally:
        os.close(handle)
    return 1


@contextlib.contextmanager
def _private(root: bytes) -> Iterator[int]:
    """Open the spool, which must be a folder of ours alone: what lies in it is plaintext."""
    path = root.rstrip(b"/") or b"/"
    info = os.lstat(path)
    why = ""
    if stat.S_ISLNK(info.st_mode):
        why = "it is a symlink, and whoever made it says where copies go"
    elif info.st_uid != os.geteuid():
        why = f"it belongs to user {info.st_uid}, this is user {os.geteuid()}"
    elif info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        why = f"others may use it: its mode is {stat.S_IMODE(info.st_mode):04o}"
    if why:
        raise Refused(f"the spool {printable(root)} is refused", why, _SPOOL_HINT)
    here = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if not os.path.samestat(info, os.fstat(here)):
            raise Refused(f"the spool {printable(root)} is refused", "it was swapped", _SPOOL_HINT)
        yield here
    finally:
        os.close(here)


@contextlib.contextmanager
def _told(root: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TargetFailed(
            f"the spool {printable(root)} cannot be used", reason(error), _SPOOL_HINT
        ) from error
