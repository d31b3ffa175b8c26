"""The door of the command line: global options, the table of nouns, errors to exit codes."""

import sys
import traceback
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App as Commands
from cyclopts import CycloptsError, Group, Parameter

from strongroom.app import App
from strongroom.cli import output
from strongroom.cli.face import Face
from strongroom.errors import StrongroomError, UsageError

INTERRUPTED: Final = 130
GLOBAL = Group("Global options", sort_key=100)

commands = Commands(
    name="strongroom",
    help="Backups you can prove: sealed, split over custodians, kept in several places.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_bool=(), show_default=True),
)
# Each noun is loaded when it is named, so that `--help` and small commands start quickly.
for name, place, text in (
    ("init", "strongroom.cli.init:init", "Make a home: custodians, kits, locations."),
    ("status", "strongroom.cli.status:status", "Say what is kept, what is missing, who can read."),
    ("kit", "strongroom.cli.kit:commands", "Recovery kits."),
    ("client", "strongroom.cli.client:commands", "Clients: whose data is kept."),
    ("source", "strongroom.cli.source:commands", "Sources: where a client's data comes from."),
    ("backup", "strongroom.cli.backup:backup", "Back up a client, or all of them."),
    ("snapshots", "strongroom.cli.snapshots:snapshots", "List a client's snapshots."),
    ("restore", "strongroom.cli.restore:restore", "Bring a snapshot back and check it."),
    ("recover", "strongroom.cli.recover:recover", "Rebuild a lost home from locations and kits."),
    ("vault", "strongroom.cli.vault:commands", "Vaults: check what is stored."),
    ("location", "strongroom.cli.location:commands", "Locations: where backups are kept."),
    ("custodian", "strongroom.cli.custodian:commands", "Custodians: who holds pieces of keys."),
    ("up", "strongroom.cli.up:up", "A whole deployment on this machine, tried out."),
):
    commands.command(place, name=name, help=text)


@commands.meta.default
def launcher(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, Parameter(group=GLOBAL)] = None,
    json: Annotated[bool, Parameter(group=GLOBAL, negative=())] = False,
    quiet: Annotated[bool, Parameter(group=GLOBAL, negative=())] = False,
    yes: Annotated[bool, Parameter(group=GLOBAL, negative=())] = False,
    debug: Annotated[bool, Parameter(group=GLOBAL, negative=())] = False,
) -> int:
    """Run one command.

    Parameters
    ----------
    home
        The home's folder; otherwise STRONGROOM_HOME, otherwise this user's.
    json
        Write results and errors as JSON.
    quiet
        Write nothing but results that were asked for, and errors.
    yes
        Answer confirmations with yes; never types a passphrase or confirms a kit.
    debug
        Show the causes of an error.
    """
    app = App()
    face = Face(app, (home or app.default_home()).absolute(), json, quiet, yes)
    command, bound, ignored = commands.parse_args(tokens, exit_on_error=False, print_error=False)
    given = {"face": face} if "face" in ignored else {}
    try:
        result = command(*bound.args, **bound.kwargs, **given)
    except StrongroomError as err:
        if debug:
            output.stderr().write("".join(traceback.format_exception(err)))
        output.write_error(output.stderr(), err, as_json=json)
        return err.exit_code
    return result if isinstance(result, int) else 0


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code and never raises."""
    as_json = "--json" in arguments
    try:
        result = commands.meta(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as err:
        usage = UsageError(str(err).strip().splitlines()[0] if str(err) else "cannot be understood")
        output.write_error(output.stderr(), usage, as_json=as_json)
        return usage.exit_code
    except KeyboardInterrupt:
        output.stderr().write(
            "\ninterrupted: what was kept before is sound; the next backup tidies up\n"
        )
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (`| head`); there is nobody to tell.
        sys.stderr.close()
        return 1
    return result if isinstance(result, int) else 0
