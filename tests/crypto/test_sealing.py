"""Sealing: what does not fit is refused, and no key ever encrypts two messages."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.crypto import sealing
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import Cipher, derive, open_sealed, seal
from strongroom.errors import Damaged
from strongroom.quorum import Opening
from strongroom.quorum.label import VaultClass
from tests.quorum.world import World, seeded

PARENT = bytes(range(32))
SALT = bytes(range(16))


@given(st.binary(max_size=100), st.binary(max_size=20), st.sampled_from(Cipher))
def test_round_trip(plaintext: bytes, context: bytes, cipher: Cipher) -> None:
    sealed = seal(PARENT, "kind", SALT, context, plaintext, cipher)
    assert len(sealed) == len(plaintext) + sealing.TAG_BYTES
    assert open_sealed(PARENT, "kind", SALT, context, sealed, cipher) == plaintext


@given(st.integers(0, 8 * 21 - 1), st.sampled_from(Cipher))
def test_a_flipped_bit_is_refused(bit: int, cipher: Cipher) -> None:
    sealed = bytearray(seal(PARENT, "kind", SALT, b"", b"plain", cipher))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged, match=f"a sealed kind does not open: {cipher} refused it"):
        open_sealed(PARENT, "kind", SALT, b"", bytes(sealed), cipher)


def test_another_parent_kind_salt_context_or_cipher_does_not_open() -> None:
    sealed = seal(PARENT, "kind", SALT, b"here", b"plain")
    for arguments in (
        (bytes(32), "kind", SALT, b"here", sealed),
        (PARENT, "other", SALT, b"here", sealed),
        (PARENT, "kind", bytes(16), b"here", sealed),
        (PARENT, "kind", SALT, b"there", sealed),
        (PARENT, "kind", SALT, b"here", sealed[:15]),
        (PARENT, "kind", SALT, b"here", b""),
        (PARENT, "kind", SALT, b"here", sealed, Cipher.CHACHA20_POLY1305),
    ):
        with pytest.raises(Damaged, match="does not open"):
            open_sealed(*arguments)


def test_parents_and_salts_have_one_length() -> None:
    with pytest.raises(ValueError, match="a parent key has 32 bytes"):
        derive(bytes(31), "kind")
    with pytest.raises(ValueError, match="a salt has 16 bytes"):
        seal(PARENT, "kind", bytes(15), b"", b"")


class _Seen:
    """Counts what encrypts: the parent with its salt, and the key of each message."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parents: Counter[tuple[bytes, bytes]] = Counter()
        self.keys: Counter[bytes] = Counter()
        aead = sealing._aead

        def counting(parent: bytes, kind: str, salt: bytes, context: bytes, cipher: Cipher) -> Any:
            key = derive(parent, f"{kind}/{cipher}", salt, context)
            return _Counting(self, aead(parent, kind, salt, context, cipher), (parent, salt, key))

        monkeypatch.setattr(sealing, "_aead", counting)


class _Counting:
    """The real cipher, which says so when it encrypts."""

    def __init__(self, seen: _Seen, aead: Any, used: tuple[bytes, bytes, bytes]) -> None:
        self._seen = seen
        self._aead = aead
        self._used = used
        self.decrypt = aead.decrypt

    def encrypt(self, nonce: bytes, data: bytes, more: None) -> Any:
        parent, salt, key = self._used
        self._seen.parents[parent, salt] += 1
        self._seen.keys[key] += 1
        return self._aead.encrypt(nonce, data, more)


def _segments(world: World, inner: bytes, outer: bytes | None, count: int) -> None:
    """Seal as the vault does: one salt a segment, used once under each dealing's key."""
    for number in range(count):
        salt = world.token(sealing.SALT_BYTES)
        context = frame(bytes.fromhex(world.vault))
        sealed = seal(inner, "segment", salt, context, bytes(number))
        if outer is not None:
            seal(outer, "segment", salt, context, sealed, Cipher.CHACHA20_POLY1305)
    seal(world.structure_key, "structure", world.token(16), b"", b"names")


@settings(max_examples=15)
@given(
    st.sampled_from(("normal", "high")),
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 4)), min_size=1, max_size=3),
)
def test_no_parent_and_salt_twice(
    vault_class: VaultClass, snapshots: list[tuple[int, int]]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        seen = _Seen(monkeypatch)
        world = World(vault_class=vault_class, seed=f"{vault_class}{snapshots}")
        for sessions, segments in snapshots:
            statement, dealt = world.backed_up(sessions)
            for one in dealt:
                _segments(world, one.inner, one.outer, segments)
                Opening.unwrap_structure_key(one.keys_object, one.inner)
            opening = world.opening(statement)
            for custodian in world.custodians[:2]:
                opening.take(custodian.card(), custodian.release(opening.request))
                # A retry sends the same bytes and seals nothing.
                custodian.release(opening.request)
                custodian.kit_entries()
            opening.complete()
        world.close()
        sessions_dealt = sum(sessions for sessions, _ in snapshots)
        assert sum(seen.parents.values()) >= 3 * 5 + sessions_dealt
        assert max(seen.parents.values()) == 1
        assert max(seen.keys.values()) == 1


def test_the_counter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail: one salt used twice is seen."""
    seen = _Seen(monkeypatch)
    for _ in range(2):
        seal(PARENT, "kind", SALT, b"", seeded("x")(5))
    assert max(seen.parents.values()) == 2
    assert max(seen.keys.values()) == 2
