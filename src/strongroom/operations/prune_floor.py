"""Deleting below the floor: more than one person may delete at once, or of the newest snapshots.

It is asked for, approved, and waits (procedure `prune-below-floor`); the home alone holds it back.
Approved is which snapshots go. What was backed up since it was asked for stays, so the choice is
made again among those that were there then, and is the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from strongroom.clients import Client, History, Snapshot
from strongroom.clock import format_instant
from strongroom.crypto import canonical
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Refused
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import verified_header
from strongroom.operations.receipts import fetch_record
from strongroom.operations.requesting import Wish, find_open, permitted
from strongroom.procedures import Plan
from strongroom.quorum import Acts
from strongroom.vault import Vault

NAMED_MAX = 150
"""How many snapshots a plan names one by one; the digest in it is of all."""


class BeyondFloor(Refused):
    """The plan takes more than one person may delete at once."""

    code = "beyond_floor"


def sealed_floor(
    deployment: Deployment,
    client: Client,
    history: History,
    vault: Vault,
    snapshots: Sequence[Snapshot],
) -> int:
    """Return the floor of the policy under which the newest good snapshot was made."""
    good = [one for one in snapshots if one.state == "good"]
    if not good:
        return 0
    record = fetch_record(deployment, client, good[-1])
    header, writer = verified_header(history, record.statement)
    return vault.structure(record.body, writer, header.sequence).client.keep.get("floor", 0)


def beyond_floor(
    client: Client, inside: int, floor: int, found: "Vault.pruning.PrunePlan"
) -> BeyondFloor | None:
    """Return why a plan takes more than one person may delete at once; None where it does not.

    `inside` of the snapshots that go are among the newest good ones of this floor.
    """
    ask = f"`strongroom vault prune {client.name} --below-floor` asks whether it may be done."
    if inside:
        return BeyondFloor(
            f"the plan takes {inside} of the {floor} newest good snapshots of {client.name}",
            f"its keep policy was changed since the newest one, which keeps {floor}",
            hint=ask,
        )
    if found.too_much:
        return BeyondFloor(
            f"the plan takes more than half of what is stored of {client.name}",
            f"{found.doomed_bytes} bytes would go within one wait, {found.needed_bytes} are needed",
            hint="Take it in portions, the next when the last is deleted: --oldest NUMBER. Or "
            + ask,
        )
    return None


def known_when_asked(
    deployment: Deployment, client: Client, oldest: int | None, snapshots: Sequence[Snapshot]
) -> list[Snapshot]:
    """Return the snapshots that were there when this was asked for; all where it was not."""
    act = find_open(deployment, _order(client, oldest))
    return [one for one in snapshots if act is None or one.created_at <= act.asked_at]


@contextmanager
def permitted_below(
    deployment: Deployment,
    of: tuple[Client, History],
    oldest: int | None,
    goes: Sequence[Snapshot],
    stays: Sequence[Snapshot],
) -> Iterator[None]:
    """Ask to delete these snapshots, or go on with what was approved; raises Waiting until then."""
    client, _ = of
    good = sum(one.state == "good" for one in stays)
    digest = content_hash("".join(one.hash for one in goes).encode()).hex()
    plan = Plan.of(
        f"delete {len(goes)} snapshots of {client.name}; {good} good ones stay of those there now",
        f"digest of their ids: {digest}",
        *(f"{one.hash[:12]} of {format_instant(one.created_at)}" for one in goes[:NAMED_MAX]),
        *([f"and {len(goes) - NAMED_MAX} more"] if len(goes) > NAMED_MAX else []),
    )
    wish = Wish(Acts.Procedure.PRUNE_BELOW_FLOOR, {"stay": good}, plan, _order(client, oldest))
    with permitted(deployment, of, wish):
        yield


def _order(client: Client, oldest: int | None) -> str:
    return canonical.dumps(
        {"procedure": "prune-below-floor", "client": client.name, "oldest": oldest}
    ).decode()
