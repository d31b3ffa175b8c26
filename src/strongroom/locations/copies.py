"""Copies: one object at several locations, and one answer from whichever still has it.

Writing goes to all locations at once and succeeds when all but one hold the object. Reading asks
one after the other until the caller accepts the bytes; no location is trusted, and what was wrong
is remembered by name. Only `put`'s own answer decides whether an object is there: a listing may
lag, so it is never a reason to write, to skip or to give up.
"""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self

from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.ids import check_key
from strongroom.locations.location import (
    Location,
    LocationUnavailable,
    ObjectExists,
    ObjectMissing,
)

OBJECT_BYTES_MAX = 1 << 30
IN_FLIGHT_MAX = 4

Data = bytes | bytearray | memoryview
_NOBODY: frozenset[str] = frozenset()


class Copies:
    """Full copies of objects over named locations. Safe to use from several threads."""

    def __init__(
        self,
        locations: Mapping[str, Location],
        failed: Mapping[str, StrongroomError] = MappingProxyType({}),
    ) -> None:
        """Take the locations by name; one thread each is started when first needed.

        Those that have `failed` already are left alone like those that fail here.
        """
        if not locations:
            raise UsageError("there is no location", hint="Add one: strongroom location add URL")
        self.locations: Mapping[str, Location] = MappingProxyType(dict(locations))
        self.damages: list[tuple[str, str, Damaged]] = []
        """(location, key, error) of every copy that was read and not accepted."""
        self._failures = dict(failed)
        # A thread of its own for each location: a slow one delays the others by no more than the
        # objects in flight, and every location sees the objects in the order they were put.
        self._pools = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"copies-{name}") for name in locations
        }
        self._in_flight = threading.BoundedSemaphore(IN_FLIGHT_MAX)
        self._turns = itertools.count()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; what was queued and not begun is given up."""
        self.close()

    @property
    def required(self) -> int:
        """How many locations must hold an object before it counts as stored."""
        return max(1, len(self.locations) - 1)

    @property
    def failures(self) -> Mapping[str, StrongroomError]:
        """The locations that did not answer, by name, with the first reason each gave."""
        return MappingProxyType(self._failures)

    def put(self, key: str, data: Data) -> None:
        """Store the object; when this returns, `required` locations hold these very bytes.

        Doing it twice is harmless. When too few locations hold the object, raises Damaged where
        one holds other bytes under the key, naming it, and LocationUnavailable otherwise.
        """
        self.put_async(key, data).result()

    def put_async(self, key: str, data: Data) -> Future[None]:
        """Begin `put` and return its outcome-to-be; wait while too many are under way.

        The caller leaves `data` unchanged, and asks for the result, which may raise.
        """
        return self.put_parts(key, dict.fromkeys(self.locations, (key, data)), self.required)

    def put_parts(
        self, key: str, parts: Mapping[str, tuple[str, Data]], required: int
    ) -> Future[None]:
        """Begin to put an object as parts: by name of the location, a key and the bytes under it.

        It counts as stored when `required` locations hold theirs. Otherwise as `put_async`.
        """
        for part, data in parts.values():
            check_key(part)
            if len(data) > OBJECT_BYTES_MAX:
                raise ValueError(f"object of {len(data)} bytes, at most {OBJECT_BYTES_MAX}")
        self._in_flight.acquire()
        outcome = _Outcome(key, required, tuple(parts), self._in_flight.release)
        for name, (part, data) in parts.items():
            task = self._pools[name].submit(self._put_one, name, part, data)
            task.add_done_callback(partial(outcome.note, name))
        return outcome.future

    def get(
        self,
        key: str,
        accept: Callable[[bytes], object],
        start: int = 0,
        length: int | None = None,
        besides: str | None = None,
    ) -> bytes:
        """Return the bytes of the first copy that `accept` does not refuse with Damaged.

        The location named `besides` is not asked. Raises Damaged when a copy was read and none
        accepted, ObjectMissing when every location answered that it has none, LocationUnavailable
        otherwise.
        """
        limit = OBJECT_BYTES_MAX if length is None else length
        errors: dict[str, StrongroomError] = {}
        for name in self._reading_order():
            if name == besides:
                continue
            try:
                # One byte more than an object may have shows a forged giant without loading it.
                asked = limit + 1 if length is None else limit
                data = self.get_from(name, key, start, asked)
                if len(data) > limit:
                    raise Damaged(f"{key} is larger than any object", f"over {limit} bytes")
                accept(data)
            except Damaged as error:
                self.damages.append((name, key, error))
                errors[name] = error
            except (LocationUnavailable, ObjectMissing) as error:
                errors[name] = error
            else:
                return data
        raise _most_telling(key, errors)

    def get_from(self, name: str, key: str, start: int, length: int) -> bytes:
        """Return what one location has under the key, at most `length` bytes, unchecked.

        Raises what the location raises; one that does not answer goes to `failures`.
        """
        try:
            return self.locations[name].get(key, start, length)
        except LocationUnavailable as error:
            self._failures.setdefault(name, error)
            raise

    def list(self, prefix: str) -> dict[str, frozenset[str]]:
        """Return the keys below `prefix`, each with the names of the locations that list it.

        A location that cannot list goes to `failures`; raises LocationUnavailable when none can.
        A key that is not listed may exist all the same: see the module's opening.
        """
        tasks = {
            name: self._pools[name].submit(_keys, location, prefix)
            for name, location in self.locations.items()
        }
        found: dict[str, frozenset[str]] = {}
        errors: dict[str, StrongroomError] = {}
        for name, task in tasks.items():
            # Keys share the few sets there are: of a hundred thousand, each costs its text alone.
            joined: dict[frozenset[str], frozenset[str]] = {}
            try:
                for key in task.result():
                    names = found.get(key, _NOBODY)
                    if names not in joined:
                        joined[names] = names | {name}
                    found[key] = joined[names]
            except (LocationUnavailable, Damaged) as error:
                self._failures.setdefault(name, error)
                errors[name] = error
        if len(errors) == len(tasks):
            damages = [error for error in errors.values() if isinstance(error, Damaged)]
            raise damages[0] if damages else _unavailable("no location can be listed", errors)
        return dict(sorted(found.items()))

    def close(self) -> None:
        """Wait for what is being written and give the threads back; safe to call twice."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _reading_order(self) -> Sequence[str]:
        names = tuple(self.locations)
        turn = next(self._turns) % len(names)
        rotated = names[turn:] + names[:turn]
        return sorted(rotated, key=lambda name: name in self._failures)

    def _put_one(self, name: str, key: str, data: Data) -> None:
        # A location that failed once is left alone: it would miss objects, and every further try
        # could cost a timeout. `vault repair` brings it up to date.
        known = self._failures.get(name)
        if known is not None:
            raise type(known)(known.what, known.why, known.hint)
        location = self.locations[name]
        try:
            location.put(key, data)
        except ObjectExists:
            self._compare(name, location, key, data)
        except (LocationUnavailable, Damaged) as error:
            self._failures.setdefault(name, error)
            raise

    def _compare(self, name: str, location: Location, key: str, data: Data) -> None:
        try:
            stored = location.get(key, 0, len(data) + 1)
        except (LocationUnavailable, ObjectMissing) as error:
            why = f"it says {key} exists and does not show it: {error}"
            failure = LocationUnavailable(f"location {name} contradicts itself", why)
            self._failures.setdefault(name, failure)
            raise failure from error
        if stored != data:
            damage = Damaged(
                f"location {name} holds other bytes under {key}",
                "it was cut short, forged, or written by a second writer",
            )
            self.damages.append((name, key, damage))
            self._failures.setdefault(name, damage)
            raise damage


class _Outcome:
    """Counts the answers of all locations for one object and settles its future with the last."""

    def __init__(
        self, key: str, required: int, names: tuple[str, ...], release: Callable[[], None]
    ) -> None:
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()
        self._key = key
        self._required = required
        self._names = names
        self._release = release
        self._errors: dict[str, BaseException | None] = {}
        self._lock = threading.Lock()

    def note(self, name: str, task: Future[None]) -> None:
        closed = LocationUnavailable("closed before the object was sent")
        with self._lock:
            self._errors[name] = closed if task.cancelled() else task.exception()
            if len(self._errors) < len(self._names):
                return
        self._release()
        error = self._verdict()
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)

    def _verdict(self) -> BaseException | None:
        errors: dict[str, StrongroomError] = {}
        for name in self._names:
            error = self._errors[name]
            if isinstance(error, (LocationUnavailable, Damaged)):
                errors[name] = error
            elif error is not None:
                return error
        stored = len(self._names) - len(errors)
        if stored >= self._required:
            # One location that holds something else must not stop the others: it is a failure by
            # name. Two writers cannot both get here with three locations or more.
            return None
        damages = [error for error in errors.values() if isinstance(error, Damaged)]
        if damages:
            return damages[0]
        needed = f"{stored} of {len(self._names)} locations hold it, {self._required} are needed"
        return _unavailable(f"{self._key} is not stored ({needed})", errors)


def _keys(location: Location, prefix: str) -> Sequence[str]:
    return [stat.key for stat in location.list(prefix)]


def _most_telling(key: str, errors: Mapping[str, StrongroomError]) -> StrongroomError:
    damaged = {name: error for name, error in errors.items() if isinstance(error, Damaged)}
    if damaged:
        damage = Damaged(f"no good copy of {key} is left", _each(errors))
        damage.__cause__ = next(iter(damaged.values()))
        return damage
    if all(isinstance(error, ObjectMissing) for error in errors.values()):
        asked = ", ".join(sorted(errors)) or "no location"
        return ObjectMissing(f"{key} is missing", f"asked {asked}")
    return _unavailable(f"{key} cannot be read", errors)


def _unavailable(what: str, errors: Mapping[str, StrongroomError]) -> LocationUnavailable:
    """Return one error for several locations, of the kind and with the hint of the first."""
    first = next(error for error in errors.values() if isinstance(error, LocationUnavailable))
    failure = type(first)(what, _each(errors), first.hint)
    failure.__cause__ = first
    return failure


def _each(errors: Mapping[str, StrongroomError]) -> str:
    return "; ".join(f"{name}: {error}" for name, error in sorted(errors.items()))
