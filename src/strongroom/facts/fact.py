"""A fact and its bytes: one line of canonical JSON, which is a leaf of the ledger.

The bytes are those of RFC 8785. What a fact holds is ASCII but for nothing, keys are ours and
numbers are short integers, so that sorting and separators are all there is to it; `msgspec` writes
them in a microsecond, and a test compares with the package `rfc8785`. docs/formats/ledger-v1.md.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, cast

import msgspec

from strongroom.clock import format_instant, parse_instant
from strongroom.errors import Damaged
from strongroom.facts.kinds import LIST_MAX, FactValue
from strongroom.facts.op import CONVERTED, FactRefused, Op
from strongroom.facts.vocabulary import known, newest
from strongroom.ids import Token

FACT_BYTES_MAX: Final = 32_768
"""The largest fact; an entry of a log may be 65,535 bytes."""
OPERATOR: Final = "operator"
"""Who did what was recorded before persons had pseudonyms."""

Phase = Literal["note", "intent", "result"]
Outcome = Literal["ok", "denied", "error"]
AuthorKind = Literal["human", "service", "custodian"]

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.decode
_ID = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}").fullmatch
_OPAQUE = re.compile(r"(?:[0-9a-f]{32})?").fullmatch
_WHO = re.compile(r"[0-9a-f]{32}|operator").fullmatch
_FIELD = re.compile(r"[a-z][a-z0-9_.]{0,39}").fullmatch
_COMMITMENT = re.compile(r"[0-9a-f]{64}").fullmatch
_AUTHORS: Final = frozenset({"human", "service", "custodian"})
_FORMS: Final[tuple[tuple[str, Callable[[Any], object]], ...]] = (
    ("v", lambda value: type(value) is int),
    ("id", _ID),
    ("phase", frozenset({"note", "intent", "result"}).__contains__),
    ("out", frozenset({"ok", "denied", "error"}).__contains__),
    ("why", re.compile(r"(?:[a-z][a-z0-9_]{0,39})?").fullmatch),
    ("ref", _OPAQUE),
    ("client", _OPAQUE),
    ("behalf", _OPAQUE),
    ("run", _OPAQUE),
    ("node", _OPAQUE),
    ("version", re.compile(r"[0-9a-z.+-]{0,40}").fullmatch),
)
"""What each field outside the body looks like."""
_REQUIRED: Final = frozenset({"at", "body", "id", "op", "out", "phase", "v", "who"})
_OPTIONAL: Final = ("behalf", "client", "node", "ref", "run", "subject", "version", "why")
_KEYS: Final = _REQUIRED | {*_OPTIONAL, "sd"}


_LOOK: Final = "Run `strongroom ledger verify` to see what is hit."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_NOT_A_FACT: Final = (
    msgspec.MsgspecError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Who:
    """Who did it: the pseudonym of a person, or the id of a custodian."""

    id: str
    kind: AuthorKind


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened, to what, by whom, when. Each one that exists is of the closed vocabulary."""

    LIST_MAX: ClassVar[int] = LIST_MAX
    """How many values a list in a body may have."""

    op: str
    """Two words with a dot, such as `backup.written`."""
    subject: str
    who: Who
    at: datetime
    body: Mapping[str, FactValue]
    id: str
    """A UUIDv7 as 32 digits; the same fact recorded again has the same id."""
    v: int = 1
    """Which version of the op's body this is; 0 for what was recorded before bodies were closed."""
    phase: Phase = "note"
    ref: str = ""
    """Of a result: the id of the intent that it answers."""
    out: Outcome = "ok"
    why: str = ""
    """A code that says why it was denied or failed."""
    client: str = ""
    behalf: str = ""
    """The pseudonym of the person on whose behalf it was done."""
    run: str = ""
    """The same in all facts of one command."""
    node: str = ""
    version: str = ""
    sd: Mapping[str, str] = field(default_factory=dict)
    """Salted commitments to the private fields, by name."""

    def __post_init__(self) -> None:
        """Raise FactRefused, naming the field, for what the schema does not have."""
        op = known(self.op, self.v)
        # An intent does not know yet what a result tells, and what went wrong never does.
        done = self.phase != "intent" and self.out == "ok" and self.v != CONVERTED
        op.check(self.body, done=done)
        if self.subject or self.v != CONVERTED:
            op.check_subject(self.subject)
        wrong = _wrong(self)
        if wrong:
            raise FactRefused(f"a fact {self.op} cannot be recorded", f"its {wrong} is malformed")
        if self.sd:
            op.check_private(self.sd)

    @property
    def schema(self) -> Op:
        """Return the op with the body that this fact has."""
        return known(self.op, self.v)

    def encode(self) -> bytes:
        """Return the canonical bytes; raises FactRefused where they are too many."""
        told: dict[str, object] = {
            "at": format_instant(self.at),
            "body": self.body,
            "id": self.id,
            "op": self.op,
            "out": self.out,
            "phase": self.phase,
            "v": self.v,
            "who": {"id": self.who.id, "kind": self.who.kind},
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value:
                told[name] = value
        if self.sd:
            told["sd"] = self.sd
        data = _encode(told)
        if len(data) > FACT_BYTES_MAX:
            raise FactRefused(f"a fact {self.op} cannot be recorded", f"it has {len(data)} bytes")
        return data

    @classmethod
    def parse(cls, data: bytes) -> "Fact":
        """Read what `encode` wrote, and nothing else; raises Damaged otherwise."""
        try:
            return cls._parse(data)
        except (FactRefused, Damaged) as err:
            raise Damaged("a fact cannot be read", err.why, _LOOK) from err
        except _NOT_A_FACT as err:
            raise Damaged(
                "a fact cannot be read", "it is not one, or not in its one form", _LOOK
            ) from err

    @classmethod
    def _parse(cls, data: bytes) -> "Fact":
        if len(data) > FACT_BYTES_MAX:
            raise ValueError
        raw = cast("dict[str, Any]", _decode(data, type=dict))
        who = raw["who"]
        if not raw.keys() <= _KEYS or not who.keys() == {"id", "kind"}:
            raise ValueError
        fields = {name: raw[name] for name in _OPTIONAL if name in raw}
        fact = cls(
            raw["op"],
            fields.pop("subject", ""),
            Who(who["id"], who["kind"]),
            parse_instant(raw["at"]),
            raw["body"],
            raw["id"],
            v=raw["v"],
            phase=raw["phase"],
            out=raw["out"],
            sd=raw.get("sd", {}),
            **fields,
        )
        if fact.encode() != data:
            raise ValueError
        return fact

    @classmethod
    def of_row(cls, number: int, op: str, subject: str, actor: str, at: str, body: str) -> "Fact":
        """Return the fact of a row of the plain table.

        A row from before facts were closed becomes a fact of version 0: the same for the same row,
        and without what the schema has no place for (URLs, names, sentences).
        """
        try:
            raw = cast("dict[str, Any]", _decode(body, type=dict))
            if "op" in raw:
                return cls.parse(body.encode())
        except _NOT_A_FACT as err:
            raise Damaged("a fact cannot be read", "its row holds no object", _LOOK) from err
        schema = newest(op)
        instant = parse_instant(at)
        # A subject that is no id is a name, and nothing of a name may be guessed from a fact.
        subject = subject if schema.subject[1].fits(subject) else ""
        told = f"strongroom/fact-row\n{number}\n{op}\n{subject}\n{at}"
        seed = hashlib.sha256(told.encode()).digest()
        kinds = {**schema.must, **schema.may}
        custodian = actor != OPERATOR
        return cls(
            op,
            subject,
            Who(actor if custodian else OPERATOR, "custodian" if custodian else "human"),
            instant,
            {
                name: value
                for name, value in raw.items()
                if name in kinds and kinds[name].fits(value)
            },
            new_fact_id(instant, lambda size: seed[:size]),
            v=CONVERTED,
            client=subject if schema.subject[0] == "client" else "",
        )


def new_fact_id(at: datetime, token: Token) -> str:
    """Return a UUIDv7 of an instant as 32 hexadecimal digits (RFC 9562)."""
    chance = int.from_bytes(token(10), "big")
    milliseconds = (at - _EPOCH) // _MILLISECOND
    high = milliseconds << 16 | 0x7000 | (chance >> 62 & 0x0FFF)
    low = 0x8000_0000_0000_0000 | (chance & 0x3FFF_FFFF_FFFF_FFFF)
    return f"{high << 64 | low:032x}"


def _wrong(fact: Fact) -> str:
    """Return the name of the first field outside the body that is malformed, or nothing."""
    for name, fits in _FORMS:
        if not fits(getattr(fact, name)):
            return name
    if fact.sd and not all(_FIELD(name) and _COMMITMENT(one) for name, one in fact.sd.items()):
        return "sd"
    if _WHO(fact.who.id) is None or fact.who.kind not in _AUTHORS:
        return "who"
    # A result answers an intent, and only what went wrong has a reason.
    answers, fine = bool(fact.ref), not fact.why
    return "" if (answers, fine) == (fact.phase == "result", fact.out == "ok") else "outcome"
