"""Hands signed checkpoints and proofs to metamorphic-log, a verifier in Rust; reads none itself.

Run as a program of its own, so that it can be given a time limit. What is to be verified comes as
JSON on stdin, hashes in hexadecimal; the first thing that is refused ends it with exit code 1.
"""

import json
import sys
from importlib import import_module


def main() -> None:
    """Verify each checkpoint under the log's key, and each proof under its checkpoint."""
    rust = import_module("metamorphic_log")
    asked = json.load(sys.stdin)
    keys = [asked["key"]]
    for note in asked["notes"].values():
        rust.checkpoint_verify(note, keys)
    for one in asked["inclusion"]:
        proof = [bytes.fromhex(each) for each in one["proof"]]
        leaf = bytes.fromhex(one["leaf"])
        note = asked["notes"][one["size"]]
        rust.checkpoint_verify_inclusion(note, keys, one["index"], leaf, proof)
    for one in asked["consistency"]:
        proof = [bytes.fromhex(each) for each in one["proof"]]
        notes = [asked["notes"][one[name]] for name in ("old", "new")]
        rust.checkpoint_verify_consistency(*notes, keys, proof)


if __name__ == "__main__":
    try:
        main()
    except import_module("metamorphic_log").VerifyError as refused:
        raise SystemExit(f"refused: {refused!r}") from refused
