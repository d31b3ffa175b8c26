"""The recipe: lines round-trip, and no hostile name passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged
from strongroom.vault import Entry
from strongroom.vault.recipe import (
    LINE_BYTES_MAX,
    PATH_BYTES_MAX,
    PathRule,
    check_path,
    decode_line,
    encode_line,
    split_lines,
)
from strongroom.vault.source import EntryKind

NUMBER = st.integers(0, (1 << 63) - 1)


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


def test_a_line_has_sorted_keys_and_leaves_out_what_is_empty() -> None:
    line = encode_line(Entry(b"a\xff", "file", 1, 0o644, 5), 7, 2)
    assert line == '{"c":2,"k":"file","m":420,"p":"aÿ","s":7,"t":5}\n'.encode()
    assert encode_line(Entry(b"", "directory"), 0, 0) == b'{"k":"directory"}\n'


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
    ],
)
def test_malformed_lines_are_damaged(line: bytes) -> None:
    with pytest.raises(Damaged):
        decode_line(line)


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
        check_path(b"a" * (PATH_BYTES_MAX + 1))


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
