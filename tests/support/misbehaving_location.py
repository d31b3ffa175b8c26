"""A location that misbehaves by a plan: the faults a real one is known for, when a test says so."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum

from strongroom.ids import check_key
from strongroom.locations import Location, LocationUnavailable, ObjectMissing, Stat


class Fault(StrEnum):
    """What goes wrong in one call."""

    FAIL_BEFORE = "fail before anything is done"
    FAIL_AFTER = "fail after it is done: the answer is lost"
    TEAR = "store half of the bytes, then fail"
    FORGET = "answer, but lose the object in the next crash: a disk that lies about syncing"
    FLIP = "flip one bit of what is read"
    STALE = "list what there was at the last honest listing"
    FULL = "no room left"
    READ_ONLY = "writing is not allowed"
    DIE_BEFORE = "the process ends before anything is done"
    DIE_AFTER = "the process ends when it is done"


Plan = Callable[[str, str, int], Fault | None]
"""(method, key or prefix, number of the call to that method from 0) -> what goes wrong, if any."""


def always(method: str, fault: Fault) -> Plan:
    """Plan the fault for every call of the method."""
    return lambda called, _key, _number: fault if called == method else None


def once(method: str, fault: Fault, number: int = 0) -> Plan:
    """Plan the fault for one call of the method."""
    return lambda called, _key, count: fault if (called, count) == (method, number) else None


class Died(BaseException):
    """The process ends here; nothing that catches errors sees it."""


class MisbehavingLocation:
    """Wraps a location and asks the plan before every call."""

    def __init__(self, inner: Location, plan: Plan, listed: Sequence[Stat] = ()) -> None:
        """Take what a stale listing shows until there was an honest one."""
        self.inner = inner
        self.plan = plan
        self.calls: list[tuple[str, str]] = []
        self._unsynced: set[str] = set()
        self._listed = list(listed)

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        fault = self._fault("put", key)
        if fault is Fault.FULL:
            raise LocationUnavailable.full(f"{self.url}: {key} cannot be written", "planned")
        if fault is Fault.READ_ONLY:
            raise LocationUnavailable.read_only(f"{self.url}: {key} cannot be written", "planned")
        self.inner.put(key, data[: len(data) // 2] if fault is Fault.TEAR else data)
        if fault is Fault.FORGET:
            self._unsynced.add(key)
        self._lose_answer(fault)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        fault = self._fault("get", key)
        data = self.inner.get(key, start, length)
        if fault is Fault.FLIP and data:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data

    def list(self, prefix: str) -> Iterator[Stat]:
        if self._fault("list", prefix) is not Fault.STALE:
            self._listed = list(self.inner.list(""))
        below = check_key(prefix) + "/" if prefix else ""
        return iter([stat for stat in self._listed if stat.key.startswith(below)])

    def stat(self, key: str) -> Stat:
        self._fault("stat", key)
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        fault = self._fault("delete", key)
        self.inner.delete(key)
        self._lose_answer(fault)

    def crash(self) -> None:
        """Lose what was never synced, as a machine does that loses its power."""
        for key in self._unsynced:
            with suppress(ObjectMissing):
                self.inner.delete(key)
        self._unsynced.clear()

    def die(self) -> None:
        """End the process."""
        raise Died

    def _fault(self, method: str, key: str) -> Fault | None:
        number = sum(called == method for called, _ in self.calls)
        self.calls.append((method, key))
        fault = self.plan(method, key, number)
        if fault is Fault.FAIL_BEFORE:
            raise LocationUnavailable(f"{self.url}: {method} of {key} failed", "planned, before")
        if fault is Fault.DIE_BEFORE:
            self.die()
        return fault

    def _lose_answer(self, fault: Fault | None) -> None:
        if fault in {Fault.FAIL_AFTER, Fault.TEAR}:
            raise LocationUnavailable(f"{self.url}: no answer", f"planned: {fault}")
        if fault is Fault.DIE_AFTER:
            self.die()
