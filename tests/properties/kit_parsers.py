"""Every parser of kits and the entries of their key tables; `parsers` holds them in its table.

An entry is sealed anew around the mutated bytes, under a key that the reader holds.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from strongroom.crypto import public_sealing, signing
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import seal
from strongroom.ids import ClientId, CustodianId, InstallId, VaultId
from strongroom.quorum.key_table import (
    ClientEntry,
    ClientPin,
    FormerKey,
    IdentityEntry,
    PinnedWriter,
)
from strongroom.quorum.kit import MAGIC, EntryPlace, Kit
from strongroom.quorum.roster import Member
from tests.properties.mutations import text_of
from tests.quorum.world import START

SEED = b"\x09" * 32
PUBLIC = signing.public_key(SEED)
KEY = b"\x02" * 32
SALT = b"\x07" * 16
PLACE = EntryPlace(InstallId("11" * 16), CustodianId("44" * 16), "identity-00000001")
CLIENT_PLACE = replace(PLACE, name=f"{'22' * 16}-00000003")
IDENTITY = IdentityEntry(
    PLACE.install, Member(1, PLACE.custodian, "anna", PUBLIC), "2" * 64, SEED, START
)
CLIENT = ClientEntry(
    ClientPin(
        ClientId("22" * 16),
        VaultId("33" * 16),
        "normal",
        3,
        public_sealing.public_key(SEED),
        START,
        (PinnedWriter(PUBLIC), PinnedWriter(signing.public_key(KEY), 7)),
        (1, 2),
    ),
    SEED,
    (FormerKey(1, KEY), FormerKey(2, bytes(32))),
)


def kit_parsers() -> dict[str, tuple[bytes, Callable[[bytes], object], bool]]:
    """Return valid bytes, what reads them, and whether they are JSON, by `module:name`."""
    return {
        "quorum.key_table:IdentityEntry.parse": (
            _json(IDENTITY.to_json()),
            lambda data: IdentityEntry.parse(_opened(PLACE, data), PLACE),
            True,
        ),
        "quorum.key_table:ClientEntry.parse": (
            _json(CLIENT.to_json(PLACE.install, PLACE.custodian)),
            lambda data: ClientEntry.parse(_opened(CLIENT_PLACE, data), CLIENT_PLACE),
            True,
        ),
        "quorum.kit:EntryPlace.parse": (
            PLACE.path.encode(),
            lambda data: EntryPlace.parse(text_of(data)),
            False,
        ),
        "quorum.kit:EntryPlace.open": (
            PLACE.seal(KEY, IDENTITY.to_json(), lambda size: SALT[:size]),
            lambda data: PLACE.open(KEY, data),
            False,
        ),
        "quorum.kit:Kit.from_words": (
            " ".join(Kit(SEED).words).encode(),
            lambda data: Kit.from_words(text_of(data)),
            False,
        ),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _opened(place: EntryPlace, data: bytes) -> Any:
    context = frame(
        bytes.fromhex(place.install), bytes.fromhex(place.custodian), place.name.encode()
    )
    return place.open(KEY, MAGIC + SALT + seal(KEY, "kit-entry", SALT, context, data))
