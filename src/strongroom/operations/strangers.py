"""Writers that nobody here knows, and that a custodian which is not here may know.

A recovery learns the writers that its kits have pinned. A home that other kits had recovered may
have written meanwhile, under a writer that only their custodians know. As long as one of them is
not here, nobody can tell what such a writer signed from what somebody planted: it is not called
forged, and what it may need is not taken for orphans. A recovery with all kits knows.
"""

import re
from collections.abc import Iterable
from typing import Final

from strongroom.operations.deployment import Deployment
from strongroom.quorum import SnapshotHeader

WHO_MAY_KNOW: Final = (
    "a custodian that is not here may know who signed it: bring it back, or recover with all kits"
)
_NAMES_WRITER: Final = re.compile(
    r"(?:.*/)?(?:config|receipts|snapshots|tombs)/([0-9a-f]{32})[-/][0-9]{8}(?:/[0-9a-f]{32})?"
)


def strangers(
    deployment: Deployment, writers: Iterable[bytes], keys: Iterable[str]
) -> frozenset[str]:
    """Return the ids of the writers that keys of a vault name and that are none of these.

    With all custodians here there are none: then a writer that is unknown is nobody's of ours. A
    writer places its config before all else, so nothing of it is there without its name.
    """
    if not deployment.absent_custodians:
        return frozenset()
    named = {match[1] for key in keys if (match := _NAMES_WRITER.fullmatch(key))}
    return frozenset(named.difference(str(SnapshotHeader.writer_id(one)) for one in writers))
