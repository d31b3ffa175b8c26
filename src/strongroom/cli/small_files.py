"""Small files that travel between people: read with a limit, written once."""

import os
from pathlib import Path

from strongroom.errors import StrongroomError, UsageError


def read_small_file(path: Path, most: int) -> bytes:
    """Return what a file holds; raises UsageError where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as err:
        why = (err.strerror or type(err).__name__).lower()
        raise UsageError(f"{path} cannot be read", why, "Name the right file.") from err
    if len(data) > most:
        raise UsageError(f"{path} cannot be what is wanted", f"it is over {most} bytes")
    return data


def write_small_file(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600, durably; raises UsageError where something is there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as err:
        hint = "Name another file with --to."
        raise UsageError(f"{path} is there already", "nothing was written", hint) from err
    except OSError as err:
        raise StrongroomError(
            f"{path} cannot be written",
            (err.strerror or type(err).__name__).lower(),
            hint="Choose a folder with free space that may be written.",
        ) from err
