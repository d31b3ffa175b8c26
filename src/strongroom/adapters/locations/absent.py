"""A location that could not be opened: it stands in its place and says why."""

from collections.abc import Iterator

from strongroom.locations import LocationUnavailable, Stat


class AbsentLocation:
    """Raises the reason it could not be opened from every method, so that it still counts."""

    def __init__(self, url: str, reason: LocationUnavailable) -> None:
        self.url = url
        self._reason = reason

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Raise the reason."""
        raise self._reason

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Raise the reason."""
        raise self._reason

    def list(self, prefix: str) -> Iterator[Stat]:
        """Raise the reason."""
        raise self._reason

    def stat(self, key: str) -> Stat:
        """Raise the reason."""
        raise self._reason

    def delete(self, key: str) -> None:
        """Raise the reason."""
        raise self._reason
