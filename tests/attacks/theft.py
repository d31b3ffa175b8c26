"""Installs whose custodians are asked over mutual TLS, and a thief who has the home of one.

The thief runs code of his own: he goes past desk and command line, and asks each custodian himself
with everything that lies in the home. What he lacks is what never lay there.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from strongroom.app import App
from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.errors import StrongroomError
from strongroom.ids import new_id
from strongroom.operations.deployment import Deployment
from strongroom.operations.device_key import nobody_to_ask
from strongroom.operations.grants import LIFE
from strongroom.operations.log_keys import LogKeys
from strongroom.operations.open_keys import fetch_keys
from strongroom.operations.policies import Team, kept_policy
from strongroom.operations.receipts import fetch_record
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.operations.witnessing import OpenLog, Witnessed, have_witnessed
from strongroom.quorum import Acts, Custodian, Opening, SnapshotHeader
from strongroom.quorum.order import Order
from strongroom.quorum.release import ReleaseRequest
from tests.journeys.test_custodians_elsewhere import Custodians, custodians
from tests.quorum.granting import Ledger
from tests.support.transcript import Done, at_home, strongroom

CLIENT = "acme"


@dataclass(frozen=True, slots=True)
class Install:
    """A home with one client of two snapshots, and three custodians elsewhere."""

    folder: Path
    three: Custodians
    words: str | None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, line: str, *, code: int = 0) -> Done:
        """Run a command of the owner, who has the passphrase."""
        passphrase = ("--passphrase-file", "words") if self.words and "restore" in line else ()
        done = strongroom(*line.split(), *passphrase)
        assert done.code == code, done
        return done

    def stolen(self, name: str) -> Path:
        """Return a copy of the home; its settings name the key file, which is there."""
        shutil.copytree(self.home, self.folder / name)
        return self.folder / name


@contextmanager
def installed(
    folder: Path, team: Team | None = None, words: str | None = None
) -> Iterator[Install]:
    """Make an install; a team approves, or one person whose key is under these words."""
    with at_home(folder), custodians(folder) as three:
        app = App(passphrase=nobody_to_ask if words is None else lambda: words)
        install = app.new_install()
        places = {name: (folder / name).as_uri() for name in ("one", "two")}
        plan = InstallPlan(
            install, "ann", 3, 2, places, words, elsewhere=three.invited(), team=team
        )
        tools, registry = app.make_home(folder / "home", install)
        set_up(tools, registry, plan)
        registry.close()
        (folder / "words").write_text(words or "", encoding="utf-8")
        (folder / "notes").mkdir()
        made = Install(folder, three, words)
        made.run(f"client add {CLIENT} --source notes")
        for text in ("first", "second"):
            (folder / "notes" / "today.txt").write_text(text, encoding="utf-8")
            made.run(f"backup {CLIENT}")
        yield made


@dataclass(frozen=True, slots=True)
class Thief:
    """Somebody with a home and its key file."""

    deployment: Deployment
    client: Client
    history: History

    @property
    def custodians(self) -> list[Custodian]:
        return list(self.deployment.custodians.values())

    @property
    def log(self) -> OpenLog:
        return OpenLog.of_client(self.client, self.history)

    @property
    def origin(self) -> str:
        origin = self.history.log.epoch().origin
        assert origin is not None
        return origin

    @property
    def policy(self) -> Acts.Policy:
        return Acts.Policy.parse(self.policy_envelope)

    @property
    def policy_envelope(self) -> Envelope:
        envelope = kept_policy(self.deployment.registry)
        assert envelope is not None
        return envelope

    def snapshot(self, number: int = -1) -> tuple[Statement, list[Statement]]:
        """Return a snapshot, the newest or another one, and its keys objects."""
        one = self.history.snapshots()[number]
        statement = fetch_record(self.deployment, self.client, one).statement
        keys = [
            fetch_keys(self.deployment, self.client, self.history, session).statement
            for session in SnapshotHeader.read(statement).sessions
        ]
        return statement, keys

    def wish(self, number: int = -1) -> Opening:
        """Begin to open a snapshot for a key of his own."""
        tools = self.deployment.tools
        return Opening.begin(*self.snapshot(number), tools.token, tools.clock.now())

    def state(self, opening: Opening, **changes: Any) -> Acts.Request:
        """Return the request for exactly that, as the server writes it."""
        now = self.deployment.tools.clock.now()
        fields: dict[str, Any] = {
            "install": self.deployment.install,
            "request": opening.request.request,
            "procedure": Acts.Procedure.RESTORE,
            "params": {"target": "folder"},
            "client": self.client.id,
            "wanted": opening.wanted,
            "plan": None,
            "requester": self.deployment.operator,
            "origin": self.origin,
            "policy": self.policy.id,
            "not_before": now,
            "expires": now + LIFE,
            "nonce": new_id(self.deployment.tools.token),
        }
        return Acts.Request(**{**fields, **changes}).check()

    def granted(
        self, opening: Opening, request: Acts.Request, approvals: Sequence[Envelope] = ()
    ) -> ReleaseRequest:
        """Announce it in the true log, have the true custodians witness that, and prove it."""
        given = tuple(sorted(approvals, key=lambda one: Acts.Approval.read(one).approver))
        told: dict[str, Any] = {
            "snapshot": opening.wanted.snapshot,
            "request": request.request,
            "grant": Acts.Grant.digest(request, given),
            "procedure": str(request.procedure),
            "approved": "team",
        }
        intent = self.deployment.intent("keys.opened", self.client.id, client="", **told)
        self.log.record(intent)
        (witnessed,) = have_witnessed(self.deployment, [self.log])
        assert witnessed.enough, witnessed.reasons
        grant = Acts.Grant(request, given, self.proven(intent.id, witnessed))
        return replace(opening.request, grant=grant)

    def ordered(
        self, request: Acts.Request, approvals: Sequence[Envelope], *enclosed: Envelope
    ) -> Order:
        """Announce an order in the server's true log, have that witnessed, and prove it."""
        given = tuple(sorted(approvals, key=lambda one: Acts.Approval.read(one).approver))
        told: dict[str, Any] = {
            "procedure": str(request.procedure),
            "digest": request.digest,
            "grant": Acts.Grant.digest(request, given),
        }
        intent = self.deployment.intent("procedure.run", request.request, **told)
        self.deployment.registry.record(intent)
        (witnessed,) = have_witnessed(self.deployment, [OpenLog.of_server(self.deployment)])
        assert witnessed.enough, witnessed.reasons
        return Order(Acts.Grant(request, given, self.proven(intent.id, witnessed)), enclosed)

    def proven(self, fact: str, witnessed: Witnessed) -> Acts.Proven:
        """Return the proof that a fact stands in the log that was witnessed."""
        log, checkpoint = witnessed.log.log, witnessed.checkpoint
        number = log.number_of(fact)
        assert number is not None
        assert checkpoint is not None
        cards = self.deployment.registry.witness_cards()
        return Acts.Proven(
            log.leaf(number),
            number,
            tuple(log.inclusion(number, checkpoint.size)),
            witnessed.note,
            tuple(decode_envelope(cards[index], "a witness card") for index in sorted(cards)),
        )

    def fork(self) -> Ledger:
        """Return an empty log under the name and the key of the true one: they are in the home."""
        install, tools = self.deployment.install, self.deployment.tools
        seed = LogKeys.read(install, tools.secrets, tools.token).seed(self.origin)
        client = self.client.id
        return Ledger(install, client, tools.clock, tools.token, named=(self.origin, seed))

    def codes(self, asked: ReleaseRequest | Order) -> set[str]:
        """Ask each custodian; return the codes of their refusals. Nobody did anything."""
        before = self.done()
        found = {code_of(partial(_ask, one, asked)) for one in self.custodians}
        assert self.done() == before
        return found

    def done(self) -> int:
        """Return how many releases and deeds stand in the journals of the custodians."""
        ops = [fact.op for one in self.custodians for fact in one.journal(0)]
        return ops.count("share.released") + ops.count("request.obeyed")


def _ask(custodian: Custodian, asked: ReleaseRequest | Order) -> Envelope:
    return custodian.obey(asked) if isinstance(asked, Order) else custodian.release(asked)


def code_of(action: Callable[[], object]) -> str:
    """Return the code of the error that an action raises."""
    try:
        action()
    except StrongroomError as err:
        return err.code
    raise AssertionError("nothing was refused")


@contextmanager
def thief_of(home: Path) -> Iterator[Thief]:
    """Open a home as somebody who has no passphrase."""
    with App().open(home) as deployment:
        assert len(deployment.custodians) == 3, deployment.absent_custodians
        client = deployment.registry.client(CLIENT)
        with deployment.tools.history(client.id) as history:
            yield Thief(deployment, client, history)
