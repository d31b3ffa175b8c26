"""Writes home-v1.json: a key file, the keys of its roles, and sealed secrets as they lie in a home.

Run as `python -m tests.vectors.build_home_v1`. A vector that was released is never edited.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from strongroom.adapters.secrets.key_file import KeyFile, SealedFiles
from strongroom.crypto import passphrase, sealing

PATH = Path(__file__).with_name("home-v1.json")
KEY = bytes(range(32))
SALT = bytes(range(100, 116))
SEED = bytes(range(200, 232))
CLIENT = "0123456789abcdef0123456789abcdef"
WORDS = "a passphrase of twelve"
SECRETS = {
    f"worker-{CLIENT}": bytes(range(96)),
    "operator": b"K" + SEED,
    "location-store": b'{"key_id": "id", "secret": "secret"}',
}


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.key"
        key_file = KeyFile.create(path, lambda size: KEY[:size])
        roles = {role: key_file.derive(role) for role in ("secrets", "custodian-1", "custodian-12")}
        files = SealedFiles(Path(folder), roles["secrets"], lambda size: SALT[:size])
        sealed = {}
        for name, secret in SECRETS.items():
            files.write(name, secret)
            sealed[name] = (Path(folder) / name).read_bytes()
        text = path.read_text(encoding="ascii")
    stretched = passphrase.stretch(WORDS, SALT)
    guarded = sealing.seal(stretched, "operator", SALT, b"", SEED)
    return {
        "key": KEY.hex(),
        "key_file": text,
        "roles": {role: key.hex() for role, key in roles.items()},
        "secrets": [
            {"name": name, "secret": SECRETS[name].hex(), "file": data.hex()}
            for name, data in sealed.items()
        ],
        "operator_with_passphrase": {
            "passphrase": WORDS,
            "seed": SEED.hex(),
            "secret": (b"P" + SALT + SALT + guarded).hex(),
        },
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
