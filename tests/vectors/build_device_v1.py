"""Writes device-v1.json: a device key as it lies in its file.

Run as `python -m tests.vectors.build_device_v1`. A vector that was released is never edited.
"""

import json
from itertools import count
from pathlib import Path
from typing import Any

from strongroom.procedures import Device

PATH = Path(__file__).with_name("device-v1.json")
WORDS = "a passphrase of twelve"


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    drawn = count(1)
    device = Device.make(WORDS, lambda size: bytes([next(drawn)]) * size)
    return {
        "passphrase": WORDS,
        "seed": ("01" * 32),
        "public": device.public.hex(),
        "file": device.encode(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
