"""Proofs that a leaf is in a log, as one text that needs nothing else (C2SP tlog-proof).

Index, hashes, and the signed checkpoint they lead to. What it shows depends on the policy of
whoever verifies it. Normative page: docs/formats/ledger-v1.md.
"""

import base64
from dataclasses import dataclass
from typing import Final

from strongroom.ledger.checkpoint import read_number, read_root
from strongroom.ledger.note import NOTE_BYTES_MAX, NoteInvalid, read_base64
from strongroom.ledger.policy import Policy
from strongroom.ledger.tree import ProofInvalid, leaf_hash, verify_inclusion

HEADER: Final = "c2sp.org/tlog-proof@v1"
HASHES_MAX: Final = 63
EXTRA_BYTES_MAX: Final = 64 << 10
PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + (128 << 10)
_EXTRA: Final = "extra "
_INDEX: Final = "index "


@dataclass(frozen=True, slots=True)
class Proof:
    """A leaf's index, the hashes beside its path, a signed checkpoint; `extra` proves nothing."""

    Invalid = ProofInvalid

    index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """Return the text of a `.tlog-proof` file."""
        lines = [HEADER]
        if self.extra:
            lines.append(_EXTRA + base64.b64encode(self.extra).decode())
        lines.append(f"{_INDEX}{self.index}")
        lines += [base64.b64encode(one).decode() for one in self.hashes]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> "Proof":
        """Read what `encode` wrote; raise NoteInvalid for anything else."""
        head, found, note = data.partition(b"\n\n")
        if len(data) > PROOF_BYTES_MAX or not found:
            raise _malformed("it is not an index, hashes, an empty line and a checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as err:
            raise _malformed("what stands before its checkpoint is not ASCII") from err
        if lines.pop(0) != HEADER:
            raise _malformed(f"its first line is not {HEADER}")
        extra = b""
        if lines and lines[0].startswith(_EXTRA):
            extra = read_base64(lines.pop(0).removeprefix(_EXTRA))
            if not 1 <= len(extra) <= EXTRA_BYTES_MAX:
                raise _malformed("its extra bytes are not base64, or too many")
        if not lines or not lines[0].startswith(_INDEX):
            raise _malformed("it names no index")
        index = read_number(lines.pop(0).removeprefix(_INDEX))
        if len(lines) > HASHES_MAX:
            raise _malformed(f"it has {len(lines)} hashes, at most {HASHES_MAX} are read")
        return cls(index, tuple(read_root(line) for line in lines), note, extra)

    def verify(self, entry: bytes, policy: Policy) -> Policy.Verdict:
        """Return what the checkpoint shows under a policy, after it showed the entry to be in it.

        Raises NoteInvalid or ProofInvalid. An unmet quorum is in the answer.
        """
        verdict = policy.check(self.note)
        checkpoint = verdict.checkpoint
        verify_inclusion(
            leaf_hash(entry), self.index, checkpoint.size, self.hashes, checkpoint.root
        )
        return verdict


def _malformed(why: str) -> NoteInvalid:
    return NoteInvalid("a proof is malformed", why)
