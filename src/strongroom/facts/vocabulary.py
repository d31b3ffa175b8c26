"""Every op there is. A new area is a file of ops and a line here."""

from collections.abc import Mapping
from itertools import chain
from typing import Final

from strongroom.facts import (
    backup,
    client,
    custodian,
    install,
    ledger,
    location,
    network,
    person,
    procedure,
    prune,
    reading,
    settings,
    source,
    vault,
)
from strongroom.facts.op import CONVERTED, FactRefused, Op

AREAS: Final = (
    install,
    settings,
    client,
    source,
    location,
    custodian,
    network,
    backup,
    reading,
    vault,
    prune,
    ledger,
    person,
    procedure,
)
OPS: Final = tuple(chain.from_iterable(area.OPS for area in AREAS))
_NEWEST: Final[Mapping[str, Op]] = {op.name: op for op in sorted(OPS, key=lambda op: op.version)}
_FIRST: Final[Mapping[str, Op]] = {op.name: op for op in OPS if op.version == 1}
_KNOWN: Final[Mapping[tuple[str, int], Op]] = {
    **{(op.name, op.version): op for op in OPS},
    **{(op.name, CONVERTED): op for op in _FIRST.values()},
}


def newest(name: str) -> Op:
    """Return the op of this name with the body that is written today."""
    found = _NEWEST.get(name)
    if found is None:
        raise FactRefused(f"there is no fact {name!a:.60}", "the vocabulary is closed")
    return found


def known(name: str, version: int) -> Op:
    """Return the op of this name with the body of this version."""
    found = _KNOWN.get((name, version))
    if found is None:
        raise FactRefused(f"there is no fact {name!a:.60}", f"in a version {version}")
    return found
