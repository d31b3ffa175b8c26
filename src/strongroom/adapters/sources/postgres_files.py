"""The files of a dump in directory format: their names, and one digest over all of them."""

import re
from collections.abc import Iterator
from typing import Final

from strongroom.adapters.sources.errors import printable
from strongroom.adapters.sources.restore_facts import Facts
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged, Refused
from strongroom.vault import Entry

ROLES_FILE: Final = b"roles.sql"
_NAMES: Final = re.compile(
    rb"toc\.dat|roles\.sql|\d{1,10}\.dat|blobs(_\d{1,10})?\.toc|blob_\d{1,10}\.dat"
)


class DumpDigest:
    """The digest of a dump, whatever the order in which its files are read."""

    def __init__(self) -> None:
        self._files: dict[bytes, str] = {}

    def of(self, name: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass a file's blocks on; it counts when it was read to its end."""
        digest = Digest()
        for block in blocks:
            digest.update(block)
            yield block
        # The folder itself has no bytes, and no file without a name is in a dump.
        if name:
            self._files[name] = digest.hex()

    @property
    def text(self) -> str:
        """BLAKE3 over names and digests, sorted by name, as 64 hexadecimal digits."""
        total = Digest()
        for name, digest in sorted(self._files.items()):
            total.update(frame(name, digest.encode()))
        return total.hex()

    def check(self, facts: Facts) -> None:
        """Raise Damaged where these are not the files that the facts are about."""
        if facts.get("dump_blake3") != self.text:
            raise Damaged(
                "the restored dump is not what was backed up",
                "its files differ from the facts recorded at the backup",
            )


def check_dump_entry(entry: Entry) -> None:
    """Refuse what is neither the folder nor a file that pg_dump makes."""
    if entry.kind == "directory" and not entry.path:
        return
    if entry.kind != "file" or not _NAMES.fullmatch(entry.path):
        raise Refused(
            f"{printable(entry.path)} is refused",
            "no dump of PostgreSQL holds it",
            "Whoever made this snapshot is hostile, or its writer is broken.",
        )
