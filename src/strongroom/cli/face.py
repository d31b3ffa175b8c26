"""What every command gets: the global options, and how to ask and to tell."""

import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.app import App
from strongroom.cli import output
from strongroom.cli.options import Options
from strongroom.errors import Refused, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.device_key import nobody_to_ask

SECRET_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class Face:
    """One run of the command line."""

    options: Options

    @property
    def app(self) -> App:
        """The composition root, for the person who is named."""
        return App(
            behalf=self.options.on_behalf_of, passphrase=self._passphrase, agree=self.confirm
        )

    @property
    def home(self) -> Path:
        """The home that is meant, absolute."""
        return (self.options.home or self.app.default_home()).absolute()

    @property
    def json(self) -> bool:
        """Whether results are written for machines."""
        return self.options.json

    @contextmanager
    def deployment(self, passphrase_file: str | None = None) -> Iterator[Deployment]:
        """Open the home for one command; the file has the passphrase of the operator's key."""
        app = self.app
        if passphrase_file is not None:
            words = read_secret_file(passphrase_file, "the passphrase").rstrip("\r\n")
            app = replace(app, passphrase=lambda: words)
        with app.open(self.home, lambda told: self.warn(f"warning: {told}")) as deployment:
            yield deployment

    def command(self, text: str) -> str:
        """Return a command to type next, for this home."""
        home = f"--home {self.home} " if self.home != self.app.default_home() else ""
        return f"strongroom {home}{text}"

    def tell(self, *lines: str) -> None:
        """Write lines to stdout, unless JSON is wanted or --quiet given."""
        if not self.options.quiet:
            self.say(*lines)

    def say(self, *lines: str) -> None:
        """Write lines that were asked for to stdout, also with --quiet; not with --json."""
        if not self.json:
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
    def progress(self, label: str) -> Iterator[output.ProgressLine]:
        """Show a progress line on a terminal while the block runs."""
        shown = not (self.json or self.options.quiet)
        line = output.ProgressLine(output.stderr(), label, shown=shown)
        try:
            yield line
        finally:
            line.clear()

    def confirm(self, question: str) -> None:
        """Ask yes or no; --yes answers; without a terminal and --yes it is refused."""
        if self.options.yes:
            return
        if not sys.stdin.isatty():
            raise Refused(
                "this needs a yes, and nobody can be asked here",
                question,
                hint="Pass --yes if you mean it.",
            )
        output.stderr().write(f"{question} [y/N] ")
        output.stderr().flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Refused("not confirmed", "nothing was done", hint="")

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to type what is not shown, and expects to be asked."""
        return sys.stdin.isatty() and not (self.json or self.options.quiet)

    def _passphrase(self) -> str:
        """Ask for the passphrase of the operator's key, where somebody is there."""
        if not self.can_ask:
            return nobody_to_ask()
        return self.ask_secret("Passphrase of the operator's key")

    def ask_secret(self, prompt: str) -> str:
        """Ask, on a terminal, for something that must not be shown."""
        try:
            return getpass.getpass(f"{prompt}: ", stream=output.stderr())
        except EOFError as err:
            raise UsageError("nothing was typed", "nothing was done") from err


def read_secret_file(name: str, what: str) -> str:
    """Read a small secret from a file, or from stdin for `-`; never from argv."""
    try:
        if name == "-":
            text = sys.stdin.read(SECRET_LENGTH_MAX + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(SECRET_LENGTH_MAX + 1)
    except OSError as err:
        why = (err.strerror or type(err).__name__).lower()
        raise UsageError(f"{what} cannot be read from {name}", why, _FILE) from err
    except UnicodeDecodeError as err:
        raise UsageError(f"{what} cannot be read from {name}", "it is not UTF-8", _FILE) from err
    if len(text) > SECRET_LENGTH_MAX:
        raise UsageError(
            f"{what} is too long", f"{name} is over {SECRET_LENGTH_MAX} characters", _FILE
        )
    return text


_FILE = "Name the right file, or - to pass it through stdin."

SecretFile = Annotated[str, Parameter(allow_leading_hyphen=True, metavar="FILE")]
"""The name of a file with a secret; `-`, which is stdin, is no option."""

With = Annotated[Face, Parameter(parse=False)]
"""The parameter through which a command gets its face."""
