"""Nothing runs without m valid signatures over exactly its bytes, whatever comes in which order.

The machine drives a desk on a real database: people ask, approve, forge, replay, refuse and
withdraw, the clock jumps, rows are changed behind the desk's back. What ran is judged by raw
Ed25519 verification, which shares no code with what decided.
"""

import struct
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import canonical, signing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import StrongroomError
from strongroom.ledger import Log
from strongroom.procedures import Act, Desk
from strongroom.procedures.act import OPEN, State
from strongroom.quorum import Acts
from tests.procedures.world import NOON, World, approver, says, seed
from tests.support.telling import session

PEOPLE = ("ann", "bob", "cem", "dan")
NAMES = st.sampled_from((*PEOPLE, "eve"))
HOUR = timedelta(hours=1)
FACT = session().fact("location.removed", "2" * 32)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.database = open_sqlite(None)
        self.database.migrate(Log.SCHEMA)
        self.desk = Desk(self.database, Log(self.database))
        self.now = NOON
        self.words: list[Envelope] = []
        self.ran: list[tuple[Act, datetime]] = []
        self.vetoed: set[str] = set()
        self.number = 0

    def teardown(self) -> None:
        self.database.close()

    @initialize(
        approvals=st.integers(1, 3),
        hours=st.integers(0, 1),
        single=st.sampled_from((False, False, True)),
    )
    def begin(self, approvals: int, hours: int, single: bool) -> None:
        people, mode = (PEOPLE[:1], "single") if single else (PEOPLE, "team")
        self.world = World(
            people, 1 if single else approvals, hours * HOUR, "single" if single else "team"
        )
        assert mode == self.world.mode

    def acts(self) -> list[Act]:
        return self.desk.acts()

    def command(self, act: Act, command: object) -> Act | None:
        """Give a command as an operation does; return the act where it was taken."""
        with suppress(StrongroomError):
            after = act.decide(command, self.now)  # type: ignore[arg-type]  # one of the four
            self.desk.change(act, after, [FACT])
            return after
        return None

    @precondition(lambda self: len(self.acts()) < 4)
    @rule(requester=st.sampled_from(("", *PEOPLE)))
    def ask_first(self, requester: str) -> None:
        self.ask(requester)

    def ask(self, requester: str) -> None:
        """Ask for a restore in the name of this person, or of one who does not approve."""
        self.number += 1
        request = self.world.request(
            self.number, self.now, approver(requester) if requester else ""
        )
        self.desk.ask(self.world.asked(request, self.now), FACT)

    @precondition(lambda self: self.acts())
    @rule(data=st.data(), name=NAMES, word=st.sampled_from(("approve", "refuse")))
    def say(self, data: st.DataObject, name: str, word: Acts.Approval) -> None:
        act = data.draw(st.sampled_from(self.acts()))
        said = says(name, act.request, word)  # type: ignore[arg-type]  # one of the two words
        self.words.append(said)
        taken = self.command(act, Desk.Take(said))
        if taken is not None and str(word) == "refuse":
            self.vetoed.add(act.id)

    @precondition(lambda self: len(self.acts()) < 4)
    @rule(data=st.data(), requester=st.sampled_from(("", *PEOPLE)))
    def ask_and_hear_yes(self, data: st.DataObject, requester: str) -> None:
        self.ask(requester)
        act = self.desk.find(f"{self.number:032x}")
        for name in data.draw(st.permutations(self.world.people))[: act.needed]:
            said = says(name, act.request)
            self.words.append(said)
            act = self.command(act, Desk.Take(said)) or act

    @precondition(lambda self: self.acts() and self.words)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        act = data.draw(st.sampled_from(self.acts()))
        said = data.draw(st.sampled_from(self.words))
        if self.command(act, Desk.Take(said)) and b"refuse" in said.statement.header:
            self.vetoed.add(act.id)

    @precondition(lambda self: self.acts())
    @rule(data=st.data(), name=NAMES, forger=NAMES)
    def forge(self, data: st.DataObject, name: str, forger: str) -> None:
        act = data.draw(st.sampled_from(self.acts()))
        good = says(name, act.request).statement
        wrong = signing.sign(seed(forger), "strongroom/envelope-v1", good.header + good.body_hash)
        if forger != name:
            assert self.command(act, Desk.Take(_with(good, wrong))) is None

    @precondition(lambda self: len(self.acts()) > 2)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.command(data.draw(st.sampled_from(self.acts())), Desk.Withdraw())

    @rule(hours=st.sampled_from((-1, 1, 2, 30)))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR

    @precondition(lambda self: len(self.acts()) > 2)
    @rule(
        data=st.data(), state=st.sampled_from((State.APPROVED, State.RUNNING)), drop=st.booleans()
    )
    def somebody_changes_the_row(self, data: st.DataObject, state: State, drop: bool) -> None:
        act = data.draw(st.sampled_from(self.acts()))
        with self.database.transaction() as transaction:
            transaction.run("UPDATE act SET state = ? WHERE request = ?", (str(state), act.id))
            if drop:
                transaction.run("DELETE FROM act_approval WHERE request = ?", (act.id,))
                # A refusal that is gone here is known to the custodians it was shown to only.
                self.vetoed.discard(act.id)

    @precondition(lambda self: len(self.acts()) > 2)
    @rule(data=st.data())
    def somebody_moves_approvals(self, data: st.DataObject) -> None:
        one, other = data.draw(st.permutations(self.acts()))[:2]
        with self.database.transaction() as transaction:
            transaction.run("DELETE FROM act_approval WHERE request = ?", (other.id,))
            transaction.run(
                "UPDATE act_approval SET request = ? WHERE request = ?", (other.id, one.id)
            )
        self.vetoed -= {one.id, other.id}

    @precondition(lambda self: self.acts())
    @rule(data=st.data(), why=st.sampled_from(("", "failed", None)))
    def run(self, data: st.DataObject, why: str | None) -> None:
        acts = self.acts()
        act = data.draw(st.sampled_from([one for one in acts if one.state in OPEN] or acts))
        running = self.command(act, Desk.Begin())
        if running is None:
            return
        assert act.id not in self.vetoed
        self.ran.append((running, self.now))
        if why is not None:
            self.command(running, Desk.Finish(why))

    @precondition(lambda self: self.acts())
    @rule(data=st.data())
    def run_other_bytes(self, data: st.DataObject) -> None:
        act = data.draw(st.sampled_from(self.acts()))
        other = replace(act.request, params={"target": "database"})
        changed = replace(act, parcel=replace(act.parcel, request=other), state=State.APPROVED)
        if changed.given:
            assert self.command(changed, Desk.Begin()) is None

    @invariant()
    def what_ran_was_signed(self) -> None:
        for act, at in self.ran:
            assert act.request.not_before <= at < act.request.expires
            assert _signers(act, "approve") >= act.needed
            assert _signers(act, "refuse") == 0

    @invariant()
    def what_is_not_open_stays(self) -> None:
        for act in self.acts():
            if act.state not in OPEN:
                with suppress(StrongroomError):
                    assert act.decide(Desk.Begin(), self.now) is None


def _with(statement: Statement, signature: bytes) -> Envelope:
    return Envelope(Statement(statement.header, statement.body_hash, signature), b"")


def _signers(act: Act, word: str) -> int:
    """Count distinct approvers who said a word of these bytes, by hand."""
    digest = act.request.digest
    signers = set()
    for one in act.given:
        header = canonical.loads(one.statement.header)
        key = act.policy.approvers[header["approver"]]
        framed = b"".join(
            struct.pack("<I", len(part)) + part
            for part in (b"strongroom/envelope-v1", one.statement.header + one.statement.body_hash)
        )
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(one.statement.signature, framed)
        except InvalidSignature:
            continue
        own = header["approver"] == act.request.requester and act.policy.mode == "team"
        if (header["request"], header["decision"]) == (digest, word) and not own:
            signers.add(header["approver"])
    return len(signers)


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestDesk = Machine.TestCase
