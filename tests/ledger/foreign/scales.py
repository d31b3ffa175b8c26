"""Reads a static log with tlog-scales and says what it found as JSON.

Run as a program of its own, so that it can be given a time limit, and so that nothing of ours is
imported: scales.py FOLDER KEYS INDEX...
"""

import json
import sys
from importlib import import_module
from pathlib import Path


def main(folder: str, keys: str, *indexes: str) -> None:
    """Check every signature, the root from all tiles, entries and proofs; raise otherwise."""
    signing, reader, tiles, backend = (
        import_module(f"tlog_scales.{name}") for name in ("signing", "reader", "tiles", "backend")
    )
    vkeys = [signing.Vkey.from_string(line) for line in Path(keys).read_text("utf-8").split()]
    log = reader.TilesReader(backend.make_backend(folder))
    checkpoint = log.get_checkpoint()
    valid = signing.VkeySet(*vkeys).verify(checkpoint.signatures, checkpoint)
    if len(valid) != len(vkeys) or len(checkpoint.signatures) != len(vkeys):
        raise SystemExit(f"{len(valid)} signatures of {len(vkeys)}")
    if log.calculate_root_hash() != checkpoint.root_hash:
        raise SystemExit("another root")
    inclusion, consistency = {}, {}
    for index in map(int, indexes):
        proof = log.get_inclusion_proof(index, checkpoint.size)
        proof.check(tiles.leaf_hash(log.get_entry(index)), checkpoint.root_hash)
        inclusion[index] = [one.hex() for one in proof.node_hashes]
        if index:
            proof = log.get_consistency_proof(index, checkpoint.size)
            proof.check(log.mth(0, index), checkpoint.root_hash)
            consistency[index] = [one.hex() for one in proof.node_hashes]
    said = {
        "size": checkpoint.size,
        "root": checkpoint.root_hash.hex(),
        "signatures": len(valid),
        "inclusion": inclusion,
        "consistency": consistency,
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
