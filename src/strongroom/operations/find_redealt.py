"""Finding at the locations what sessions were dealt anew with, where the home has no row of it.

An object counts once a threshold of the roster that it was dealt to has signed for it: a writer
alone could have made one that nobody opens. Who has signed for it is told with each.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.acceptance import check_signed_by_one_of
from strongroom.operations.deployment import Deployment
from strongroom.operations.find_snapshots import Ground
from strongroom.operations.placing import redeal_receipt_path, redealt_path
from strongroom.quorum import Acts, Dealing, LocalCustodian, Roster

Member = LocalCustodian.Wire.Member
_PLACE: Final = re.compile(r"([0-9]{8})/([0-9a-f]{32})")


def find_redealt(
    ground: Ground, client: Client, writers: Sequence[bytes]
) -> Iterator[History.Redeal]:
    """Yield every redealt keys object of a client that these writers have signed."""
    folder = f"{ground.deployment.install}/vaults/{client.vault}/redealt/"
    for path in ground.below(folder):
        place = _PLACE.fullmatch(path[len(folder) :])
        if place is None:
            continue
        # What is altered, or was dealt to a roster of nobody, is as if it were not there.
        with suppress(Damaged, ObjectMissing, LocationUnavailable):
            roster = ground.deployment.rosters.version(int(place[1]))
            yield read_redealt(ground.deployment, client, place[2], roster, writers)


def read_redealt(
    deployment: Deployment, client: Client, session: str, roster: Roster, writers: Sequence[bytes]
) -> History.Redeal:
    """Return what a session was dealt anew with to this roster, and who has signed for it.

    Raises ObjectMissing or Damaged where no location has one that these writers have signed.
    """
    path = redealt_path(deployment.install, client.vault, roster.version, session)
    keys = _read(deployment, path, session, roster, writers)
    signed = frozenset(_signers(deployment, client, keys, roster))
    return History.Redeal(session, roster.version, keys.statement.hash.hex(), None, signed)


def _read(
    deployment: Deployment, path: str, session: str, roster: Roster, writers: Sequence[bytes]
) -> Envelope:
    def accept(data: bytes) -> None:
        statement = decode_envelope(data, path).statement
        label = Dealing.parse(statement).label
        if (label.session, label.roster_id) != (session, roster.id):
            raise Damaged(f"{path} was dealt anew to another place", "it was moved there")
        check_signed_by_one_of(statement, writers, path)

    return decode_envelope(deployment.copies.get(path, accept), path)


def _signers(
    deployment: Deployment, client: Client, keys: Envelope, roster: Roster
) -> Iterator[int]:
    """Yield the indices of those whose receipts for this very object lie at a location."""
    dealing = Dealing.parse(keys.statement)
    session = dealing.label.session
    for member in roster.members:
        path = redeal_receipt_path(
            deployment.install, client.vault, roster.version, session, member.id
        )

        def accept(data: bytes, path: str = path, member: Member = member) -> None:
            Acts.Redealing.check_receipt(decode_envelope(data, path), member, dealing)

        with suppress(Damaged, ObjectMissing, LocationUnavailable):
            deployment.copies.get(path, accept)
            yield member.index
