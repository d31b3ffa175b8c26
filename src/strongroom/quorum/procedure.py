"""Procedures: the closed list of what is asked for by one person and approved by others.

A procedure's parameters are ids, hashes, bounded numbers, instants and words of ours, each in one
form: nothing that somebody approves is free text, so nothing can mean two things. What a person
reads beside them, names and places, is the plan, whose digest is approved with them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from strongroom.clock import format_instant
from strongroom.quorum.client_key import SERIAL_MAX
from strongroom.quorum.fields import Fields
from strongroom.quorum.header import SESSIONS_MAX
from strongroom.quorum.shares import COUNT_MAX

SNAPSHOTS_MAX: Final = 10_000

Value = str | int
Scope = Literal["snapshot", "client", "install"]
"""What a request names beside its parameters: a client's snapshot, a client, or neither."""


class Procedure(StrEnum):
    """What may be asked for; there is nothing else."""

    RESTORE = "restore"
    BROWSE = "browse"
    PRUNE_BELOW_FLOOR = "prune-below-floor"
    LOCATION_REMOVAL = "location-removal"
    CUSTODIAN_ENROL = "custodian-enrol"
    CUSTODIAN_ROTATE = "custodian-rotate"
    CUSTODIAN_REDEAL = "custodian-redeal"
    CLIENT_ERASURE = "client-erasure"
    POLICY_CHANGE = "policy-change"
    DRILL_AUTHORISATION = "drill-authorisation"
    RECOVERY = "recovery"

    @property
    def scope(self) -> Scope:
        """Return what a request for it names."""
        return _FORMS[self].scope

    @property
    def by_custodians(self) -> bool:
        """Return whether custodians judge it, each counting its delay; else the home does alone."""
        return self not in _AT_HOME

    def parse(self, raw: object) -> dict[str, Value]:
        """Return the parameters, each in its one form; raises Damaged naming the procedure."""
        fields = Fields(raw, f"the parameters of {self}")
        form = _FORMS[self]
        params = {name: take(fields, name) for name, take in form.params.items()}
        params |= {
            name: take(fields, name) for name, take in form.optional.items() if fields.has(name)
        }
        fields.done()
        return params


Take = Callable[[Fields, str], Value]
"""Takes one parameter from what was given."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a request for a procedure holds."""

    scope: Scope
    params: Mapping[str, Take] = field(default_factory=dict)
    optional: Mapping[str, Take] = field(default_factory=dict)
    """Parameters that may be left out."""


def _number(least: int, most: int) -> Take:
    return lambda fields, name: fields.number(name, least, most)


def _choice(*words: str) -> Take:
    return lambda fields, name: fields.choice(name, *words)


def _instant(fields: Fields, name: str) -> str:
    return format_instant(fields.instant(name))


_AT_HOME: Final = frozenset({Procedure.PRUNE_BELOW_FLOOR, Procedure.LOCATION_REMOVAL})
"""What custodians have no part in: they keep pieces of keys, and neither data nor locations."""
_FORMS: Final[Mapping[Procedure, _Form]] = {
    Procedure.RESTORE: _Form(
        "snapshot", {"target": _choice("folder", "file", "database", "command")}
    ),
    Procedure.BROWSE: _Form("snapshot"),
    Procedure.PRUNE_BELOW_FLOOR: _Form("client", {"stay": _number(0, SNAPSHOTS_MAX)}),
    Procedure.LOCATION_REMOVAL: _Form("install", {"location": Fields.id}),
    Procedure.CUSTODIAN_ENROL: _Form(
        "install",
        {"index": _number(1, COUNT_MAX), "identity": Fields.hash},
        # The form came before it; a custodian follows no roster that a request does not name.
        {"roster": Fields.hash},
    ),
    Procedure.CUSTODIAN_ROTATE: _Form(
        "client", {"custodian": Fields.id}, {"drop_to": _number(1, SERIAL_MAX)}
    ),
    Procedure.CUSTODIAN_REDEAL: _Form(
        "install", {"custodian": Fields.id, "roster": Fields.hash}, {"recipient": Fields.hash}
    ),
    Procedure.CLIENT_ERASURE: _Form("client"),
    Procedure.POLICY_CHANGE: _Form(
        "install", {"policy": Fields.hash, "version": _number(2, SERIAL_MAX)}
    ),
    Procedure.DRILL_AUTHORISATION: _Form(
        "client", {"sessions_a_day": _number(1, SESSIONS_MAX), "until": _instant}
    ),
    Procedure.RECOVERY: _Form("snapshot", {"origin": Fields.hash}),
}
"""`origin` is SHA-256 of the new ledger origin, `identity` an Ed25519 key, `recipient` SHA-256 of
an X-Wing key, the others ids and hashes of objects."""
