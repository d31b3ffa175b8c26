"""The recipe: lines round-trip, and no hostile name passes."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged
from strongroom.vault import Entry
from strongroom.vault.recipe import (
    LINE_BYTES_MAX,
    PathRule,
    check_path,
    decode_line,
    encode_line,
    split_lines,
)
from strongroom.vault.source import EntryKind

NUMBER = st.integers(0, (1 << 63) - 1)
ATTRIBUTES = st.dictionaries(
    st.binary(min_size=1, max_size=20).filter(lambda name: b"\x00" not in name),
    st.binary(max_size=60),
    max_size=5,
).map(lambda found: tuple(sorted(found.items())))
GAPS = st.lists(st.tuples(st.integers(1, 1 << 40), st.integers(1, 1 << 40)), max_size=6)


def holes_of(gaps: list[tuple[int, int]], first: int = 0) -> tuple[tuple[int, int], ...]:
    """Return holes from (data before it, length); the first may begin at 0."""
    holes: list[tuple[int, int]] = []
    end = -first
    for data, length in gaps:
        holes.append((end + data, length))
        end += data + length
    return tuple(holes)


def entry(path: bytes, kind: EntryKind = "file", link: bytes = b"") -> Entry:
    return Entry(path, kind, link=link)


def accept(*entries: Entry) -> None:
    rule = PathRule()
    for one in entries:
        rule.accept(one)


@given(
    path=st.binary(max_size=60),
    link=st.binary(max_size=60),
    numbers=st.tuples(NUMBER, NUMBER, NUMBER, NUMBER, NUMBER),
    modified=st.integers(-(1 << 63) + 1, (1 << 63) - 1),
)
def test_lines_round_trip(
    path: bytes, link: bytes, numbers: tuple[int, int, int, int, int], modified: int
) -> None:
    mode, owner, group, size, chunks = numbers
    one = Entry(path, "file", size, mode, modified, owner, group, link)
    line = encode_line(one, size, chunks)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    decoded = decode_line(line[:-1])
    assert decoded.entry == one
    assert decoded.chunks == chunks


@given(attributes=ATTRIBUTES, gaps=GAPS, first=st.booleans(), tail=st.integers(0, 1 << 40))
def test_attributes_and_holes_round_trip(
    attributes: tuple[tuple[bytes, bytes], ...],
    gaps: list[tuple[int, int]],
    first: bool,
    tail: int,
) -> None:
    if first and gaps:
        gaps = [(1, gaps[0][1]), *gaps[1:]]
    holes = holes_of(gaps, int(first))
    size = sum(holes[-1]) + tail if holes else tail
    one = Entry(b"f", "file", size, attributes=attributes, holes=holes)
    line = encode_line(one, one.data_bytes, 3)
    assert decode_line(line[:-1]).entry == one
    folder = Entry(b"d", "directory", attributes=attributes)
    assert decode_line(encode_line(folder, 0, 0)[:-1]).entry == folder


@given(gaps=GAPS, tail=st.integers(0, 99), data=st.integers(0, 1 << 43))
def test_a_sparse_file_that_came_short_is_a_file_again(
    gaps: list[tuple[int, int]], tail: int, data: int
) -> None:
    holes = holes_of(gaps)
    one = Entry(b"f", "file", (sum(holes[-1]) if holes else 0) + tail, holes=holes)
    short = one.with_data(data)
    assert short.data_bytes == data
    assert short.holes == one.holes[: len(short.holes)]
    # What is written of it can be read again, whatever came.
    assert decode_line(encode_line(one, data, 1)[:-1]).entry == short


def test_the_longest_line_that_a_writer_may_make_can_be_read() -> None:
    path = (b"\x01" * 254 + b"/") * 128
    names = sorted(bytes([1 + n // 32, 1 + n % 32]) + b"\x01" * 62 for n in range(1000))
    big = 1 << 62
    one = Entry(
        path[:-1],
        "file",
        (1 << 63) - 1,
        0o7777,
        -big,
        big,
        big,
        path,
        attributes=tuple((name, b"") for name in names),
        holes=tuple((big + 2 * n, 1) for n in range(Entry.HOLES_MAX)),
    )
    line = encode_line(one, one.data_bytes, big)
    assert LINE_BYTES_MAX // 2 < len(line) <= LINE_BYTES_MAX
    assert decode_line(line[:-1]).entry == one


def test_a_line_has_sorted_keys_and_leaves_out_what_is_empty() -> None:
    line = encode_line(Entry(b"a\xff", "file", 1, 0o644, 5), 7, 2)
    assert line == '{"c":2,"k":"file","m":420,"p":"aÿ","s":7,"t":5}\n'.encode()
    assert encode_line(Entry(b"", "directory"), 0, 0) == b'{"k":"directory"}\n'
    one = Entry(b"a", "file", 9, attributes=((b"user.\xff", b"\x00"),), holes=((0, 2), (4, 5)))
    assert encode_line(one, 2, 1) == (
        '{"c":1,"h":[0,2,4,5],"k":"file","p":"a","s":9,"x":[["user.ÿ","AA=="]]}\n'.encode()
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"{}",
        b'{"k":"file","z":1}',
        b'{"k":"door"}',
        b'{"k":"file","c":-1}',
        b'{"k":"file","c":1.5}',
        b'{"k":"file","s":9223372036854775808}',
        b'{"k":"file","t":-9223372036854775808}',
        '{"k":"file","p":"\u0100"}'.encode(),
        b'{"k":"directory","c":1}',
        b'{"k":"symlink","s":1}',
        b'{"k":"directory","h":[0,1]}',
        b'{"k":"file","h":[0]}',
        b'{"k":"file","h":[0,1]}',
        b'{"k":"file","h":[0,0],"s":9}',
        b'{"k":"file","h":[0,-1],"s":9}',
        b'{"k":"file","h":[-1,1],"s":9}',
        b'{"k":"file","h":[0,4,4,1],"s":9}',
        b'{"k":"file","h":[5,1,1,1],"s":9}',
        b'{"k":"file","h":[5,1,1],"s":9}',
        b'{"k":"file","h":[5,5],"s":9}',
        b'{"k":"file","h":[18446744073709551616,1],"s":9}',
        b'{"k":"file","h":[1.0,1],"s":9}',
        b'{"k":"hardlink","x":[["user.a",""]]}',
        b'{"k":"special","x":[["user.a",""]]}',
        b'{"k":"file","x":[["user.a"]]}',
        b'{"k":"file","x":[["user.a","","" ]]}',
        b'{"k":"file","x":[["","YQ=="]]}',
        b'{"k":"file","x":[["user.a","Y"]]}',
        b'{"k":"file","x":[["user.a","Y!=="]]}',
        b'{"k":"file","x":[["user.\\u0000","YQ=="]]}',
        b'{"k":"file","x":[["user.\\u0100","YQ=="]]}',
        b'{"k":"file","x":[["user.a",""],["user.a",""]]}',
        b'{"k":"file","x":[["user.b",""],["user.a",""]]}',
        b'{"k":"file","x":{"user.a":""}}',
    ],
)
def test_malformed_lines_are_damaged(line: bytes) -> None:
    with pytest.raises(Damaged):
        decode_line(line)


@pytest.mark.parametrize(
    "attributes",
    [
        {b"a" * 256: b""},
        {b"a": bytes((64 << 10) + 1)},
        {b"a": bytes(40 << 10), b"b": bytes(30 << 10)},
        {b"%04d" % n: b"" for n in range(1025)},
    ],
)
def test_attributes_beyond_a_limit_are_damaged(attributes: dict[bytes, bytes]) -> None:
    line = encode_line(Entry(b"a", "file", attributes=tuple(attributes.items())), 0, 0)
    with pytest.raises(Damaged, match="attribute"):
        decode_line(line[:-1])


def test_holes_beyond_the_limit_are_damaged() -> None:
    holes = tuple((2 * n, 1) for n in range(Entry.HOLES_MAX + 1))
    one = Entry(b"a", "file", 1 << 20, holes=holes)
    with pytest.raises(Damaged, match="holes"):
        decode_line(encode_line(one, one.data_bytes, 1)[:-1])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_line_or_damaged(line: bytes) -> None:
    try:
        decode_line(line)
    except Damaged:
        return


@pytest.mark.parametrize("path", [b"..", b"../a", b"a/..", b"a/../b", b".", b"a/./b"])
def test_dot_dot(path: bytes) -> None:
    with pytest.raises(Damaged, match="parts"):
        check_path(path)


def test_absolute() -> None:
    with pytest.raises(Damaged, match="absolute"):
        accept(entry(b"/etc/passwd"))


def test_nul() -> None:
    with pytest.raises(Damaged, match="NUL"):
        accept(entry(b"a\x00b"))
    with pytest.raises(Damaged, match="NUL"):
        accept(entry(b"a", "symlink", b"b\x00"))


@pytest.mark.parametrize("path", [b"a//b", b"a/"])
def test_empty_part(path: bytes) -> None:
    with pytest.raises(Damaged, match="parts"):
        check_path(path)


def test_a_path_without_end() -> None:
    with pytest.raises(Damaged, match="bytes"):
        check_path(b"a" * (Entry.PATH_BYTES_MAX + 1))


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_duplicate_path(kind: EntryKind) -> None:
    with pytest.raises(Damaged, match="twice"):
        accept(entry(b"a", kind), entry(b"a"))


@pytest.mark.parametrize("kind", ["file", "symlink", "special", "unreadable"])
def test_entry_under_a_non_directory(kind: EntryKind) -> None:
    with pytest.raises(Damaged, match="not a directory"):
        accept(entry(b"a", kind), entry(b"a/b"))
    with pytest.raises(Damaged, match=f"a root that is a {kind}"):
        accept(entry(b"", kind), entry(b"b"))


def test_entry_under_a_directory_that_never_came() -> None:
    with pytest.raises(Damaged, match="not a directory"):
        accept(entry(b"a/b"))


def test_hard_link_to_what_was_not_seen() -> None:
    with pytest.raises(Damaged, match="hard link"):
        accept(entry(b"a", "hardlink", b"b"), entry(b"b"))
    with pytest.raises(Damaged, match="hard link"):
        accept(entry(b"d", "directory"), entry(b"a", "hardlink", b"d"))
    with pytest.raises(Damaged, match="parts"):
        accept(entry(b"a", "hardlink", b"../b"))


def test_root_after_its_children() -> None:
    with pytest.raises(Damaged, match="root"):
        accept(entry(b"a"), entry(b"", "directory"))


def test_an_honest_tree_passes() -> None:
    accept(
        entry(b"", "directory"),
        entry(b"d", "directory"),
        entry(b"d/f"),
        entry(b"d/\xff"),
        entry(b"...", "symlink", b"/anywhere/.."),
        entry(b"g", "hardlink", b"d/f"),
        entry(b"h", "hardlink", b"g"),
        entry(b"s", "special"),
        entry(b"u", "unreadable"),
    )
    accept(entry(b""))


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9))
def test_lines_are_split_wherever_chunks_end(lines: list[bytes]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    for step in (1, 3, 100):
        chunks = [text[at : at + step] for at in range(0, len(text), step)]
        assert list(split_lines(chunks)) == lines


def test_a_line_without_end_is_damaged() -> None:
    with pytest.raises(Damaged, match="cut short"):
        list(split_lines([b"a\nb"]))
    with pytest.raises(Damaged, match="more than"):
        list(split_lines([b"a" * (LINE_BYTES_MAX + 1)]))


def test_a_long_line_in_tiny_chunks_costs_no_more_than_a_long_line() -> None:
    length = LINE_BYTES_MAX - 1
    began = time.process_time()
    (line,) = split_lines(itertools.chain(itertools.repeat(b"x", length), [b"\n"]))
    assert len(line) == length
    assert time.process_time() - began < 10
