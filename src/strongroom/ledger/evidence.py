"""Evidence: chosen facts of a log, with all that a stranger needs to judge them.

A zip of leaves, their proofs, the cosigned checkpoint they lead to, and those private values that
were chosen to be disclosed. Beside them lie texts for people and for other tools, which prove
nothing. Whom to trust is not in it. Normative page: docs/formats/ledger-v1.md, "Evidence bundles".
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.errors import StrongroomError, UsageError
from strongroom.ledger.disclosure import Disclosure
from strongroom.ledger.proof import Proof

FACTS_MAX: Final = 100_000
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_README: Final = """\
Evidence from a log of Strongroom: {count} facts.

Verify it with strongroom_verify.py, one file that needs Python 3.11 and the package `cryptography`:

    python strongroom_verify.py bundle THIS-FILE.zip --policy POLICY

Take both from somewhere else than from whoever gave you this file: the verifier from Strongroom's
source (rescue/strongroom_verify.py), and the policy, which says whose signatures count, from the
operator and the custodians themselves. A verifier or a key that comes with the evidence proves
nothing, so there is none here.

leaves/N.json          leaf N of the log, byte for byte
leaves/N.tlog-proof    the proof that it is in the log (C2SP tlog-proof)
checkpoint             the log as it was signed and cosigned (C2SP tlog-checkpoint)
disclosures.jsonl      private values that were chosen to be shown, each with its salt
index.txt, ocsf.jsonl  copies for reading and for other tools; they prove nothing
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Leaves and proofs by number, all under one checkpoint, and what is disclosed of them."""

    note: bytes
    leaves: Mapping[int, bytes]
    proofs: Mapping[int, Proof]

    def write(
        self, path: Path, disclosed: Sequence[Disclosure], index: Sequence[str], ocsf: Sequence[str]
    ) -> None:
        """Write the bundle, whole or not at all; the same evidence gives the same bytes.

        `index` and `ocsf` are lines for people and for other tools. Raises UsageError where
        something is there already.
        """
        files = {
            "README.txt": _README.format(count=len(self.leaves)).encode(),
            "index.txt": _lines(index),
            "checkpoint": self.note,
            "disclosures.jsonl": _lines([_disclosure(one) for one in disclosed]),
            "ocsf.jsonl": _lines(ocsf),
        }
        for number, leaf in self.leaves.items():
            files[f"leaves/{number}.json"] = leaf
            files[f"leaves/{number}.tlog-proof"] = self.proofs[number].encode()
        _write_zip(path, files)


def _disclosure(one: Disclosure) -> str:
    told = {"fact": one.fact, "field": one.field, "salt": one.salt.hex(), "value": one.value}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    if path.exists():
        raise UsageError(f"{path} is there already", hint="Give the name of a new file.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                one = zipfile.ZipInfo(name, _EPOCH)
                one.compress_type = zipfile.ZIP_DEFLATED
                one.external_attr = 0o600 << 16
                archive.writestr(one, data)
        partial.replace(path)
    except OSError as err:
        partial.unlink(missing_ok=True)
        raise StrongroomError(
            f"{path} cannot be written",
            err.strerror or str(err),
            hint="Choose a folder with free space that may be written.",
        ) from err
