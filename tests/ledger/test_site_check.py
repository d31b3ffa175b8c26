"""A log as a folder: what is in it is compared with what was signed, to the last byte."""

from collections.abc import Iterator

import pytest

from strongroom.crypto.signing import public_key
from strongroom.errors import Damaged
from strongroom.ledger import Checkpoint, Policy
from strongroom.ledger.note import LOG_KEY, NoteInvalid, VerifierKey, sign
from strongroom.ledger.site_check import CHECKPOINT, ReadFile, check_site
from strongroom.ledger.tree import root_of
from tests.ledger.static_log import files_of, rows_of

SEED = b"\x09" * 32
ORIGIN = "here.ledger.invalid/log"
POLICY = Policy.of([VerifierKey(ORIGIN, LOG_KEY, public_key(SEED))], {}, 0)


def site(size: int) -> dict[str, bytes]:
    entries = [b"entry %d" % number for number in range(size)]
    checkpoint = Checkpoint(ORIGIN, size, root_of(rows_of(entries)[0]))
    return {CHECKPOINT: sign(checkpoint.encode(), ORIGIN, SEED), **files_of(entries)}


def reader(files: dict[str, bytes]) -> ReadFile:
    def read(path: str) -> bytes:
        if path not in files:
            raise Damaged(f"{path} is missing")
        return files[path]

    return read


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537])
def test_every_file_of_a_log_is_read_and_found_good(size: int) -> None:
    files, asked = site(size), set[str]()

    def read(path: str) -> bytes:
        asked.add(path)
        return files[path]

    assert check_site(read, POLICY).checkpoint.size == size
    assert asked == files.keys()


def flips(files: dict[str, bytes], n: int) -> Iterator[dict[str, bytes]]:
    """Yield the files with one bit flipped, in every n-th byte of each."""
    for path, data in files.items():
        for at in range(0, len(data), n):
            spoilt = bytearray(data)
            spoilt[at] ^= 1
            yield {**files, path: bytes(spoilt)}


@pytest.mark.parametrize(("size", "step"), [(3, 1), (300, 97)])
def test_every_flipped_byte_is_found(size: int, step: int) -> None:
    for spoilt in flips(site(size), step):
        with pytest.raises(Damaged):
            check_site(reader(spoilt), POLICY)


@pytest.mark.parametrize("size", [1, 256, 300])
def test_every_missing_short_and_longer_file_is_found(size: int) -> None:
    files = site(size)
    for path, data in files.items():
        others = {name: content for name, content in files.items() if name != path}
        for spoilt in ({}, {path: data[:-1]}, {path: data + b"\x00"}, {path: b""}):
            with pytest.raises(Damaged):
                check_site(reader({**others, **spoilt}), POLICY)


def test_a_tree_that_was_not_signed_is_refused() -> None:
    files, other = site(257), site(258)
    with pytest.raises(Damaged):
        check_site(reader({**files, CHECKPOINT: other[CHECKPOINT]}), POLICY)
    forged = Checkpoint(ORIGIN, 257, b"\x01" * 32)
    files[CHECKPOINT] = sign(forged.encode(), ORIGIN, SEED)
    with pytest.raises(Damaged, match="do not make the tree"):
        check_site(reader(files), POLICY)


def test_a_log_of_nobody_known_is_refused() -> None:
    stranger = Policy.of([VerifierKey(ORIGIN, LOG_KEY, public_key(b"\x08" * 32))], {}, 0)
    with pytest.raises(NoteInvalid):
        check_site(reader(site(3)), stranger)
