"""Where a new home and its key file may go: never over what is there already."""

import os
from pathlib import Path

from strongroom.errors import Refused


def check_new_home(home: Path) -> None:
    """Raise Refused where a home cannot be made because something is there."""
    if os.path.lexists(home) and (not home.is_dir() or any(home.iterdir())):
        raise Refused(
            f"{home} is not empty",
            "a home is made in a new or empty folder",
            hint="Name another with --home, or use the home that is there.",
        )


def free_name(key_file: Path) -> Path:
    """Return a path where no file is: a new home never takes the key file of another."""
    number = 1
    found = key_file
    while os.path.lexists(found):
        number += 1
        found = key_file.with_name(f"{key_file.stem}-{number}{key_file.suffix}")
    return found
