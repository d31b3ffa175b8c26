"""Somebody has the server's home: what custodians elsewhere, asked over TLS, refuse him, by code.

Each custodian is asked by itself, so that all three refuse and none has journalled a release.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.ids import CustodianId, new_id
from strongroom.ledger import Checkpoint, Witness
from strongroom.operations.policies import Team
from strongroom.operations.requesting import take
from strongroom.quorum import Acts, Roster
from tests.attacks.theft import CLIENT, Install, Thief, code_of, installed, thief_of
from tests.support.transcript import strongroom

pytestmark = pytest.mark.loopback
SEEDS = [secrets.token_bytes(32) for _ in range(3)]
OWN = secrets.token_bytes(32)
WORDS = "a passphrase that nobody wrote down"


def approved(request: Acts.Request, *seeds: bytes) -> list[Envelope]:
    """Return what these keys sign of a request."""
    return [Acts.Approval.sign(seed, request, "approve", request.not_before) for seed in seeds]


@pytest.fixture(name="team", scope="module")
def _team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """A team of three, of whom two approve; one restore was asked for, approved and done."""
    team = Team(tuple(signing.public_key(seed) for seed in SEEDS), 2)
    with installed(tmp_path_factory.mktemp("team"), team) as made:
        made.run(f"restore {CLIENT} --to back", code=5)
        with App().open(made.home) as deployment:
            request = deployment.desk.find("latest").request
            for word in approved(request, *SEEDS[:2]):
                take(deployment, word)
        made.run(f"restore {CLIENT} --to back")
        yield made


@pytest.fixture(name="thief", scope="module")
def _thief(team: Install) -> Iterator[Thief]:
    """Whoever took the team's home: its key file is there, the operator's key is under it."""
    with thief_of(team.stolen("stolen")) as thief:
        assert thief.deployment.tools.device.unattended
        yield thief


def test_stolen_home_without_its_key_file(team: Install) -> None:
    home = team.stolen("alone")
    settings = home / "strongroom.toml"
    (named,) = (team.folder / "config" / "strongroom").glob("*.key")
    text = settings.read_text("utf-8")
    assert str(named) in text
    settings.write_text(text.replace(str(named), str(team.folder / "own.key")), "utf-8")
    assert code_of(lambda: App().open(home).__enter__()) == "key_file_missing"
    other = App()
    other.make_home(team.folder / "other", other.new_install(), team.folder / "own.key")
    with App().open(home) as deployment:
        assert not deployment.custodians


def test_stolen_home_asks_without_a_grant(thief: Thief) -> None:
    assert thief.codes(thief.wish().request) == {"no_grant"}


def test_stolen_home_approves_for_itself(thief: Thief) -> None:
    opening = thief.wish()
    request = thief.state(opening)
    operator = thief.deployment.tools.device.seed()
    for seeds, code in (
        ((), "not_approved"),
        ((OWN,), "not_an_approver"),
        ((operator,), "not_an_approver"),
        ((operator, OWN), "not_an_approver"),
        (SEEDS[:1], "not_approved"),
    ):
        asked = thief.granted(opening, request, approved(request, *seeds))
        assert thief.codes(asked) == {code}, seeds


def test_approvals_that_lie_in_the_home_are_replayed(thief: Thief) -> None:
    """The desk keeps what approvers signed: it opens what it opened, and nothing else."""
    (done,) = thief.deployment.desk.acts()
    opening = thief.wish()
    again = thief.state(opening, nonce=done.request.nonce, plan=done.request.plan)
    assert thief.codes(thief.granted(opening, again, done.given)) == {"other_request"}
    assert thief.codes(thief.granted(opening, done.request, done.given)) == {"other_act"}


def test_what_was_approved_is_changed(thief: Thief) -> None:
    opening = thief.wish()
    request = thief.state(opening)
    words = approved(request, *SEEDS[1:])
    for changed in (
        replace(request, params={"target": "command"}),
        replace(request, expires=request.expires + timedelta(days=1)),
        replace(request, procedure=Acts.Procedure.BROWSE, params={}),
        replace(request, requester="00" * 16),
    ):
        assert thief.codes(thief.granted(opening, changed, words)) == {"other_request"}
    asked = thief.granted(opening, request, words)
    own = public_sealing.public_key(bytes(32))
    assert thief.codes(replace(asked, recipient=own)) == {"other_recipient"}
    statement, keys = thief.snapshot(0)
    assert thief.codes(replace(asked, snapshot=statement, keys=tuple(keys))) == {"other_snapshot"}


def test_the_log_is_forked(thief: Thief) -> None:
    """Under the log's true key he signs a tree of the size that all have seen, and it convicts."""
    opening = thief.wish()
    request = thief.state(opening)
    words = tuple(sorted(approved(request, *SEEDS[:2]), key=by_approver))
    asked = thief.granted(opening, request, words)
    assert asked.grant is not None
    true = asked.grant.proven
    size = Checkpoint.claimed(true.note).size
    fork = thief.fork()
    told = (request.request, opening.wanted.snapshot, Acts.Grant.digest(request, words))
    named = dict(zip(("request", "snapshot", "grant"), told, strict=True))
    facts = [fork.announce(client=thief.client.id, **named) for _ in range(size)]
    note = fork.sign()
    for one in thief.custodians:
        (answer,) = one.witness.add_checkpoints([Witness.request(size, (), note)])
        assert answer.status == 422
        (kept,) = one.witness.evidence(thief.origin)
        assert kept.fork
    hidden = fork.prove(facts[-1], note, true.cards)
    lines = true.note.partition(b"\n\n")[2].splitlines(keepends=True)[1:]
    for proven, code in (
        (hidden, "too_few_witnesses"),
        # The cosignatures of the true tree say nothing of this one.
        (replace(hidden, note=note + b"".join(lines)), "not_in_log"),
        (replace(true, leaf=hidden.leaf), "not_in_log"),
    ):
        forged = replace(asked, grant=replace(asked.grant, proven=proven))
        assert thief.codes(forged) == {code}


def test_the_stolen_server_asks_for_a_recovery(thief: Thief) -> None:
    """A recovery is what may begin another log: approvers sign it, and nobody else."""
    opening = thief.wish()
    origin = f"{thief.deployment.install}.ledger.invalid/{'ab' * 16}"
    restore = thief.state(opening)
    recovery = thief.state(
        opening,
        procedure=Acts.Procedure.RECOVERY,
        params=Acts.recovery_params(origin),
        origin=origin,
    )
    operator = thief.deployment.tools.device.seed()
    for words, code in (
        ([], "not_approved"),
        (approved(recovery, operator), "not_an_approver"),
        (approved(recovery, OWN), "not_an_approver"),
        (approved(restore, *SEEDS), "other_request"),
    ):
        assert thief.codes(thief.granted(opening, recovery, words)) == {code}
    other = thief.granted(
        opening, replace(restore, origin=origin), approved(replace(restore, origin=origin), *SEEDS)
    )
    assert thief.codes(other) == {"unknown_log"}


def test_the_policy_is_swapped(thief: Thief) -> None:
    """He has the operator's key, which signed the pinned policy: it signs no other."""
    operator = thief.deployment.tools.device.seed()
    pinned = thief.policy
    alone = Acts.Policy.Draft(
        thief.deployment.install,
        "single",
        pinned.cosignatures,
        [signing.public_key(OWN)],
        Acts.Policy.single_rules(),
    )
    for seed, draft in (
        (operator, alone),
        (operator, replace(alone, previous=pinned)),
        (OWN, replace(alone, previous=pinned)),
        (SEEDS[0], replace(alone, previous=pinned)),
    ):
        envelope = Acts.Policy.sign(seed, draft, thief.deployment.tools.clock.now())
        for one in thief.custodians:
            assert code_of(partial(one.adopt_policy, envelope)) == "other_policy"
        opening = thief.wish()
        under = thief.state(opening, policy=Acts.Policy.parse(envelope).id)
        assert thief.codes(thief.granted(opening, under, approved(under, OWN))) == {"other_policy"}


def orders(thief: Thief) -> list[tuple[Acts.Request, tuple[Envelope, ...]]]:
    """Return a request for each thing that custodians do by order, with what it encloses."""
    opening, operator = thief.wish(), thief.deployment.tools.device.seed()
    roster, now = thief.deployment.roster, thief.deployment.tools.clock.now()
    identity = signing.public_key(OWN)
    own = replace(roster.members[2], id=CustodianId("ab" * 16), name="mine", identity=identity)
    seated = Roster.sign(
        operator, roster.install, roster.threshold, [*roster.members[:2], own], 2, now
    )
    draft = Acts.Policy.Draft(
        roster.install,
        "single",
        thief.policy.cosignatures,
        [signing.public_key(OWN)],
        Acts.Policy.single_rules(),
        thief.policy,
    )
    policy = Acts.Policy.sign(OWN, draft, now)
    origin = thief.deployment.registry.log.epoch().origin
    wanted: list[tuple[Acts.Procedure, dict[str, str | int], tuple[Envelope, ...]]] = [
        (
            Acts.Procedure.POLICY_CHANGE,
            {"policy": Acts.Policy.parse(policy).id, "version": 2},
            (policy,),
        ),
        (
            Acts.Procedure.CUSTODIAN_ENROL,
            {"index": 3, "identity": identity.hex(), "roster": seated.statement.hash.hex()},
            (seated,),
        ),
        (Acts.Procedure.CLIENT_ERASURE, {}, ()),
        (
            Acts.Procedure.CUSTODIAN_REDEAL,
            {"custodian": "ab" * 16, "roster": roster.id, "recipient": "cd" * 32},
            (),
        ),
    ]
    return [
        (
            thief.state(
                opening,
                request=new_id(secrets.token_bytes),
                procedure=procedure,
                params=params,
                client=thief.client.id if procedure.scope == "client" else None,
                wanted=None,
                origin=origin,
                expires=now + timedelta(days=7),
            ),
            enclosed,
        )
        for procedure, params, enclosed in wanted
    ]


def test_the_stolen_server_gives_orders(thief: Thief) -> None:
    """Another policy, a seat, a client's end, every key: each needs what lies in no home."""
    operator = thief.deployment.tools.device.seed()
    asked = orders(thief)
    for (request, enclosed), (another, _) in zip(asked, [*asked[1:], asked[0]], strict=True):
        for words, code in (
            ([], "not_approved"),
            (approved(request, operator), "not_an_approver"),
            (approved(request, SEEDS[0]), "not_approved"),
            (approved(another, *SEEDS), "other_request"),
        ):
            assert thief.codes(thief.ordered(request, words, *enclosed)) == {code}


def test_what_was_approved_to_be_done_waits_and_can_be_refused(thief: Thief) -> None:
    """Approvers who were deceived have a day; a custodian that was told once never does it."""
    opening = thief.wish()
    elsewhere = thief.granted(opening, thief.state(opening)).grant
    assert elsewhere is not None
    for request, enclosed in orders(thief):
        words = approved(request, *SEEDS[1:])
        order = thief.ordered(request, words, *enclosed)
        hidden = replace(order, grant=replace(order.grant, proven=elsewhere.proven))
        assert thief.codes(hidden) == {"unannounced"}
        assert thief.codes(order) == {"veto_time"}
        assert thief.codes(thief.ordered(request, words, *enclosed)) == {"veto_time"}
        veto = Acts.Approval.sign(SEEDS[0], request, "refuse", request.not_before)
        for one in thief.custodians:
            one.refuse(request, veto)
        assert thief.codes(thief.ordered(request, words, *enclosed)) == {"vetoed"}


def test_the_roster_is_swapped(thief: Thief) -> None:
    """The operator's key has signed the pinned one; alone it brings no other."""
    for request, enclosed in orders(thief):
        if request.procedure is Acts.Procedure.CUSTODIAN_ENROL:
            for one in thief.custodians:
                assert code_of(partial(one.adopt_roster, enclosed[0])) == "refused"


@pytest.fixture(name="alone")
def _alone(tmp_path: Path) -> Iterator[Install]:
    """One person decides, with a key that is under a passphrase."""
    with installed(tmp_path, words=WORDS) as made:
        yield made


def test_stolen_home_without_the_passphrase(alone: Install) -> None:
    home = alone.stolen("stolen")
    done = strongroom("--home", str(home), "restore", CLIENT, "--to", "out", "--json")
    assert (done.code, json.loads(done.err)["error"]["code"]) == (4, "no_device_key")
    with thief_of(home) as thief:
        opening = thief.wish()
        request = thief.state(opening)
        for seeds, code in (((), "not_approved"), ((OWN,), "not_an_approver")):
            asked = thief.granted(opening, request, approved(request, *seeds))
            assert thief.codes(asked) == {code}
        # He can write what lies under the key file: a device key of his own is as good as none.
        thief.deployment.tools.secrets.write("device", b"K" + OWN)
    done = strongroom("--home", str(home), "restore", CLIENT, "--to", "out", "--json")
    assert (done.code, json.loads(done.err)["error"]["code"]) == (4, "too_few_shares")
    assert done.err.count("the policy does not name its key") == 3
    assert not (alone.folder / "out").exists()


def test_stolen_home_with_the_passphrase_leaves_a_trace(alone: Install) -> None:
    """Who decides alone can be robbed of that. It is in the journals, and the owner learns it."""
    home = alone.stolen("stolen")
    done = strongroom(
        "--home", str(home), "restore", CLIENT, "--to", "out", "--passphrase-file", "words"
    )
    assert done.code == 0
    with thief_of(alone.home) as owner:
        assert owner.done() == 2
    for line in (f"backup {CLIENT}", f"restore {CLIENT} --to back"):
        done = strongroom(*line.split())
        assert done.code == 20
        assert "saw 10 leaves, and there are 6" in done.err
    assert "is READ-ONLY" in strongroom("status").out
    done = strongroom("ledger", "reconcile")
    assert done.code == 30
    assert " ".join(done.out.split()).count("and the log announces no such opening") == 2


def by_approver(word: Envelope) -> str:
    return Acts.Approval.read(word).approver
