"""The tree against the definitions of RFC 6962 written down word by word, and published vectors."""

import base64
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged
from strongroom.ledger.tree import (
    EMPTY_ROOT,
    CompactRange,
    ProofInvalid,
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

ALL = 70
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(ALL)]


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1: the Merkle Tree Hash, over hashes of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    k = _split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1: the audit path."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 2.1.2: the consistency proof."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def _split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def read_in(size: int) -> Read:
    def read(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size, "only what the tree holds in full is asked for"
        return mth(LEAVES[index << level : (index + 1) << level])

    return read


def test_the_root_of_no_leaves_and_the_prefixes_are_those_of_the_rfc() -> None:
    assert EMPTY_ROOT == sha256(b"").digest() == CompactRange().root() == root_of([])
    assert leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert node_hash(b"l", b"r") == sha256(b"\x01lr").digest()


def test_roots_are_those_of_the_definition_at_every_size() -> None:
    grown = CompactRange()
    for size in range(ALL + 1):
        assert grown.size == size
        assert grown.root() == root_of(LEAVES[:size]) == mth(LEAVES[:size])
        again = CompactRange.of(read_in(size), size)
        assert (again.size, again.stack) == (size, grown.stack)
        assert CompactRange(size, grown.stack).root() == grown.root()
        if size < ALL:
            grown.append(LEAVES[size])
    at_once = CompactRange()
    at_once.extend(LEAVES)
    assert at_once.root() == grown.root()


def test_a_compact_range_keeps_its_own_stack() -> None:
    given = [LEAVES[0]]
    grown = CompactRange(1, given)
    grown.append(LEAVES[1])
    assert given == [LEAVES[0]]


@pytest.mark.parametrize(
    ("size", "stack"),
    [
        (0, [LEAVES[0]]),
        (1, []),
        (3, [LEAVES[0]]),
        (2, [b"short"]),
        (-1, []),
        (1 << 63, [LEAVES[0]]),
    ],
)
def test_a_head_that_cannot_be_is_damaged(size: int, stack: list[bytes]) -> None:
    with pytest.raises(Damaged, match="head of a log"):
        CompactRange(size, stack)


def test_inclusion_proofs_are_those_of_the_definition_and_verify() -> None:
    for size in range(1, ALL + 1):
        root = mth(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(read_in(size), index, size)
            assert proof == path(index, LEAVES[:size])
            verify_inclusion(LEAVES[index], index, size, proof, root)


def test_consistency_proofs_are_those_of_the_definition_and_verify() -> None:
    for new in range(ALL + 1):
        for old in range(new + 1):
            proof = consistency_proof(read_in(new), old, new)
            assert proof == (subproof(old, LEAVES[:new], True) if old else [])
            verify_consistency(old, new, proof, mth(LEAVES[:old]), mth(LEAVES[:new]))


def test_no_proof_is_made_of_what_is_not_in_the_tree() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="has no leaf"):
            inclusion_proof(read_in(size), index, size)
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="does not begin with"):
            consistency_proof(read_in(2), old, new)


@st.composite
def altered(draw: st.DrawFn, proof: Sequence[bytes]) -> list[bytes]:
    """Return another proof than the one given."""
    found = list(proof)
    at = draw(st.integers(0, max(len(found) - 1, 0)))
    ways = ["insert", "cut", "flip", "drop", "swap"] if found else ["insert"]
    match draw(st.sampled_from(ways)):
        case "insert":
            found.insert(at, draw(st.sampled_from([*LEAVES[:4], EMPTY_ROOT, *proof])))
        case "cut":
            found[at] = found[at][:-1]
        case "flip":
            bit = draw(st.integers(0, 255))
            found[at] = (int.from_bytes(found[at], "big") ^ 1 << bit).to_bytes(32, "big")
        case "drop":
            del found[at]
        case _:
            found[at], found[0] = found[0], found[at]
    return found


@given(st.data())
def test_an_altered_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, ALL))
    index = data.draw(st.integers(0, size - 1))
    root = mth(LEAVES[:size])
    proof = path(index, LEAVES[:size])
    other = data.draw(altered(proof))
    if other != proof:
        with pytest.raises(ProofInvalid):
            verify_inclusion(LEAVES[index], index, size, other, root)
    elsewhere = data.draw(st.integers(-1, ALL))
    if elsewhere != index:
        with pytest.raises(ProofInvalid):
            verify_inclusion(LEAVES[index], elsewhere, size, proof, root)
    with pytest.raises(ProofInvalid, match="another root"):
        verify_inclusion(LEAVES[index - 1] if size > 1 else root[::-1], index, size, proof, root)
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_inclusion(LEAVES[index], index, size, proof, b"")


@given(st.data())
def test_an_altered_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, ALL))
    old = data.draw(st.integers(0, new))
    roots = mth(LEAVES[:old]), mth(LEAVES[:new])
    proof = subproof(old, LEAVES[:new], True) if old else []
    other = data.draw(altered(proof))
    if other != proof:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, other, *roots)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, new, proof, roots[0][::-1], roots[1])
    if old:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, proof, roots[0], roots[1][::-1])
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_consistency(old, new, proof, roots[0], b"")
    with pytest.raises(ProofInvalid, match="the longer one"):
        verify_consistency(new + 1, new, proof, *roots)


@given(st.integers(1, 2**63), st.integers(0, 2**63), st.lists(st.binary(min_size=32, max_size=32)))
def test_verifiers_answer_at_any_size(size: int, other: int, proof: list[bytes]) -> None:
    with pytest.raises(ProofInvalid):
        verify_inclusion(LEAVES[0], other, size, proof, LEAVES[1])
    with pytest.raises(ProofInvalid):
        verify_consistency(other, size, proof, LEAVES[0], LEAVES[1])


def published() -> list[tuple[str, str, dict[str, Any]]]:
    path = (
        Path(os.environ.get("STRONGROOM_SHARED", "../shared")) / "vectors" / "rfc6962_merkle.json"
    )
    if not path.exists():
        return []
    every = json.loads(path.read_text("utf-8"))
    return [
        (kind, name, every[kind][name])
        for kind in ("inclusion", "consistency")
        for name in every[kind]
    ]


PUBLISHED = published()


@pytest.mark.skipif(not PUBLISHED, reason="../shared/vectors/rfc6962_merkle.json is not here")
def test_every_published_proof_is_there() -> None:
    counts = [
        len([1 for kind, _, case in PUBLISHED if (kind, case["wantErr"]) == wanted])
        for wanted in (
            ("inclusion", False),
            ("inclusion", True),
            ("consistency", False),
            ("consistency", True),
        )
    ]
    assert sum(counts) == 150
    assert all(counts)


@pytest.mark.skipif(not PUBLISHED, reason="../shared/vectors/rfc6962_merkle.json is not here")
@pytest.mark.parametrize(
    ("kind", "name", "case"),
    PUBLISHED or [("", "absent", {})],
    ids=[f"{k}/{n}" for k, n, _ in PUBLISHED] or ["absent"],
)
def test_published_proof_is_judged_as_published(kind: str, name: str, case: dict[str, Any]) -> None:
    proof = [base64.b64decode(one) for one in case["proof"] or []]

    def verify() -> None:
        if kind == "inclusion":
            leaf, root = (base64.b64decode(case[field]) for field in ("leafHash", "root"))
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
        else:
            roots = [base64.b64decode(case[field]) for field in ("root1", "root2")]
            verify_consistency(case["size1"], case["size2"], proof, roots[0], roots[1])

    if case["wantErr"]:
        with pytest.raises(ProofInvalid):
            verify()
    else:
        verify()
