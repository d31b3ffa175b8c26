"""A device key opens under its passphrase alone, and its file is read closed."""

import json
import secrets
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.errors import Damaged, UsageError
from strongroom.procedures.device import Device, WrongPassphrase
from tests.vectors import build_device_v1

VECTORS = Path(__file__).parents[1] / "vectors" / "device-v1.json"
WORDS = "four words not related"


def test_frozen_device_opens_and_is_made_as_it_was_frozen() -> None:
    frozen = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert build_device_v1.build() == frozen
    device = Device.parse(frozen["file"])
    assert device.open(frozen["passphrase"]).hex() == frozen["seed"]
    assert device.public.hex() == frozen["public"]


def test_another_passphrase_and_a_file_of_two_open_nothing() -> None:
    one, two = (Device.make(WORDS, secrets.token_bytes) for _ in range(2))
    assert signing.public_key(one.open(WORDS)) == one.public
    with pytest.raises(WrongPassphrase, match="passphrase is another one"):
        one.open(WORDS + " ")
    mixed = Device(two.public, one.salt, one.seal_salt, one.sealed)
    with pytest.raises(WrongPassphrase, match="altered"):
        mixed.open(WORDS)
    assert WORDS not in one.encode()


def test_a_short_passphrase_makes_no_device() -> None:
    with pytest.raises(UsageError, match="too short"):
        Device.make("eleven char", secrets.token_bytes)


@pytest.mark.parametrize(
    "alter",
    [
        lambda line: line[:-1],
        lambda line: line + "\n",
        lambda line: line.upper(),
        lambda line: line.replace("device-v1", "device-v2"),
        lambda line: line[:-3] + "\n",
        lambda line: "",
        lambda line: " " + line,
        lambda line: "x" * 100_000,
    ],
)
def test_only_the_one_line_is_a_device(alter: object) -> None:
    line = Device.make(WORDS, secrets.token_bytes).encode()
    assert callable(alter)
    with pytest.raises(Damaged, match="no device key"):
        Device.parse(alter(line))
