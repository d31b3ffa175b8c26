"""What is asked and answered over a connection: HTTP/1.1 without what nobody needs of it."""

from dataclasses import dataclass, field
from typing import Final

FORBIDDEN: Final = 403
_REFUSALS_FROM: Final = 400
_TEXT: Final = "text/plain"


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


def refusal(status: int, line: str) -> Response:
    """Return how a listener itself refuses: a line of text, which no app of ours answers with."""
    return Response(status, f"{line}\n".encode(), _TEXT)


def is_refusal(response: Response) -> bool:
    """Tell whether a listener refused the question before an app saw it, or failed at it."""
    return response.status >= _REFUSALS_FROM and response.content_type.startswith(_TEXT)
