"""Proofs as one text: what they show, and under whose policy."""

import base64

import pytest

from strongroom.crypto import signing
from strongroom.ledger import Checkpoint, Policy, Proof
from strongroom.ledger.note import LOG_KEY, NoteInvalid, VerifierKey, sign
from strongroom.ledger.tiles import read_from, tile_path
from strongroom.ledger.tree import ProofInvalid, inclusion_proof, leaf_hash, root_of
from tests.ledger.static_log import files_of

SEED = b"\x01" * 32
LOG = VerifierKey("log.example/a", LOG_KEY, signing.public_key(SEED))
POLICY = Policy.of([LOG], {}, 0)
ENTRIES = [b"entry %d" % number for number in range(300)]
FILES = files_of(ENTRIES)
ROOT = root_of([leaf_hash(entry) for entry in ENTRIES])
NOTE = sign(Checkpoint(LOG.name, len(ENTRIES), ROOT).encode(), LOG.name, SEED)


def proof_of(index: int, extra: bytes = b"") -> Proof:
    read = read_from(lambda *place: FILES[tile_path(*place)], len(ENTRIES))
    return Proof(index, tuple(inclusion_proof(read, index, len(ENTRIES))), NOTE, extra)


@pytest.mark.parametrize("index", [0, 255, 256, 299])
@pytest.mark.parametrize("extra", [b"", b"said beside it"])
def test_a_proof_reads_back_and_shows_its_entry(index: int, extra: bytes) -> None:
    proof = Proof.parse(proof_of(index, extra).encode())
    assert proof == proof_of(index, extra)
    assert proof.verify(ENTRIES[index], POLICY).checkpoint.size == 300
    with pytest.raises(ProofInvalid, match="another root"):
        proof.verify(ENTRIES[index] + b"x", POLICY)


def test_a_log_of_one_entry_needs_no_hashes() -> None:
    note = sign(Checkpoint(LOG.name, 1, leaf_hash(b"one")).encode(), LOG.name, SEED)
    proof = Proof.parse(Proof(0, (), note).encode())
    assert proof.verify(b"one", POLICY).checkpoint.size == 1


def test_a_proof_under_a_checkpoint_nobody_knows_shows_nothing() -> None:
    others = Policy.of([VerifierKey(LOG.name, LOG_KEY, bytes(32))], {}, 0)
    with pytest.raises(NoteInvalid, match="not trusted"):
        proof_of(3).verify(ENTRIES[3], others)


TEXT = proof_of(3, b"x").encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        NOTE,
        TEXT.replace(b"@v1", b"@v2"),
        TEXT.replace(b"index 3\n", b""),
        TEXT.replace(b"index 3", b"index 03"),
        TEXT.replace(b"index 3", b"index -3"),
        TEXT.replace(b"index 3", b"index  3"),
        TEXT.replace(b"extra eA==", b"extra "),
        TEXT.replace(b"extra eA==", b"extra eB=="),
        TEXT.replace(b"extra eA==", b"extra " + base64.b64encode(bytes(70_000))),
        TEXT.replace(b"extra eA==\nindex 3", b"index 3\nextra eA=="),
        TEXT.replace(b"index 3\n", b"index 3\n" + base64.b64encode(bytes(31)) + b"\n"),
        TEXT.replace(b"index 3\n", b"index 3\n" + (base64.b64encode(bytes(32)) + b"\n") * 60),
        TEXT.replace(b"index 3", "index 3\u00e9".encode()),
        TEXT.replace(b"\n\n", b"\n"),
        TEXT + b"x" * (1 << 20),
    ],
)
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    assert data != TEXT
    with pytest.raises(NoteInvalid, match="malformed"):
        Proof.parse(data)
