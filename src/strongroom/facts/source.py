"""What happens to a client's sources. Where a source is, and its name, is never in the leaf."""

from typing import Final

from strongroom.facts.kinds import ID, one_of
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)
_PRIVATE: Final = frozenset({"name", "url"})

OPS: Final = (
    Op(
        "source.added",
        "B",
        "create",
        "A client has a source more.",
        _CLIENT,
        must={
            "source": ID,
            "source_kind": one_of("sqlite", "tree", "file", "postgresql", "command"),
        },
        private=_PRIVATE,
    ),
    Op(
        "source.recovered",
        "B",
        "create",
        "A source was found in the newest snapshot that a recovery could open.",
        _CLIENT,
        must={"source": ID},
        private=_PRIVATE,
    ),
    Op(
        "source.password_set",
        "A",
        "update",
        "Another password of a source was sealed.",
        _CLIENT,
        must={"source": ID},
    ),
    Op(
        "source.removed",
        "B",
        "delete",
        "A source is backed up no more; what was kept of it stays.",
        _CLIENT,
        must={"source": ID},
        private=_PRIVATE,
    ),
)
