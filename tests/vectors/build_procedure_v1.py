"""Writes procedure-v1.json: policies of both modes, a request of every procedure, approvals.

Run as `python -m tests.vectors.build_procedure_v1`. A vector that was released is never edited.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.ids import ClientId, CustodianId, InstallId
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed, Told
from strongroom.quorum.grant import Grant, Proven
from strongroom.quorum.hearing import Hearing
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.request import ActRequest, Wanted, recovery_params
from strongroom.quorum.team_policy import TeamPolicy
from strongroom.quorum.witness_card import WitnessCard

PATH = Path(__file__).with_name("procedure-v1.json")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
INSTALL = InstallId("25" * 16)
OPERATOR, ANNA, BEN, CARA = (bytes([number]) * 32 for number in (1, 2, 3, 4))
ORIGIN = f"{INSTALL}.ledger.invalid/{'ab' * 16}"
PARAMS: dict[Procedure, dict[str, Value]] = {
    Procedure.RESTORE: {"target": "folder"},
    Procedure.BROWSE: {},
    Procedure.PRUNE_BELOW_FLOOR: {"stay": 1},
    Procedure.LOCATION_REMOVAL: {"location": "31" * 16},
    Procedure.CUSTODIAN_ENROL: {"index": 4, "identity": "32" * 32},
    Procedure.CUSTODIAN_ROTATE: {"custodian": "33" * 16},
    Procedure.CUSTODIAN_REDEAL: {"custodian": "33" * 16, "roster": "34" * 32},
    Procedure.CLIENT_ERASURE: {},
    Procedure.POLICY_CHANGE: {"policy": "35" * 32, "version": 2},
    Procedure.DRILL_AUTHORISATION: {
        "sessions_a_day": 5,
        "until": "2026-12-01T00:00:00.000000Z",
    },
    Procedure.RECOVERY: recovery_params(ORIGIN),
}

DEEDS: dict[Procedure, dict[str, Told]] = {
    Procedure.POLICY_CHANGE: {"policy": "35" * 32, "version": 2},
    Procedure.CUSTODIAN_ENROL: {"roster": "36" * 32, "version": 2},
    Procedure.CLIENT_ERASURE: {
        "erased_at": "2026-01-03T04:05:06.789012Z",
        "keys": ("61" * 32, "62" * 32),
        "entries": (f"{'c1' * 16}-00000001", f"{'c1' * 16}-00000002"),
        "answers": 3,
    },
    Procedure.CUSTODIAN_REDEAL: {"roster": "34" * 32, "version": 2},
}
"""What a deed of each procedure that custodians do tells."""


def single() -> TeamPolicy.Draft:
    """Return the first policy of an install with one person."""
    return TeamPolicy.Draft(
        INSTALL, "single", 2, [signing.public_key(OPERATOR)], TeamPolicy.single_rules()
    )


def team(previous: TeamPolicy) -> TeamPolicy.Draft:
    """Return a policy of three approvers, two of whom are needed, that follows another."""
    keys = [signing.public_key(seed) for seed in (ANNA, BEN, CARA)]
    return TeamPolicy.Draft(INSTALL, "team", 2, keys, TeamPolicy.team_rules(2), previous)


def request(procedure: Procedure, policy: TeamPolicy, **changes: Any) -> ActRequest:
    """Return a request for a procedure, asked for by the operator."""
    number = list(Procedure).index(procedure)
    fields: dict[str, Any] = {
        "install": INSTALL,
        "request": f"{number + 64:02x}" * 16,
        "procedure": procedure,
        "params": PARAMS[procedure],
        "client": None if procedure.scope == "install" else ClientId("c1" * 16),
        "wanted": Wanted("51" * 32, 3, "52" * 32) if procedure.scope == "snapshot" else None,
        "plan": "53" * 32 if number % 2 else None,
        "requester": signing.key_id(signing.public_key(OPERATOR)),
        "origin": ORIGIN,
        "policy": policy.id,
        "not_before": AT,
        "expires": AT + timedelta(hours=1),
        "nonce": f"{number + 96:02x}" * 16,
    }
    return ActRequest(**{**fields, **changes})


def grant(asked: ActRequest) -> Grant:
    """Return a grant in form: what it proves is not a log's."""
    card = WitnessCard(INSTALL, CustodianId("41" * 16), 1, signing.public_key(BEN), AT)
    hashes = tuple(bytes([number]) * 32 for number in (1, 2, 3))
    proven = Proven(b"a leaf", 7, hashes[:2], b"a note", (card.sign(CARA),), hashes[2:])
    return Grant(asked, (Approval.sign(OPERATOR, asked, "approve", AT),), proven)


def hearings(asked: ActRequest) -> tuple[Envelope, ...]:
    """Return the words of two custodians that they were told of a recovery."""
    return tuple(
        Hearing(INSTALL, CustodianId(f"4{index}" * 16), index, asked.digest, AT).sign(seed)
        for index, seed in ((1, CARA), (2, BEN))
    )


def order(policy: TeamPolicy, enclosed: Envelope) -> Order:
    """Return an order in form to change to a policy."""
    params: dict[str, Value] = {"policy": enclosed.statement.hash.hex(), "version": 2}
    return Order(grant(request(Procedure.POLICY_CHANGE, policy, params=params)), (enclosed,))


def enrolment(policy: TeamPolicy) -> ActRequest:
    """Return the request for a seat that names the roster, as a custodian wants it."""
    asked = request(Procedure.CUSTODIAN_ENROL, policy)
    return replace(asked, params={**asked.params, "roster": "36" * 32})


def redealing(policy: TeamPolicy) -> ActRequest:
    """Return the request to deal anew that names whom custodians answer, as they want it."""
    asked = request(Procedure.CUSTODIAN_REDEAL, policy)
    return replace(asked, params={**asked.params, "recipient": "37" * 32})


def deed(procedure: Procedure, policy: TeamPolicy) -> Envelope:
    """Return the deed of a custodian that did what was asked for."""
    asked = request(procedure, policy)
    told = DEEDS[procedure]
    place = (INSTALL, CustodianId("41" * 16), 1)
    return Deed(*place, asked.request, procedure, asked.client, "54" * 32, AT, told).sign(BEN)


def change(policy: TeamPolicy, after: Envelope) -> PolicyChange:
    """Return what shows that a policy was approved, and that two custodians follow it."""
    told: dict[str, Value] = {"policy": after.statement.hash.hex(), "version": 2}
    asked = request(Procedure.POLICY_CHANGE, policy, params=told)
    approvals = (Approval.sign(OPERATOR, asked, "approve", AT),)
    grant = Grant.digest(asked, approvals)
    deeds = tuple(
        Deed(
            INSTALL,
            CustodianId(f"4{index}" * 16),
            index,
            asked.request,
            asked.procedure,
            None,
            grant,
            AT + timedelta(days=1),
            {"policy": after.statement.hash.hex(), "version": 2},
        ).sign(seed)
        for index, seed in ((1, CARA), (2, BEN))
    )
    return PolicyChange(asked, approvals, deeds)


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    first = TeamPolicy.sign(OPERATOR, single(), AT)
    policy = TeamPolicy.parse(first)
    second = TeamPolicy.sign(OPERATOR, team(policy), AT + timedelta(days=1))
    requests = [request(procedure, policy) for procedure in Procedure]
    restore, recovery = requests[0], requests[-1]
    heard = replace(grant(recovery), hearings=hearings(recovery))
    return {
        "seeds": [seed.hex() for seed in (OPERATOR, ANNA, BEN, CARA)],
        "policies": [one.encode().hex() for one in (first, second)],
        "policy_ids": [policy.id, TeamPolicy.parse(second).id],
        "requests": [one.encode().decode() for one in requests],
        "digests": [one.digest for one in requests],
        "approvals": [
            Approval.sign(OPERATOR, restore, "approve", AT).encode().hex(),
            Approval.sign(ANNA, restore, "approve", AT).encode().hex(),
            Approval.sign(BEN, restore, "refuse", AT).encode().hex(),
        ],
        "grant": grant(restore).encode().hex(),
        "order": order(policy, second).encode().hex(),
        "enrolment_in_a_roster": enrolment(policy).encode().decode(),
        "redealing_to_a_key": redealing(policy).encode().decode(),
        "deeds": {str(one): deed(one, policy).encode().hex() for one in DEEDS},
        "policy_change": change(policy, second).encode().hex(),
        "grant_digest": Grant.digest(restore, grant(restore).approvals),
        "hearings": [one.encode().hex() for one in heard.hearings],
        "grant_of_recovery": heard.encode().hex(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
