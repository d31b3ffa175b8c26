"""A file or directory that is written under a partial name and renamed when it is whole.

What stood at the destination is moved aside first and removed only after the new one is in
place, so that a crash at any point leaves the old or the new one, whole. A restore holds a lock on
its partial one; what nobody holds was left by a killed restore, and the next one sweeps it.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from strongroom.adapters.sources.attributes import forget_inherited
from strongroom.adapters.sources.errors import TargetFailed, printable, reason
from strongroom.adapters.sources.folder import remove_tree
from strongroom.errors import PartlyDone, Refused
from strongroom.ids import Token

_NAME_BYTES_MAX = 200
_PARTIAL = b".partial-"
_ASIDE = b".replaced-"


class Destination:
    """Where a restore ends: the final name, the partial one, and the one for what was there."""

    def __init__(self, path: Path, token: Token, overwrite: bool) -> None:
        self.final = os.fsencode(path)
        parent, name = os.path.split(self.final)
        mark = token(8).hex().encode()
        short = os.path.join(parent, name[:_NAME_BYTES_MAX])
        self.partial = short + _PARTIAL + mark
        self._aside = short + _ASIDE + mark
        self._parent = parent or b"."
        self._overwrite = overwrite
        self._held: list[int] = []
        self._check_free()
        with told(self.final):
            os.makedirs(self._parent, exist_ok=True)

    def make_file(self, suffix: bytes = b"") -> int:
        """Make the partial file, or one beside it, for nobody else to read, and hold it.

        Returns a descriptor to write to. A suffix is a hyphen and lower-case letters, as sweeps
        know it.
        """
        path = self.partial + suffix
        with told(self.final):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            forget_inherited(handle)
            self.hold(suffix)
        return handle

    def hold(self, suffix: bytes = b"") -> None:
        """Keep sweeps away from the partial one, which was just made, until it is abandoned."""
        held = os.open(self.partial + suffix, os.O_RDONLY | os.O_NOFOLLOW)
        self._held.append(held)
        # Where a file system has no such locks, no sweep gets one either, and nothing is swept.
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def publish(self, companions: tuple[bytes, ...] = ()) -> None:
        """Give the partial one its final name; durable when this returns.

        `companions` are suffixes of files that belong to an old one and go with it.
        """
        self._check_free()
        moved: list[bytes] = []
        with told(self.final):
            if os.path.lexists(self.final) and not _is_empty_folder(self.final):
                for suffix in (*companions, b""):
                    # The companions first: an old database without its log is older, but whole;
                    # a new one with an old log beside it would be ruined.
                    if os.path.lexists(self.final + suffix):
                        os.rename(self.final + suffix, self._aside + suffix)
                        moved.append(self._aside + suffix)
            # From here on a reader finds the new one.
            os.rename(self.partial, self.final)
            sync_folder(self._parent)
        try:
            for old in moved:
                remove(old)
        except OSError as error:
            raise PartlyDone(
                f"restored to {printable(self.final)}",
                f"what it replaced could not be removed: {reason(error)}",
                f"Remove {printable(self._aside)} yourself.",
            ) from error

    def refuse_companions(self, suffixes: tuple[bytes, ...]) -> None:
        """Refuse files beside the destination that an engine would mix into the new one."""
        for suffix in suffixes:
            if not self._overwrite and os.path.lexists(self.final + suffix):
                raise Refused(
                    f"{printable(self.final + suffix)} exists",
                    "it belongs to a database that was there and would ruin the restored one",
                    "Restore to another place, or use --overwrite to replace both.",
                )

    def abandon(self) -> None:
        """Remove the partial one."""
        with contextlib.suppress(FileNotFoundError):
            remove(self.partial)
        while self._held:
            os.close(self._held.pop())

    def _check_free(self) -> None:
        if not os.path.lexists(self.final) or self._overwrite or _is_empty_folder(self.final):
            return
        raise Refused(
            f"{printable(self.final)} exists",
            "a restore does not replace what is there",
            "Restore to another place, or use --overwrite.",
        )


def sweep_partial(path: Path) -> list[Path]:
    """Remove what killed restores to this destination left beside it.

    Returns what they had put aside to replace it: that is somebody's data and stays.
    """
    parent, name = os.path.split(os.fsencode(path))
    parent = parent or b"."
    leftover = re.compile(
        re.escape(name[:_NAME_BYTES_MAX])
        + rb"(%b|%b)[0-9a-f]{16}((?:-[a-z]+)*)" % (re.escape(_PARTIAL), re.escape(_ASIDE))
    )
    aside: list[Path] = []
    with told(os.fsencode(path)):
        for entry in sorted(os.listdir(parent)) if os.path.isdir(parent) else []:
            place = os.path.join(parent, entry)
            found = leftover.fullmatch(entry)
            if found and found[1] == _ASIDE:
                aside.append(Path(os.fsdecode(place)))
            elif found and not (found[2] and os.path.lexists(place.removesuffix(found[2]))):
                # What an engine writes beside its file has no lock of its own, and comes after it.
                _remove_unheld(place)
    return aside


def _remove_unheld(path: bytes) -> None:
    # Held, or not ours to remove: whether it is in the way, the restore finds out by itself.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(handle)


@contextlib.contextmanager
def told(path: bytes) -> Iterator[None]:
    """Turn an OSError while writing into one line that names the place."""
    try:
        yield
    except OSError as error:
        raise TargetFailed(f"{printable(path)} cannot be written", reason(error)) from error


def remove(path: bytes) -> None:
    """Remove a file, a link, or a directory with all below it."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        remove_tree(path)
    else:
        os.unlink(path)


def sync_folder(path: bytes) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, block: bytes | memoryview) -> None:
    """Write all of a block, however little the kernel takes at once."""
    written = os.write(handle, block)
    while written < len(block):
        written += os.write(handle, memoryview(block)[written:])


def _is_empty_folder(path: bytes) -> bool:
    return not os.path.islink(path) and os.path.isdir(path) and not os.listdir(path)
