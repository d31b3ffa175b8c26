"""A private value opens its own commitment and no other; without the salt no guess is tested."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import UsageError
from strongroom.ledger.disclosure import VALUE_BYTES_MAX, Disclosure, WrongDisclosure

FACT = "0193" + "ab" * 14
SALT = bytes(range(16))
FROZEN = json.loads(
    (Path(__file__).parents[1] / "vectors" / "disclosure-v1.json").read_text(encoding="utf-8")
)
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
fields = st.from_regex(r"[a-z][a-z0-9_.]{0,39}", fullmatch=True)
salts = st.binary(min_size=16, max_size=16)
texts = st.text(st.characters(codec="utf-8"), max_size=200)
disclosures = st.builds(Disclosure, ids, fields, salts, texts)


@pytest.mark.parametrize("case", FROZEN["commitments"], ids=lambda case: str(case["field"]))
def test_frozen_commitments(case: dict[str, str]) -> None:
    one = Disclosure(case["fact"], case["field"], bytes.fromhex(case["salt"]), case["value"])
    assert one.commitment == case["commitment"]
    one.check(case["commitment"])


def test_the_commitment_is_what_the_format_says() -> None:
    """Built here from the page alone, with nothing of the package."""

    def part(data: bytes) -> bytes:
        return len(data).to_bytes(4, "little") + data

    role = b"strongroom/ledger-v1/commitment"
    framed = b"".join(map(part, (role, bytes.fromhex(FACT), b"url", SALT, "gö".encode())))
    assert Disclosure(FACT, "url", SALT, "gö").commitment == hashlib.sha256(framed).hexdigest()


@given(disclosures, disclosures)
def test_two_disclosures_have_one_commitment_only_when_they_are_the_same(
    one: Disclosure, other: Disclosure
) -> None:
    assert (one.commitment == other.commitment) == (one == other)


@given(disclosures, st.sampled_from(("fact", "field", "salt", "value")), st.data())
def test_what_is_altered_is_refused(one: Disclosure, part: str, data: st.DataObject) -> None:
    kinds = {"fact": ids, "field": fields, "salt": salts, "value": texts}
    told = {name: getattr(one, name) for name in kinds}
    told[part] = data.draw(kinds[part].filter(lambda drawn: drawn != told[part]))
    with pytest.raises(WrongDisclosure, match="is not that of fact"):
        Disclosure(**told).check(one.commitment)


def test_a_guess_cannot_be_tested_without_the_salt() -> None:
    drawn = iter((SALT, SALT[::-1]))
    made = [Disclosure.draw(FACT, "url", "file:///a", lambda size: next(drawn)) for _ in range(2)]
    assert made[0].commitment != made[1].commitment
    assert hashlib.sha256(b"file:///a").hexdigest() not in {one.commitment for one in made}


@pytest.mark.parametrize(
    ("fact", "field", "salt", "value"),
    [
        ("short", "url", SALT, "a"),
        (FACT.upper(), "url", SALT, "a"),
        (FACT, "", SALT, "a"),
        (FACT, "Url", SALT, "a"),
        (FACT, "u" * 41, SALT, "a"),
        (FACT, "url", SALT[:-1], "a"),
        (FACT, "url", SALT, "a" * (VALUE_BYTES_MAX + 1)),
        (FACT, "url", SALT, "\udcff"),
    ],
)
def test_what_no_fact_has_is_refused(fact: str, field: str, salt: bytes, value: str) -> None:
    with pytest.raises(UsageError):
        Disclosure(fact, field, salt, value)


def test_the_largest_value_is_kept() -> None:
    assert len(Disclosure(FACT, "url", SALT, "a" * VALUE_BYTES_MAX).commitment) == 64
