"""The Merkle tree of RFC 6962 in compact form: roots, proofs, and what refuses a wrong one.

A tree is never held whole: growing it needs the roots of its full subtrees (`CompactRange`), and a
proof reads some roots of full subtrees through a function. Verifiers raise, and recompute each
root from the proof alone. Normative page: docs/formats/ledger-v1.md.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from strongroom.errors import Damaged

HASH_BYTES: Final = 32
SIZE_MAX: Final = (1 << 63) - 1
EMPTY_ROOT: Final = sha256(b"").digest()

Read = Callable[[int, int], bytes]
"""`read(level, index)` is the root of the 2**level leaves from index * 2**level on, all present."""


class ProofInvalid(Damaged):
    """A proof does not show what it was given for."""

    hint = "Ask another copy of the log for the proof, and keep this one: it may be evidence."


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf that holds these bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The roots of a tree's full subtrees, the greatest first: all that growing it needs."""

    __slots__ = ("size", "stack")

    def __init__(self, size: int = 0, stack: Sequence[bytes] = ()) -> None:
        """Take up a tree of this size; its stack has one root for each bit that is set."""
        if not 0 <= size <= SIZE_MAX or len(stack) != size.bit_count():
            raise Damaged(
                "the head of a log is malformed",
                f"a tree of {size} leaves does not have {len(stack)} full subtrees",
            )
        if any(len(root) != HASH_BYTES for root in stack):
            raise Damaged("the head of a log is malformed", "a root in it has the wrong length")
        self.size = size
        self.stack = list(stack)

    @classmethod
    def of(cls, read: Read, size: int) -> "CompactRange":
        """Return the compact range of the first `size` leaves."""
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        return cls(size, [read(level, (size >> level) - 1) for level in levels])

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        bits, root = self.size, leaf
        while bits & 1:
            root = sha256(b"\x01" + self.stack.pop() + root).digest()
            bits >>= 1
        self.stack.append(root)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add the hashes of the next leaves in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root hash of the whole tree; the empty tree's is SHA-256 of nothing."""
        return _fold(self.stack)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves, or over those of full subtrees of one size."""
    row, rest = list(leaves), list[bytes]()
    if not row:
        return EMPTY_ROOT
    # The last node of a row without a partner waits; what waited longest stands rightmost.
    while True:
        if len(row) & 1:
            rest.append(row.pop())
        if not row:
            return _fold(rest[::-1])
        row = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(row[::2], row[1::2], strict=True)
        ]


def inclusion_proof(read: Read, index: int, size: int) -> list[bytes]:
    """Return the hashes beside the path from a leaf to the root of a tree of `size`, lowest first.

    Raises ValueError for a leaf outside of the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(_range_root(read, middle, stop))
            stop = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(read: Read, old: int, new: int) -> list[bytes]:
    """Return the hashes that show the tree of `old` leaves to be the beginning of that of `new`.

    Nothing is needed from the empty tree, nor from a tree to itself. Raises ValueError where the
    old tree is the greater one.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not begin with {old} leaves")
    if old == 0:
        return []
    path = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(_range_root(read, middle, stop))
            stop = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    if start:
        path.append(_range_root(read, start, stop))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise ProofInvalid unless the tree with this size and root has this leaf hash at `index`."""
    what = f"the proof that leaf {index} is in a log of {size} is wrong"
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalid(what, "a log of this size has no such leaf")
    _check_lengths(what, [leaf, root, *proof])
    inner = (index ^ (size - 1)).bit_length()
    wanted = inner + (index >> inner).bit_count()
    if len(proof) != wanted:
        raise ProofInvalid(what, f"it has {len(proof)} hashes instead of {wanted}")
    found = leaf
    for level, beside in enumerate(proof):
        # Above the level where the path joins the right edge, all that stands beside is left of it.
        on_left = level >= inner or index >> level & 1
        found = node_hash(beside, found) if on_left else node_hash(found, beside)
    if found != root:
        raise ProofInvalid(what, "it leads to another root")


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Raise ProofInvalid unless the tree of size and root `new` begins with the tree `old`."""
    what = f"the proof that a log of {new} begins with the one of {old} is wrong"
    if not 0 <= old <= new <= SIZE_MAX:
        raise ProofInvalid(what, "the older log is the longer one")
    _check_lengths(what, [old_root, new_root, *proof])
    if old in {0, new}:
        if proof:
            raise ProofInvalid(what, "nothing is to be proved, and it has hashes")
        if old_root != (EMPTY_ROOT if old == 0 else new_root) or (
            new == 0 and new_root != EMPTY_ROOT
        ):
            raise ProofInvalid(what, "the roots differ")
        return
    found_old, found_new = _consistent_roots(what, old, new, proof, old_root)
    if found_old != old_root:
        raise ProofInvalid(what, "it leads to another root of the older log")
    if found_new != new_root:
        raise ProofInvalid(what, "it leads to another root of the newer log")


def _consistent_roots(
    what: str, old: int, new: int, proof: Sequence[bytes], old_root: bytes
) -> tuple[bytes, bytes]:
    """Return both roots as a proof with the right number of hashes gives them."""
    # The last full subtree of the older tree; the older root itself where that is all of it.
    shift = (old & -old).bit_length() - 1
    inner = ((old - 1) ^ (new - 1)).bit_length() - shift
    border = (old - 1) >> (shift + inner)
    seeded = old & (old - 1) != 0
    wanted = seeded + inner + border.bit_count()
    if len(proof) != wanted:
        raise ProofInvalid(what, f"it has {len(proof)} hashes instead of {wanted}")
    found_old = found_new = proof[0] if seeded else old_root
    path = (old - 1) >> shift
    for level, beside in enumerate(proof[seeded:]):
        if level >= inner or path >> level & 1:
            found_old = node_hash(beside, found_old)
            found_new = node_hash(beside, found_new)
        else:
            found_new = node_hash(found_new, beside)
    return found_old, found_new


def _check_lengths(what: str, hashes: Sequence[bytes]) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofInvalid(what, "a hash in it does not have 32 bytes")


def _split(width: int) -> int:
    """Return the greatest power of two below a width of two or more."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(read: Read, start: int, stop: int) -> bytes:
    """Return the root over leaves that are one node of a tree: `start` is aligned to its left."""
    roots = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        roots.append(read(level, start >> level))
        start += 1 << level
    return _fold(roots)


def _fold(roots: Sequence[bytes]) -> bytes:
    """Return the root above full subtrees, the greatest first."""
    if not roots:
        return EMPTY_ROOT
    found = roots[-1]
    for left in reversed(roots[:-1]):
        found = node_hash(left, found)
    return found
