"""What can be wrong with a source, its spool, or the place of a restore."""

from strongroom.errors import StrongroomError


class SourceMissing(StrongroomError):
    """There is nothing at the path."""

    code = "source_missing"
    hint = "See `strongroom source list CLIENT`; mount it, or remove the source."


class SourceUnreadable(StrongroomError):
    """The source is there and cannot be read."""

    code = "source_unreadable"
    hint = "Give the user that runs Strongroom the right to read it."


class SourceBusy(StrongroomError):
    """Another process kept the database locked for longer than we wait."""

    code = "source_busy"
    hint = "Run the backup when the application does not lock the database, or use WAL mode."


class NotADatabase(StrongroomError):
    """The file is not a SQLite database that can be read without a key."""

    code = "not_a_database"
    hint = "If it is encrypted (SQLCipher), or no database at all, name it as file:///PATH instead."


class SpoolFull(StrongroomError):
    """The spool folder has not enough room for a copy of the database."""

    code = "spool_full"
    hint = "Make room there, or set another spool folder; nothing was written."


class TargetFailed(StrongroomError):
    """The operating system did not let us write the restored data."""

    code = "target_failed"
    hint = "Nothing was published; mend the cause, or restore to another place."


class ProgramMissing(StrongroomError):
    """The program of a command is not there, or may not be executed."""

    code = "program_missing"
    hint = "Install it, or write the program's absolute path."


class CommandFailed(StrongroomError):
    """A command did not do what was asked of it."""

    code = "command_failed"
    hint = "Run it by hand, with the same short environment, to see what is wrong."


def reason(error: OSError) -> str:
    """Return the operating system's sentence without the path, which `what` already names."""
    return error.strerror or type(error).__name__


def printable(path: bytes) -> str:
    """Return a name from foreign bytes that is safe to show on a terminal, at most 200 long."""
    text = path.decode("utf-8", "backslashreplace")
    shown = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    return shown if len(shown) <= 200 else shown[:199] + "…"
