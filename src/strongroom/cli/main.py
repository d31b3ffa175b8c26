"""The door of the command line: global options, the table of nouns, errors to exit codes.

Only what `--help` needs is imported here. A command's module brings the rest: it names `Face` in
its signature, and the launcher makes one of whatever type it finds there.
"""

import sqlite3
import sys
import traceback
from typing import Annotated

from cyclopts import App as Commands
from cyclopts import CycloptsError, Group, Parameter

from strongroom.cli import output
from strongroom.cli.options import Options
from strongroom.errors import StrongroomError, UsageError

GLOBAL = Group("Global options", sort_key=100)
_OUTSIDE = (OSError, sqlite3.Error, MemoryError)
_NO_OPTIONS = Options()
_HELP = """Backups you can prove: sealed, split over custodians, kept in several places.

Begin with `strongroom up --demo --once`, or with `strongroom init --help`."""
_INIT = """Make a home: custodians, recovery kits, locations.

The kits are shown once. Take three places that do not burn together. Without a passphrase file
and without a terminal the operator's key is sealed by the key file, which `status` calls
DEGRADED. Credentials serve all object stores named here; `location add` takes others."""
_BACKUP = """Back up a client, or all of them.

Exits 3 when something could not be kept: it is named, and the next backup goes on from there."""
_SNAPSHOTS = """List a client's snapshots, oldest first, and what its keep policy keeps.

Names of files and tables need the custodians to read, so counts, times and sizes are shown."""
_BROWSE = """List what is inside a snapshot.

Its sources; or the entries of a folder, or the tables of a database. Names are sealed, so the
custodians release the snapshot's keys, and that is recorded."""
_DIFF = """Say what changed from one snapshot of a client to another.

Entries of folders by content and metadata, tables by the row counts recorded and, of PostgreSQL,
the digests of their rows. Of SQLite tables of the same row count may differ: one line says so.
Custodians release the keys of both snapshots, and that is recorded."""
_RESTORE = """Bring a snapshot back and check it.

What was true of each source when it was read is compared with what is brought back, and nothing
appears under its final name before that."""
_RECOVER = """Rebuild a lost home from locations and kits, or from custodians that live.

Nothing of the old machine is needed. The home is made where --home says, in a new or empty
folder."""


class Interrupted(StrongroomError):
    """Somebody stopped the command."""

    code = "interrupted"
    exit_code = 130
    hint = "The next backup tidies up what it was about."


# Where the launcher would only say [ARGS].
_USAGE = {
    "backup": "Usage: strongroom backup [OPTIONS] [CLIENT]",
    "browse": "Usage: strongroom browse [OPTIONS] CLIENT [SNAPSHOT] [SOURCE[/PATH]]",
    "diff": "Usage: strongroom diff [OPTIONS] CLIENT BEFORE [AFTER]",
    "restore": "Usage: strongroom restore --to PATH [OPTIONS] CLIENT [SNAPSHOT]",
}


commands = Commands(
    name="strongroom",
    help=_HELP,
    help_flags=["--help", "-h"],
    version_flags=[],
    default_parameter=Parameter(negative_iterable=(), negative_bool=(), show_default=False),
    result_action="return_value",
)
# Each noun is loaded when it is named, so that `--help` and small commands start quickly.
for name, place, text in (
    ("init", "strongroom.cli.init:init", _INIT),
    ("status", "strongroom.cli.status:status", "Say what is kept, what is missing, who can read."),
    ("kit", "strongroom.cli.kit:commands", "Recovery kits: show what is confirmed, confirm one."),
    ("client", "strongroom.cli.client:commands", "Clients: whose data is kept."),
    ("source", "strongroom.cli.source:commands", "Sources: where a client's data comes from."),
    ("backup", "strongroom.cli.backup:backup", _BACKUP),
    ("snapshots", "strongroom.cli.snapshots:snapshots", _SNAPSHOTS),
    ("browse", "strongroom.cli.browse:browse", _BROWSE),
    ("diff", "strongroom.cli.diff:diff", _DIFF),
    ("restore", "strongroom.cli.restore:restore", _RESTORE),
    ("recover", "strongroom.cli.recover:recover", _RECOVER),
    (
        "vault",
        "strongroom.cli.vault:commands",
        "Vaults: check what is stored, add what is missing.",
    ),
    (
        "ledger",
        "strongroom.cli.ledger:commands",
        "The ledger: search it, prove it, hand it on.",
    ),
    ("location", "strongroom.cli.location:commands", "Locations: where backups are kept."),
    ("custodian", "strongroom.cli.custodian:commands", "Custodians: who holds pieces of keys."),
    ("network", "strongroom.cli.network:commands", "The network: try every way into listeners."),
    (
        "procedure",
        "strongroom.cli.procedure:commands",
        "Procedures: what is asked for, approved and run.",
    ),
    ("policy", "strongroom.cli.policy:commands", "The team policy: who approves what."),
    ("up", "strongroom.cli.up:up", "Try it: a whole deployment on this machine."),
    ("--version", "strongroom.cli.version:version", "Show the version and exit."),
):
    usage = {"usage": _USAGE[name]} if name in _USAGE else {}
    commands.command(place, name=name, help=text, **usage)


commands.meta.suppress_keyboard_interrupt = False


@commands.meta.default
def launcher(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    options: Annotated[Options, Parameter(name="*", group=GLOBAL)] = _NO_OPTIONS,
) -> int:
    """Run one command."""
    command, bound, ignored = commands.parse_args(tokens, exit_on_error=False, print_error=False)
    try:
        # Making a face opens nothing yet, but it asks the machine where things are.
        given = {name: kind(options) for name, kind in ignored.items()}
        result = command(*bound.args, **bound.kwargs, **given)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (StrongroomError, *_OUTSIDE) as err:
        if options.debug:
            output.stderr().write("".join(traceback.format_exception(err)))
        plain = err if isinstance(err, StrongroomError) else output.from_outside(err)
        output.write_error(output.stderr(), plain, as_json=options.json)
        return plain.exit_code
    return result if isinstance(result, int) else 0


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; only a mistake of ours raises."""
    try:
        result = commands.meta(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as err:
        usage = _usage(err)
        output.write_error(output.stderr(), usage, as_json="--json" in arguments)
        return usage.exit_code
    except KeyboardInterrupt:
        return _interrupted(as_json="--json" in arguments)
    except RuntimeError as err:
        # Python 3.11 wraps whatever comes up while it makes a class, Ctrl-C too: a module loads.
        if not isinstance(err.__cause__, KeyboardInterrupt):
            raise
        return _interrupted(as_json="--json" in arguments)
    except BrokenPipeError:
        # The reader of our output left (`| head`), and there is nobody to tell.
        return 1
    except OSError as err:
        # Help that could not be written, or a current folder that is gone.
        plain = output.from_outside(err)
        output.write_error(output.stderr(), plain, as_json="--json" in arguments)
        return plain.exit_code
    return result if isinstance(result, int) else 0


def _interrupted(*, as_json: bool) -> int:
    if not as_json:
        # A terminal shows ^C where the cursor was.
        output.stderr().write("\n")
    interrupted = Interrupted("interrupted", "what was kept before is sound")
    output.write_error(output.stderr(), interrupted, as_json=as_json)
    return interrupted.exit_code


def _usage(err: CycloptsError) -> UsageError:
    lines = str(err).strip().splitlines() or ["the command cannot be understood"]
    what = lines[0] if lines[0].endswith("...") else lines[0].removesuffix(".")
    command = " ".join(("strongroom", *(err.command_chain or ())))
    return UsageError(what, hint=f"See `{command} --help`.")
