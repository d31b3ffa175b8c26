"""What every command gets: the global options, and how to ask and to tell."""

import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.app import App
from strongroom.cli import output
from strongroom.errors import Refused, UsageError
from strongroom.operations.deployment import Deployment

SECRET_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class Face:
    """One run of the command line."""

    app: App
    home: Path
    json: bool
    quiet: bool
    yes: bool

    @contextmanager
    def deployment(self) -> Iterator[Deployment]:
        """Open the home for one command."""
        with self.app.open(self.home) as deployment:
            yield deployment

    def tell(self, *lines: str) -> None:
        """Write lines to stdout, unless JSON is wanted or --quiet given."""
        if not self.json and not self.quiet:
            output.stdout().write("".join(f"{line}\n" for line in lines))

    def warn(self, *lines: str) -> None:
        """Write lines to stderr, unless JSON is wanted."""
        if not self.json:
            output.stderr().write("".join(f"{line}\n" for line in lines))

    def show(self, result: Any) -> None:
        """Write an action's result as JSON where that is wanted."""
        if self.json:
            output.write_json(output.stdout(), result)

    def table(
        self, titles: Sequence[str], rows: Sequence[Sequence[str]], objects: Sequence[Any]
    ) -> None:
        """Write a list as a table, or its objects as a JSON array."""
        if self.json:
            output.write_json(output.stdout(), list(objects))
        elif rows:
            output.write_table(output.stdout(), titles, rows)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[Any], None]]:
        """Show a progress line on a terminal while the block runs."""
        line = output.ProgressLine(output.stderr(), label, shown=not (self.json or self.quiet))
        try:
            yield line
        finally:
            line.clear()

    def confirm(self, question: str) -> None:
        """Ask yes or no; --yes answers; without a terminal and --yes it is refused."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Refused(question, "nobody can be asked here", hint="Pass --yes if you mean it.")
        output.stderr().write(f"{question} [y/N] ")
        output.stderr().flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Refused("not confirmed", "nothing was done", hint="")

    def ask_secret(self, prompt: str) -> str:
        """Ask for something that must not be shown."""
        if not sys.stdin.isatty():
            raise UsageError(f"{prompt}: nobody can be asked here", "stdin is not a terminal")
        return getpass.getpass(f"{prompt}: ", stream=output.stderr())


def read_secret_file(name: str, what: str) -> str:
    """Read a small secret from a file, or from stdin for `-`; never from argv."""
    try:
        if name == "-":
            text = sys.stdin.read(SECRET_LENGTH_MAX + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(SECRET_LENGTH_MAX + 1)
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"{what} cannot be read from {name}", str(err)) from err
    if len(text) > SECRET_LENGTH_MAX:
        raise UsageError(f"{what} is over {SECRET_LENGTH_MAX} characters")
    return text


With = Annotated[Face, Parameter(parse=False)]
"""The parameter through which a command gets its face."""
