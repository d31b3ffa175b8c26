"""The desk: every act that was asked for in this home, in `server.db`.

A change is written together with the fact that tells of it, and only where the row is still as it
was when the change was decided: of two commands at once one is overtaken. The same command may
begin again what one that died has begun; that it is done once is for whoever does it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto.envelope import decode_envelope
from strongroom.database import Database, Row, Transaction
from strongroom.errors import Refused, UsageError
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.procedures.act import Act, Begin, End, Finish, State, Take, Wait, Withdraw
from strongroom.procedures.parcel import Parcel
from strongroom.procedures.plan import Plan
from strongroom.quorum import Acts

ROOM: Final = "procedures"
PREFIX_LENGTH_MIN: Final = 4
LATEST: Final = "latest"
SCHEMA: Final = (
    """
    CREATE TABLE act (
      request TEXT PRIMARY KEY, state TEXT NOT NULL, asked_at TEXT NOT NULL, why TEXT NOT NULL,
      statement BLOB NOT NULL, plan TEXT NOT NULL, policy BLOB NOT NULL, command TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE act_approval (
      request TEXT NOT NULL REFERENCES act (request), approver TEXT NOT NULL,
      envelope BLOB NOT NULL, PRIMARY KEY (request, approver)
    ) STRICT
    """,
    """
    CREATE TABLE act_deed (
      request TEXT NOT NULL REFERENCES act (request), custodian INTEGER NOT NULL,
      envelope BLOB NOT NULL, PRIMARY KEY (request, custodian)
    ) STRICT
    """,
)
_ACT: Final = "SELECT request, state, asked_at, why, statement, plan, policy, command FROM act"


class Overtaken(Refused):
    """Another command changed the same act meanwhile."""

    code = "overtaken"
    hint = "Nothing was changed by this command. Look with `strongroom procedure show ID`."


class Desk:
    """The acts of one home."""

    State: TypeAlias = State
    Take: TypeAlias = Take
    Withdraw: TypeAlias = Withdraw
    Begin: TypeAlias = Begin
    Finish: TypeAlias = Finish
    Wait: TypeAlias = Wait
    End: TypeAlias = End
    Overtaken: TypeAlias = Overtaken

    def __init__(self, database: Database, log: Log) -> None:
        """Take over a database; `log` is the server's, which lies in the same one."""
        self._database = database
        self._log = log
        database.migrate(SCHEMA, ROOM)

    def acts(self) -> list[Act]:
        """Return every act in the order in which they were asked for."""
        with self._database.reading() as reading:
            rows = reading.rows(f"{_ACT} ORDER BY asked_at, request")
            return [_act(reading, row) for row in rows]

    def find(self, prefix: str) -> Act:
        """Return the act whose id begins so, or the one that was asked for last for `latest`.

        Raises UsageError for none and for more than one.
        """
        if prefix == LATEST:
            acts = self.acts()
            if acts:
                return acts[-1]
            raise UsageError("nothing was asked for yet", "there is no latest request")
        if len(prefix) < PREFIX_LENGTH_MIN:
            raise UsageError(
                f"{prefix!a:.40} names no request", f"wanted {PREFIX_LENGTH_MIN} digits or more"
            )
        with self._database.reading() as reading:
            rows = [
                row
                for row in reading.rows(f"{_ACT} ORDER BY asked_at, request")
                if row[0].startswith(prefix)
            ]
            if len(rows) == 1:
                return _act(reading, rows[0])
        raise UsageError(
            f"{prefix!a:.40} names {len(rows) or 'no'} request{'s' if len(rows) != 1 else ''}",
            hint="See them with `strongroom procedure list`.",
        )

    def ask(self, act: Act, fact: Fact, seal: Callable[[], None] | None = None) -> None:
        """Write a new act; `seal` keeps what it cannot be run without, before it counts."""
        parcel = act.parcel
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO act (request, state, asked_at, why, statement, plan, policy, command) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    act.id,
                    str(act.state),
                    format_instant(act.asked_at),
                    act.why,
                    parcel.request.encode(),
                    json.dumps(parcel.plan.lines),
                    parcel.policy.encode(),
                    act.order,
                ),
            )
            self._log.append(transaction, fact)
            if seal is not None:
                seal()

    @contextmanager
    def unchanged(self) -> Iterator[list[Act]]:
        """Return every act; none is asked for or changed by another command meanwhile."""
        with self._database.transaction() as transaction:
            rows = transaction.rows(f"{_ACT} ORDER BY asked_at, request")
            yield [_act(transaction, row) for row in rows]

    def change(self, before: Act, after: Act, facts: Sequence[Fact]) -> None:
        """Write what became of an act; raises Overtaken where its row is not `before` any more."""
        with self._database.transaction() as transaction:
            row = transaction.row(f"{_ACT} WHERE request = ?", (before.id,))
            if row is None or _act(transaction, row) != before:
                raise Overtaken(f"request {before.id[:8]} was changed by another command")
            transaction.run(
                "UPDATE act SET state = ?, why = ? WHERE request = ?",
                (str(after.state), after.why, after.id),
            )
            for word, envelope in zip(after.said, after.given, strict=True):
                transaction.run(
                    "INSERT INTO act_approval (request, approver, envelope) VALUES (?, ?, ?) "
                    "ON CONFLICT (request, approver) DO UPDATE SET envelope = excluded.envelope",
                    (after.id, word.approver, envelope.encode()),
                )
            for fact in facts:
                self._log.append(transaction, fact)

    def deeds(self, request: str) -> dict[int, bytes]:
        """Return the deeds (envelopes) of an act, by the index of the custodian that did it."""
        with self._database.reading() as reading:
            return dict(
                reading.rows(
                    "SELECT custodian, envelope FROM act_deed WHERE request = ? ORDER BY custodian",
                    (request,),
                )
            )

    def keep_deed(self, request: str, custodian: int, envelope: bytes, fact: Fact) -> None:
        """Keep the deed of a custodian; there is one of each and act."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO act_deed (request, custodian, envelope) VALUES (?, ?, ?)",
                (request, custodian, envelope),
            )
            self._log.append(transaction, fact)


def _act(transaction: Transaction, row: Row) -> Act:
    request, state, asked_at, why, statement, plan, policy, order = row
    given = transaction.rows(
        "SELECT envelope FROM act_approval WHERE request = ? ORDER BY approver", (request,)
    )
    return Act(
        Parcel(
            Acts.Request.parse(statement),
            Plan(tuple(json.loads(plan))),
            decode_envelope(policy, "the policy of a request"),
        ),
        parse_instant(asked_at),
        order,
        State(state),
        tuple(decode_envelope(one, "an approval") for (one,) in given),
        why,
    )
