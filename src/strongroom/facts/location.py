"""What happens to a location."""

from typing import Final

from strongroom.facts.kinds import COUNT, FLAG, ID, many, one_of
from strongroom.facts.op import Op

_LOCATION: Final = ("location", ID)
_SITE: Final = ("facility", "provider", "country", "device")
_PRIVATE: Final = frozenset({"name", "url"})

OPS: Final = (
    Op(
        "location.added",
        "B",
        "create",
        "A location holds what the others hold.",
        _LOCATION,
        may={"copied": COUNT},
        private=_PRIVATE,
    ),
    Op(
        "location.made_again",
        "B",
        "update",
        "A lost location was made anew where it was, and filled.",
        _LOCATION,
        must={"copied": COUNT},
        private=_PRIVATE,
    ),
    Op(
        "location.removed",
        "A",
        "delete",
        "A location was forgotten, with its credentials; what lies there stays.",
        _LOCATION,
        private=_PRIVATE,
    ),
    Op(
        "location.credentials_set",
        "A",
        "update",
        "Other credentials of a location were sealed, or the janitor's was forgotten.",
        _LOCATION,
        must={"worker": FLAG, "janitor": FLAG, "janitor_forgotten": FLAG},
        private=_PRIVATE,
    ),
    Op(
        "location.site_set",
        "B",
        "update",
        "Something else is said of where a location is.",
        _LOCATION,
        must={"changed": many(one_of(*_SITE))},
        private=frozenset({"name", *_SITE, *(f"{one}_before" for one in _SITE)}),
    ),
)
