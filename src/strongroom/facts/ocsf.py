"""Facts as events of OCSF 1.8.0, for whoever collects the events of many systems.

A copy for reading and no proof: `raw_data` is the leaf as the log has it, and `unmapped.ledger`
says which log, which leaf and which hash, so that the proof can be asked for. Private values stay
commitments. A test validates an event of every op with the published schema.
"""

from dataclasses import dataclass
from typing import Final

from strongroom.facts.fact import Fact
from strongroom.facts.op import Activity

OCSF_VERSION: Final = "1.8.0"
_NAME: Final = "Strongroom"
_FINDING: Final = 2004
_ENTITY: Final = 3004
_API: Final = 6003
_DATASTORE: Final = 6005
_CLASS_NAMES: Final = {
    _FINDING: "Detection Finding",
    _ENTITY: "Entity Management",
    _API: "API Activity",
    _DATASTORE: "Datastore Activity",
}
CLASSES: Final = {
    **dict.fromkeys(
        (
            "client",
            "custodian",
            "install",
            "kit",
            "location",
            "log",
            "person",
            "policy",
            "request",
            "roster",
            "settings",
        ),
        _ENTITY,
    ),
    **dict.fromkeys(("source", "writer", "writers"), _ENTITY),
    **dict.fromkeys(("browse", "diff"), _DATASTORE),
    **dict.fromkeys(("backup", "keys", "ledger", "network", "prune", "restore", "share"), _API),
    **dict.fromkeys(("procedure", "recovery", "session", "shares", "snapshot", "vault"), _API),
}
"""The class of each area, the first word of an op; what was detected is a finding in any area."""
_USUAL: Final[dict[Activity, int]] = {"create": 1, "read": 2, "update": 3, "delete": 4, "detect": 1}
_OF_DATA: Final[dict[Activity, int]] = {**_USUAL, "create": 6, "read": 1, "update": 2, "delete": 7}
_INFORMATIONAL, _MEDIUM, _HIGH = 1, 3, 4
_SUCCESS, _FAILURE, _OTHER = 1, 2, 99
_USER_TYPES: Final = {"human": 1, "service": 4, "custodian": 4}


@dataclass(frozen=True, slots=True)
class LeafPlace:
    """Which leaf of which log a fact is; `cursor` is where to go on reading after it."""

    origin: str
    number: int
    leaf_hash: bytes
    cursor: int


def ocsf_event(fact: Fact, place: LeafPlace) -> dict[str, object]:
    """Return the event for a fact, ready to be written as one line of JSON."""
    activity = fact.schema.activity
    class_uid = _FINDING if activity == "detect" else CLASSES[fact.op.partition(".")[0]]
    activity_id = (_OF_DATA if class_uid == _DATASTORE else _USUAL)[activity]
    return {
        "time": _milliseconds(fact),
        "class_uid": class_uid,
        "class_name": _CLASS_NAMES[class_uid],
        "category_uid": class_uid // 1000,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "severity_id": _severity(fact),
        **_status(fact),
        "message": fact.schema.about,
        "metadata": _metadata(fact, place),
        **_actor(fact),
        **_object(fact, class_uid),
        "raw_data": fact.encode().decode(),
        "unmapped": {
            "ledger": {
                "origin": place.origin,
                "leaf": place.number,
                "leaf_hash": place.leaf_hash.hex(),
                "cursor": place.cursor,
            },
            "op": fact.op,
            "phase": fact.phase,
        },
    }


def _milliseconds(fact: Fact) -> int:
    return int(fact.at.timestamp() * 1000)


def _severity(fact: Fact) -> int:
    if fact.schema.activity == "detect":
        return _HIGH
    return _INFORMATIONAL if fact.out == "ok" else _MEDIUM


def _status(fact: Fact) -> dict[str, object]:
    if fact.schema.activity == "detect":
        return {"status_id": 1, "status": "New"}
    if fact.phase == "intent":
        return {"status_id": _OTHER, "status": "announced"}
    if fact.out == "ok":
        return {"status_id": _SUCCESS, "status": "Success"}
    return {"status_id": _FAILURE, "status": "Failure", "status_code": fact.why}


def _metadata(fact: Fact, place: LeafPlace) -> dict[str, object]:
    product = {"name": _NAME, "vendor_name": _NAME}
    told = {"correlation_uid": fact.run, "tenant_uid": fact.client}
    return {
        "version": OCSF_VERSION,
        "product": {**product, "version": fact.version} if fact.version else product,
        "uid": fact.id,
        "event_code": fact.op,
        "log_name": place.origin,
        "sequence": place.number,
        **{name: value for name, value in told.items() if value},
    }


def _actor(fact: Fact) -> dict[str, object]:
    if fact.schema.activity == "detect":
        return {}
    user: dict[str, object] = {"uid": fact.who.id, "type_id": _USER_TYPES[fact.who.kind]}
    return {"actor": {"user": user}, "src_endpoint": {"uid": fact.node or "unknown"}}


def _object(fact: Fact, class_uid: int) -> dict[str, object]:
    kind = fact.schema.subject[0]
    uid = fact.subject or fact.client or "unknown"
    if class_uid == _FINDING:
        title = fact.schema.about
        found: dict[str, object] = {"finding_info": {"uid": fact.id, "title": title}}
        found["resources"] = [{"uid": uid, "type": kind}]
        return found
    if class_uid == _ENTITY:
        return {"entity": {"uid": uid, "type": kind, "type_id": _OTHER}}
    if class_uid == _DATASTORE:
        return {"databucket": {"uid": uid, "type": "vault", "type_id": _OTHER}}
    return {"api": {"operation": fact.op}, "resources": [{"uid": uid, "type": kind}]}
