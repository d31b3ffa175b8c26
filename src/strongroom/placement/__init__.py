"""Placement: which location holds what of a pack.

A room of its own between `vault` and `locations`: the vault writes and reads packs and knows only
`Placement`; maintenance asks it what each location should hold, and for the bytes of it.
"""

from strongroom.placement.full_copies import FullCopies
from strongroom.placement.placement import Holding, Placement

__all__ = ["FullCopies", "Holding", "Placement"]
