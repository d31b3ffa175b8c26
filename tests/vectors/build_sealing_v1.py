"""Writes sealing-v1.json: frames, derived keys and sealed bytes under the one nonce rule.

Run as `python -m tests.vectors.build_sealing_v1`. A vector that was released is never edited.
"""

import json
from pathlib import Path
from typing import Any

from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import Cipher, derive, derive_from_secret, seal

PATH = Path(__file__).with_name("sealing-v1.json")
PARENT = bytes(range(32))
SALT = bytes(range(100, 116))


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    frames = ([b""], [b"role"], [b"role", b""], [b"role", b"ab", b"c"], [b"role", b"a", b"bc"])
    cases = (
        ("segment", b"", b""),
        ("segment", b"place", b"plain"),
        ("root", b"x" * 70, b"\0" * 99),
    )
    return {
        "frames": [
            {"parts": [part.hex() for part in parts], "frame": frame(*parts).hex()}
            for parts in frames
        ],
        "derived": [
            {
                "parent": PARENT.hex(),
                "kind": kind,
                "salt": salt.hex(),
                "context": context.hex(),
                "key": derive(PARENT, kind, salt, context).hex(),
            }
            for kind, salt, context in (("chunk-id", b"", b"data"), ("kit", SALT, b""))
        ],
        "from_secret": [
            {
                "secret": PARENT.hex(),
                "info": b"info".hex(),
                "key": derive_from_secret(PARENT, b"info").hex(),
            }
        ],
        "sealed": [
            {
                "parent": PARENT.hex(),
                "kind": kind,
                "cipher": str(cipher),
                "salt": SALT.hex(),
                "context": context.hex(),
                "plaintext": plaintext.hex(),
                "sealed": seal(PARENT, kind, SALT, context, plaintext, cipher).hex(),
            }
            for kind, context, plaintext in cases
            for cipher in Cipher
        ],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
