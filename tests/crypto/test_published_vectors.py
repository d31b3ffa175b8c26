"""The crypto room against published values: RFCs typed in, HPKE from the shared file."""

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.crypto import hashing, passphrase, public_sealing, scalars, sealing, signing
from strongroom.crypto.framing import frame
from strongroom.errors import Damaged


def _hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 section 2.3 by hand, with SHA-512."""
    blocks, last = b"", b""
    for number in range(1, 256):
        last = hmac.digest(key, last + info + bytes([number]), "sha512")
        blocks += last
        if len(blocks) >= length:
            break
    return blocks[:length]


def test_hkdf_of_rfc_5869() -> None:
    """Test case 1 of RFC 5869: the library, and the hand-written form that checks ours."""
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    found = HKDF(
        algorithm=SHA256(),
        length=42,
        salt=bytes.fromhex("000102030405060708090a0b0c"),
        info=bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
    ).derive(b"\x0b" * 22)
    assert found.hex() == okm


def test_derive_is_hkdf_expand() -> None:
    parent, salt = bytes(range(32)), bytes(range(16))
    info = frame(b"strongroom/sealing-v1", b"kind", salt, b"context")
    assert sealing.derive(parent, "kind", salt, b"context") == _hkdf_expand(parent, info, 32)


def test_derive_from_secret_is_hkdf_with_an_empty_salt() -> None:
    pseudorandom = hmac.digest(bytes(64), b"not uniform", "sha512")
    assert sealing.derive_from_secret(b"not uniform", b"info") == _hkdf_expand(
        pseudorandom, b"info", 32
    )


def test_seal_is_the_named_cipher_under_the_derived_key() -> None:
    parent, salt = bytes(range(32)), bytes(range(16))
    for cipher, implementation in (
        (sealing.Cipher.AES_256_GCM, AESGCM),
        (sealing.Cipher.CHACHA20_POLY1305, ChaCha20Poly1305),
    ):
        key = sealing.derive(parent, f"kind/{cipher}", salt, b"context")
        wanted = implementation(key).encrypt(bytes(12), b"plain", None)
        assert sealing.seal(parent, "kind", salt, b"context", b"plain", cipher) == wanted


def test_aes_256_gcm_of_the_gcm_specification() -> None:
    """Test case 14 of McGrew and Viega: zero key, zero nonce, sixteen zero bytes."""
    sealed = AESGCM(bytes(32)).encrypt(bytes(12), bytes(16), None)
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


def test_chacha20_poly1305_of_rfc_8439() -> None:
    """Section 2.8.2."""
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    sealed = ChaCha20Poly1305(bytes(range(0x80, 0xA0))).encrypt(
        bytes.fromhex("070000004041424344454647"),
        plain,
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
    )
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"


def test_ed25519_of_rfc_8032() -> None:
    """Section 7.1, test 1: the key; our signature is over the framed purpose and message."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signing.public_key(seed).hex() == public
    signature = signing.sign(seed, "purpose", b"message")
    signing.verify(bytes.fromhex(public), "purpose", b"message", signature, "it")
    for purpose, message in (("other", b"message"), ("purpose", b"massage")):
        with pytest.raises(Damaged, match="it carries a wrong signature"):
            signing.verify(bytes.fromhex(public), purpose, message, signature, "it")
    with pytest.raises(Damaged, match="wrong signature"):
        signing.verify(b"short", "purpose", b"message", signature, "it")


def test_blake3_of_its_published_vectors() -> None:
    """BLAKE3's test_vectors.json, input lengths 0 and 1, hash and keyed hash."""
    key = b"whats the Elvish word for friend"
    keyed = hashing.keyed_hash(key)
    assert hashing.content_hash(b"").hex() == (
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    )
    assert hashing.content_hash(b"\0").hex() == (
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"
    )
    assert keyed(b"").hex() == "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"
    assert keyed(b"\0").hex() == "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"
    with pytest.raises(ValueError, match="32 bytes"):
        hashing.keyed_hash(b"short")
    digest = hashing.Digest()
    digest.update(b"\0")
    assert digest.hex() == hashing.content_hash(b"\0").hex()


def test_statement_hash_is_sha_256_of_the_frame() -> None:
    wanted = hashlib.sha256(b"\4\0\0\0role\1\0\0\0a\0\0\0\0").digest()
    assert hashing.statement_hash("role", b"a", b"") == wanted
    assert hashing.same(wanted, wanted)
    assert not hashing.same(wanted, bytes(32))


def test_a_frame_needs_its_role() -> None:
    with pytest.raises(ValueError, match="at least its role"):
        frame()


def test_argon2id_repeats_and_depends_on_both_inputs() -> None:
    first = passphrase.stretch("correct horse", bytes(16))
    assert len(first) == 32
    assert passphrase.stretch("correct horse", bytes(16)) == first
    assert passphrase.stretch("correct horse", bytes(15) + b"\1") != first


def _x_wing_vectors() -> list[dict[str, Any]]:
    path = Path(os.environ.get("STRONGROOM_SHARED", "../shared")) / "vectors" / "hpkepq.json"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return [
        vector
        for vector in json.loads(path.read_text())
        if vector["kem_id"] == 25722 and vector["kdf_id"] == 1 and vector["mode"] == 0
    ]


def _labelled(suite: bytes, label: bytes, data: bytes) -> bytes:
    return b"HPKE-v1" + suite + label + data


def _schedule(shared: bytes, info: bytes, aead: int, key_bytes: int) -> tuple[bytes, bytes]:
    """The key schedule of RFC 9180 section 5.1, base mode, HKDF-SHA256, by hand."""
    suite = b"HPKE" + (25722).to_bytes(2, "big") + b"\0\1" + aead.to_bytes(2, "big")

    def extract(salt: bytes, label: bytes, data: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), _labelled(suite, label, data), "sha256")

    def expand(key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + _labelled(suite, label, context)
        return hmac.digest(key, labelled + b"\1", "sha256")[:length]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, key_bytes), expand(secret, b"base_nonce", context, 12)


def test_x_wing_of_the_published_vectors() -> None:
    """Public keys from seeds, the published schedule, and our suite over the published KEM."""
    vectors = _x_wing_vectors()
    assert vectors
    for vector in vectors:
        seed, info = bytes.fromhex(vector["skRm"]), bytes.fromhex(vector["info"])
        shared = bytes.fromhex(vector["shared_secret"])
        assert public_sealing.public_key(seed).hex() == vector["pkRm"]
        key, nonce = _schedule(shared, info, vector["aead_id"], 32)
        assert (key.hex(), nonce.hex()) == (vector["key"], vector["base_nonce"])
        ours, our_nonce = _schedule(shared, info, 2, 32)
        sealed = bytes.fromhex(vector["enc"]) + AESGCM(ours).encrypt(our_nonce, b"share", None)
        assert public_sealing.open_from(seed, sealed, info) == b"share"


def test_public_sealing_refuses_what_does_not_fit() -> None:
    seed = bytes(range(32))
    public = public_sealing.public_key(seed)
    sealed = public_sealing.seal_to(public, b"share", b"info")
    assert len(sealed) == public_sealing.OVERHEAD_BYTES + 5
    assert public_sealing.open_from(seed, sealed, b"info") == b"share"
    for wrong_seed, wrong, info in (
        (bytes(32), sealed, b"info"),
        (seed, sealed, b"other"),
        (seed, sealed[:-1], b"info"),
        (seed, b"", b"info"),
        (seed, bytes([sealed[0] ^ 1]) + sealed[1:], b"info"),
    ):
        with pytest.raises(Damaged, match="a sealed message does not open"):
            public_sealing.open_from(wrong_seed, wrong, info)
    for malformed in (b"", public[:-1], b"\xff" * 1216):
        with pytest.raises(Damaged, match="a public key is malformed"):
            public_sealing.seal_to(malformed, b"share", b"info")
    for refused in (public_sealing.public_key, lambda s: public_sealing.open_from(s, sealed, b"")):
        with pytest.raises(ValueError, match="32 bytes"):
            refused(b"short")


def test_scalars_are_strict() -> None:
    order = scalars.ORDER
    assert scalars.parse_scalar(scalars.from_int(order - 1), "it") == scalars.from_int(-1)
    for value in (order, order + 5, 2**255, 2**256 - 1):
        with pytest.raises(Damaged, match="it is not a reduced scalar"):
            scalars.parse_scalar(value.to_bytes(32, "little"), "it")
    for length in (0, 31, 33):
        with pytest.raises(Damaged, match="it is not a scalar"):
            scalars.parse_scalar(bytes(length), "it")
    with pytest.raises(ValueError, match="64 bytes"):
        scalars.from_wide(bytes(32))
    wide = bytes(range(64))
    assert int.from_bytes(scalars.from_wide(wide), "little") == (
        int.from_bytes(wide, "little") % order
    )


def test_scalar_arithmetic_is_that_of_the_integers() -> None:
    left, right = scalars.from_wide(bytes(range(64))), scalars.from_wide(bytes(range(64, 128)))
    a, b = int.from_bytes(left, "little"), int.from_bytes(right, "little")
    assert scalars.add(left, right) == scalars.from_int(a + b)
    assert scalars.multiply(left, right) == scalars.from_int(a * b)
    # A product of zero is zero, without the silent error of other bindings.
    assert scalars.multiply(left, scalars.ZERO) == scalars.ZERO
