"""`strongroom --version`."""

import importlib.metadata

from strongroom.cli.face import With


def version(*, face: With) -> None:
    """Show the version and exit."""
    try:
        number = importlib.metadata.version("strongroom")
    except importlib.metadata.PackageNotFoundError:
        number = "unknown (run from a checkout)"
    face.say(number)
    face.show({"version": number})
