"""Every fact becomes an event that the published schema of OCSF 1.8.0 accepts."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from strongroom.facts.fact import AuthorKind, Fact, Outcome, Phase, Who
from strongroom.facts.ocsf import CLASSES, OCSF_VERSION, LeafPlace, ocsf_event
from strongroom.facts.op import CONVERTED
from strongroom.facts.vocabulary import OPS

NOW = datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC)
PLACE = LeafPlace("00.ledger.invalid/11", 7, bytes(range(32)), 8)
ID = "019aadcd12347abc8abc0123456789ab"
NAMES = sorted({op.name for op in OPS})


@cache
def schemas() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))


@cache
def validator(class_uid: int) -> Draft202012Validator:
    name = schemas().lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schemas().get_class_schema(name))


def problems(event: dict[str, Any]) -> list[str]:
    found = validator(event["class_uid"]).iter_errors(event)
    return [f"{error.json_path}: {error.message}" for error in found]


def fact(
    op: str,
    kind: AuthorKind = "human",
    phase: Phase = "note",
    out: Outcome = "ok",
    node: str = "",
) -> Fact:
    """Return a fact of an op without its body, as old rows may be."""
    ref, why = ("0" * 32 if phase == "result" else ""), ("" if out == "ok" else "refused")
    who = Who("ab" * 16, kind)
    common = {"v": CONVERTED, "phase": phase, "ref": ref, "out": out, "why": why, "node": node}
    return Fact(op, "", who, NOW, {}, ID, **common)  # type: ignore[arg-type]  # one dict for many


@pytest.mark.parametrize("op", NAMES)
def test_schema_accepts_the_event_of_every_op(op: str) -> None:
    assert problems(ocsf_event(fact(op), PLACE)) == []
    denied = fact(op, "custodian", "result", "denied", "cd" * 16)
    assert problems(ocsf_event(denied, PLACE)) == []
    assert problems(ocsf_event(fact(op, "service", "intent"), PLACE)) == []


@pytest.mark.parametrize("gone", ["actor", "metadata", "type_uid", "api"])
def test_schema_refuses_an_event_without_what_it_needs(gone: str) -> None:
    event = ocsf_event(fact("keys.opened"), PLACE)
    del event[gone]
    assert problems(event) != []


def test_event_leads_back_to_its_leaf() -> None:
    one = fact("keys.opened")
    event: dict[str, Any] = ocsf_event(one, PLACE)
    assert event["raw_data"].encode() == one.encode()
    assert event["unmapped"]["ledger"] == {
        "origin": PLACE.origin,
        "leaf": 7,
        "leaf_hash": PLACE.leaf_hash.hex(),
        "cursor": 8,
    }
    assert (event["time"], event["type_uid"]) == (1_763_859_723_456 + 31_536_000_000, 600302)


def test_status_tells_what_was_announced_done_and_denied() -> None:
    told = [
        ocsf_event(fact("restore.done", phase="intent"), PLACE),
        ocsf_event(fact("restore.done", phase="result"), PLACE),
        ocsf_event(fact("restore.done", phase="result", out="denied"), PLACE),
    ]
    assert [event["status"] for event in told] == ["announced", "Success", "Failure"]
    assert [event.get("status_code") for event in told] == [None, None, "refused"]
    assert [event["severity_id"] for event in told] == [1, 1, 3]


def test_every_area_has_a_class() -> None:
    assert {name.partition(".")[0] for name in NAMES} - CLASSES.keys() == set()
