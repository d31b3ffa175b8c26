"""One custodian that is a server of its own is lost, made again from its kit, and joined again."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from strongroom.app import App
from strongroom.app.custodians import CustodianPlan
from strongroom.crypto.certificates import read_leaf
from strongroom.crypto.signing import public_key
from strongroom.errors import Damaged, Refused, Stale
from strongroom.ids import CustodianId, InstallId
from strongroom.operations.placing import path_of_change, path_of_policy, roster_path
from strongroom.operations.policies import current_policy
from strongroom.operations.rebuild_custodian import find_kept
from strongroom.operations.recover import Kit, RecoveryPlan
from strongroom.quorum import Acts, Roster
from strongroom.quorum.invitation import Invitation
from tests.journeys.test_custodians_elsewhere import (
    Custodians,
    begin,
    custodians,
    done,
    places,
)
from tests.support import served_custodian
from tests.support.first_home import make_database
from tests.support.peers import new_authority
from tests.support.transcript import at_home

pytestmark = pytest.mark.loopback


def test_a_lost_custodian_is_made_again_from_its_kit_and_joined_again(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(0, "backup", "acme")
        before = places(tmp_path / "home")
        with App().open(tmp_path / "home") as deployment:
            berta = deployment.roster.member(2)
            roster = deployment.roster
        # Its machine is gone, with all that was on it; the backup goes on with the others.
        lost(tmp_path, three, "berta")
        done(0, "backup", "acme")
        made = made_again(tmp_path, three, "berta")
        assert (made["custodian"], made["name"]) == (berta.id, "berta")
        assert (made["clients"], made["receipts"], made["problems"]) == (1, 1, [])
        listed = done(0, "custodian", "list")
        assert listed.out.count("answers") == 3
        after = places(tmp_path / "home")
        assert {index for index in before if before[index] != after[index]} == {2}
        # It is who it was, so what the others hold is still good, and what it holds opens with one.
        three.stop("anna")
        done(0, "restore", "acme", "--to", "back")
        done(0, "backup", "acme")
        three.start("anna")
        done(0, "backup", "acme")
        assert "pending" not in done(0, "snapshots", "acme").out
        with App().open(tmp_path / "home") as deployment:
            assert deployment.roster == roster
            assert deployment.absent_custodians == {}
            denied = [f for f in deployment.registry.facts() if f.op == "network.denied"]
        assert [fact.subject for fact in denied] == [f"{read_leaf(before[2]).serial:032x}"]
        done(0, "ledger", "verify")
        done(0, "ledger", "reconcile")
        # Whoever has the lost machine shows a certificate that counts no more.
        three.stop("berta")
        (tmp_path / "berta").rename(tmp_path / "again")
        (tmp_path / "lost-berta").rename(tmp_path / "berta")
        three.start("berta")
        listed = done(3, "custodian", "list")
        assert f"that of custodian {berta.id[:8]} is denied" in listed.out


def made_again(folder: Path, three: Custodians, name: str, code: int = 0) -> dict[str, Any]:
    """Make a custodian that is gone again from its kit, at the same port, and join it."""
    (folder / "kit").write_text(three.words[name])
    made: dict[str, Any] = json.loads(
        done(
            *(code, "--home", name, "custodian", "init", "--json"),
            *("--listen", f"127.0.0.1:{three.ports[name]}", "--key-file", f"{name}-again.key"),
            *("--from-kit", "kit", "--location", "one", "--location", "two"),
        ).out
    )
    three.start(name)
    (folder / "code").write_text(made["join_code"])
    url = f"{name}=https://127.0.0.1:{three.ports[name]}"
    assert f"{name} is joined again" in done(0, "custodian", "join", url, "--join-code", "code").out
    return made


def lost(folder: Path, three: Custodians, name: str) -> None:
    three.stop(name)
    (folder / name).rename(folder / f"lost-{name}")


def test_what_the_former_witnesses_cosigned_is_witnessed_anew(tmp_path: Path) -> None:
    """A log to which nothing is added any more would otherwise be by keys that nobody knows."""
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(0, "backup", "acme")
        for name in ("berta", "clara"):
            lost(tmp_path, three, name)
            made_again(tmp_path, three, name)
        # Something is recorded, for which the home takes up the cards of the new witnesses.
        done(0, "network", "probe")
        done(0, "ledger", "verify")


def test_receipts_for_what_its_kit_does_not_know_are_told_of(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(0, "backup", "acme")
        lost(tmp_path, three, "berta")
        with App().open(tmp_path / "home") as deployment:
            berta, client = deployment.roster.member(2), deployment.registry.clients()[0].id
            for place in ("one", "two"):
                entries = tmp_path / place / deployment.install / "kits" / berta.id
                (entries / f"{client}-00000001").unlink()
        made = made_again(tmp_path, three, "berta", code=3)
        (problem,) = made["problems"]
        assert problem.startswith("1 of its 1 receipts are for clients that its kit does not know")


def test_who_is_not_that_custodian_is_not_joined_in_its_place(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        (tmp_path / "kit").write_text(three.words["berta"])
        again = ("--home", "again", "custodian", "init", "--listen", "127.0.0.1:0")
        kept = ("--from-kit", "kit", "--location", "one", "--location", "two", "--json")
        for given, why in (
            (("--location", "one"), "no kit"),
            (("--from-kit", "kit"), "no location is given"),
            ((*kept, "--name", "berta"), "has the one it had"),
            ((*kept, "--credential-file", "-", "--passphrase-file", "-"), "from stdin"),
        ):
            assert why in done(2, *again, *given).err
        assert not (tmp_path / "again").exists()
        made = json.loads(done(0, *again, *kept, "--key-file", "again.key").out)
        (tmp_path / "code").write_text(made["join_code"])
        made_of = served_custodian.CUSTODIANS
        with made_of.open(made_of.settings(tmp_path / "again"), None) as opened:
            other = Invitation(InstallId("1" * 32), 2, "berta", new_authority().certificate)
            with pytest.raises(Refused, match=r"this is custodian 2 \(berta\) of install"):
                opened.answer(other.encode())
        with served_custodian.served(tmp_path / "again") as (port, told):
            at = f"https://127.0.0.1:{port}"
            join = ("custodian", "join", "--join-code", "code")
            for custodian, code, why in (
                (f"dora={at}", 2, "no custodian of this home"),
                (f"berta=https://127.0.0.1:{three.ports['anna']}", 2, "another one is there"),
                (f"anna={at}", 4, "is berta, and is invited as anna"),
            ):
                assert why in done(code, *join, custodian).err
            stranger = served_custodian.make(tmp_path / "stranger")
            (tmp_path / "other").write_text(stranger.code)
            with served_custodian.served(tmp_path / "stranger") as (elsewhere, _):
                posing = ("custodian", "join", f"berta=https://127.0.0.1:{elsewhere}")
                refused = done(4, *posing, "--join-code", "other")
                assert "who waits is not custodian 2 (berta)" in refused.err
            before = places(tmp_path / "home")
            done(0, *join, f"berta={at}")
            told.until("serves custodian 2 (berta)")
            assert places(tmp_path / "home")[2] != before[2]


def change_of(policy: Acts.Policy, after: str, at: datetime) -> Acts.Request:
    """Return the request to follow another policy."""
    return Acts.Request(
        install=policy.install,
        request=token_bytes(16).hex(),
        procedure=Acts.Procedure.POLICY_CHANGE,
        params={"policy": after, "version": policy.version + 1},
        client=None,
        wanted=None,
        plan=None,
        requester=next(iter(policy.approvers)),
        origin=f"{policy.install}.ledger.invalid/{'ab' * 16}",
        policy=policy.id,
        not_before=at,
        expires=at + timedelta(days=1),
        nonce=token_bytes(16).hex(),
    )


def test_the_policy_of_one_made_again_is_the_last_that_follows_the_first(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        with App().open(tmp_path / "home") as deployment:
            first, seed = current_policy(deployment), deployment.tools.device.seed()
            copies, now = deployment.copies, deployment.tools.clock.now()
            plan = RecoveryPlan(
                {place.name: place.url for place in deployment.registry.locations()},
                [Kit.from_words(three.words["berta"])],
            )

            def place(signer: bytes, at: datetime, *approving: bytes) -> str:
                draft = Acts.Policy.Draft(
                    first.install, "single", 2, [public_key(seed)], first.rules, first
                )
                policy = Acts.Policy.sign(signer, draft, at)
                named = policy.statement.hash.hex()
                copies.put(path_of_policy(first.install, named), policy.encode())
                request = change_of(first, named, at)
                approvals = tuple(
                    Acts.Approval.sign(one, request, "approve", at) for one in approving
                )
                change = Acts.PolicyChange(request, approvals, ())
                copies.put(path_of_change(first.install, named), change.encode())
                return named

            # Nobody's policy is none, wherever it lies, and neither is one that nobody approved.
            place(token_bytes(32), now, seed)
            unapproved = place(seed, now)
            kept = find_kept(copies, plan)
            assert kept.policy.statement.hash.hex() == first.id
            (problem,) = kept.problems
            assert problem.startswith(f"policy version 2 ({unapproved[:12]}) is passed over")
            second = place(seed, now + timedelta(seconds=1), seed)
            assert find_kept(copies, plan).policy.statement.hash.hex() == second
            place(seed, now + timedelta(seconds=2), seed)
            with pytest.raises(Refused, match="the policy after version 1 cannot be told"):
                find_kept(copies, plan)
            for path in (
                tmp_path / name / deployment.install / "policy" for name in ("one", "two")
            ):
                shutil.rmtree(path)
            with pytest.raises(Damaged, match="is at no location"):
                find_kept(copies, plan)


def test_a_kit_whose_seat_another_has_makes_nobody(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        with App().open(tmp_path / "home") as deployment:
            install, roster, copies = deployment.install, deployment.roster, deployment.copies
            seed, now = deployment.tools.device.seed(), deployment.tools.clock.now()
            places = {place.name: place.url for place in deployment.registry.locations()}
            berta, clara = (
                RecoveryPlan(places, [Kit.from_words(three.words[name])])
                for name in ("berta", "clara")
            )
            next_one = replace(
                roster.members[1],
                id=CustodianId(token_bytes(16).hex()),
                identity=public_key(token_bytes(32)),
            )
            members = [roster.members[0], next_one, roster.members[2]]

            def place(signer: bytes, version: int) -> None:
                later = Roster.sign(signer, install, roster.threshold, members, version, now)
                copies.put(roster_path(install, version), later.encode())

            # Only the operator's roster gives a seat away.
            place(token_bytes(32), 3)
            assert find_kept(copies, berta).table.index == 2
            place(seed, 2)
            with pytest.raises(Refused, match="of custodian 2 of before"):
                find_kept(copies, berta)
            assert find_kept(copies, clara).table.index == 3


def test_a_key_table_that_was_put_back_makes_nobody(tmp_path: Path) -> None:
    """A location that hides the newest entries would bring back writers that were revoked."""
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        with App().open(tmp_path / "home") as deployment:
            plan = RecoveryPlan(
                {place.name: place.url for place in deployment.registry.locations()},
                [Kit.from_words(three.words["berta"])],
            )
            kept = find_kept(deployment.copies, plan)
        assert set(kept.certified.values()) == {1}
        later = replace(kept, certified=dict.fromkeys(kept.certified, 2))
        folder = tmp_path / "again"
        made = CustodianPlan(folder, ("127.0.0.1", 0), key_file=tmp_path / "again.key")
        with pytest.raises(Stale, match="older than what it has certified"):
            served_custodian.CUSTODIANS.rebuild(made, later)
        assert not folder.exists()
        assert not (tmp_path / "again.key").exists()


def test_a_denied_custodian_whose_machine_is_there_again_needs_no_kit(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        done(0, "--yes", "custodian", "deny", "berta")
        denied = places(tmp_path / "home")[2]
        waits = done(0, "--home", "berta", "custodian", "join-code", "--new-server", "--json")
        (tmp_path / "code").write_text(json.loads(waits.out)["join_code"])
        three.told["berta"].until("waits to be joined")
        url = f"berta=https://127.0.0.1:{three.ports['berta']}"
        done(0, "custodian", "join", url, "--join-code", "code")
        assert done(0, "custodian", "list").out.count("answers") == 3
        assert places(tmp_path / "home")[2] != denied
        # Its journal tells of another server, and the log here that this is it.
        done(0, "ledger", "reconcile")
        done(0, "ledger", "verify")
        # The server it had is told what it sees of one that waits for another.
        done(0, "--home", "anna", "custodian", "join-code", "--new-server")
        three.told["anna"].until("waits to be joined")
        assert "as of one that waits to be joined" in done(3, "custodian", "list").out
