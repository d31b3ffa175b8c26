"""One backup of a vault at a time, by a lock that the kernel drops when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.clock import Clock, format_instant
from strongroom.errors import StrongroomError


class AlreadyRunning(StrongroomError):
    """Another process holds the vault's lock."""

    code = "already_running"
    hint = "Wait until it has finished; it was not disturbed."


@contextmanager
def vault_lock(path: Path, clock: Clock) -> Iterator[None]:
    """Hold the lock while the block runs; raise AlreadyRunning naming the holder otherwise.

    The file's text only names the holder for people; the lock itself is the kernel's, so a
    killed process leaves none.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            holder = file.read(200).strip() or "another process"
            raise AlreadyRunning("this vault is being written already", f"by {holder}") from err
        file.truncate(0)
        file.write(f"process {os.getpid()} since {format_instant(clock.now())}\n")
        file.flush()
        yield
        file.seek(0)
        file.truncate(0)
