"""Cosignatures: a witness says when it saw a checkpoint that goes on from all it saw before.

Cosignature/v1 of C2SP, Ed25519. The name of the witness is not signed, so each witness has a key
of its own that signs nothing else. Normative page: docs/formats/ledger-v1.md.
"""

from strongroom.crypto import signing
from strongroom.ledger.note import (
    SECONDS_MAX,
    WITNESS_KEY,
    NoteInvalid,
    Signature,
    VerifierKey,
    split_note,
    timed,
    verify_signature,
)


def witness_key(name: str, seed: bytes) -> VerifierKey:
    """Return the public key under which `cosign` signs with this seed."""
    return VerifierKey(name, WITNESS_KEY, signing.public_key(seed))


def cosign(text: bytes, at_seconds: int, name: str, seed: bytes) -> bytes:
    """Return the line that goes below a checkpoint's text; the time is in seconds since 1970."""
    if not 1 <= at_seconds <= SECONDS_MAX:
        raise ValueError(f"{at_seconds} is not a time that a witness can sign")
    value = at_seconds.to_bytes(8, "big") + signing.sign_plain(seed, timed(text, at_seconds))
    return Signature(name, witness_key(name, seed).id, value).line


def verify(text: bytes, line: bytes, key: VerifierKey) -> int:
    """Return the time at which this witness cosigned a text, in seconds since 1970.

    Raises NoteInvalid unless the line is a cosignature that this key made of this text.
    """
    signatures = split_note(text + b"\n" + line).signatures
    signature = signatures[0]
    if len(signatures) != 1 or (signature.name, signature.key_id) != (key.name, key.id):
        raise NoteInvalid("a cosignature is not trusted", f"another key than {key.name} made it")
    if key.kind != WITNESS_KEY:
        raise NoteInvalid("a cosignature is not trusted", f"{key.name} is not a witness's key")
    verify_signature(text, signature, key)
    return signature.seconds
