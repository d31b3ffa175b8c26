"""Builds recipe-v1.json: lines of recipes with what they say, and lines that a reader refuses.

Run from the repository's root: `python -m tests.vectors.build_recipe_v1`. Frozen: lines that were
written once must stay readable, and new ones go into the file beside them.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.vault import Entry
from strongroom.vault.recipe import encode_line

PATH = Path(__file__).with_name("recipe-v1.json")
ACL = bytes.fromhex("0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff")
ENTRIES: list[tuple[Entry, int]] = [
    (Entry(b"", "directory", 0, 0o755, 1_700_000_000_000_000_000, 1000, 1000), 0),
    (Entry(b"caf\xe9", "file", 5, 0o644, -1, 1, 2), 1),
    (Entry(b"link", "symlink", 0, 0o777, 5, link=b"caf\xe9/\xff"), 0),
    (Entry(b"again", "hardlink", 0, 0o644, -1, 1, 2, link=b"caf\xe9"), 0),
    (
        Entry(
            b"d",
            "directory",
            0,
            0o750,
            attributes=((b"system.posix_acl_access", ACL), (b"system.posix_acl_default", ACL)),
        ),
        0,
    ),
    (
        Entry(
            b"f",
            "file",
            1,
            attributes=(
                (b"security.capability", bytes(20)),
                (b"user.a", b"x"),
                (b"user.\xff", b""),
            ),
        ),
        1,
    ),
    (Entry(b"all hole", "file", 1 << 40, holes=((0, 1 << 40),)), 0),
    (Entry(b"sparse", "file", 1 << 20, holes=((0, 65_536), (131_072, 65_536))), 3),
    (
        Entry(
            b"both",
            "file",
            200_000,
            attributes=((b"user.mime_type", b"application/x-raw-disk-image"),),
            holes=((100_000, 100_000),),
        ),
        1,
    ),
]
REFUSED = [
    '{"h":[0],"k":"file","p":"a","s":9}',
    '{"h":[0,1],"k":"directory","p":"a"}',
    '{"h":[0,0],"k":"file","p":"a","s":9}',
    '{"h":[0,4,4,1],"k":"file","p":"a","s":9}',
    '{"h":[5,5],"k":"file","p":"a","s":9}',
    '{"k":"hardlink","l":"b","p":"a","x":[["user.a",""]]}',
    '{"k":"file","p":"a","x":[["user.a","Y"]]}',
    '{"k":"file","p":"a","x":[["user.a",""],["user.a",""]]}',
    '{"k":"file","p":"a","x":[["user.b",""],["user.a",""]]}',
    '{"k":"file","p":"a","x":[["",""]]}',
]


def described(entry: Entry, chunks: int) -> dict[str, Any]:
    """Return an entry as hexadecimal text and numbers, without anything that is JSON's choice."""
    return {
        "line": encode_line(entry, entry.data_bytes, chunks).decode(),
        "path": entry.path.hex(),
        "kind": entry.kind,
        "size_bytes": entry.size_bytes,
        "data_bytes": entry.data_bytes,
        "mode": entry.mode,
        "modified_ns": entry.modified_ns,
        "owner": entry.owner,
        "group": entry.group,
        "link": entry.link.hex(),
        "attributes": [[name.hex(), value.hex()] for name, value in entry.attributes],
        "holes": [list(hole) for hole in entry.holes],
        "chunks": chunks,
    }


if __name__ == "__main__":
    vectors = {
        "format": "vault-v1",
        "lines": [described(entry, chunks) for entry, chunks in ENTRIES],
        "refused": REFUSED,
    }
    PATH.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")
