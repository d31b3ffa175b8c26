"""Shards: every pack in k parts and one or two of parity, each at a location of its own.

A range is read from the data shards it touches. Where one is missing, the same range of others
gives it back; where bytes are refused, all shards are read whole and checked, and the pack is put
together from any k good ones. Specified in docs/formats/vault-v1.md, Shards.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

from strongroom.crypto.hashing import Bytes, content_hash
from strongroom.errors import Damaged, StrongroomError
from strongroom.locations import Copies, LocationUnavailable, ObjectMissing
from strongroom.placement.parity import (
    HEADER_BYTES,
    PACK_BYTES_MAX,
    Parity,
    ParityCode,
    place_id,
    shard_check,
)
from strongroom.placement.placement import Holding, Judge

_SIZES_HELD: Final = 4096
_LOST = (Damaged, ObjectMissing, LocationUnavailable)


@dataclass(frozen=True, slots=True)
class _Whole:
    """The pack that was put together last; its neighbours are often wanted next."""

    key: str
    data: bytes


class Shards:
    """The placement of a vault with parity. Safe to use from several threads."""

    def __init__(self, copies: Copies, parity: Parity, structure: bytes, code: ParityCode) -> None:
        """Take the locations, what the config says, and the structure key that checks shards."""
        self.copies = copies
        self._parity = parity
        self._structure = structure
        self._code = code
        self._seats = parity.seats(
            {name: place_id(structure, one.url) for name, one in copies.locations.items()}
        )
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._whole: _Whole | None = None
        self._lock = threading.Lock()
        # One pack at a time is put together, so that memory does not grow with the readers.
        self._one_at_a_time = threading.Lock()

    @property
    def needed(self) -> int:
        """Any k shards are enough."""
        return self._parity.data

    def put_async(self, key: str, data: bytes | bytearray | memoryview) -> Future[None]:
        """Begin to store the pack; it is stored when all of its shards but one are."""
        required = self._parity.shards - 1
        parts = {
            name: (f"{key}.{index}", shard)
            for index, (name, shard) in enumerate(
                zip(self._seats, self._cut(key, data), strict=True)
            )
            if name
        }
        if len(parts) < required:
            raise LocationUnavailable(
                f"{key} cannot be stored",
                f"its {self._parity.shards} shards have {len(parts)} locations, "
                f"{required} are needed",
                "Add a location for each that is gone: `strongroom location add URL`.",
            )
        return self.copies.put_parts(key, parts, required)

    def get(self, key: str, accept: Judge, start: int = 0, length: int | None = None) -> bytes:
        """Return bytes of the pack that `accept` does not refuse."""
        whole = self._whole
        if whole is None or whole.key != key:
            try:
                data = self._read_range(key, start, length)
                accept(data)
            except _LOST:
                # Somebody's bytes are missing or wrong; whose, only whole shards can tell.
                whole = self._put_together(key)
            else:
                return data
        begin, end = _bounds(len(whole.data), start, length)
        data = whole.data[begin:end]
        accept(data)
        return data

    def holdings(self, key: str, size_bytes: int | None, judge: Judge) -> Mapping[str, Holding]:
        """Return the shard that each location should hold; one without a seat holds none.

        A shard is judged by its check, which covers the pack's id, so `judge` is not asked.
        """
        pack = _pack_of(key)
        size = None if size_bytes is None else HEADER_BYTES + self._parity.slice_bytes(size_bytes)
        return {
            name: Holding(
                f"{key}.{index}",
                size,
                partial(self._check, pack=pack, index=index),
            )
            for index, name in enumerate(self._seats)
            if name
        }

    def object_of(self, key: str) -> str:
        """Return the key of the pack that a shard belongs to; any other key is its own."""
        pack, dot, index = key.rpartition(".")
        shard = dot and index.isdecimal() and int(index) < self._parity.shards
        return pack if shard else key

    def remake(self, name: str, key: str, size_bytes: int | None, judge: Judge) -> bytes:
        """Return the shard of this location, made from any k others."""
        whole = self._put_together(key, besides=name).data
        judge(whole)
        for seat, shard in zip(self._seats, self._cut(key, whole), strict=True):
            if seat == name:
                return bytes(shard)
        raise ObjectMissing(
            f"{name} holds no shard of {key}", "the vault's parity does not name it"
        )

    def sent_bytes(self, size_bytes: int) -> int:
        """Return the size of a shard, once for every location with a seat that answers."""
        answering = sum(bool(name) and name not in self.copies.failures for name in self._seats)
        return answering * (HEADER_BYTES + self._parity.slice_bytes(size_bytes))

    def _check(self, shard: bytes, *, pack: bytes, index: int) -> int:
        return self._parity.check(shard, pack, index, self._structure)

    def _cut(self, key: str, data: Bytes) -> list[bytearray]:
        """Return all shards of a pack: each is a buffer of its own, written once."""
        parity, view = self._parity, memoryview(data)
        size, each, pack = len(view), parity.slice_bytes(len(view)), _pack_of(key)
        shards = [bytearray(HEADER_BYTES + each) for _ in range(parity.shards)]
        bodies = [memoryview(shard)[HEADER_BYTES:] for shard in shards]
        for index in range(parity.data):
            part = view[index * each : (index + 1) * each]
            bodies[index][: len(part)] = part
        made = self._code.parity(bodies[: parity.data], parity.parity)
        for body, slice_ in zip(bodies[parity.data :], made, strict=True):
            body[:] = slice_
        for index, (shard, body) in enumerate(zip(shards, bodies, strict=True)):
            header = parity.header(pack, index, size)
            shard[:HEADER_BYTES] = header + shard_check(self._structure, header, body)
        return shards

    def _read_range(self, key: str, start: int, length: int | None) -> bytes:
        size = self._size_of(key)
        each = self._parity.slice_bytes(size)
        begin, end = _bounds(size, start, length)
        parts = [
            self._read_slice(
                key, index, max(begin - index * each, 0), min(end - index * each, each)
            )
            for index in range(begin // each, -(-end // each))
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_slice(self, key: str, index: int, first: int, last: int) -> bytes:
        """Return a part of one data slice, unchecked; made from the others where it is lost."""
        try:
            if self._seats[index] not in self.copies.failures:
                return self._read_part(key, index, first, last)
        except _LOST:
            pass
        known: dict[int, Bytes] = {}
        for other in range(self._parity.shards):
            if other == index or len(known) == self._parity.data:
                continue
            try:
                known[other] = self._read_part(key, other, first, last)
            except _LOST:
                continue
        if len(known) < self._parity.data:
            raise ObjectMissing(f"{key} is missing", f"{len(known)} of its shards can be read")
        return bytes(self._code.restore(known, self._parity.data)[index])

    def _read_part(self, key: str, index: int, first: int, last: int) -> bytes:
        name, shard = self._seats[index], f"{key}.{index}"
        if not name:
            raise ObjectMissing(f"{shard} is missing", "its location is gone")
        data = self.copies.get_from(name, shard, HEADER_BYTES + first, last - first)
        if len(data) != last - first:
            raise Damaged(f"{shard} is cut short", f"at {name}")
        return data

    def _size_of(self, key: str) -> int:
        """Return the size of a pack as a shard of it says; a wrong one is found by what is read."""
        with self._lock:
            if key in self._sizes:
                return self._sizes[key]
        for index, name in enumerate(self._seats):
            if not name or name in self.copies.failures:
                continue
            try:
                header = self.copies.get_from(name, f"{key}.{index}", 0, HEADER_BYTES)
                size = self._parity.read_size(header, _pack_of(key), index)
            except _LOST:
                continue
            self._keep_size(key, size)
            return size
        raise ObjectMissing(f"{key} is missing", "no location shows a shard of it")

    def _keep_size(self, key: str, size: int) -> None:
        with self._lock:
            self._sizes[key] = size
            if len(self._sizes) > _SIZES_HELD:
                self._sizes.popitem(last=False)

    def _put_together(self, key: str, besides: str = "") -> _Whole:
        """Return the whole pack from any k shards that are as they were written.

        Raises Damaged, ObjectMissing or LocationUnavailable when there are not so many.
        """
        with self._one_at_a_time:
            whole = self._whole
            if whole is not None and whole.key == key:
                return whole
            shards = self._good_shards(key, besides)
            index, shard = next(iter(shards.items()))
            size = self._parity.read_size(shard, _pack_of(key), index)
            bodies = {at: memoryview(one)[HEADER_BYTES:] for at, one in shards.items()}
            padded = b"".join(self._code.restore(bodies, self._parity.data))
            data = padded if len(padded) == size else padded[:size]
            if content_hash(data) != _pack_of(key):
                raise Damaged(f"{key} does not hash to its name", "its shards fit their checks")
            self._keep_size(key, size)
            self._whole = _Whole(key, data)
            return self._whole

    def _good_shards(self, key: str, besides: str) -> dict[int, bytes]:
        """Return the first k good shards; those that are not good are remembered as damages."""
        good: dict[int, bytes] = {}
        errors: dict[str, StrongroomError] = {}
        for index in range(self._parity.shards):
            for name in self._asked_for(index, besides):
                shard = f"{key}.{index}"
                try:
                    limit = HEADER_BYTES + self._parity.slice_bytes(PACK_BYTES_MAX)
                    data = self.copies.get_from(name, shard, 0, limit + 1)
                    self._check(data, pack=_pack_of(key), index=index)
                except _LOST as err:
                    if isinstance(err, Damaged):
                        self.copies.damages.append((name, shard, err))
                    errors.setdefault(f"{name} (shard {index})", err)
                    continue
                good[index] = data
                break
            if len(good) == self._parity.data:
                return good
        raise self._too_few(key, len(good), errors)

    def _asked_for(self, index: int, besides: str) -> list[str]:
        """Return the locations to ask for a shard: the one of its seat first, then all others."""
        names = sorted(self.copies.locations, key=lambda name: name != self._seats[index])
        return [name for name in names if name != besides]

    def _too_few(
        self, key: str, good: int, errors: Mapping[str, StrongroomError]
    ) -> StrongroomError:
        needed = self._parity.data
        found = [one for one in errors.values() if not isinstance(one, ObjectMissing)]
        why = f"{good} good shards, {needed} are needed"
        if found:
            told = (f"{name}: {err}" for name, err in sorted(errors.items()) if err in found)
            why = f"{why}; {'; '.join(told)}"
        silent = [one for one in found if isinstance(one, LocationUnavailable)]
        if silent:
            return type(silent[0])(f"{key} cannot be read", why, silent[0].hint)
        if good or found:
            return Damaged(f"too few good shards of {key} are left", why)
        return ObjectMissing(f"{key} is missing", "no location has a shard of it")


def _bounds(size: int, start: int, length: int | None) -> tuple[int, int]:
    """Return where a range begins and ends, as a location would read it."""
    begin = max(0, size + start) if start < 0 else min(start, size)
    return begin, size if length is None else min(size, begin + length)


def _pack_of(key: str) -> bytes:
    return bytes.fromhex(key.rpartition("/")[2])
