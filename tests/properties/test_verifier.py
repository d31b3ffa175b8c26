"""The verifier that shares no code takes hostile bytes too, and says of them what we say.

Two readers written from one page: where one takes what the other refuses, one of them is wrong.
"""

import json
import time
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import StrongroomError
from strongroom.ledger import Checkpoint, Policy, Proof
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.tiles import encode_bundle
from strongroom.ledger.tree import leaf_hash, node_hash
from tests.properties.mutations import altered_json, mutated, noise
from tests.support.telling import told
from tests.support.verifier import verifier, verify

SECONDS_MAX = 2.0
SAID = {0, 2, 10, 20, 30, 40}
THEIRS: Any = verifier()
SEED, WITNESS_SEED = b"\x09" * 32, b"\x0a" * 32
ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
WITNESS = witness_key("witness.example/w", WITNESS_SEED)
LOG = VerifierKey(ORIGIN, LOG_KEY, witness_key(ORIGIN, SEED).public)
POLICY = Policy.of([LOG], {"anna": WITNESS}, 1)
POLICY_TEXT = POLICY.encode() + b"# \xff\n"
LEAF = told("source.removed").encode()


def note_of(leaf: bytes) -> bytes:
    """Return the checkpoint of a log of two leaves, of which this one is the first."""
    text = Checkpoint(ORIGIN, 2, node_hash(leaf_hash(leaf), leaf_hash(b"other"))).encode()
    return sign(text, ORIGIN, SEED) + cosign(text, 1_767_323_045, WITNESS.name, WITNESS_SEED)


def proof_of(leaf: bytes) -> bytes:
    return Proof(0, (leaf_hash(b"other"),), note_of(leaf), b"extra").encode()


NOTE, PROOF = note_of(LEAF), proof_of(LEAF)
DISCLOSED = json.dumps({"fact": "0" * 32, "field": "f", "salt": "1" * 32, "value": "v"}).encode()


def bundle_of(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def evidence(leaf: bytes, disclosed: bytes = b"") -> dict[str, bytes]:
    """Return the files of a bundle that proves one leaf, whatever is in it."""
    return {
        "checkpoint": note_of(leaf),
        "leaves/0.json": leaf,
        "leaves/0.tlog-proof": proof_of(leaf),
        "disclosures.jsonl": disclosed,
        "README.txt": b"read me" * 40,
    }


def site_of(**changed: bytes) -> dict[str, bytes]:
    """Return an exported log of two leaves."""
    files = {
        "checkpoint": NOTE,
        "tile/entries/000.p/2": encode_bundle([LEAF, b"other"]),
        "tile/0/000.p/2": leaf_hash(LEAF) + leaf_hash(b"other"),
    }
    return {**files, **changed}


def asked(word: str, files: dict[str, bytes], *options: str) -> int:
    """Ask the verifier about files in a folder; a name that an option has becomes its path."""
    began = time.process_time()
    with TemporaryDirectory() as folder:
        for name, data in {"policy": POLICY_TEXT, **files}.items():
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        known = {"policy", ".", *files}
        paths = [str(Path(folder) / one) if one in known else one for one in options]
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            code = verify(word, *paths, "--policy", str(Path(folder) / "policy"))
    assert time.process_time() - began < SECONDS_MAX
    assert code in SAID
    return code


def hostile(valid: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(noise(), mutated(valid), mutated(valid), mutated(valid))


def taken(read: Callable[[], object]) -> bool:
    """Tell whether we take it."""
    try:
        read()
    except StrongroomError:
        return False
    return True


def test_what_was_not_changed_is_taken() -> None:
    assert asked("checkpoint", {"note": NOTE}, "note") == 0
    assert asked("proof", {"proof": PROOF, "leaf": LEAF}, "proof", "--leaf", "leaf") == 0
    assert asked("log", site_of(), ".") == 0
    assert asked("bundle", {"zip": bundle_of(evidence(LEAF))}, "zip") == 0


@given(text=hostile(POLICY_TEXT))
def test_a_hostile_policy_is_taken_by_both_or_by_none(text: bytes) -> None:
    ours = taken(lambda: Policy.parse(text)) and bool(Policy.parse(text).logs)
    code = asked("checkpoint", {"policy": text, "note": NOTE}, "note")
    assert (code != 2) == ours


@given(note=hostile(NOTE))
def test_a_hostile_checkpoint_is_taken_by_both_or_by_none(note: bytes) -> None:
    code = asked("checkpoint", {"note": note}, "note")
    assert (code in {0, 10}) == taken(lambda: POLICY.check(note))
    if code in {0, 10}:
        ours, theirs = POLICY.check(note), THEIRS.read_checkpoint(note, their_policy())
        assert (ours.checkpoint.size, ours.checkpoint.root) == (theirs.size, theirs.root)
        assert (ours.cosigned, ours.quorum_met) == (theirs.cosigned, theirs.witnessed)


def their_policy() -> Any:
    with TemporaryDirectory() as folder:
        (Path(folder) / "policy").write_bytes(POLICY_TEXT)
        return THEIRS.read_policy(Path(folder) / "policy")


@given(proof=hostile(PROOF))
def test_a_hostile_proof_is_taken_by_both_or_by_none(proof: bytes) -> None:
    code = asked("proof", {"proof": proof, "leaf": LEAF}, "proof", "--leaf", "leaf")
    assert (code in {0, 10}) == taken(lambda: Proof.parse(proof).verify(LEAF, POLICY))


@given(lines=st.one_of(noise(), mutated(b"DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=\n")))
def test_a_hostile_proof_of_consistency_is_refused(lines: bytes) -> None:
    files = {"old": NOTE, "new": note_of(b"another"), "hashes": lines}
    assert asked("consistency", files, "old", "new", "--proof", "hashes") == 30
    text = Checkpoint(ORIGIN, 3, leaf_hash(b"three")).encode()
    files["new"] = sign(text, ORIGIN, SEED)
    assert asked("consistency", files, "old", "new", "--proof", "hashes") == 40


@pytest.mark.parametrize("path", sorted(site_of()))
@given(data=st.data())
def test_a_hostile_file_of_a_log_is_refused(path: str, data: st.DataObject) -> None:
    whole = site_of()[path]
    changed = data.draw(hostile(whole))
    code = asked("log", site_of(**{path: changed}), ".")
    if path != "checkpoint":
        assert code == (0 if changed == whole else 40)


@given(data=st.data())
def test_a_hostile_bundle_is_read_or_refused(data: st.DataObject) -> None:
    asked("bundle", {"zip": data.draw(hostile(bundle_of(evidence(LEAF))))}, "zip")
    leaf = data.draw(st.one_of(noise(), altered_json(LEAF)))
    asked("bundle", {"zip": bundle_of(evidence(leaf))}, "zip")
    value = data.draw(st.one_of(mutated(DISCLOSED), altered_json(DISCLOSED)))
    asked("bundle", {"zip": bundle_of(evidence(LEAF, value))}, "zip")


def test_halves_of_letters_are_no_text() -> None:
    disclosed = DISCLOSED.replace(b'"v"', b'"\\ud800"')
    assert asked("bundle", {"zip": bundle_of(evidence(LEAF, disclosed))}, "zip") == 40
    leaf = json.dumps({**json.loads(LEAF), "sd": {"\ud800": "0" * 64}}).encode()
    assert asked("bundle", {"zip": bundle_of(evidence(leaf))}, "zip") == 40


@pytest.mark.parametrize(
    ("was", "becomes"), [(b"extra ZXh0cmE=", b"extra extra ZXh0cmE="), (b"index 0", b"0")]
)
def test_a_proof_has_one_form(was: bytes, becomes: bytes) -> None:
    proof = PROOF.replace(was, becomes)
    assert proof != PROOF
    assert asked("proof", {"proof": proof, "leaf": LEAF}, "proof", "--leaf", "leaf") == 40
    assert not taken(lambda: Proof.parse(proof))
