"""What can be wrong with a PostgreSQL server, its tools, or a restore into one."""

from strongroom.adapters.sources.errors import printable
from strongroom.errors import StrongroomError

LINE_LENGTH_MAX = 300
_DISK_FULL = ("No space left on device", "Disk quota exceeded")


class ToolsMissing(StrongroomError):
    """No folder that we may look in holds PostgreSQL's tools."""

    code = "tools_missing"
    hint = (
        "Install PostgreSQL's client tools (pg_dump and its fellows), or name their folder as "
        "tool_folders in strongroom.toml."
    )


class ToolsTooOld(StrongroomError):
    """There are tools, and all are older than the server or the dump."""

    code = "tools_too_old"
    hint = "Install client tools of the server's major version; older ones cannot read newer data."


class ToolFailed(StrongroomError):
    """One of PostgreSQL's tools ended with an error."""

    code = "tool_failed"
    hint = "Mend what the tool names; nothing of this source was kept."


class ServerUnreachable(StrongroomError):
    """No server answers there."""

    code = "server_unreachable"
    hint = "Start the server, or correct host and port of the source."


class SignInRefused(StrongroomError):
    """The server does not let this role in."""

    code = "sign_in_refused"
    hint = (
        "Give the right password with --password-file (`strongroom source set CLIENT NAME` keeps "
        "it), or mend the server's pg_hba.conf."
    )


class PasswordWanted(SignInRefused):
    """The server wants a password, and there was none or another."""


class DatabaseMissing(StrongroomError):
    """The server has no such database."""

    code = "source_missing"
    hint = "See `strongroom source list CLIENT`; create it again, or remove the source."


class ServerRefused(StrongroomError):
    """The server answers, and refuses what was asked."""

    code = "server_refused"
    hint = "Give the role the rights to read everything: GRANT pg_read_all_data TO it."


def tidy(text: str) -> str:
    """Return the first line of a server's or tool's words, safe to show on a terminal."""
    first = text.strip().partition("\n")[0].strip()
    return printable(first.encode("utf-8", "surrogateescape"))[:LINE_LENGTH_MAX]


def is_disk_full(text: str) -> bool:
    """Say whether a tool ended because there was no room."""
    return any(sign in text for sign in _DISK_FULL)
