"""An entry of a source: a sparse file is whole again with zeros for its holes."""

from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault import Entry


@given(
    parts=st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 9)), max_size=5),
    begins=st.integers(0, 3),
    tail=st.binary(max_size=9),
    cut=st.integers(1, 7),
)
def test_zeros_stand_where_the_holes_are(
    parts: list[tuple[bytes, int]], begins: int, tail: bytes, cut: int
) -> None:
    whole, data = bytes(begins), b""
    holes = [(0, begins)] if begins else []
    for piece, length in parts:
        holes.append((len(whole) + len(piece), length))
        whole += piece + bytes(length)
        data += piece
    whole, data = whole + tail, data + tail
    entry = Entry(b"", "file", len(whole), holes=tuple(holes))
    blocks = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert b"".join(entry.filled(iter([b"", *blocks, b""]))) == whole


def test_a_long_hole_comes_in_bounded_blocks() -> None:
    entry = Entry(b"", "file", 5_000_001, holes=((0, 5_000_000),))
    sizes = [len(block) for block in entry.filled(iter([b"x"]))]
    assert sum(sizes) == 5_000_001
    assert max(sizes) <= 1 << 20
