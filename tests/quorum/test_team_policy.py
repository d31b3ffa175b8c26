"""The team policy, requests and approvals: what is refused, by its code."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto import canonical, signing
from strongroom.crypto.envelope import Envelope, decode_envelope, sign_envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.quorum import Acts
from strongroom.quorum.approval import Approval
from strongroom.quorum.grant import Grant
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.request import ActRequest, Wanted
from strongroom.quorum.team_policy import Rule, TeamPolicy
from tests.quorum.world import resigned
from tests.vectors import build_procedure_v1 as vector
from tests.vectors.build_procedure_v1 import ANNA, AT, BEN, CARA, INSTALL, OPERATOR

VECTORS = Path(__file__).parents[1] / "vectors"
SINGLE = TeamPolicy.parse(TeamPolicy.sign(OPERATOR, vector.single(), AT))
TEAM_ENVELOPE = TeamPolicy.sign(OPERATOR, vector.team(SINGLE), AT)
TEAM = TeamPolicy.parse(TEAM_ENVELOPE)
ASKED = vector.request(Procedure.RESTORE, TEAM)


def by(
    *seeds: bytes, request: ActRequest = ASKED, refusing: tuple[bytes, ...] = ()
) -> list[Envelope]:
    """Return the words of these approvers, in the order in which they travel."""
    given = [
        Approval.sign(seed, request, "refuse" if seed in refusing else "approve", AT)
        for seed in (*seeds, *refusing)
    ]
    return sorted(given, key=lambda one: Approval.read(one).approver)


def code(policy: TeamPolicy, request: ActRequest, given: list[Envelope]) -> str:
    """Return the code of the refusal."""
    with pytest.raises(StrongroomError) as caught:
        policy.check_approved(request, given)
    return caught.value.code


def id_of(seed: bytes) -> str:
    return signing.key_id(signing.public_key(seed))


# -- frozen


def test_policies_requests_and_approvals_are_made_as_they_were_frozen() -> None:
    frozen = json.loads((VECTORS / "procedure-v1.json").read_text(encoding="utf-8"))
    assert vector.build() == frozen
    for data, policy_id in zip(frozen["policies"], frozen["policy_ids"], strict=True):
        assert TeamPolicy.parse(decode_envelope(bytes.fromhex(data), "it")).id == policy_id
    granted = Grant.decode(bytes.fromhex(frozen["grant"]))
    assert granted.encode().hex() == frozen["grant"]
    assert Grant.digest(granted.request, granted.approvals) == frozen["grant_digest"]
    for text, digest in zip(frozen["requests"], frozen["digests"], strict=True):
        assert ActRequest.parse(text.encode()).digest == digest


# -- what counts as approved


def test_two_of_three_approve() -> None:
    for pair in ((ANNA, BEN), (BEN, CARA), (CARA, ANNA), (ANNA, BEN, CARA)):
        counted = TEAM.check_approved(ASKED, by(*pair))
        assert {one.approver for one in counted} == {id_of(seed) for seed in pair}


def test_one_of_two_needed_is_not_enough() -> None:
    assert code(TEAM, ASKED, by(ANNA)) == "not_approved"
    assert code(TEAM, ASKED, []) == "not_approved"


def test_one_approver_does_not_count_twice() -> None:
    twice = [*by(ANNA), Approval.sign(ANNA, ASKED, "approve", AT + timedelta(seconds=1))]
    assert code(TEAM, ASKED, twice) == "damaged"
    assert code(TEAM, ASKED, by(ANNA, BEN)[::-1]) == "damaged"


def test_who_asks_does_not_approve_but_where_there_is_nobody_else() -> None:
    asked = replace(ASKED, requester=id_of(ANNA))
    assert code(TEAM, asked, by(ANNA, BEN, request=asked)) == "not_approved"
    assert len(TEAM.check_approved(asked, by(ANNA, BEN, CARA, request=asked))) == 2
    own = vector.request(Procedure.RESTORE, SINGLE)
    assert own.requester == id_of(OPERATOR)
    assert len(SINGLE.check_approved(own, by(OPERATOR, request=own))) == 1


def test_one_refusal_outweighs_every_approval() -> None:
    assert code(TEAM, ASKED, by(ANNA, BEN, refusing=(CARA,))) == "vetoed"
    # Also that of the requester, and where too few have approved.
    asked = replace(ASKED, requester=id_of(CARA))
    assert code(TEAM, asked, by(request=asked, refusing=(CARA,))) == "vetoed"


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"target": "database"}},
        {"wanted": Wanted("51" * 32, 4, "52" * 32)},
        {"wanted": Wanted("50" * 32, 3, "52" * 32)},
        {"wanted": Wanted("51" * 32, 3, "53" * 32)},
        {"expires": AT + timedelta(hours=2)},
        {"not_before": AT - timedelta(hours=1)},
        {"requester": "77" * 16},
        {"plan": "54" * 32},
        {"policy": SINGLE.id},
        {"client": "c2" * 16},
        {"request": "78" * 16},
        {"nonce": "79" * 16},
        {"origin": f"{INSTALL}.ledger.invalid/{'ac' * 16}"},
    ],
)
def test_an_approval_is_of_exactly_one_request(change: dict[str, Any]) -> None:
    changed = replace(ASKED, **change).check()
    assert code(TEAM, changed, by(ANNA, BEN)) == "other_request"


def test_an_approval_of_a_stranger() -> None:
    assert code(TEAM, ASKED, by(ANNA, OPERATOR)) == "not_an_approver"
    assert code(SINGLE, ASKED, by(ANNA)) == "not_an_approver"


def test_an_approval_under_a_borrowed_name() -> None:
    stranger = resigned(by(ANNA)[0], OPERATOR, "approval", {})
    assert code(TEAM, ASKED, [stranger]) == "forged_approval"
    honest = by(ANNA)[0]
    turned = resigned(by(refusing=(ANNA,))[0], ANNA, "approval", {})
    altered = replace(
        honest, statement=replace(turned.statement, signature=honest.statement.signature)
    )
    assert code(TEAM, ASKED, [altered]) == "forged_approval"


def test_an_approval_whose_key_is_anothers() -> None:
    lent = sign_envelope(BEN, "approval", by(ANNA)[0].statement.fields("approval"))
    with pytest.raises(Damaged, match="its approver is not the key"):
        Approval.parse(lent, signing.public_key(BEN))


def test_too_many_approvals() -> None:
    assert code(TEAM, ASKED, by(ANNA) * 33) == "damaged"


def test_a_signature_for_another_purpose_is_no_approval() -> None:
    roster = sign_envelope(ANNA, "roster", by(ANNA)[0].statement.fields("approval"))
    assert code(TEAM, ASKED, [roster]) == "damaged"
    with_body = sign_envelope(ANNA, "approval", by(ANNA)[0].statement.fields("approval"), b"x")
    assert code(TEAM, ASKED, [with_body]) == "damaged"


# -- requests


@pytest.mark.parametrize("procedure", Procedure)
def test_a_request_is_read_in_one_form(procedure: Procedure) -> None:
    asked = vector.request(procedure, SINGLE)
    assert ActRequest.parse(asked.encode()) == asked
    with pytest.raises(Damaged, match="a request is malformed"):
        ActRequest.parse(b" " + asked.encode())
    with pytest.raises(Damaged):
        ActRequest.parse(asked.encode()[:-1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"client": None}, "client must be 32"),
        ({"wanted": None}, "snapshot must be 64"),
        ({"wanted": Wanted("51" * 32, 10_001, "52" * 32)}, "sessions must be an integer"),
        ({"expires": AT}, "it must expire after it begins"),
        ({"expires": AT + timedelta(days=32)}, "within 31 days"),
        ({"origin": f"{'26' * 16}.ledger.invalid/{'ab' * 16}"}, "not of its install"),
        ({"origin": "example.com/log"}, "origin must be that of a log"),
        ({"origin": f"{INSTALL}.ledger.invalid/AB"}, "log must be 32"),
        ({"plan": "5"}, "plan must be 64"),
        ({"params": {"target": "moon"}}, "target must be one of"),
    ],
)
def test_what_no_reader_takes_is_not_asked_for(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Damaged, match=why):
        replace(ASKED, **change).check()


def test_what_opens_no_keys_names_no_recipient() -> None:
    asked = vector.request(Procedure.CLIENT_ERASURE, SINGLE)
    with pytest.raises(Damaged, match="snapshot must be null"):
        replace(asked, wanted=Wanted("51" * 32, 1, "52" * 32)).check()
    asked = vector.request(Procedure.LOCATION_REMOVAL, SINGLE)
    with pytest.raises(Damaged, match="client must be null"):
        replace(asked, client=ASKED.client).check()


def test_a_recovery_names_the_log_that_holds_it() -> None:
    asked = vector.request(Procedure.RECOVERY, SINGLE)
    with pytest.raises(Damaged, match="that of another log"):
        replace(asked, origin=f"{INSTALL}.ledger.invalid/{'ac' * 16}").check()


def test_a_request_has_a_greatest_size_and_no_floats() -> None:
    with pytest.raises(Damaged, match="over 16384 bytes"):
        ActRequest.parse(b" " * 16_385)
    fields = canonical.loads(ASKED.encode())
    for wrong in (1.5, True, "3"):
        with pytest.raises(Damaged, match="sessions must be an integer"):
            ActRequest.parse(canonical.dumps({**fields, "sessions": wrong}))


# -- policies


def test_default_rules_let_a_disaster_wait_for_nothing_and_what_destroys_wait_a_day() -> None:
    delays = {one: rule.delay for one, rule in TeamPolicy.single_rules().items()}
    at_once = {one for one, delay in delays.items() if not delay}
    assert at_once == {
        Procedure.RESTORE,
        Procedure.BROWSE,
        Procedure.DRILL_AUTHORISATION,
        Procedure.RECOVERY,
    }
    assert {delays[one] for one in set(Procedure) - at_once} == {timedelta(days=1)}
    # In a team, a thief of the server must not be first with a recovery.
    assert TeamPolicy.team_rules(2)[Procedure.RECOVERY] == Rule(2, timedelta(days=1))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mode": "alone"}, "mode must be one of"),
        ({"mode": "single"}, "mode single has one approver"),
        ({"version": 0}, "version must be"),
        ({"version": 1}, "the first version follows no other"),
        ({"cosignatures": 0}, "cosignatures must be"),
        ({"approvers": []}, "approvers must be one or more"),
        ({"install": "x"}, "install must be"),
        ({"previous": "x"}, "previous must be"),
        ({"weight": 1}, "unknown field"),
        ({"created_at": None}, "'created_at' is missing"),
        ({"rules": {}}, "'restore' is missing"),
    ],
)
def test_a_policy_is_closed(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Damaged, match=why):
        TeamPolicy.parse(resigned(TEAM_ENVELOPE, OPERATOR, "policy", changes))


def test_approvers_are_sorted_distinct_and_named_after_their_keys() -> None:
    listed = TEAM_ENVELOPE.statement.fields("policy")["approvers"]
    for wrong, why in (
        (listed[::-1], "sorted and distinct"),
        ([listed[0], *listed], "sorted and distinct"),
        ([{**listed[0], "id": "00" * 16}], "its id is not that of its key"),
        ([{**listed[0], "name": "anna"}], "unknown field"),
    ):
        with pytest.raises(Damaged, match=why):
            TeamPolicy.parse(resigned(TEAM_ENVELOPE, OPERATOR, "policy", {"approvers": wrong}))


def test_rules_can_be_kept() -> None:
    rules = TEAM_ENVELOPE.statement.fields("policy")["rules"]
    for wrong, why in (
        ({"approvals": 4, "delay_seconds": 0}, "more approvals than 3"),
        ({"approvals": 0, "delay_seconds": 0}, "approvals must be"),
        ({"approvals": 1, "delay_seconds": -1}, "delay_seconds must be"),
        ({"approvals": 1, "delay_seconds": 31 * 86_400}, "delay_seconds must be"),
        ({"approvals": 1}, "is missing"),
    ):
        changed = {"rules": {**rules, "restore": wrong}}
        with pytest.raises(Damaged, match=why):
            TeamPolicy.parse(resigned(TEAM_ENVELOPE, OPERATOR, "policy", changed))
    with pytest.raises(Damaged, match="unknown field 'sudo'"):
        TeamPolicy.parse(
            resigned(
                TEAM_ENVELOPE, OPERATOR, "policy", {"rules": {**rules, "sudo": rules["restore"]}}
            )
        )


def test_a_policy_is_signed_by_the_key_that_it_names() -> None:
    with pytest.raises(Damaged, match="the policy carries a wrong signature"):
        TeamPolicy.parse(resigned(TEAM_ENVELOPE, ANNA, "policy", {}))
    with pytest.raises(Damaged, match="it has a body"):
        TeamPolicy.parse(resigned(TEAM_ENVELOPE, OPERATOR, "policy", {}, b"x"))


def test_the_door_shows_every_kind_of_thing() -> None:
    assert Acts.Policy is TeamPolicy
    assert Acts.Request is ActRequest
    assert Acts.Approval is Approval
