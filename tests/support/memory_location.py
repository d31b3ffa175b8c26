"""A location in memory that behaves: the third implementation of the contract."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from strongroom.ids import check_key
from strongroom.locations import ObjectExists, ObjectMissing, Stat

MODIFIED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryLocation:
    """Objects in a dict; `objects` is open to tests that damage them on purpose."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"memory://{self.name}"

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        with self._lock:
            if check_key(key) in self.objects:
                raise ObjectExists(f"{key} exists at {self.url}")
            self.objects[key] = bytes(data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = self._data(key)
        begin = max(0, len(data) + start) if start < 0 else start
        return data[begin:] if length is None else data[begin : begin + length]

    def list(self, prefix: str) -> Iterator[Stat]:
        below = check_key(prefix) + "/" if prefix else ""
        for key in sorted(self.objects):
            if key.startswith(below):
                yield self.stat(key)

    def stat(self, key: str) -> Stat:
        return Stat(key, len(self._data(key)), MODIFIED_AT)

    def delete(self, key: str) -> None:
        self._data(key)
        with self._lock:
            del self.objects[key]

    def _data(self, key: str) -> bytes:
        with self._lock:
            if check_key(key) not in self.objects:
                raise ObjectMissing(f"{key} is missing", f"not at {self.url}")
            return self.objects[key]
