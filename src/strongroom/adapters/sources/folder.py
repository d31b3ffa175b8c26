"""A directory held open, below which paths are walked without ever following a link.

Backing up a tree that others write to, and restoring one that others described, have the same
danger: a component that is, or becomes, a symlink leads out of the tree. Every step here is an
`openat` with O_NOFOLLOW from the directory before, so there is no way out and no race.
"""

import contextlib
import errno
import os

from strongroom.adapters.sources.errors import printable
from strongroom.errors import Refused
from strongroom.vault import Entry

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ID_MAX = (1 << 32) - 2
_LEFT_THE_TREE = (errno.ENOTDIR, errno.ELOOP)


class Folder:
    """An open directory; remembers the last one walked to, as neighbours come together."""

    def __init__(self, path: bytes) -> None:
        # The root itself may be a symlink: the user named it.
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._path = b""
        self._last = self._root

    def directory(self, path: bytes) -> int:
        """Return a descriptor of the directory at this relative path, valid until the next call.

        Raises OSError; ENOTDIR or ELOOP where a component is a link.
        """
        if path == self._path:
            return self._last
        start, below = self._root, path
        if self._path and path.startswith(self._path + b"/"):
            start, below = self._last, path[len(self._path) + 1 :]
        current = start
        for name in below.split(b"/") if below else []:
            try:
                deeper = os.open(name, DIRECTORY_FLAGS, dir_fd=current)
            finally:
                if current != start:
                    os.close(current)
            current = deeper
        if self._last not in (self._root, current):
            os.close(self._last)
        self._path, self._last = path, current
        return current

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """Return a descriptor of the directory that holds this path, and the last name."""
        above, _, name = path.rpartition(b"/")
        return self.directory(above), name

    def close(self) -> None:
        """Close what is open; safe to call twice."""
        if self._root < 0:
            return
        if self._last != self._root:
            os.close(self._last)
        os.close(self._root)
        self._root = self._last = -1


def check_name(path: bytes) -> None:
    """Refuse a relative path that could name anything outside the tree."""
    why = ""
    if b"\0" in path:
        why = "it holds a NUL byte"
    elif path.startswith(b"/"):
        why = "it is absolute"
    elif path and any(part in (b"", b".", b"..") for part in path.split(b"/")):
        why = "a part of it is empty, `.` or `..`"
    if why:
        raise Refused(f"the name {printable(path)} is refused", why, "Whoever made it is hostile.")


def check_entry(entry: Entry) -> None:
    """Refuse an entry whose name could leave the tree or whose numbers no file can have."""
    check_name(entry.path)
    ids_fit = 0 <= entry.owner <= _ID_MAX and 0 <= entry.group <= _ID_MAX
    if not ids_fit or not 0 <= entry.mode <= 0o7777:
        raise Refused(
            f"{printable(entry.path)} is refused",
            "its mode, owner or group is no such number",
            "Whoever made it is hostile.",
        )
    if b"\0" in entry.link or any(b"\0" in name for name, _ in entry.attributes):
        raise Refused(
            f"{printable(entry.path)} is refused",
            "its link or the name of an attribute holds a NUL byte",
            "Whoever made it is hostile.",
        )


def leads_out(error: OSError) -> bool:
    """Say whether a walk failed because a component is no directory, a symlink above all."""
    return error.errno in _LEFT_THE_TREE


def remove_tree(path: bytes) -> None:
    """Remove a directory and all below it, following no link, whatever its modes and depth."""
    with contextlib.suppress(FileNotFoundError):
        _open_up(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY))
        folder = Folder(path)
        try:
            _remove_below(folder)
        finally:
            folder.close()
        os.rmdir(path)


def _remove_below(folder: Folder) -> None:
    directories = [b""]
    # The list grows while it is walked, so that children stand behind their parents.
    for path in directories:
        here = folder.directory(path)
        with os.scandir(here) as listing:
            found = [
                (os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in listing
            ]
        for name, is_directory in found:
            if is_directory:
                _open_up(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here))
                directories.append(path + b"/" + name if path else name)
            else:
                os.unlink(name, dir_fd=here)
    for path in reversed(directories[1:]):
        above, name = folder.parent(path)
        os.rmdir(name, dir_fd=above)


def _open_up(handle: int) -> None:
    """Let the owner list and empty a directory; takes a handle and closes it."""
    try:
        # An O_PATH handle needs no right to read; /proc gives it a name that chmod accepts. One
        # that is not ours cannot be changed, and need not be where we may empty it anyway.
        with contextlib.suppress(PermissionError):
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
    finally:
        os.close(handle)
