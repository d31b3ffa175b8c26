"""What looks like a secret is not kept."""

import base64
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from strongroom.facts.kinds import Kind
from strongroom.facts.op import FactRefused
from strongroom.facts.scan import MASKED, SecretInFact, looks_like
from strongroom.facts.vocabulary import OPS
from tests.support.telling import CLIENT, session

SECRETS = {
    "postgresql://app:hunter2@db/shop": "url_password",
    "mysql://:x@h": "url_password",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl": "private_key",
    "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQ": "private_key",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2ln": "web_token",
    "AKIAIOSFODNN7EXAMPLE": "access_key",
    "ghp_abcdefghijklmnop": "access_key",
    "xoxb-123456789012": "access_key",
    "Authorization: Basic YW5uOnB3MTIz": "authorization",
    "curl -H 'bearer abcdefgh'": "authorization",
    "https://h/p?access_key=1": "named_secret",
    "PGPASSWORD=hunter2": "named_secret",
    "s3://b?X-Amz-Signature=ab": "named_secret",
    'command:["tool","--password","hunter2"]': "named_secret",
    "tool --token hunter2": "named_secret",
    'command:["mysqldump","-phunter2","shop"]': "named_secret",
    "4111 1111 1111 1111": "card_number",
    "4111-1111-1111-1111": "card_number",
    "q3Xr9KpZ2mVt7LbW5nHs": "random_text",
}
HARMLESS = [
    "",
    "postgresql://app@db.internal:5432/shop?sslmode=require",
    "postgresql://app@[::1]:5432/shop",
    "sqlite:////srv/shop/data.sqlite3",
    "/srv/backups/CustomerData2026-Archive-Final",
    "file:///srv/CopyOfEverythingThereIs2026",
    "s3://bucket/prefix?endpoint=http://127.0.0.1:8333",
    'command:["mysqldump","--single-transaction","shop"]',
    'command:["ssh","-p","22","host","dump"]',
    "/var/lib/secrets/token",
    "secret://shelf",
    "/data/2026-11-22T18-00-00Z-Backup",
    "4111 1111 1111 1112",
    "20261122180000123",
    "3f9a1c04" * 8,
    "Ann Example <ann@example.org>",
]


@pytest.mark.parametrize(("text", "code"), SECRETS.items())
def test_secrets_are_seen_wherever_they_stand(text: str, code: str) -> None:
    assert looks_like(text) == looks_like(f"backup of ({text}) at noon") == code


@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_name_things_is_left_alone(text: str) -> None:
    assert looks_like(text) == ""


@pytest.mark.parametrize("strength", [128, 256])
def test_words_of_a_kit_are_seen(strength: int) -> None:
    words = Mnemonic("english").to_mnemonic(random.Random(strength).randbytes(strength // 8))
    assert looks_like(words) == "kit_words"
    assert looks_like(words.upper()) == "", "nobody is shown them so"


def test_keys_of_chance_are_seen() -> None:
    """No pattern finds all: a key may look like a word, by chance."""
    chance = random.Random(7)
    keys = [base64.b64encode(chance.randbytes(32)).decode() for _ in range(1000)]
    assert sum(looks_like(f"/x?k={key}") != "" for key in keys) > 970


def test_a_secret_is_refused_where_that_is_asked_for() -> None:
    strict = replace(session(), strict=True)
    fact = strict.fact("source.removed", CLIENT, source="2" * 32)
    with pytest.raises(SecretInFact, match="looks like a secret: url_password") as refused:
        strict.screen(fact, {"url": "postgresql://app:hunter2@db/shop"})
    assert "hunter2" not in str(refused.value)
    assert strict.screen(fact, {"url": "file:///srv"}) == ({"url": "file:///srv"}, None)


def test_a_secret_is_masked_and_tells_of_it_elsewhere() -> None:
    made = session()
    fact = made.fact("source.removed", CLIENT, source="2" * 32)
    kept, alarm = made.screen(fact, {"name": "shop", "url": "postgresql://app:hunter2@db/shop"})
    assert kept == {"name": "shop", "url": MASKED}
    assert alarm is not None
    assert (alarm.op, alarm.subject) == ("ledger.secret_masked", fact.id)
    assert alarm.body == {"looked_like": ["url_password"]}
    with pytest.raises(FactRefused, match="'path' is not one of its private fields"):
        made.screen(fact, {"path": "/srv"})


KINDS = {id(kind): kind for op in OPS for kind in (*op.must.values(), *op.may.values())}.values()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.says[:30])
def test_no_body_takes_what_looks_like_a_secret(kind: Kind) -> None:
    """What is closed needs no scanner: no kind of value takes any text of people."""
    assert [text for text in SECRETS if kind.fits(text) or kind.fits([text])] == []


# Among other digits nobody can tell where a number of a card begins.
@given(st.text(st.characters(exclude_categories=["Cs", "Nd"])), st.sampled_from(list(SECRETS)))
def test_no_text_around_a_secret_hides_it(around: str, secret: str) -> None:
    assert looks_like(f"{around} {secret} {around}") != ""
