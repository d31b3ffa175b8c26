"""Read a program with its arguments, as a source or as the place of a restore. Pure.

It is a JSON list of texts, never a line for a shell: nothing in it is expanded, and what is stored
is what runs. Arguments can be read by everybody on the machine, so passwords are refused where they
can be recognised.
"""

import json
import posixpath
import re
import shlex
from typing import Final, NoReturn

import msgspec

from strongroom.errors import Refused, UsageError

SCHEME: Final = "command:"
ARGUMENTS_MAX: Final = 256
COMMAND_BYTES_MAX: Final = 32 << 10
_EXAMPLE: Final = """Write a list: 'command:["PROGRAM","ARGUMENT"]', in single quotes."""
_SHELL_SIGNS: Final = frozenset("|&;<>()$`*?~{}\n")
_SHELL: Final = ("bash", "-o", "pipefail", "-c")
_WORD: Final = r"(?:password|passwd|passphrase|pwd)"
# In a connection string, a URL's query, a variable for `env`, or an option with its value.
_ASSIGNED = re.compile(rf"{_WORD}\s*=\s*[^\s&]", re.IGNORECASE)
# The option whose value is the next argument.
_OPTION = re.compile(rf"-{{1,2}}(?!-|no-|skip-)[a-z-]*{_WORD}", re.IGNORECASE)
_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:[^/@\s]+@")
# Programs whose name begins so take a password right behind, or after, this option.
_SHORT: Final = {"mysql": "-p", "mariadb": "-p", "mongo": "-p", "redis-cli": "-a"}


def is_command(text: str) -> bool:
    """Say whether a text is meant as a command."""
    return text[: len(SCHEME)].lower() == SCHEME


def parse_command(text: str) -> tuple[str, ...]:
    """Return program and arguments of `command:[...]`; raise UsageError, or Refused for a password.

    The program is an absolute path, or a name that is looked for when it runs.
    """
    listed = text[len(SCHEME) :]
    if len(listed.encode("utf-8", "surrogatepass")) > COMMAND_BYTES_MAX:
        raise UsageError("a command is too long", f"at most {COMMAND_BYTES_MAX} bytes", _EXAMPLE)
    if not listed.lstrip().startswith("["):
        _refuse_line(listed)
    try:
        arguments = tuple(msgspec.json.decode(listed.encode(), type=list[str]))
    except ValueError as err:
        why = "wanted a JSON list of texts"
        raise UsageError("a command cannot be read", why, _EXAMPLE) from err
    if not 1 <= len(arguments) <= ARGUMENTS_MAX:
        raise UsageError(
            "a command is refused", f"it has {len(arguments)} parts, not 1 to {ARGUMENTS_MAX}"
        )
    if any("\0" in argument for argument in arguments):
        raise UsageError("a command is refused", "it holds a NUL")
    _refuse_passwords(arguments)
    program = arguments[0]
    if not posixpath.basename(program) or ("/" in program and not program.startswith("/")):
        raise UsageError(
            "a command is refused",
            "its program is neither an absolute path nor a name",
            "Name it as /absolute/path/to/program.",
        )
    return arguments


def command_text(arguments: tuple[str, ...]) -> str:
    """Return the one text of a command, in ASCII and printable; `parse_command` reads it back."""
    return SCHEME + json.dumps(arguments, separators=(",", ":"))


def _refuse_line(line: str) -> NoReturn:
    """Say how a line for a shell is written as a list."""
    hint = _EXAMPLE
    try:
        words = tuple(shlex.split(line))
    except ValueError:
        words = ()
    if words:
        _refuse_passwords(words)
        if _SHELL_SIGNS & set(line):
            words = (*_SHELL, line.strip())
        hint = f"Write {shlex.quote(command_text(words))}."
    raise UsageError("a command is no line for a shell", "wanted a JSON list of texts", hint)


def _refuse_passwords(arguments: tuple[str, ...]) -> None:
    program = posixpath.basename(arguments[0])
    short = [option for name, option in _SHORT.items() if program.startswith(name)]
    for number, argument in enumerate(arguments):
        valued = _OPTION.fullmatch(argument) is not None and number + 1 < len(arguments)
        if (
            valued
            or _ASSIGNED.search(argument)
            or _IN_URL.search(argument)
            or (number and any(argument.startswith(option) for option in short))
        ):
            raise Refused(
                "a password in a command is refused",
                f"part {number + 1} looks like one, and everybody on the machine can read it",
                "Put it into the tool's own settings, such as ~/.my.cnf or ~/.pgpass.",
            )
