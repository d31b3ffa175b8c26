"""Read what a person typed as a source. Pure: what is on the disk is asked elsewhere.

`sqlite:///abs/path`, `file:///abs/path`, `postgresql://host/database`, `command:[...]` and plain
paths are understood. A plain path and a `file:` URL do not say what lies there, so their kind is
open until the disk was asked. What a database's URL says in full is read by who connects to it.
"""

import posixpath
import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from strongroom.clients.command import command_text, is_command, parse_command
from strongroom.errors import Refused, UsageError
from strongroom.ids import FILE_NAME_BYTES_MAX, check_file_name

SourceKind = Literal["sqlite", "tree", "file", "postgresql", "command"]
PATH_BYTES_MAX = 4096
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*[^/@]*:[^/@]*@")
_PASSWORD_OPTION = re.compile(r"[?&](password|passfile|sslpassword)=", re.IGNORECASE)
_POSTGRES = ("postgresql", "postgres")
_LATER = ("mysql", "mariadb")
_KNOWN = "sqlite:///PATH, file:///PATH, postgresql://HOST/DATABASE, command:[...] or a plain path"


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """Where a source is; `kind` is None until the disk was asked.

    `path` is absolute bytes; a database on a server has none, and `server` instead: what follows
    `postgresql://`, options included, never a password. A command has only its `arguments`, the
    program first.
    """

    kind: SourceKind | None
    path: bytes
    server: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The URL as it is stored and shown; `parse_source_url` reads it back."""
        if self.arguments:
            return command_text(self.arguments)
        if self.server:
            return f"postgresql://{self.server}"
        scheme = "sqlite" if self.kind == "sqlite" else "file"
        return f"{scheme}://{quote_from_bytes(self.path)}"

    @property
    def default_name(self) -> str:
        """A name made from the last part of the path, the database's, or the program's."""
        base = posixpath.basename(self.path).decode("utf-8", "replace") or "root"
        if self.server:
            address = re.split(r"[?#]", self.server)[0]
            base = unquote(address.partition("/")[2]) or "database"
        if self.arguments:
            base = posixpath.basename(self.arguments[0])
        safe = "".join("_" if _forbidden(sign) else sign for sign in base).lstrip("-")
        if safe in {"", ".", ".."}:
            safe = "_"
        # Cut by bytes, and never through a character.
        return safe.encode()[:FILE_NAME_BYTES_MAX].decode("utf-8", "ignore")

    def of_kind(self, kind: SourceKind) -> "SourceUrl":
        """Return the same place with the kind that was found there."""
        return replace(self, kind=kind)


def parse_source_url(text: str, cwd: str = "/") -> SourceUrl:
    """Return the source that a URL or a path (relative to `cwd`) names; raise UsageError.

    The text is not repeated in errors that could repeat a password.
    """
    if is_command(text):
        return SourceUrl("command", b"", arguments=parse_command(text))
    if _PASSWORD.match(text) or (_PASSWORD_OPTION.search(text) and _is_postgres(text)):
        raise Refused(
            "a password in a source URL is refused",
            "it would be seen in the process list and kept in the shell's history",
            "Leave it out of the URL; --password-file takes it.",
        )
    found = _URL.fullmatch(text)
    scheme = found[1].lower() if found else text.partition(":")[0]
    if scheme in _LATER and found:
        raise UsageError(f"{scheme} sources are not yet available", f"this version knows {_KNOWN}")
    if found and scheme in _POSTGRES:
        return SourceUrl("postgresql", b"", _server(found[2]))
    if not found:
        return SourceUrl(None, _absolute(_raw(text), cwd))
    if scheme not in ("sqlite", "file"):
        raise UsageError(f"no source has the scheme {scheme[:20]}", f"there are {_KNOWN}")
    return SourceUrl("sqlite" if scheme == "sqlite" else None, _url_path(scheme, found[2]))


def split_source_name(text: str) -> tuple[str | None, str]:
    """Split `NAME=URL`; without a name the whole text is the URL, as is one such as `/a=b`."""
    if is_command(text):
        return None, text
    name, equals, url = text.partition("=")
    if not equals or "/" in name or not name:
        return None, text
    return check_source_name(name), url


def check_source_name(name: str) -> str:
    """Return the name when it can be the name of a file in a restore; raise UsageError."""
    try:
        return check_file_name(name)
    except ValueError as err:
        raise UsageError(
            f"a source cannot be named {name!r:.60}", str(err), "Choose one: NAME=URL."
        ) from err


def _is_postgres(text: str) -> bool:
    return text.partition(":")[0].lower() in _POSTGRES


def _server(rest: str) -> str:
    address = re.split(r"[?#]", rest)[0]
    if not rest.isprintable() or not rest.isascii() or " " in rest:
        raise UsageError(
            "the PostgreSQL URL is refused", "what is no ASCII is written with %, a space as %20"
        )
    if len(rest) > PATH_BYTES_MAX or not address.partition("/")[2]:
        raise UsageError(
            "the PostgreSQL URL names no database", "wanted postgresql://[USER@]HOST/DATABASE"
        )
    return rest


def _forbidden(sign: str) -> bool:
    return sign == "/" or not sign.isprintable()


def _url_path(scheme: str, rest: str) -> bytes:
    if not rest.startswith("/"):
        raise UsageError(
            f"the {scheme} URL names another machine or a relative path",
            "sources lie on this machine",
            f"Write three slashes: {scheme}:///absolute/path.",
        )
    if "?" in rest or "#" in rest:
        raise UsageError(
            f"a {scheme} URL takes no options",
            "it holds `?` or `#`",
            "Write them as %3F and %23 if they belong to the path.",
        )
    return _absolute(unquote_to_bytes(_raw(rest)), "/")


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError("a source path cannot be encoded", "it is no text") from error


def _absolute(path: bytes, cwd: str) -> bytes:
    if not path:
        raise UsageError("a source path is empty", f"wanted {_KNOWN}")
    if b"\0" in path:
        raise UsageError("a source path is refused", "it holds a NUL byte")
    # normpath keeps two leading slashes, which POSIX lets mean something else; Linux does not.
    full = b"/" + posixpath.normpath(posixpath.join(_raw(cwd), path)).lstrip(b"/")
    if len(full) > PATH_BYTES_MAX:
        raise UsageError("a source path is too long", f"at most {PATH_BYTES_MAX} bytes")
    return full
