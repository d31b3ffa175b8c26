"""Shamir's secret sharing over the scalar field of ristretto255 (RFC 9591 C.1).

Secrets and shares are scalars and are only touched by libsodium's constant-time arithmetic;
Lagrange coefficients come from public indices and are plain integers. An index is refused before
anything is interpolated: 0 would be the secret itself, a duplicate divides by zero, and l + 1 acts
as 1 (Trail of Bits 2021, six libraries). Pure: chance is an argument.
"""

from collections.abc import Sequence

from strongroom.crypto import scalars
from strongroom.crypto.hashing import same
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import Token

COUNT_MAX = 32

Point = tuple[int, bytes]
"""An index from 1 and the share at it."""


def check_threshold(threshold: int, count: int, culprit: str) -> None:
    """Raise Damaged unless 1 <= threshold <= count <= 32."""
    if not 1 <= threshold <= count <= COUNT_MAX:
        raise Damaged(
            f"{culprit} has an impossible threshold",
            f"{threshold} of {count}; wanted 1 <= threshold <= count <= {COUNT_MAX}",
        )


def draw_secret(token: Token) -> bytes:
    """Return a uniform scalar that is not zero."""
    while True:
        secret = scalars.from_wide(token(scalars.WIDE_BYTES))
        if secret != scalars.ZERO:
            return secret


def split(secret: bytes, threshold: int, count: int, token: Token) -> tuple[Point, ...]:
    """Return the shares 1..count of a secret scalar, any `threshold` of which give it back."""
    check_threshold(threshold, count, "a dealing")
    coefficients = [scalars.parse_scalar(secret, "the secret to split")]
    coefficients += [scalars.from_wide(token(scalars.WIDE_BYTES)) for _ in range(threshold - 1)]
    return tuple((index, _evaluate(coefficients, index)) for index in range(1, count + 1))


def combine(points: Sequence[Point], threshold: int, count: int) -> bytes:
    """Return the secret that exactly `threshold` shares of `count` determine.

    A wrong share gives a wrong secret without any sign of it: check each share against its
    commitment before, and the secret against its check value after.
    """
    check_threshold(threshold, count, "a set of shares")
    _check_indices(points, threshold, count)
    indices = [index for index, _ in points]
    total = scalars.ZERO
    for index, share in points:
        parsed = scalars.parse_scalar(share, f"the share of index {index}")
        coefficient = scalars.from_int(_lagrange_at_zero(index, indices))
        total = scalars.add(total, scalars.multiply(coefficient, parsed))
    return total


def check_windows(secret: bytes, points: Sequence[Point], threshold: int) -> None:
    """Recombine every window of neighbouring shares; raise when one gives another secret.

    Without published commitments to the polynomial this is the dealer's own guard against a
    fault of memory or arithmetic, taken before it forgets the secret.
    """
    for start in range(len(points) - threshold + 1):
        window = points[start : start + threshold]
        if not same(combine(window, threshold, len(points)), secret):
            raise StrongroomError(
                "a dealt key does not recombine",
                f"the shares {window[0][0]} to {window[-1][0]} give another secret",
                "This machine computes wrongly; check its memory before you back up again.",
            )


def _check_indices(points: Sequence[Point], threshold: int, count: int) -> None:
    if len(points) != threshold:
        raise Damaged("shares cannot be combined", f"{threshold} are needed, got {len(points)}")
    seen: set[int] = set()
    for index, _ in points:
        if not 1 <= index <= count:
            raise Damaged("shares cannot be combined", f"index {index} is not from 1 to {count}")
        if index in seen:
            raise Damaged("shares cannot be combined", f"index {index} is there twice")
        seen.add(index)


def _evaluate(coefficients: Sequence[bytes], index: int) -> bytes:
    at = scalars.from_int(index)
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = scalars.add(scalars.multiply(value, at), coefficient)
    return value


def _lagrange_at_zero(index: int, indices: Sequence[int]) -> int:
    numerator = 1
    denominator = 1
    for other in indices:
        if other != index:
            numerator = numerator * other % scalars.ORDER
            denominator = denominator * (other - index) % scalars.ORDER
    return numerator * pow(denominator, -1, scalars.ORDER) % scalars.ORDER
