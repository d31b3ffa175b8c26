"""The options that every command takes, before or after its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


@dataclass(frozen=True, slots=True)
class Options:
    """What was said for the whole run."""

    home: Path | None = None
    """The home's folder; otherwise STRONGROOM_HOME, otherwise this user's."""
    json: bool = False
    """Write the result, or the error, as one JSON document."""
    quiet: bool = False
    """Write only warnings, errors and what was asked for."""
    yes: bool = False
    """Answer confirmations with yes; never types a passphrase or confirms a kit."""
    on_behalf_of: Annotated[str, Parameter(metavar="PERSON")] = ""
    """The name of the person for whom this is done; the ledger keeps it apart, as erasable."""
    debug: bool = False
    """Show where an error came from, with its causes."""
