"""Credentials of object stores and passwords of databases: read as given, sealed in the home.

A sealed credential is named after its role and location, a password after its source. A location
has two roles: the worker puts, reads and lists; the janitor also deletes. Format:
docs/formats/home-v1.md.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from strongroom.clients import ClientSource
from strongroom.errors import Damaged, UsageError
from strongroom.locations import Location, parse_location_url

CREDENTIAL_BYTES_MAX = 32 << 10


class Secrets(Protocol):
    """Sealed secrets of this home, by name."""

    def read(self, name: str) -> bytes:
        """Return a secret."""
        ...

    def write(self, name: str, secret: bytes) -> None:
        """Store a secret under a name that is not taken."""
        ...

    def has(self, name: str) -> bool:
        """Tell whether there is one of this name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a secret."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin so."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """What an object store knows us by."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def read(cls, text: str) -> "Credential":
        """Read the key id on the first line and the secret on the rest, which may be JSON."""
        first, _, rest = text.strip().partition("\n")
        if not first.strip() or not rest.strip():
            raise UsageError(
                "the credential cannot be read",
                "wanted the key id on one line and the secret on the next",
                hint="Write them to a file of mode 0600, or pass them through stdin with -.",
            )
        return cls(first.strip(), rest.strip())

    def encode(self) -> bytes:
        """Return the bytes to seal."""
        return json.dumps({"key_id": self.key_id, "secret": self.secret}).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Credential":
        """Read what `encode` wrote; raise Damaged, without a word of it, otherwise."""
        try:
            found = json.loads(data[:CREDENTIAL_BYTES_MAX])
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and found.keys() == {"key_id", "secret"}:
            key_id, secret = found["key_id"], found["secret"]
            if isinstance(key_id, str) and isinstance(secret, str):
                return cls(key_id, secret)
        raise Damaged("a location's credential cannot be read", "it is not what was sealed")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a location knows the worker and the janitor by, where each is given."""

    worker: Credential | None = None
    janitor: Credential | None = None

    def check(self, urls: Iterable[str]) -> None:
        """Raise UsageError for a credential that none of these locations could use."""
        places = list(urls)
        for one in (self.worker, self.janitor):
            check_credential(one, places)

    def try_at(
        self, url: str, below: str, open_as: Callable[[str, Credential | None], Location]
    ) -> None:
        """See that the location answers to each that is given; raises LocationUnavailable."""
        for one in (self.worker, self.janitor):
            if one is not None and needs_credential(url):
                next(open_as(url, one).list(below), None)

    def seal(self, secrets: Secrets, location: str, url: str) -> None:
        """Seal what is given, each in place of an earlier one."""
        if self.worker is not None:
            seal_credential(secrets, secret_name(location), url, self.worker)
        if self.janitor is not None:
            seal_credential(secrets, janitor_name(location), url, self.janitor)


def secret_name(location: str) -> str:
    """Return under which name the worker's credential of a location is sealed."""
    return f"location-{location}"


def janitor_name(location: str) -> str:
    """Return under which name the janitor's credential of a location is sealed."""
    return f"janitor-{location}"


def needs_credential(url: str) -> bool:
    """Tell whether a location is one that knows credentials."""
    return parse_location_url(url).scheme != "file"


def check_credential(credential: Credential | None, urls: Iterable[str]) -> None:
    """Raise UsageError for a credential that no location of these could use."""
    if credential is not None and not any(needs_credential(url) for url in urls):
        raise UsageError(
            "a credential is given, and no location needs one",
            "folders have none",
            hint="Leave it out, or name an object store: s3://bucket/prefix.",
        )


def seal_credential(secrets: Secrets, name: str, url: str, credential: Credential) -> bool:
    """Seal a credential, in place of an earlier one; returns False for a folder, which has none."""
    if not needs_credential(url):
        return False
    forget_credential(secrets, name)
    secrets.write(name, credential.encode())
    return True


def unseal_credential(secrets: Secrets, name: str) -> Credential | None:
    """Return what is sealed under this name, None where nothing is; raises Damaged."""
    return Credential.parse(secrets.read(name)) if secrets.has(name) else None


def forget_credential(secrets: Secrets, name: str) -> None:
    """Remove what is sealed under this name, if anything is."""
    if secrets.has(name):
        secrets.remove(name)


def read_password(text: str) -> str:
    """Return a password as a file holds it: one final newline is the file's, not the password's."""
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or any(sign in password for sign in "\n\r\0"):
        raise UsageError(
            "the password cannot be used",
            "it is empty" if not password else "it has more than one line",
            hint="Write it to a file of mode 0600, or pass it through stdin with -.",
        )
    return password


def check_password(password: str | None, kinds: Iterable[str]) -> None:
    """Raise UsageError for a password where not exactly one source could use it."""
    count = list(kinds).count("postgresql")
    if password is not None and count != 1:
        raise UsageError(
            f"a password is given, and {count} sources could need it",
            "one password is for one PostgreSQL source",
            hint="Leave out --password-file, or add each with `strongroom source add`.",
        )


def password_name(source: ClientSource) -> str:
    """Return under which name a source's password is sealed."""
    return f"source-{source.id}"


def seal_password(secrets: Secrets, source: ClientSource, password: str | None) -> None:
    """Seal a source's password in the place of an earlier one; None removes it."""
    if secrets.has(password_name(source)):
        secrets.remove(password_name(source))
    if password is not None:
        secrets.write(password_name(source), password.encode())
