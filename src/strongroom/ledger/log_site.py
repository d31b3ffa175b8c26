"""Writing a log as a folder of files: the static layout that anybody's tools can read."""

from collections.abc import Iterable
from pathlib import Path

from strongroom.errors import StrongroomError, UsageError


def write_site(folder: Path, note: bytes, files: Iterable[tuple[str, bytes]]) -> None:
    """Write the files and, when all are there, the checkpoint; the folder must be empty.

    Raises UsageError where something is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", "a log is exported into a folder of its own")
        for path, data in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (folder / "checkpoint").write_bytes(note)
    except OSError as err:
        raise StrongroomError(
            f"{folder} cannot be written",
            err.strerror or str(err),
            hint="Choose a folder with free space that may be written.",
        ) from err
