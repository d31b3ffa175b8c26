"""P and Q as in RAID-6, with numpy: GF(2^8) modulo 0x11d, generator 2 (docs/formats/vault-v1.md).

Slices are arrays of bytes, all equally long. Adding is exclusive or; the only multiplications are
by constants: doubling by shifts when parity is made, tables of 256 products when slices are lost.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from strongroom.crypto.hashing import Bytes

_POLYNOMIAL: Final = 0x11D
_ORDER: Final = 255
_WORD_BYTES: Final = 8
_BLOCK_WORDS: Final = 1 << 15
_LOW_BITS: Final = np.uint64(0x0101010101010101)
_ALL_BUT_HIGH_BITS: Final = np.uint64(0x7F7F7F7F7F7F7F7F)

Array = NDArray[np.uint8]


def _double(number: int) -> int:
    return number << 1 ^ (_POLYNOMIAL if number & 0x80 else 0)


def _powers() -> tuple[list[int], dict[int, int]]:
    powers = [1]
    while len(powers) < _ORDER:
        powers.append(_double(powers[-1]))
    return powers, {power: exponent for exponent, power in enumerate(powers)}


_POWER, _LOGARITHM = _powers()


class Raid6:
    """Makes parity of data slices, and data slices of parity."""

    def parity(self, slices: Sequence[Bytes], count: int) -> list[Bytes]:
        """Return P, and Q where `count` is 2."""
        arrays = [_array(one) for one in slices]
        found: list[Bytes] = [_sum(arrays).data]
        if count > 1:
            found.append(_weighted_sum(dict(enumerate(arrays)), len(arrays), arrays[0].size).data)
        return found

    def restore(self, known: Mapping[int, Bytes], data: int) -> list[Bytes]:
        """Return all `data` slices from any that many: by index, P is `data`, Q the one after.

        Raises ValueError for fewer.
        """
        arrays = {index: _array(one) for index, one in known.items() if index < data}
        p, q = known.get(data), known.get(data + 1)
        lost = [index for index in range(data) if index not in arrays]
        if len(lost) > (p is not None) + (q is not None):
            raise ValueError(f"{len(known)} slices are known, {data} are needed")
        if lost and p is not None and len(lost) == 1:
            arrays[lost[0]] = _sum([_array(p), *arrays.values()])
        elif lost and q is not None:
            # What the lost slices add to Q, and to P where that is needed too.
            rest = _array(q) ^ _weighted_sum(arrays, data, len(q))
            if p is None or len(lost) == 1:
                arrays[lost[0]] = _times(_inverse(_POWER[lost[0]]), rest)
            else:
                x, y = lost
                both = _sum([_array(p), *arrays.values()])
                # both = d_x + d_y, rest = 2^x d_x + 2^y d_y: two equations, two unknowns.
                scale = _inverse(_POWER[x] ^ _POWER[y])
                arrays[x] = _times(scale, rest ^ _times(_POWER[y], both))
                arrays[y] = both ^ arrays[x]
        return [arrays[index].data for index in range(data)]


def _array(one: Bytes) -> Array:
    return np.frombuffer(one, dtype=np.uint8)


def _sum(arrays: Sequence[Array]) -> Array:
    found = arrays[0].copy()
    for one in arrays[1:]:
        found ^= one
    return found


def _weighted_sum(arrays: Mapping[int, Array], data: int, length: int) -> Array:
    """Return the sum of 2^i times slice i, by Horner's rule; a slice that is not there adds 0."""
    words = np.zeros(-(-length // _WORD_BYTES), dtype=np.uint64)
    found = words.view(np.uint8)[:length]
    # In blocks that stay in the processor's cache, eight bytes at a time.
    for at in range(0, words.size, _BLOCK_WORDS):
        block = words[at : at + _BLOCK_WORDS]
        start, end = at * _WORD_BYTES, min((at + _BLOCK_WORDS) * _WORD_BYTES, length)
        for index in reversed(range(data)):
            _double_each(block)
            if index in arrays:
                found[start:end] ^= arrays[index][start:end]
    return found


def _double_each(words: NDArray[np.uint64]) -> None:
    """Double every byte in place."""
    high = words >> np.uint64(7)
    high &= _LOW_BITS
    high *= np.uint64(_POLYNOMIAL & 0xFF)
    words &= _ALL_BUT_HIGH_BITS
    words <<= np.uint64(1)
    words ^= high


def _times(factor: int, array: Array) -> Array:
    logarithm = _LOGARITHM[factor]
    products = [0] + [_POWER[(logarithm + _LOGARITHM[n]) % _ORDER] for n in range(1, 256)]
    return _array(array.tobytes().translate(bytes(products)))


def _inverse(number: int) -> int:
    return _POWER[-_LOGARITHM[number] % _ORDER]
