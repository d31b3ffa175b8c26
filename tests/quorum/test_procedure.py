"""The list of procedures is closed, and so are the parameters of each."""

import pytest

from strongroom.errors import Damaged
from strongroom.quorum.procedure import Procedure, Value

ID, HASH = "1" * 32, "2" * 64
GIVEN: dict[Procedure, dict[str, Value]] = {
    Procedure.RESTORE: {"target": "folder"},
    Procedure.BROWSE: {},
    Procedure.PRUNE_BELOW_FLOOR: {"stay": 1},
    Procedure.LOCATION_REMOVAL: {"location": ID},
    Procedure.CUSTODIAN_ENROL: {"index": 4, "identity": HASH},
    Procedure.CUSTODIAN_ROTATE: {"custodian": ID},
    Procedure.CUSTODIAN_REDEAL: {"custodian": ID, "roster": HASH},
    Procedure.CLIENT_ERASURE: {},
    Procedure.POLICY_CHANGE: {"policy": HASH, "version": 2},
    Procedure.DRILL_AUTHORISATION: {"sessions_a_day": 5, "until": "2026-12-01T00:00:00.000000Z"},
    Procedure.RECOVERY: {"origin": HASH},
}


@pytest.mark.parametrize("procedure", Procedure)
def test_parameters_are_read_as_they_are_and_no_others_are(procedure: Procedure) -> None:
    given = GIVEN[procedure]
    assert procedure.parse(given) == given
    for name in given:
        with pytest.raises(Damaged, match=f"{procedure} is malformed"):
            procedure.parse({**given, name: "-- or 1=1"})
        with pytest.raises(Damaged, match="is missing"):
            procedure.parse({key: value for key, value in given.items() if key != name})
    with pytest.raises(Damaged, match="unknown field"):
        procedure.parse({**given, "reason": "because"})


def test_what_may_be_left_out_is_read_where_it_is() -> None:
    both = {"custodian": ID, "drop_to": 3}
    assert Procedure.CUSTODIAN_ROTATE.parse(both) == both
    seated = {**GIVEN[Procedure.CUSTODIAN_ENROL], "roster": HASH}
    assert Procedure.CUSTODIAN_ENROL.parse(seated) == seated
    answered = {**GIVEN[Procedure.CUSTODIAN_REDEAL], "recipient": HASH}
    assert Procedure.CUSTODIAN_REDEAL.parse(answered) == answered


@pytest.mark.parametrize("raw", [None, [], "restore", 1])
def test_parameters_are_an_object(raw: object) -> None:
    with pytest.raises(Damaged, match="is not a JSON object"):
        Procedure.BROWSE.parse(raw)


def test_numbers_have_bounds() -> None:
    for procedure, name, beyond in (
        (Procedure.PRUNE_BELOW_FLOOR, "stay", 10_001),
        (Procedure.CUSTODIAN_ENROL, "index", 33),
        (Procedure.CUSTODIAN_ENROL, "index", 0),
        (Procedure.CUSTODIAN_ROTATE, "drop_to", 0),
        (Procedure.POLICY_CHANGE, "version", 1),
        (Procedure.DRILL_AUTHORISATION, "sessions_a_day", True),
    ):
        with pytest.raises(Damaged, match=name):
            procedure.parse({**GIVEN[procedure], name: beyond})


def test_only_what_opens_content_names_a_snapshot() -> None:
    scopes = {procedure: procedure.scope for procedure in Procedure}
    assert {one for one, scope in scopes.items() if scope == "snapshot"} == {
        Procedure.RESTORE,
        Procedure.BROWSE,
        Procedure.RECOVERY,
    }
