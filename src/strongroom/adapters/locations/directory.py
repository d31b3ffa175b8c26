"""A directory as a location, durable by our own hands.

An object is written to `tmp/`, synced, and linked to its name, which fails when the name is taken;
then the folder is synced. A marker file tells a location from the empty mount point of a disk that
is not there. Nothing inside the root is followed when it is a symbolic link: whoever can plant one
in a location must not make us read or write elsewhere.
"""

import errno
import fcntl
import os
import stat as modes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from strongroom.errors import Damaged, UsageError
from strongroom.ids import Token, check_key, is_canary_key
from strongroom.locations import (
    LocationUnavailable,
    ObjectExists,
    ObjectMissing,
    Stat,
    parse_location_url,
)

MARKER = "strongroom-location"
MARKER_TEXT = b"strongroom location v1: a directory that keeps sealed objects\n"
SCRATCH = "tmp"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV}
_ODD = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}


class DirectoryLocation:
    """Objects as files below a root that `create` has marked. Safe to use from several threads."""

    def __init__(self, root: Path, token: Token) -> None:
        """Take a root that is known to be a location: use `open` or `create`."""
        self._root = root
        self._token = token
        self._url = str(parse_location_url(str(root)))
        self._durable_folders: set[tuple[str, ...]] = set()
        self._swept = False
        self._lock = threading.Lock()

    @classmethod
    def create(cls, root: Path, token: Token) -> Self:
        """Make the root and its marker, durably; doing it twice is harmless.

        Refuses a directory that holds anything and is no location.
        """
        location = cls(root, token)
        try:
            _make_root(root)
            if not (root / MARKER).exists():
                if {entry.name for entry in root.iterdir()} - {SCRATCH}:
                    raise UsageError(
                        f"{root} is not empty and not a location",
                        "objects are kept only in a directory of their own",
                        "Name a new or empty directory.",
                    )
                (root / SCRATCH).mkdir(mode=0o700, exist_ok=True)
                _write_marker(root)
        except OSError as error:
            raise location._failed("it cannot be made a location", error, writing=True) from error
        return cls.open(root, token)

    @classmethod
    def open(cls, root: Path, token: Token) -> Self:
        """Open a root that `create` has marked; an absent or unmarked one is unavailable."""
        location = cls(root, token)
        location._check_root()
        return location

    @property
    def url(self) -> str:
        """The root as a `file:` URL."""
        return self._url

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store the object if there is none of this key; durable when this returns."""
        *parents, name = _parts(key)
        with self._mapped(f"{key} cannot be written", writing=True):
            self._sweep_once()
            with self._opened(tuple(parents), make=True) as folder:
                with self._opened((SCRATCH,), make=True) as scratch:
                    self._write(scratch, folder, name, data)
                # After a link the new name, after EEXIST the name another writer may have linked
                # a moment ago: either way it is on disk before anybody relies on it.
                os.fsync(folder)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes from `start` (negative: from the end), at most `length` of them."""
        with self._mapped(f"{key} cannot be read"), self._file(key) as handle:
            size = os.fstat(handle).st_size
            begin = max(0, size + start) if start < 0 else min(start, size)
            wanted = size - begin if length is None else min(length, size - begin)
            blocks = []
            while wanted > 0 and (block := os.pread(handle, wanted, begin)):
                blocks.append(block)
                begin += len(block)
                wanted -= len(block)
            return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield every object below `prefix`, in key order; what is no object of ours is left out.

        A root that vanishes on the way raises: half a listing is never passed off as a whole one.
        """
        parts = _parts(prefix) if prefix else ()
        with self._mapped(f"{prefix or 'the location'} cannot be listed"):
            self._check_root()
            yield from self._walk(parts)
            self._check_root()

    def stat(self, key: str) -> Stat:
        """Return size and time of this object; raises ObjectMissing."""
        with self._mapped(f"{key} cannot be read"), self._file(key) as handle:
            return _stat(key, os.fstat(handle))

    def delete(self, key: str) -> None:
        """Remove the object, durably; raises ObjectMissing."""
        *parents, name = _parts(key)
        with (
            self._mapped(f"{key} cannot be deleted", writing=True),
            self._present(key),
            self._opened(tuple(parents)) as folder,
        ):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def replace_canary(self, key: str, data: bytes) -> bool:
        """Overwrite a canary, which no other object is; returns whether the store kept the older.

        Only to learn whether it can be done: everything else here is written once.
        """
        if not is_canary_key(key):
            raise ValueError(f"not a canary: {key!r:.80}")
        *parents, name = _parts(key)
        with (
            self._mapped(f"{key} cannot be overwritten", writing=True),
            self._present(key),
            self._opened(tuple(parents)) as folder,
        ):
            handle = os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        return False

    def sweep(self) -> int:
        """Remove what crashed writers left in `tmp/` and return how many files that were.

        A live writer holds a lock on its file, so only the files of the dead can be locked here.
        """
        removed = 0
        with (
            self._mapped("leftovers cannot be removed", writing=True),
            self._opened((SCRATCH,), make=True) as scratch,
        ):
            for name in os.listdir(scratch):
                with suppress(FileNotFoundError):  # its writer has finished meanwhile
                    removed += _remove_if_left(scratch, name)
        return removed

    def _sweep_once(self) -> None:
        # The first write is the moment at which the location is known to be used for writing, so
        # no stray file outlives the next backup and a read-only copy can still be opened.
        with self._lock:
            if not self._swept:
                self._swept = True
                self.sweep()

    def _write(
        self, scratch: int, folder: int, name: str, data: bytes | bytearray | memoryview
    ) -> None:
        handle, draft = self._draft(scratch)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
            _link(draft, scratch, name, folder)
        except FileExistsError:
            os.fsync(folder)
            raise ObjectExists(f"{name} exists at {self._url}") from None
        finally:
            try:
                os.unlink(draft, dir_fd=scratch)
            finally:
                os.close(handle)

    def _draft(self, scratch: int) -> tuple[int, str]:
        """Make a locked, still nameless-to-readers file in `tmp/`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        while True:
            draft = self._token(16).hex()
            handle = os.open(draft, flags, 0o600, dir_fd=scratch)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                # A sweep between the two calls saw an unlocked file and removed it: draw again.
                if os.fstat(handle).st_nlink > 0:
                    return handle, draft
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    @contextmanager
    def _opened(self, parts: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
        """Open a folder below the root step by step, following no link; make what is missing."""
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if make:
                os.stat(MARKER, dir_fd=here, follow_symlinks=False)
            for depth, part in enumerate(parts, start=1):
                if make and parts[:depth] not in self._durable_folders:
                    _make_folder(here, part)
                    self._durable_folders.add(parts[:depth])
                below = os.open(part, _FOLDER, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    @contextmanager
    def _file(self, key: str) -> Iterator[int]:
        *parents, name = _parts(key)
        with self._present(key), self._opened(tuple(parents)) as folder:
            # O_NONBLOCK: a planted FIFO must not make us wait for ever.
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            mode = os.fstat(handle).st_mode
            if modes.S_ISDIR(mode):
                raise ObjectMissing(f"{key} is missing", f"a folder at {self._url}")
            if not modes.S_ISREG(mode):
                raise Damaged(f"{key} at {self._url} is not a file", "objects are plain files")
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _present(self, key: str) -> Iterator[None]:
        """Turn "no such file" into ObjectMissing, once the root is known to be there."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            self._check_root()
            raise ObjectMissing(f"{key} is missing", f"not at {self._url}") from None

    def _walk(self, parts: tuple[str, ...]) -> Iterator[Stat]:
        try:
            with self._opened(parts) as folder, os.scandir(folder) as entries:
                found = sorted(_look(entry, parts) for entry in entries)
        except FileNotFoundError:
            return
        for name, is_folder, stat in found:
            if is_folder:
                yield from self._walk((*parts, name.rstrip("/")))
            elif stat:
                yield stat[0]

    def _check_root(self) -> None:
        try:
            found = modes.S_ISREG(os.lstat(self._root / MARKER).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            found = False
        except OSError as error:
            raise self._failed("it cannot be looked at", error) from error
        if not found:
            raise LocationUnavailable(
                f"{self._root} is not a location",
                f"it has no file {MARKER}",
                "Is its disk mounted? A new one is made with `strongroom location add`.",
            )

    @contextmanager
    def _mapped(self, what: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._check_root()
            if error.errno in _ODD:
                why = f"something that is no plain file or folder is there ({error.strerror})"
                raise Damaged(f"{self._url}: {what}", why) from error
            raise self._failed(what, error, writing=writing) from error

    def _failed(self, what: str, error: OSError, *, writing: bool = False) -> LocationUnavailable:
        what, why = f"{self._url}: {what}", error.strerror or type(error).__name__
        if error.errno in _FULL:
            return LocationUnavailable.full(what, why)
        if writing and error.errno in _READ_ONLY:
            return LocationUnavailable.read_only(what, why)
        return LocationUnavailable(what, why)


def open_directory(url: str, token: Token, *, create: bool = False) -> DirectoryLocation:
    """Open the directory that a `file:` URL or an absolute path names, or make it a location."""
    parsed = parse_location_url(url)
    if parsed.scheme != "file":
        raise UsageError("not a directory", f"{parsed.scheme} is an object store")
    make = DirectoryLocation.create if create else DirectoryLocation.open
    return make(Path(parsed.place), token)


def file_system_of(url: str) -> str:
    """Name the file system a folder lies on, as this machine numbers them; empty if none is seen.

    Two disks of one machine are two file systems, two folders or mounts of one disk's are one.
    """
    place = parse_location_url(url)
    try:
        device = os.stat(place.place).st_dev if place.scheme == "file" else None
    except OSError:
        device = None
    if device is None:
        return ""
    return f"{os.major(device)}:{os.minor(device)}"


def _parts(key: str) -> tuple[str, ...]:
    parts = tuple(check_key(key).split("/"))
    if parts[0] in {MARKER, SCRATCH}:
        raise ValueError(f"a directory keeps this name for itself: {key!r:.80}")
    return parts


def _stat(key: str, found: os.stat_result) -> Stat:
    return Stat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _look(entry: "os.DirEntry[str]", parts: tuple[str, ...]) -> tuple[str, bool, list[Stat]]:
    """Return a name that sorts as it does within a whole key, and what stands there."""
    try:
        _parts(key := "/".join((*parts, entry.name)))
    except ValueError:
        return entry.name, False, []
    if entry.is_dir(follow_symlinks=False):
        return entry.name + "/", True, []
    if not entry.is_file(follow_symlinks=False):
        return entry.name, False, []
    try:
        return entry.name, False, [_stat(key, entry.stat(follow_symlinks=False))]
    except FileNotFoundError:
        return entry.name, False, []


def _link(draft: str, scratch: int, name: str, folder: int) -> None:
    try:
        os.link(draft, name, src_dir_fd=scratch, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise OSError(
                errno.EOPNOTSUPP, "this file system has no hard links, or forbids them"
            ) from error
        raise


def _make_folder(parent: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    # Also when it was there: the process that made it may have died before its own sync.
    os.fsync(parent)


def _make_root(root: Path) -> None:
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _write_marker(root: Path) -> None:
    # Written last and under another name first: a root with a marker is complete.
    draft = root / SCRATCH / MARKER
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o400)
    try:
        os.write(handle, MARKER_TEXT)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(root / MARKER)
    _sync_folder(root)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_if_left(scratch: int, name: str) -> int:
    # Only what a writer of ours makes is removed; on NFS a lock needs a file open for writing.
    found = os.stat(name, dir_fd=scratch, follow_symlinks=False)
    if not modes.S_ISREG(found.st_mode):
        return 0
    handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=scratch)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=scratch)
    except BlockingIOError:
        return 0
    finally:
        os.close(handle)
    return 1
