"""Stretches: what was signed is read back, and no other bytes are taken for it."""

import base64
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto import canonical
from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.crypto.sealing import seal
from strongroom.errors import Damaged
from strongroom.ledger import stretch as stretches_file
from strongroom.ledger.stretch import (
    Stretch,
    join_stretches,
    judge_stretch,
    known_part,
    log_of,
    open_stretch,
    origin_of,
    owner_of,
    split_stretch_key,
)
from tests.support.logs import cosigners
from tests.vectors.build_stretch_v1 import (
    CLIENT,
    INSTALL,
    LEAVES,
    LOG,
    SEED,
    SERVER_KEY,
    SERVER_LOG,
    STRUCTURE_KEY,
    key_of,
    note_of,
    parent_of,
    salt_of,
    stretches,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "stretch-v1.json").read_text("utf-8")
)
FIRST = stretches()[0]
FIRST_BYTES = FIRST.sign(SEED, STRUCTURE_KEY, salt_of(FIRST))
HEADER = decode_envelope(FIRST_BYTES, "it").statement.fields("ledger")
CARD: dict[str, Any] = {
    "checkpoint": FIRST.note.decode(),
    "server_key": SERVER_KEY.hex(),
    "vkey": str(FIRST.vkey),
    "witness_cards": [base64.b64encode(one).decode() for one in FIRST.witness_cards],
}
ENTRIES = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in FIRST.leaves)


def sealed(card: bytes, entries: bytes = ENTRIES, header: dict[str, Any] = HEADER) -> bytes:
    """Return an object as somebody with all keys could make it, whatever is in it."""
    plain = len(card).to_bytes(4, "little") + card + entries
    context = stretches_file._context(LOG, 0)
    salt = b"\x08" * 16
    body = salt + seal(STRUCTURE_KEY, "ledger", salt, context, plain)
    return sign_envelope(SEED, "ledger", header, body).encode()


def with_card(**changed: object) -> bytes:
    return sealed(canonical.dumps({**CARD, **changed}))


@pytest.mark.parametrize("frozen", VECTORS["stretches"], ids=lambda one: one["key"][-12:])
def test_frozen_stretches_are_read(frozen: dict[str, Any]) -> None:
    parent = VECTORS["server_key" if frozen["client"] is None else "structure_key"]
    data = base64.b64decode(frozen["object"])
    found = open_stretch(data, frozen["key"], bytes.fromhex(parent))
    assert (found.key, found.client) == (frozen["key"], frozen["client"])
    assert (found.start, found.end) == (frozen["start"], frozen["end"])
    assert [leaf.decode() for leaf in found.leaves] == frozen["leaves"]
    assert (found.note.decode(), str(found.vkey)) == (frozen["checkpoint"], frozen["vkey"])
    assert found.vkey.public.hex() == VECTORS["log_public"]
    assert [one.decode() for one in found.witness_cards] == frozen["witness_cards"]
    assert (found.server_key and found.server_key.hex()) == frozen["server_key"]


@pytest.mark.parametrize("one", stretches(), ids=lambda one: one.key[-12:])
def test_what_was_signed_is_read_back_and_is_what_was_frozen(one: Stretch) -> None:
    data = one.sign(SEED, parent_of(one), salt_of(one))
    assert open_stretch(data, one.key, parent_of(one)) == one
    judge_stretch(data, one.key, one.vkey)
    assert owner_of(data, one.key) == one.client
    frozen = next(row for row in VECTORS["stretches"] if row["key"] == one.key)
    assert base64.b64encode(data).decode() == frozen["object"]


def test_a_location_sees_no_leaf_and_no_key() -> None:
    for secret in (b'"number"', SERVER_KEY, SERVER_KEY.hex().encode(), b"a witness card"):
        assert secret not in FIRST_BYTES


def test_every_altered_byte_is_refused_with_and_without_the_structure_key() -> None:
    for at in range(len(FIRST_BYTES)):
        altered = FIRST_BYTES[:at] + bytes([FIRST_BYTES[at] ^ 1]) + FIRST_BYTES[at + 1 :]
        with pytest.raises(Damaged):
            open_stretch(altered, FIRST.key, STRUCTURE_KEY)
        with pytest.raises(Damaged):
            judge_stretch(altered, FIRST.key, FIRST.vkey)


def test_a_stretch_that_was_moved_or_is_of_another_log_is_refused() -> None:
    for key in (FIRST.key[:-1] + "3", FIRST.key.replace(LOG, SERVER_LOG), f"{FIRST.key}/x", ""):
        with pytest.raises(Damaged, match="moved"):
            open_stretch(FIRST_BYTES, key, STRUCTURE_KEY)
        with pytest.raises(Damaged, match="moved"):
            judge_stretch(FIRST_BYTES, key, FIRST.vkey)
        with pytest.raises(Damaged, match="moved"):
            owner_of(FIRST_BYTES, key)


def test_another_key_opens_nothing_and_another_log_signed_nothing() -> None:
    with pytest.raises(Damaged, match="does not open"):
        open_stretch(FIRST_BYTES, FIRST.key, SERVER_KEY)
    with pytest.raises(Damaged, match="wrong signature"):
        judge_stretch(FIRST_BYTES, FIRST.key, key_of(LOG, b"\x09" * 32))


def test_a_worker_with_the_structure_key_cannot_speak_for_a_log_whose_key_it_lacks() -> None:
    """The log's key is inside the seal; what another key signed around it is refused."""
    envelope = decode_envelope(FIRST_BYTES, "it")
    forged = sign_envelope(b"\x09" * 32, "ledger", HEADER, envelope.body).encode()
    with pytest.raises(Damaged, match="wrong signature"):
        open_stretch(forged, FIRST.key, STRUCTURE_KEY)


@pytest.mark.parametrize(
    "altered",
    [
        lambda header: header.pop("end"),
        lambda header: header.update(more=1),
        lambda header: header.update(format="ledger-v2"),
        lambda header: header.update(client="nobody"),
        lambda header: header.update(client=""),
        lambda header: header.update(end=0),
        lambda header: header.update(end=True),
        lambda header: header.update(end=10**10),
        lambda header: header.update(start=False),
        lambda header: header.update(end=4),
    ],
)
def test_a_malformed_header_is_refused_though_it_is_signed(
    altered: Callable[[dict[str, Any]], object],
) -> None:
    header = dict(HEADER)
    altered(header)
    with pytest.raises(Damaged, match=r"malformed|elsewhere"):
        open_stretch(sealed(canonical.dumps(CARD), header=header), FIRST.key, STRUCTURE_KEY)


@pytest.mark.parametrize(
    "data",
    [
        sealed(b"{}"),
        sealed(b"[]"),
        sealed(b"no json"),
        sealed(json.dumps(CARD, indent=1).encode()),
        sealed(b"[" * 100_000),
        sealed(canonical.dumps(CARD), b""),
        sealed(canonical.dumps(CARD), ENTRIES[:-1]),
        sealed(canonical.dumps(CARD), ENTRIES + b"\x00"),
        sealed(canonical.dumps(CARD), ENTRIES + b"\x00\x00"),
        with_card(more=1),
        with_card(checkpoint=None),
        with_card(vkey=7),
        with_card(vkey="nobody+00000000+AAAA"),
        with_card(vkey=str(key_of(SERVER_LOG))),
        with_card(server_key="00"),
        with_card(server_key="zz" * 32),
        with_card(witness_cards={}),
        with_card(witness_cards=["AA"]),
        with_card(witness_cards=[""]),
        with_card(witness_cards=[1]),
        with_card(witness_cards=["AAAA"] * 33),
        with_card(checkpoint="no note"),
        with_card(checkpoint=note_of(SERVER_LOG, LEAVES[:3]).decode()),
        with_card(checkpoint=note_of(LOG, LEAVES[:2]).decode()),
        with_card(checkpoint=note_of(LOG, LEAVES[:3], b"\x09" * 32).decode()),
    ],
)
def test_what_is_sealed_well_and_malformed_inside_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        open_stretch(data, FIRST.key, STRUCTURE_KEY)


def test_a_body_that_is_too_short_or_too_long_is_refused_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = sign_envelope(SEED, "ledger", HEADER, b"\x08" * 31).encode()
    with pytest.raises(Damaged, match="31 bytes"):
        open_stretch(short, FIRST.key, STRUCTURE_KEY)
    monkeypatch.setattr(stretches_file, "PLAIN_BYTES_MAX", 100)
    with pytest.raises(Damaged, match="its body has"):
        open_stretch(FIRST_BYTES, FIRST.key, STRUCTURE_KEY)


def test_keys_and_origins_are_split_or_refused() -> None:
    assert split_stretch_key(FIRST.key) == (INSTALL, LOG, 0)
    assert split_stretch_key(f"{INSTALL}/ledger/{LOG}/0") is None
    assert log_of(origin_of(INSTALL, LOG)) == LOG
    with pytest.raises(Damaged, match="no log of ours"):
        log_of("example.com/log")


def test_a_note_is_kept_with_the_signatures_of_known_keys_only() -> None:
    known, stranger = cosigners(2)
    note = stranger.sign(known.sign(FIRST.note, 1_800_000_000), 1_800_000_000)
    kept = known_part(note, [FIRST.vkey, known.key])
    assert kept == known.sign(FIRST.note, 1_800_000_000)
    with pytest.raises(Damaged):
        known_part(note.replace(b"\n3\n", b"\n4\n"), [FIRST.vkey])


# -- joining


def test_stretches_in_any_order_give_the_leaves_back() -> None:
    one, two, three, _ = stretches()
    joined = join_stretches([three, one, two])
    assert (joined.leaves, joined.note) == (LEAVES, three.note)
    assert (joined.size, joined.found, joined.why) == (8, 8, "")


def test_none_are_no_leaves() -> None:
    joined = join_stretches([])
    assert (joined.leaves, joined.note, joined.size, joined.found, joined.why) == (
        (),
        b"",
        0,
        0,
        "",
    )


@pytest.mark.parametrize(("left", "size", "why"), [((0, 2), 3, "3 to 5"), ((1, 2), 0, "0 to 2")])
def test_a_missing_stretch_ends_what_is_kept_and_is_named(
    left: tuple[int, int], size: int, why: str
) -> None:
    joined = join_stretches([stretches()[at] for at in left])
    assert (joined.leaves, joined.size, joined.found) == (LEAVES[:size], size, 8)
    assert why in joined.why


def test_leaves_without_the_checkpoint_that_follows_them_are_not_kept() -> None:
    one, two, _, _ = stretches()
    joined = join_stretches([one, two])
    assert (joined.leaves, joined.note, joined.size, joined.found) == (LEAVES[:3], one.note, 3, 6)
    assert "6 to 7" in joined.why


def test_leaves_that_are_not_those_of_their_checkpoint_are_not_kept() -> None:
    one, *_ = stretches()
    other = replace(one, start=3, leaves=(b"altered",) * 5, note=stretches()[2].note)
    joined = join_stretches([one, other])
    assert (joined.size, joined.why) == (3, "the leaves up to 8 are not those of their checkpoint")


@given(cuts=st.sets(st.integers(1, 7)), lost=st.integers(0, 7))
def test_whatever_is_lost_what_is_kept_is_a_beginning_that_was_signed(
    cuts: set[int], lost: int
) -> None:
    edges = [0, *sorted(cuts), 8]
    pieces = [
        Stretch(
            INSTALL, CLIENT, LOG, start, LEAVES[start:end], note_of(LOG, LEAVES[:end]), FIRST.vkey
        )
        for start, end in itertools.pairwise(edges)
    ]
    kept = [one for one in pieces if not one.start <= lost < one.end]
    joined = join_stretches(kept)
    first = next(one.start for one in pieces if one.start <= lost < one.end)
    assert joined.leaves == LEAVES[:first]
    assert joined.note == (note_of(LOG, LEAVES[:first]) if first else b"")
