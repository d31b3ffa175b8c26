"""Shamir's sharing: published values, index rules, and the property that makes it a quorum."""

import json
import os
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import scalars
from strongroom.errors import Damaged, StrongroomError
from strongroom.quorum.shares import check_windows, combine, draw_secret, split
from tests.quorum.world import seeded

# RFC 9591, appendix E.3: FROST(ristretto255, SHA-512), trusted dealer, 2 of 3.
RFC_KEY = "1b25a55e463cfd15cf14a5d3acc3d15053f08da49c8afcf3ab265f2ebc4f970b"
RFC_COEFFICIENT = "410f8b744b19325891d73736923525a4f596c805d060dfb9c98009d34e3fec02"
RFC_SHARES = (
    "5c3430d391552f6e60ecdc093ff9f6f4488756aa6cebdbad75a768010b8f830e",
    "b06fc5eac20b4f6e1b271d9df2343d843e1e1fb03c4cbb673f2872d459ce6f01",
    "f17e505f0e2581c6acfe54d3846a622834b5e7b50cad9a2109a97ba7a80d5c04",
)


def _fixed(coefficient: str) -> bytes:
    """Return 64 bytes that reduce to this scalar."""
    return bytes.fromhex(coefficient) + bytes(32)


def test_split_gives_the_shares_of_rfc_9591() -> None:
    points = split(bytes.fromhex(RFC_KEY), 2, 3, lambda _: _fixed(RFC_COEFFICIENT))
    assert [share.hex() for _, share in points] == list(RFC_SHARES)


def test_any_two_shares_of_rfc_9591_give_the_secret() -> None:
    points = [(index, bytes.fromhex(share)) for index, share in enumerate(RFC_SHARES, 1)]
    for pair in combinations(points, 2):
        assert combine(pair, 2, 3).hex() == RFC_KEY


def test_published_vectors() -> None:
    shared = Path(os.environ.get("STRONGROOM_SHARED", "../shared"))
    path = shared / "vectors" / "rfc9591_ristretto.json"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    inputs = json.loads(path.read_text())["inputs"]
    coefficients = iter(inputs["share_polynomial_coefficients"])
    points = split(
        bytes.fromhex(inputs["group_secret_key"]), 2, 3, lambda _: _fixed(next(coefficients))
    )
    wanted = {one["identifier"]: one["participant_share"] for one in inputs["participant_shares"]}
    assert {index: share.hex() for index, share in points} == wanted
    chosen = [point for point in points if point[0] in inputs["participant_list"]]
    assert combine(chosen, 2, 3).hex() == inputs["group_secret_key"]


@given(st.integers(1, 6), st.integers(0, 5), st.integers())
def test_any_threshold_of_shares_opens_and_one_fewer_does_not(
    threshold: int, extra: int, seed: int
) -> None:
    count = threshold + extra
    token = seeded(f"{threshold}/{count}/{seed}")
    secret = draw_secret(token)
    points = split(secret, threshold, count, token)
    chosen = points[extra // 2 : extra // 2 + threshold]
    assert combine(chosen, threshold, count) == secret
    assert combine(tuple(reversed(chosen)), threshold, count) == secret
    with pytest.raises(Damaged, match="shares cannot be combined"):
        combine(chosen[1:], threshold, count)
    if threshold > 1:
        # Whoever takes one share too few for a smaller threshold gets another value.
        assert combine(chosen[1:], threshold - 1, count) != secret


@given(st.integers(0, 2**252 - 1))
def test_fewer_shares_fit_every_secret(other: int) -> None:
    """One share of a 2-of-n sharing says nothing: a polynomial joins it to any secret."""
    token = seeded("fits")
    points = split(draw_secret(token), 2, 3, token)
    index, share = points[1]
    claimed = scalars.from_int(other)
    slope = (int.from_bytes(share, "little") - other) * pow(index, -1, scalars.ORDER)
    forged = split(claimed, 2, 3, lambda _: scalars.from_int(slope) + bytes(32))
    assert forged[1] == points[1]
    assert combine(forged[:2], 2, 3) == claimed


@pytest.mark.parametrize(
    ("indices", "reason"),
    [
        ((0, 1), "index 0 is not from 1 to 3"),
        ((1, 4), "index 4 is not from 1 to 3"),
        ((-1, 1), "index -1 is not from 1 to 3"),
        ((1, scalars.ORDER + 1), "is not from 1 to 3"),
        ((2, 2), "index 2 is there twice"),
    ],
)
def test_indices_are_refused_before_interpolation(indices: tuple[int, int], reason: str) -> None:
    # The shares are no scalars at all, so an error about them would mean it had begun.
    with pytest.raises(Damaged, match=reason):
        combine([(index, b"not a scalar") for index in indices], 2, 3)


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (2, 33), (-1, 0)])
def test_impossible_thresholds_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(Damaged, match="impossible threshold"):
        split(scalars.from_int(5), threshold, count, seeded("x"))
    with pytest.raises(Damaged, match="impossible threshold"):
        combine([], threshold, count)


def test_an_unreduced_share_is_refused() -> None:
    unreduced = (scalars.ORDER + 5).to_bytes(32, "little")
    with pytest.raises(Damaged, match="the share of index 2 is not a reduced scalar"):
        combine([(1, scalars.from_int(5)), (2, unreduced)], 2, 3)


def test_a_zero_secret_is_drawn_again() -> None:
    drawn = iter([bytes(64), _fixed(RFC_KEY)])
    assert draw_secret(lambda _: next(drawn)).hex() == RFC_KEY


def test_the_dealer_notices_a_share_that_is_off() -> None:
    token = seeded("windows")
    secret = draw_secret(token)
    points = list(split(secret, 2, 4, token))
    check_windows(secret, points, 2)
    points[3] = (4, scalars.add(points[3][1], scalars.from_int(1)))
    with pytest.raises(StrongroomError, match="the shares 3 to 4 give another secret"):
        check_windows(secret, points, 2)
