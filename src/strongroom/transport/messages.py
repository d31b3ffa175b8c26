"""What is asked and answered over a connection: HTTP/1.1 without what nobody needs of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A question; `path` is the target as it was sent, with its query if it has one."""

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; whoever sends it chose the status, and it may be an error."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
