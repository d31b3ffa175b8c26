"""Reading ahead: in order, errors in their place, never far, and never on after the end."""

import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.hashing import Bytes, content_hash
from strongroom.errors import Damaged
from strongroom.vault.chunker import Chunker
from strongroom.vault.read_ahead import FileReader, run_ahead
from strongroom.vault.source import Entry, EntryUnreadable

CONTENTS = st.lists(st.one_of(st.none(), st.binary(max_size=9000)), max_size=12)


def identify(chunks: Sequence[Bytes]) -> list[bytes]:
    return [content_hash(chunk) for chunk in chunks]


def entries(count: int) -> list[Entry]:
    return [Entry(str(number).encode(), "file") for number in range(count)]


@pytest.fixture
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        yield pool


@given(CONTENTS)
def test_files_come_in_order_and_errors_in_their_place(contents: list[bytes | None]) -> None:
    def read(entry: Entry) -> Iterator[bytes]:
        content = contents[int(entry.path)]
        if content is None:
            raise EntryUnreadable(f"{entry.path!r} was not read")
        yield from (content[at : at + 1000] for at in range(0, len(content), 1000))

    got: list[bytes | None] = []
    files = FileReader(read, Chunker("pages-4096"), identify)
    with (
        ThreadPoolExecutor(1) as worker,
        files.begin(entries(len(contents)), worker),
    ):
        for _ in contents:
            try:
                cuts = list(files.next_file())
            except EntryUnreadable:
                got.append(None)
            else:
                got.append(b"".join(bytes(chunk) for cut in cuts for chunk in cut.chunks))
                assert all(cut.ids == identify(cut.chunks) for cut in cuts)
    assert got == contents


def test_what_ends_the_source_is_raised_and_nothing_is_read_after_it(
    worker: ThreadPoolExecutor,
) -> None:
    asked: list[bytes] = []

    def read(entry: Entry) -> Iterator[bytes]:
        asked.append(entry.path)
        if entry.path == b"2":
            raise Damaged("the source is gone")
        yield b"content"

    files = FileReader(read, Chunker("cdc-16k"), identify)
    with files.begin(entries(5), worker):
        assert list(files.next_file())
        assert list(files.next_file())
        with pytest.raises(Damaged, match="gone"):
            list(files.next_file())
    assert asked == [b"0", b"1", b"2"]


def test_one_file_alone_is_read_by_the_callers_own_thread(worker: ThreadPoolExecutor) -> None:
    readers: list[int] = []

    def read(_: Entry) -> Iterator[bytes]:
        readers.append(threading.get_ident())
        yield b"content"

    for count in (1, 2):
        files = FileReader(read, Chunker("cdc-16k"), identify)
        with files.begin(entries(count), worker):
            for _ in range(count):
                assert [cut.chunks for cut in files.next_file()] == [[b"content"]]
    own = threading.get_ident()
    assert readers[0] == own
    assert own not in readers[1:]


def test_a_reader_is_at_most_a_few_megabytes_ahead(worker: ThreadPoolExecutor) -> None:
    begun: list[bytes] = []
    most = threading.Event()

    def read(entry: Entry) -> Iterator[bytes]:
        begun.append(entry.path)
        if len(begun) > 6:
            most.set()
        yield bytes(1 << 20)

    files = FileReader(read, Chunker("cdc-1m"), identify)
    with files.begin(entries(50), worker):
        list(files.next_file())
        assert not most.wait(0.2)
        # Two portions of a megabyte were taken (the second says where the first file ends), and
        # four wait or are being read.
        assert len(begun) <= 6


def test_leaving_early_waits_for_the_step_under_way_and_closes_it(
    worker: ThreadPoolExecutor,
) -> None:
    ended = threading.Event()

    def count() -> Generator[int, None, None]:
        try:
            number = 0
            while True:
                number += 1
                yield number
        finally:
            ended.set()

    steps = run_ahead(count(), worker, 3)
    assert [next(steps) for _ in range(10)] == list(range(1, 11))
    steps.close()
    assert ended.is_set()
    assert worker.submit(lambda: "free").result() == "free"
