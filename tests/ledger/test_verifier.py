"""The single-file verifier judges what our code and published vectors say, and every byte."""

import ast
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.ledger import Policy, Proof
from strongroom.ledger.cosignature import cosign
from strongroom.ledger.note import LOG_KEY, VerifierKey
from strongroom.ledger.tiles import read_from
from strongroom.ledger.tree import consistency_proof, inclusion_proof
from tests.house.tree import ROOT
from tests.ledger.test_tree import PUBLISHED
from tests.support.signed_files import AT_SECONDS, ORIGIN, WITNESS_SEEDS, StaticLog, static_log
from tests.support.verifier import verifier, verify

SIZES = (0, 1, 2, 255, 256, 257, 300, 513)


def entries(count: int, word: str = "fact") -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(count)]


def written(log: StaticLog, folder: Path) -> tuple[Path, Path]:
    """Write a log and the policy to judge it by, which lies outside of it."""
    log.write(folder)
    policy = folder.with_suffix(".policy")
    policy.write_bytes(log.policy.encode())
    return folder, policy


def first_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.split("\n", 1)[0]


def test_it_needs_python_and_cryptography_alone() -> None:
    tree = ast.parse((ROOT / "rescue" / "strongroom_verify.py").read_text("utf-8"))
    found = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [one.name for one in node.names]
        )
    }
    # ruff's own list of what belongs to Python is not at hand here; the names are few.
    assert found - {"cryptography"} == {
        *("argparse", "base64", "binascii", "collections", "dataclasses", "datetime", "hashlib"),
        *("json", "pathlib", "re", "struct", "sys", "time", "typing", "zipfile", "zlib"),
    }


@pytest.mark.parametrize("size", SIZES)
def test_whole_log_is_valid(size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, policy = written(static_log(entries(size)), tmp_path / "log")
    assert verify("log", folder, "--policy", policy, "--strict") == 0
    assert first_line(capsys).startswith(f"VALID: all {size} leaves")


def test_every_byte_of_a_log_that_is_flipped_is_found(tmp_path: Path) -> None:
    folder, policy = written(static_log(entries(259)), tmp_path / "log")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) == 6
    for path in files:
        held = path.read_bytes()
        step = max(1, len(held) // 150)
        for at in range(0, len(held), step if path.name != "checkpoint" else 1):
            changed = bytearray(held)
            changed[at] ^= 0x01
            path.write_bytes(changed)
            assert verify("log", folder, "--policy", policy, "--strict") == 40
        path.write_bytes(held[:-1])
        assert verify("log", folder, "--policy", policy) == 40
        path.unlink()
        assert verify("log", folder, "--policy", policy) == 40
        path.write_bytes(held)
    assert verify("log", folder, "--policy", policy, "--strict") == 0


def test_too_few_witnesses_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = static_log(entries(3))
    note = log.files["checkpoint"].rsplit("\u2014 cleo".encode(), 1)[0]
    folder, policy = written(replace(log, files={**log.files, "checkpoint": note}), tmp_path / "l")
    assert verify("checkpoint", folder / "checkpoint", "--policy", policy) == 10
    assert first_line(capsys).startswith("VALID BUT UNWITNESSED: ")
    two = Policy.of([log.log], log.witnesses, 2)
    policy.write_bytes(two.encode())
    assert verify("log", folder, "--policy", policy) == 0


def test_stranger_who_signed_proves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = static_log(entries(3))
    folder, policy = written(log, tmp_path / "log")
    note = log.files["checkpoint"]
    stranger = cosign(note.split(b"\n\n")[0] + b"\n", AT_SECONDS, "eve.example", b"\x55" * 32)
    (folder / "checkpoint").write_bytes(note + stranger)
    assert verify("log", folder, "--policy", policy) == 0
    assert "passed over: 1 signatures" in capsys.readouterr().out
    assert verify("log", folder, "--policy", policy, "--strict") == 40
    other = VerifierKey(ORIGIN, LOG_KEY, signing.public_key(b"\x55" * 32))
    policy.write_bytes(Policy.of([other], log.witnesses, 3).encode())
    assert verify("log", folder, "--policy", policy) == 40
    assert "no log of the policy signed" in capsys.readouterr().out


def test_old_checkpoint_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, policy = written(static_log(entries(3)), tmp_path / "log")
    assert verify("log", folder, "--policy", policy, "--max-age", 1) == 20
    assert first_line(capsys).startswith("STALE: ")
    assert verify("log", folder, "--policy", policy, "--max-age", 10**7) == 0


@pytest.mark.parametrize(("old", "new"), [(0, 3), (1, 2), (3, 300), (256, 257), (300, 513)])
def test_log_goes_on_from_what_was_seen(old: int, new: int, tmp_path: Path) -> None:
    before, policy = written(static_log(entries(old)), tmp_path / "before")
    after, _ = written(static_log(entries(new)), tmp_path / "after")
    seen = before / "checkpoint"
    assert verify("consistency", seen, after, "--policy", policy) == 0
    assert verify("consistency", after, seen, "--policy", policy) == 20
    log = static_log(entries(new))
    tiles = read_from(tile_of(log), new)
    proof = tmp_path / "proof"
    hashes = consistency_proof(tiles, old, new)
    proof.write_text("".join(f"{base64.b64encode(one).decode()}\n" for one in hashes))
    given = ("consistency", seen, after / "checkpoint", "--policy", policy)
    assert verify(*given, "--proof", proof) == 0
    assert verify(*given) == 2
    proof.write_text(proof.read_text() + base64.b64encode(bytes(32)).decode() + "\n")
    assert verify(*given, "--proof", proof) == 40


@pytest.mark.parametrize("size", [3, 300])
def test_two_views_of_one_log_are_shown(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = static_log(entries(3, "other"))
    seen, policy = written(one, tmp_path / "seen")
    folder, _ = written(static_log(entries(size)), tmp_path / "log")
    assert verify("consistency", seen / "checkpoint", folder, "--policy", policy) == 30
    told = capsys.readouterr().out
    assert told.startswith("SPLIT VIEW: ")
    assert one.files["checkpoint"].decode() in told
    assert (folder / "checkpoint").read_text("utf-8") in told


def test_checkpoints_of_two_logs_are_not_compared(tmp_path: Path) -> None:
    one, policy = written(static_log(entries(3)), tmp_path / "one")
    assert verify("consistency", one, tmp_path / "none", "--policy", policy) == 40


@pytest.mark.parametrize("size", [1, 7, 300])
def test_proof_of_ours_is_accepted_and_no_other(size: int, tmp_path: Path) -> None:
    log = static_log(entries(size))
    policy, leaf, file = (tmp_path / name for name in ("policy", "leaf", "proof"))
    policy.write_bytes(log.policy.encode())
    tiles = read_from(tile_of(log), size)
    for number in {0, size // 2, size - 1}:
        hashes = inclusion_proof(tiles, number, size)
        proof = Proof(number, tuple(hashes), log.files["checkpoint"], b"extra")
        leaf.write_bytes(entries(size)[number])
        file.write_bytes(proof.encode())
        asked = ("proof", file, "--leaf", leaf, "--policy", policy)
        assert verify(*asked) == 0
        for wrong in (
            replace(proof, index=number + 1),
            replace(proof, hashes=(*hashes, bytes(32))),
            replace(proof, hashes=tuple(hashes[:-1]) if hashes else (bytes(32),)),
        ):
            file.write_bytes(wrong.encode())
            assert verify(*asked) == 40
        file.write_bytes(proof.encode())
        leaf.write_bytes(b"another")
        assert verify(*asked) == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum none\n",
        "log x\nquorum none\n",
        "log {log}\n",
        "log {log}\nquorum anna\n",
        "log {log}\nlog {log}\nquorum none\n",
        "log {log}\nwitness anna {anna}\nwitness anna {anna}\nquorum none\n",
        "log {log}\nwitness anna {log}\nquorum none\n",
        "log {log}\nwitness anna {anna}\ngroup g 2 anna\nquorum g\n",
        "log {log}\nwitness anna {anna}\ngroup g any anna\ngroup h any anna\nquorum g\n",
        "log {log}\nsurprise\nquorum none\n",
        "log {log}\nquorum none\nquorum none\n",
    ],
)
def test_policy_that_is_none_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = static_log(entries(1))
    folder, policy = written(log, tmp_path / "log")
    policy.write_text(text.format(log=log.log, anna=log.witnesses["anna"]), encoding="utf-8")
    assert verify("log", folder, "--policy", policy) == 2
    assert "the policy" in capsys.readouterr().err


def test_groups_of_groups_are_counted(tmp_path: Path) -> None:
    log = static_log(entries(1))
    folder, policy = written(log, tmp_path / "log")
    lines = [f"log {log.log} https://example.com/"]
    lines += [f"witness {name}\t{key}" for name, key in log.witnesses.items()]
    lines += ["# two and any", "group pair all anna ben", "group all 2 pair cleo", "quorum all"]
    policy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert verify("log", folder, "--policy", policy) == 0
    assert len(WITNESS_SEEDS) == 3


@pytest.mark.skipif(not PUBLISHED, reason="../shared/vectors/rfc6962_merkle.json is not here")
def test_published_proofs_are_judged_as_published() -> None:
    module = verifier()
    for kind, name, case in PUBLISHED:
        try:
            judge_published(module, kind, case)
            judged = False
        except module.Failed:
            judged = True
        assert judged == case["wantErr"], (kind, name)


def judge_published(module: Any, kind: str, case: dict[str, Any]) -> None:
    """Judge as the verifier does for proofs from files: hashes of another length never get in."""
    proof = [base64.b64decode(one) for one in case["proof"] or []]
    roots = [
        base64.b64decode(case[field])
        for field in ("leafHash", "root", "root1", "root2")
        if field in case
    ]
    if any(len(one) != 32 for one in (*proof, *roots)):
        raise module.Failed("a hash does not have 32 bytes")
    if kind == "inclusion":
        found = module.root_from_inclusion(roots[0], case["leafIdx"], case["treeSize"], proof)
        if found != roots[1]:
            raise module.Failed("another root")
        return
    sizes = case["size1"], case["size2"]
    old, new = (
        module.Checkpoint("origin", size, root, b"", {}, True, 0)
        for size, root in zip(sizes, roots, strict=True)
    )
    if old.size > new.size or (old.size == 0 and old.root != module.EMPTY_ROOT):
        raise module.Failed("no such log")
    if old.size == new.size and (proof or old.root != new.root):
        raise module.Failed("the same size and another root")
    if old.size != new.size:
        module.check_consistency(old, new, proof)


def test_json_with_a_key_twice_is_no_fact() -> None:
    module = verifier()
    with pytest.raises(module.Failed, match="not JSON"):
        module.read_json(b'{"a":1,"a":2}', "it")
    assert module.read_json(json.dumps({"a": 1}).encode(), "it") == {"a": 1}


def tile_of(log: StaticLog) -> Any:
    """Return what reads a tile of a log in memory."""
    path = verifier().tile_path
    return lambda level, number, width: log.files[str(path(Path(), level, number, width))]
