"""Frozen shards: made again they are the same, and any k of them give the pack, to both readers."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.parity.raid6 import Raid6
from strongroom.locations import Copies
from strongroom.placement import Parity, Shards, place_id
from strongroom.placement.parity import HEADER_BYTES
from tests.properties.test_rescue import RESCUE
from tests.support.memory_location import MemoryLocation
from tests.vectors.build_parity_v1 import PATH, build

DOCUMENT: dict[str, Any] = json.loads(Path(PATH).read_text("utf-8"))
KEY = bytes.fromhex(DOCUMENT["structure"])
PACKS = pytest.mark.parametrize("one", DOCUMENT["packs"], ids=lambda one: one["id"][:8])


def test_what_is_made_today_is_what_was_frozen() -> None:
    assert build() == DOCUMENT


@PACKS
def test_a_config_names_places_by_structure_key_and_url(one: dict[str, Any]) -> None:
    parity = Parity.parse(one["parity"])
    assert list(parity.places) == [place_id(KEY, url) for url in one["urls"]]
    assert parity.encode() == one["parity"]


@PACKS
def test_any_k_shards_give_the_pack(one: dict[str, Any]) -> None:
    parity = Parity.parse(one["parity"])
    key, pack = f"packs/{one['id'][:2]}/{one['id']}", bytes.fromhex(one["pack"])
    for lost in itertools.islice(itertools.combinations(range(parity.shards), parity.parity), 60):
        places = {f"{at:02d}": MemoryLocation(f"{at:02d}") for at in range(parity.shards)}
        for at, shard in enumerate(one["shards"]):
            if at not in lost:
                places[f"{at:02d}"].put(f"{key}.{at}", bytes.fromhex(shard))
        with Copies(places) as copies:
            shards = Shards(copies, parity, KEY, Raid6())
            assert shards.get(key, lambda _: None) == pack


@PACKS
def test_the_rescue_file_reads_every_shard_and_any_k_of_them(one: dict[str, Any]) -> None:
    parity, name, pack = Parity.parse(one["parity"]), bytes.fromhex(one["id"]), one["pack"]
    bodies: dict[int, bytes] = {}
    for at, shard in enumerate(map(bytes.fromhex, one["shards"])):
        k, length, bodies[at] = RESCUE.read_shard(shard, name, at, KEY)
        assert (k, length) == (parity.data, len(pack) // 2)
        assert bodies[at] == shard[HEADER_BYTES:]
    for lost in itertools.islice(itertools.combinations(bodies, parity.parity), 60):
        known = {at: body for at, body in bodies.items() if at not in lost}
        assert b"".join(RESCUE.data_shards(known, parity.data))[: len(pack) // 2].hex() == pack


@PACKS
def test_the_rescue_file_refuses_what_was_altered(one: dict[str, Any]) -> None:
    name, whole = bytes.fromhex(one["id"]), bytes.fromhex(one["shards"][0])
    for at in range(len(whole)):
        altered = bytearray(whole)
        altered[at] ^= 0x40
        # The number of parity shards says nothing to a reader; the check covers it all the same.
        with pytest.raises(RESCUE.Problem):
            RESCUE.read_shard(bytes(altered), name, 0, KEY)
    for hostile in (whole[:-1], whole[:20], b"", whole + b"x"):
        with pytest.raises((RESCUE.Problem, *RESCUE.MALFORMED)):
            RESCUE.read_shard(hostile, name, 0, KEY)
