"""The URL of a location: what may stand in it, and what never may.

A URL is shown in lists, kept in the home and printed on recovery sheets, so it never holds a
secret: one with a password or an unknown setting is refused, and the refusal does not repeat it.
"""

import ipaddress
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from strongroom.errors import UsageError

URL_LENGTH_MAX = 2000
_KNOWN = "file:///directory, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix"
_SETTINGS = {"s3": {"endpoint", "region"}, "gs": {"endpoint"}, "az": {"account", "endpoint"}}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_WORD = re.compile(r"[A-Za-z0-9-]{1,63}")
_NO_SECRETS = "Give the credential apart from the URL; Strongroom keeps it sealed."


@dataclass(frozen=True, slots=True)
class LocationUrl:
    """A parsed URL. `place` is an absolute directory, a bucket or a container."""

    scheme: str
    place: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    account: str | None = None

    def __str__(self) -> str:
        """Return the one way to write this URL."""
        if self.scheme == "file":
            return "file://" + quote(self.place.encode("utf-8", "surrogateescape"))
        settings = {"account": self.account, "endpoint": self.endpoint, "region": self.region}
        query = urlencode({name: value for name, value in settings.items() if value}, safe=":/[]")
        path = f"{self.place}/{self.prefix}" if self.prefix else self.place
        return f"{self.scheme}://{path}" + (f"?{query}" if query else "")

    @property
    def is_plain_http(self) -> bool:
        """Whether the endpoint is without TLS, which only this machine's own may be."""
        return self.endpoint is not None and self.endpoint.startswith("http:")


def parse_location_url(text: str) -> LocationUrl:
    """Read a location's URL or an absolute path; raise UsageError, without the text's secrets."""
    if len(text) > URL_LENGTH_MAX or "\0" in text:
        raise UsageError("a location's URL cannot be read", f"at most {URL_LENGTH_MAX} characters")
    if text.startswith("/"):
        return LocationUrl("file", _directory(text))
    try:
        parts = urlsplit(text)
        has_port = parts.port is not None
    except ValueError as error:
        raise UsageError("a location's URL cannot be read", str(error).split(":")[0]) from None
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
            raise UsageError("a file: location names a directory of this machine only")
        return LocationUrl("file", _directory(unquote(parts.path, errors="surrogateescape")))
    if parts.scheme not in _SETTINGS:
        scheme = parts.scheme or "none"
        raise UsageError("unknown kind of location", f"scheme {scheme}; known: {_KNOWN}")
    if parts.username is not None or parts.password is not None or has_port:
        raise UsageError(
            f"a {parts.scheme} location's URL holds more than a bucket",
            "names, passwords and ports do not belong before the first slash",
            _NO_SECRETS,
        )
    return _store(parts)


def _store(parts: SplitResult) -> LocationUrl:
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc):
        raise UsageError("a location's bucket name is not one", f"got {parts.netloc!r:.70}")
    if parts.fragment or (prefix and not _PREFIX.fullmatch(prefix)):
        raise UsageError(
            "a location's prefix has characters that stores treat differently",
            "letters, digits, dot, dash and underscore are safe",
        )
    settings = _settings(parts)
    if parts.scheme == "az" and "account" not in settings:
        raise UsageError("an az location needs its account", "add ?account=NAME to the URL")
    for name in ("region", "account"):
        if name in settings and not _WORD.fullmatch(settings[name]):
            raise UsageError(f"a location's {name} is not one", "letters, digits and dashes only")
    endpoint = settings.get("endpoint")
    return LocationUrl(
        parts.scheme,
        parts.netloc,
        prefix,
        None if endpoint is None else _endpoint(endpoint),
        settings.get("region"),
        settings.get("account"),
    )


def _settings(parts: SplitResult) -> Mapping[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    known = _SETTINGS[parts.scheme]
    for name, _ in pairs:
        if name not in known:
            raise UsageError(
                f"unknown setting {name!r:.40} in a location's URL",
                f"a {parts.scheme} location takes {', '.join(sorted(known))}",
                _NO_SECRETS,
            )
    if len(dict(pairs)) < len(pairs):
        raise UsageError("a location's URL says the same setting twice")
    return dict(pairs)


def _directory(path: str) -> str:
    if not path.startswith("/") or posixpath.normpath(path).strip("/") == "":
        raise UsageError("a location's directory must be absolute and not the root", f"{path!r}")
    return "/" + posixpath.normpath(path).lstrip("/")


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if host is None or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        raise UsageError(
            "a location's endpoint is not https://HOST[:PORT]", "got something else", _NO_SECRETS
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError("a location's endpoint is not https://HOST[:PORT]", "it says more")
    if parts.scheme == "http" and not _is_loopback(host):
        raise UsageError(
            "a location's endpoint must be https", f"{host} is not this machine's own address"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
