"""Canonical JSON: the quick way and the authority write, and refuse, the very same."""

import json

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.crypto import canonical

NUMBERS = st.integers() | st.floats() | st.integers(10**14, 10**16)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text() | st.text(st.characters(max_codepoint=127))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def by_authority(value: object) -> bytes | None:
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # any value is what is tried
    except rfc8785.CanonicalizationError:
        return None


@given(VALUES)
@example({"\U0001f600": 1, "\ufb33": 2, "\r": 3, "\x7f": '\x7f\x1f\\"/'})
@example([-0.0, 1e21, 1e-7, 0.1, 10**15, 10**16, -(10**15), 2**53, True])
@example("\ud800")
def test_it_writes_what_the_authority_writes(value: object) -> None:
    wanted = by_authority(value)
    if wanted is None:
        with pytest.raises(ValueError):  # noqa: PT011  # its words are the authority's
            canonical.dumps(value)
    else:
        assert canonical.dumps(value) == wanted


@given(VALUES, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_it_reads_only_what_the_authority_writes_again(
    value: object, ordered: bool, escaped: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, sort_keys=ordered, ensure_ascii=escaped, separators=separators)
    data = text.encode("utf-8", "surrogatepass")
    try:
        wanted = by_authority(json.loads(data))
    except ValueError:
        wanted = None
    if wanted == data:
        assert rfc8785.dumps(canonical.loads(data)) == data
    else:
        with pytest.raises(ValueError):  # noqa: PT011  # not canonical, or not JSON at all
            canonical.loads(data)


@pytest.mark.parametrize(
    "data", [b'{"a":1,"a":1}', b"-0", b"1.0", b"01", b"NaN", b'"\\u00e9"', '"é"'.encode("utf-16")]
)
def test_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # not canonical, or not JSON
        canonical.loads(data)


def test_a_long_integer_is_written_by_the_authority() -> None:
    assert canonical.dumps([2**53 - 1]) == b"[9007199254740991]"
    with pytest.raises(ValueError, match="9007199254740993"):
        canonical.dumps([2**53 + 1])
