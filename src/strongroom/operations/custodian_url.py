"""Where a custodian is that is a process of its own: https://HOST:PORT, and nothing more."""

from urllib.parse import urlsplit

from strongroom.errors import UsageError

URL_LENGTH_MAX = 300
_HINT = "Write https://HOST:PORT, as the custodian's `serve` says it listens."


def parse_custodian_url(text: str) -> tuple[str, int]:
    """Return host and port of a custodian's URL; raises UsageError."""
    what = f"{text!r:.80} is not where a custodian can be"
    if len(text) > URL_LENGTH_MAX or not text.isascii() or not text.isprintable():
        raise UsageError(what, f"at most {URL_LENGTH_MAX} plain characters", _HINT)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as err:
        raise UsageError(what, str(err), _HINT) from err
    if parts.scheme != "https" or not host or not port:
        raise UsageError(what, "it names no host and port behind https://", _HINT)
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(what, "it says more than a host and a port", _HINT)
    return host, port
