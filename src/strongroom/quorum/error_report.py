"""An error on its way from a custodian to who asked it, and back to being the same error.

The table is closed: what is not in it travels as the nearest kind that is, and what is no error of
ours tells nothing of itself. What comes in is foreign text; it is shown, so it is short and
printable. Pure. Normative page: docs/formats/custodian-v1.md.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from strongroom.crypto import canonical
from strongroom.errors import (
    Damaged,
    Refused,
    Stale,
    StrongroomError,
    UsageError,
    Waiting,
    printable,
)
from strongroom.quorum import refusals

TEXT_LENGTH_MAX: Final = 1_000
REPORT_BYTES_MAX: Final = 1 << 16
_FIELDS: Final = ("code", "hint", "what", "why")


class TooManyAsked(Refused):
    """A peer asked more often than a custodian lets it."""

    code = "too_many_asked"
    hint = "Wait, and find out who asks so often; `custodian.toml` there says how often one may."


_KINDS: Final[dict[type[StrongroomError], int]] = {
    StrongroomError: 500,
    UsageError: 400,
    Waiting: 425,
    Refused: 403,
    Stale: 409,
    Damaged: 422,
}


def _nearest(kind: type[StrongroomError]) -> int:
    return next(status for base, status in reversed(_KINDS.items()) if issubclass(kind, base))


STATUS: Final[Mapping[type[StrongroomError], int]] = {
    **_KINDS,
    TooManyAsked: 429,
    **{
        kind: _nearest(kind)
        for kind in vars(refusals).values()
        if isinstance(kind, type) and kind.__module__ == refusals.__name__
    },
}
"""The errors that travel, with the status of HTTP that each comes with."""
_NEAREST_FIRST: Final = sorted(STATUS, key=lambda kind: -len(kind.__mro__))
_BY_CODE: Final[Mapping[str, type[StrongroomError]]] = {kind.code: kind for kind in STATUS}


def report(err: BaseException) -> tuple[int, bytes]:
    """Return status and body for an error; of one that is not ours nothing is told."""
    told = err if isinstance(err, StrongroomError) else StrongroomError("it failed", hint=_LOOK)
    kind = next(kind for kind in _NEAREST_FIRST if isinstance(told, kind))
    texts = {"hint": told.hint, "what": told.what, "why": told.why}
    shown = {name: printable(text)[:TEXT_LENGTH_MAX] for name, text in texts.items()}
    return STATUS[kind], canonical.dumps({"code": kind.code, **shown})


def read_report(data: bytes, who: str) -> StrongroomError:
    """Return the error of a body from `who`; a body that is none gives Damaged, naming them."""
    try:
        if len(data) > REPORT_BYTES_MAX:
            raise ValueError(f"it has over {REPORT_BYTES_MAX} bytes")
        return _error(json.loads(data))
    except (ValueError, RecursionError) as err:
        why = str(err) if len(str(err)) <= 100 else type(err).__name__
        return Damaged(f"{who} answered with what is neither an answer nor an error", why, _LOOK)


def _error(fields: Any) -> StrongroomError:
    if not isinstance(fields, dict) or tuple(sorted(fields)) != _FIELDS:
        raise ValueError("its fields are not those of an error")
    for text in fields.values():
        if not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX or not text.isprintable():
            raise ValueError("a field is no short printable text")
    kind = _BY_CODE.get(fields["code"])
    if kind is None:
        raise ValueError("there is no such code")
    return kind(fields["what"], fields["why"], fields["hint"])


_LOOK: Final = "Look at what that custodian writes where it runs."
