"""Placement: which location holds what of a pack.

A room of its own between `vault` and `locations`: the vault writes and reads packs and knows only
`Placement`, which full copies and shards fulfil; maintenance asks it what each location should
hold, and for the bytes of it.
"""

from strongroom.placement.full_copies import FullCopies
from strongroom.placement.parity import Parity, ParityCode, place_id
from strongroom.placement.placement import Holding, Placement
from strongroom.placement.shards import Shards

__all__ = [
    "FullCopies",
    "Holding",
    "Parity",
    "ParityCode",
    "Placement",
    "Shards",
    "place_id",
]
