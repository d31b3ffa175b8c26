"""Locations: where objects lie, in several copies.

The room knows the protocol of one location, the errors a location may give, its URL, and how an
object is written to and read from several of them. What a directory or an object store really
does is in `strongroom.adapters.locations`.
"""

from strongroom.locations.copies import Copies
from strongroom.locations.location import (
    Location,
    LocationUnavailable,
    ObjectExists,
    ObjectMissing,
    Stat,
)
from strongroom.locations.url import parse_location_url

__all__ = [
    "Copies",
    "Location",
    "LocationUnavailable",
    "ObjectExists",
    "ObjectMissing",
    "Stat",
    "parse_location_url",
]
