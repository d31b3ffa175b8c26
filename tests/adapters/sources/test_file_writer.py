"""Files completed on another thread: all of them, few at a time, and a failure by its name."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.sources.errors import TargetFailed
from strongroom.adapters.sources.file_writer import (
    BATCH_FILES,
    LATE_BYTES_MAX,
    FileWriter,
    OpenFile,
)
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.errors import Damaged
from strongroom.vault.source import Entry
from tests.adapters.sources.trees import token

ROOT = Entry(b"", "directory", mode=0o755)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def make(
    folder: Path, name: str, content: bytes = b"content", flags: int = os.O_WRONLY
) -> OpenFile:
    handle = os.open(folder / name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    entry = Entry(name.encode(), "file", len(content), modified_ns=1_000_000_000)
    return OpenFile(handle, entry, [content], 0o640, False)


def test_every_file_is_noted_once_in_order_and_closed(tmp_path: Path) -> None:
    noted: list[tuple[bytes, int, int]] = []
    writer = FileWriter(
        lambda file, info: noted.append((file.entry.path, info.st_size, info.st_mtime_ns))
    )
    before = open_files()
    names = [f"{number:04}" for number in range(5 * BATCH_FILES + 3)]
    for name in names:
        writer.add(make(tmp_path, name))
        assert open_files() - before <= 5 * BATCH_FILES
    writer.wait()
    assert noted == [(name.encode(), 7, 1_000_000_000) for name in names]
    assert open_files() == before
    assert all((tmp_path / name).read_bytes() == b"content" for name in names)
    writer.close()


def test_a_failure_names_its_own_file_however_late_it_is_met(tmp_path: Path) -> None:
    before = open_files()
    writer = FileWriter(lambda file, info: None)
    writer.add(make(tmp_path, "good"))
    writer.add(make(tmp_path, "bad", flags=os.O_RDONLY))
    writer.add(make(tmp_path, "later"))
    with pytest.raises(TargetFailed, match="bad cannot be written"):
        writer.wait()
    writer.add(make(tmp_path, "never written"))
    writer.close()
    writer.close()
    assert open_files() == before


def test_a_writer_that_is_given_up_closes_every_file(tmp_path: Path) -> None:
    before = open_files()
    writer = FileWriter(lambda file, info: None)
    for number in range(3 * BATCH_FILES + 1):
        writer.add(make(tmp_path, str(number)))
    writer.close()
    assert open_files() == before


@pytest.mark.parametrize("size_bytes", [LATE_BYTES_MAX, LATE_BYTES_MAX + 1])
def test_a_tree_takes_small_and_large_files_in_any_blocks(tmp_path: Path, size_bytes: int) -> None:
    target = TreeTarget(tmp_path / "tree", token)
    target.write(ROOT, iter(()))
    content = os.urandom(size_bytes)
    blocks = (content[at : at + 70_000] for at in range(0, size_bytes, 70_000))
    target.write(Entry(b"file", "file", size_bytes, 0o600, 5), blocks)
    target.write(Entry(b"empty", "file", 0, 0o600, 5), iter(()))
    target.finish({})
    assert (tmp_path / "tree" / "file").read_bytes() == content
    assert (tmp_path / "tree" / "empty").read_bytes() == b""


def test_blocks_that_end_in_an_error_leave_no_file_open(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"some"
        raise Damaged("a segment does not open")

    before = open_files()
    target = TreeTarget(tmp_path / "tree", token)
    target.write(ROOT, iter(()))
    target.write(Entry(b"whole", "file", 5, 0o600, 5), iter([b"whole"]))
    with pytest.raises(Damaged, match="does not open"):
        target.write(Entry(b"file", "file", 9, 0o600, 5), blocks())
    target.abandon()
    assert open_files() == before
    assert os.listdir(tmp_path) == []
