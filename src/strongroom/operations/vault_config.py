"""The config of a vault: what it is, and which features a program must know to touch it.

A program that does not know a feature refuses the operations it concerns, so that a vault with
parity or deletions is never written, pruned or misread by a version from before them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from strongroom.clients import Client, History
from strongroom.clock import format_instant
from strongroom.crypto.envelope import Statement, decode_envelope, sign_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.locations import ObjectMissing
from strongroom.operations.deployment import Deployment
from strongroom.placement import Parity
from strongroom.quorum import SnapshotHeader
from strongroom.vault import WorkerKeys

KIND: Final = "config"
FORMAT: Final = "vault-v1"
PARITY: Final = "parity"
DELETION: Final = "deletion"
"""The feature of a vault with tombstones: holes in its chains are explained there."""
KNOWN_FEATURES: Final = frozenset({PARITY, DELETION})
OPERATIONS: Final = ("read", "write", "check", "prune")
FEATURES_MAX: Final = 100
_PLACE: Final = ("format", "client", "vault", "class", "generation")
_FIELDS: Final = frozenset(
    (*_PLACE, "install", "writer", "created_at", "copies", "parity", "features")
)
_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{8})")

Operation = Literal["read", "write", "check", "prune"]


class NewerVault(StrongroomError):
    """The vault uses a feature that this Strongroom does not know."""

    code = "newer_vault"
    hint = "Update this installation; nothing was changed."


def place_config(
    deployment: Deployment, client: Client, keys: WorkerKeys, feature: str | None = None
) -> None:
    """Put the vault's config, signed by this writer, at the locations.

    With a feature, programs that do not know it may only read. Its bytes are the same each time,
    so that an interrupted run can be done again.
    """
    config = sign_envelope(
        keys.writer_seed,
        KIND,
        {
            "format": FORMAT,
            "install": deployment.install,
            "client": client.id,
            "vault": client.vault,
            "class": client.vault_class,
            "generation": 0,
            "writer": keys.writer_id,
            "created_at": format_instant(client.created_at),
            **_copies(client),
            "features": {
                operation: sorted(
                    ({PARITY} if client.parity else set())
                    | ({feature} if feature and operation != "read" else set())
                )
                for operation in OPERATIONS
            },
        },
    )
    key = f"{_folder(deployment, client)}/{keys.writer_id}-{0:08d}"
    deployment.copies.put(key, config.encode())


def _copies(client: Client) -> dict[str, object]:
    if client.parity is None:
        return {"copies": "full", "parity": None}
    return {"copies": "parity", "parity": client.parity.encode()}


def check_config(
    deployment: Deployment, client: Client, history: History, operation: Operation
) -> None:
    """Read the newest config and raise NewerVault when the operation needs what we do not know.

    Raises Damaged when none is there that a current writer of this client signed, unless the
    operation only reads: what can still be read is never refused for want of a label.
    """
    writers = _current_writers(history)
    if not writers:
        # A rebuilt home has no writer yet; its first backup enrols one, with a config.
        return
    try:
        fields = _newest(deployment, client, writers)
    except Damaged:
        if operation == "read":
            return
        raise
    unknown = set(fields["features"][operation]) - KNOWN_FEATURES
    if unknown:
        raise NewerVault(
            f"the vault of {client.name} uses what this Strongroom does not know",
            f"to {operation} it one must know: {', '.join(sorted(unknown))[:200]}",
        )
    if operation != "read" and _parity_of(fields) != client.parity:
        raise Damaged(
            f"the config of {client.name} names another parity than this home",
            "parity is chosen when the vault is made and never changed in place",
            "Recover from the locations into a new home, or look for who wrote the config.",
        )


def require_feature(
    deployment: Deployment, client: Client, history: History, keys: WorkerKeys, feature: str
) -> None:
    """Place a config that lets programs which do not know the feature only read.

    Everything else it says is what the newest one says. A second time changes nothing.
    """
    fields = _newest(deployment, client, _current_writers(history))
    features = fields["features"]
    wanted = {
        operation: listed if operation == "read" else sorted({*listed, feature})
        for operation, listed in features.items()
    }
    if wanted == features:
        return
    generation = fields["generation"] + 1
    config = sign_envelope(
        keys.writer_seed,
        KIND,
        {**fields, "generation": generation, "writer": keys.writer_id, "features": wanted},
    )
    key = f"{_folder(deployment, client)}/{keys.writer_id}-{generation:08d}"
    deployment.copies.put(key, config.encode())


def _current_writers(history: History) -> dict[str, bytes]:
    return {
        str(SnapshotHeader.writer_id(key)): key
        for key, revoked_after in history.writers()
        if revoked_after is None
    }


def find_parity(deployment: Deployment, client: Client, writers: Iterable[bytes]) -> Parity | None:
    """Return the parity that the newest config by one of these writers names.

    Raises Damaged where there is no such config.
    """
    keys = {str(SnapshotHeader.writer_id(key)): key for key in writers}
    return _parity_of(_newest(deployment, client, keys))


def _parity_of(fields: Mapping[str, Any]) -> Parity | None:
    return None if fields["parity"] is None else Parity.parse(fields["parity"])


def _newest(deployment: Deployment, client: Client, writers: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the newest that verifies: anyone can plant a name, only the writer its signature."""
    found: list[tuple[int, str, bytes]] = []
    for key in deployment.copies.list(_folder(deployment, client)):
        name = _NAME.fullmatch(key.rpartition("/")[2])
        if name is not None and name[1] in writers:
            found.append((int(name[2]), key, writers[name[1]]))
    failure: Damaged | None = None
    for generation, key, writer in sorted(found, reverse=True):

        def accept(
            data: bytes, key: str = key, writer: bytes = writer, generation: int = generation
        ) -> None:
            statement = decode_envelope(data, key).statement
            statement.verify(writer, key)
            _check_fields(client, statement, generation)

        try:
            data = deployment.copies.get(key, accept)
        except Damaged as err:
            failure = err
        except ObjectMissing:
            # A listing may name what is gone; the next one counts.
            continue
        else:
            return decode_envelope(data, key).statement.fields(KIND)
    raise failure or Damaged(
        f"the vault of {client.name} has no config at any location",
        "it was removed, or these are not its locations",
    )


def _check_fields(client: Client, statement: Statement, generation: int) -> None:
    fields = statement.fields(KIND)
    features = fields.get("features")
    wanted = (FORMAT, client.id, client.vault, client.vault_class, generation)
    if set(fields) != _FIELDS or tuple(fields[place] for place in _PLACE) != wanted:
        raise Damaged(f"the config of {client.name} is not that of its vault", "its fields differ")
    if not isinstance(features, dict) or set(features) != set(OPERATIONS):
        raise Damaged(f"the config of {client.name} is malformed", "its features cannot be read")
    if fields["copies"] != ("full" if _parity_of(fields) is None else PARITY):
        raise Damaged(f"the config of {client.name} is malformed", "its copies and parity differ")
    for listed in features.values():
        texts = isinstance(listed, list) and all(isinstance(one, str) for one in listed)
        if not texts or len(listed) > FEATURES_MAX:
            raise Damaged(f"the config of {client.name} is malformed", "its features are no lists")


def _folder(deployment: Deployment, client: Client) -> str:
    return f"{deployment.install}/vaults/{client.vault}/config"
