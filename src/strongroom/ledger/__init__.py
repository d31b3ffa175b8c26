"""The ledger: logs of facts that nobody can rewrite unseen (ledger-v1).

A log is the Merkle tree of RFC 6962 in the forms of C2SP: tiles, signed checkpoints, cosignatures,
proofs, a policy of trust. The arithmetic, the texts and what refuses them are pure. What is private
lies beside the logs, where it can be erased. Normative page: docs/formats/ledger-v1.md.
"""

from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.disclosures import Disclosures
from strongroom.ledger.log import Log
from strongroom.ledger.policy import Policy
from strongroom.ledger.proof import Proof
from strongroom.ledger.search import Search
from strongroom.ledger.witness import Witness

__all__ = [
    "Checkpoint",
    "Disclosures",
    "Log",
    "Policy",
    "Proof",
    "Search",
    "Witness",
]
