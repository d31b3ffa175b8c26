"""A fact and its bytes."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import Damaged
from strongroom.facts import Fact, Session, Who
from strongroom.facts.fact import FACT_BYTES_MAX, new_fact_id
from strongroom.facts.kinds import LIST_MAX
from strongroom.facts.op import FactRefused
from tests.support.telling import CLIENT, NOON, PERSON, session, told

HASH = "4" * 64
ROW = (7, "client.added", CLIENT, "operator", "2026-11-01T10:00:00.000000Z")


def backup(**body: Any) -> Fact:
    return session().fact("backup.written", CLIENT, **{"snapshot": HASH, "sessions": 2, **body})


hexes = st.text("0123456789abcdef", min_size=32, max_size=32)
facts = st.builds(
    lambda copied, at, behalf, sd: replace(
        session().fact("location.added", CLIENT, copied=copied), at=at, behalf=behalf, sd=sd
    ),
    st.integers(0, (1 << 53) - 1),
    st.integers(0, 1 << 47).map(lambda number: NOON + timedelta(microseconds=number)),
    st.just("") | hexes,
    st.dictionaries(st.sampled_from(["name", "url"]), st.builds("{}{}".format, hexes, hexes)),
)


@given(facts)
def test_bytes_are_those_of_rfc_8785_and_read_back(fact: Fact) -> None:
    data = fact.encode()
    assert data == rfc8785.dumps(json.loads(data))
    assert Fact.parse(data) == fact


@given(facts, st.data())
def test_other_bytes_are_no_fact_or_another_one(fact: Fact, data: st.DataObject) -> None:
    """No two lots of bytes are the same fact."""
    true = fact.encode()
    at = data.draw(st.integers(0, len(true) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != true[at]))
    try:
        other = Fact.parse(true[:at] + bytes([byte]) + true[at + 1 :])
    except Damaged:
        return
    assert other != fact


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw | {"more": 1},
        lambda raw: raw | {"v": True},
        lambda raw: raw | {"v": 2},
        lambda raw: raw | {"op": ["client.added"]},
        lambda raw: raw | {"op": "client.eaten"},
        lambda raw: raw | {"who": "ann"},
        lambda raw: raw | {"who": {"id": "ann@example.org", "kind": "human"}},
        lambda raw: raw | {"who": {**raw["who"], "name": "ann"}},
        lambda raw: raw | {"at": "2026-11-22T12:00:00Z"},
        lambda raw: raw | {"id": "0" * 32},
        lambda raw: raw | {"out": "denied"},
        lambda raw: raw | {"out": "ok", "why": "no_rule"},
        lambda raw: raw | {"phase": "result"},
        lambda raw: raw | {"ref": "0" * 32},
        lambda raw: raw | {"run": ""},
        lambda raw: raw | {"sd": {}},
        lambda raw: raw | {"sd": {"url": HASH}},
        lambda raw: raw | {"body": {**raw["body"], "url": "file:///data"}},
        lambda raw: raw | {"body": {**raw["body"], "sessions": 2.0}},
        lambda raw: raw | {"body": {**raw["body"], "sessions": 1 << 53}},
        lambda raw: raw | {"body": {"sessions": 2}},
        lambda raw: raw | {"body": []},
        lambda raw: raw | {"subject": "acme"},
        lambda raw: {name: one for name, one in raw.items() if name != "out"},
    ],
)
def test_what_the_schema_does_not_have_is_refused(change: Any) -> None:
    raw = json.loads(backup().encode())
    with pytest.raises(Damaged, match="a fact cannot be read"):
        Fact.parse(json.dumps(change(raw), sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"null", b"[" * 5_000, b"\xff", b" " * FACT_BYTES_MAX]
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        Fact.parse(data)


def test_the_same_text_in_another_form_is_refused() -> None:
    data = backup().encode()
    for other in (data + b"\n", json.dumps(json.loads(data)).encode(), data + b" " * 40_000):
        with pytest.raises(Damaged):
            Fact.parse(other)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"snapshot": "latest"}, "'snapshot' is no hash"),
        ({"sessions": True}, "'sessions' is no count"),
        ({"facts": ["the rows of table people"]}, "'facts' is no list"),
        ({"facts": [f"{CLIENT} {HASH}"] * (LIST_MAX + 1)}, "'facts' is no list"),
        ({"path": "/srv"}, "'path' is not one of its fields"),
    ],
)
def test_nothing_but_the_schema_can_be_told(body: dict[str, Any], field: str) -> None:
    with pytest.raises(FactRefused, match=field) as refused:
        backup(**body)
    assert str(body[next(iter(body))]) not in str(refused.value), "it may be a secret"


def test_the_largest_list_fits_a_leaf() -> None:
    data = backup(facts=[f"{CLIENT} {HASH}"] * LIST_MAX).encode()
    assert len(data) <= FACT_BYTES_MAX


def test_a_fact_that_is_too_large_for_a_leaf_is_refused() -> None:
    fact = session().fact("location.added", CLIENT)
    large = replace(fact, sd={"name": HASH, "url": HASH})
    object.__setattr__(large, "sd", {f"f{number}": HASH for number in range(500)})
    with pytest.raises(FactRefused, match=r"it has \d+ bytes"):
        large.encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "0" * 32),
        ("who", Who("ann@example.org", "human")),
        ("who", Who("0" * 32, "robot")),  # type: ignore[arg-type]  # a kind that is none
        ("phase", "promise"),
        ("out", "perhaps"),
        ("why", "Ann said so"),
        ("client", "acme"),
        ("behalf", "ann"),
        ("run", "1"),
        ("node", "host.example.org"),
        ("version", "1.0 on host"),
        ("sd", {"name": "ann"}),
        ("v", True),
    ],
)
def test_no_field_takes_another_form(field: str, value: Any) -> None:
    with pytest.raises(FactRefused):
        replace(session().fact("location.added", CLIENT), **{field: value})


def test_a_field_that_is_none_is_left_out() -> None:
    assert "facts" not in backup(facts=None).body


def test_ids_are_uuids_that_sort_by_time() -> None:
    begins = f"{int(NOON.timestamp()) * 1000:012x}"
    ids = [new_fact_id(NOON + timedelta(milliseconds=step), bytes) for step in range(9)]
    assert ids == sorted(ids)
    assert ids[0] == begins + "7000" + "8000" + "0" * 12
    assert new_fact_id(NOON, lambda n: b"\xff" * n) == begins + "7fffbfff" + "f" * 12


def test_intent_and_result_are_tied() -> None:
    intent = session().intent("restore.done", CLIENT, snapshot=HASH)
    failed = session().result(intent, "error", "no_location", snapshot=HASH)
    done = session().result(intent, snapshot=HASH, sources=1, chosen=0)
    assert [one.phase for one in (intent, failed, done)] == ["intent", "result", "result"]
    assert [one.ref for one in (intent, failed, done)] == ["", intent.id, intent.id]
    assert len({intent.id, failed.id, done.id}) == 3
    assert (done.client, done.subject, done.op) == (CLIENT, CLIENT, "restore.done")
    assert all(Fact.parse(one.encode()) == one for one in (intent, failed, done))
    with pytest.raises(FactRefused, match="'sources' is missing"):
        session().result(intent, snapshot=HASH)
    with pytest.raises(FactRefused, match="'more' is not one of its fields"):
        session().intent("restore.done", CLIENT, more=1)


@pytest.mark.parametrize("why", ["", "Not a code", "ann@example.org"])
@pytest.mark.parametrize("out", ["denied", "error"])
def test_what_went_wrong_has_a_code_that_says_why(out: Any, why: str) -> None:
    intent = session().intent("restore.done", CLIENT)
    with pytest.raises(FactRefused):
        session().result(intent, out, why)


def test_the_author_is_the_session() -> None:
    base = session()
    told = Session(PERSON, base.run, base.node, base.clock, base.token, "f" * 32).fact(
        "kit.confirmed", CLIENT
    )
    assert (told.who, told.run, told.node, told.behalf) == (PERSON, "a" * 32, "b" * 32, "f" * 32)
    assert told.client == "", "a custodian is no client"
    with pytest.raises(FactRefused, match=r"there is no fact 'kit\.eaten'"):
        base.fact("kit.eaten", CLIENT)


def row(body: object, at: int = 7) -> Fact:
    return Fact.of_row(at, *ROW[1:], json.dumps(body))


def test_a_row_from_before_facts_were_closed_becomes_one() -> None:
    old = row({"vault": "2" * 32, "vault_class": "high", "parity": None, "url": "file:///srv"})
    assert old.body == {"vault": "2" * 32, "vault_class": "high"}
    assert (old.v, old.who, old.client) == (0, Who("operator", "human"), CLIENT)
    assert Fact.parse(old.encode()) == old
    again = row({"vault": "2" * 32, "vault_class": "high"})
    assert again.id == old.id, "the same row is the same fact"
    assert row({}, 8).id != old.id


def test_a_row_names_no_location_and_keeps_its_custodian() -> None:
    at = ROW[4]
    named = Fact.of_row(1, "location.added", "offsite", "operator", at, '{"url":"s3://b"}')
    assert (named.subject, dict(named.body)) == ("", {})
    own = Fact.of_row(1, "kit.confirmed", CLIENT, "c" * 32, at, "{}")
    assert own.who == Who("c" * 32, "custodian")


@pytest.mark.parametrize("body", ["", "[]", "{", '{"op":1}', "\ud800"])
def test_a_row_that_holds_no_object_is_damaged(body: str) -> None:
    with pytest.raises(Damaged, match="a fact cannot be read"):
        Fact.of_row(*ROW, body)


def test_a_row_of_today_is_its_bytes() -> None:
    fact = told()
    assert Fact.of_row(1, "x", "x", "x", "x", fact.encode().decode()) == fact
