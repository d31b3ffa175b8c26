"""The one root of every error a person may see.

An error says what happened, why, and what to do. `exit_code` and `hint` live on the class, so the
face that prints an error decides nothing. Rooms add children here by subclassing; a text from
outside (an OSError, a provider's message) goes into `why` and is chained with `raise ... from err`.
"""

from typing import ClassVar


class StrongroomError(Exception):
    """Something did not happen; `what` and `why` are one line each, `hint` says what to do."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"
    hint: str = "Run the command again with --debug and read the first cause."

    def __init__(self, what: str, why: str = "", hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        """Return one line: what, and why where it adds something."""
        return f"{self.what}: {self.why}" if self.why else self.what


class Unavailable(StrongroomError):
    """Somebody who was asked does not answer now; the same question may be answered later."""


class UsageError(StrongroomError):
    """The request itself is wrong: an unknown name, a bad value, a missing argument."""

    exit_code = 2
    code = "usage"
    hint = "See the command's --help for what it takes."


class PartlyDone(StrongroomError):
    """Some of the work is done and kept; the rest is named and the next run continues it."""

    exit_code = 3
    code = "partly_done"
    hint = "Mend the named cause and run the same command again; it continues where it stopped."


class Refused(StrongroomError):
    """The request was understood and a rule forbids it."""

    exit_code = 4
    code = "refused"
    hint = "The rule is named above; it is not a fault."


class Waiting(StrongroomError):
    """The request was understood, and other people, or a time, must come first."""

    exit_code = 5
    code = "waiting"
    hint = "Nothing was done. Run the same command again later; it continues."


class Unwitnessed(StrongroomError):
    """What was shown is sound as far as it can be told, and too few witnesses have cosigned it."""

    exit_code = 10
    code = "unwitnessed"
    hint = "Run any command while the custodians answer: each one ends by asking them to cosign."


class Stale(StrongroomError):
    """What was shown is older than what is known to exist: a rollback or a lagging copy."""

    exit_code = 20
    code = "stale"
    hint = "Use another location; find out who put the older state there."


class SplitView(StrongroomError):
    """One log was shown in two versions that cannot both be true; `notes` are both, as signed."""

    exit_code = 30
    code = "split_view"
    hint = "Keep both notes: they are the evidence. Find out who showed which to whom."

    def __init__(self, what: str, why: str = "", notes: tuple[bytes, ...] = ()) -> None:
        super().__init__(what, why)
        self.notes = notes


class Damaged(StrongroomError):
    """Stored bytes are not what was stored, or were made by somebody else."""

    exit_code = 40
    code = "damaged"
    hint = "Run `strongroom vault check CLIENT --read-data` to see what is hit and where."


def printable(text: str) -> str:
    """Return a name from outside as it may be shown on a terminal: odd signs are escaped."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode()
        for sign in text
    )
