"""Keys in pieces: dealing, custodians, receipts, release and recovery kits (share-v1).

A session's keys are drawn, split t-of-n, sealed to the custodians and forgotten; what comes back
goes through a journalled release of one snapshot. The arithmetic, the checks and the decisions are
pure; only `store` and `custodian` touch a database. Normative pages: docs/formats/share-v1.md and
procedure-v1.md.
"""

from strongroom.quorum.acts import Acts
from strongroom.quorum.custodian import LocalCustodian
from strongroom.quorum.dealing import Dealing
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.opening import Opening
from strongroom.quorum.protocol import Custodian
from strongroom.quorum.roster import Roster

__all__ = [
    "Acts",
    "Custodian",
    "Dealing",
    "LocalCustodian",
    "Opening",
    "Roster",
    "SnapshotHeader",
]
