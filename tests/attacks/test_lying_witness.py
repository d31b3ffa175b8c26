"""One custodian lies as a witness: it is named where it can be, and nothing stops."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.ledger import Checkpoint, Witness
from strongroom.operations.conclude import conclude
from strongroom.operations.resume_ledger import resume_ledger
from strongroom.quorum import LocalCustodian
from tests.journeys.world import NORMAL, World, make_world

LIAR = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path / "world", clients=(NORMAL,))
    assert world.back_up().problems == []
    return world


def turned(line: bytes) -> bytes:
    """Return a cosignature with one letter of its base64 exchanged."""
    at = len(line) - 6
    return line[:at] + (b"B" if line[at : at + 1] == b"A" else b"A") + line[at + 1 :]


@pytest.mark.parametrize(
    "lie",
    [lambda _line: b"\xff\x00garbage", lambda _line: b"\n\nhello\n", lambda _line: b"", turned],
    ids=["garbage", "another note", "nothing", "a bit turned"],
)
def test_what_is_no_cosignature_counts_for_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, lie: Callable[[bytes], bytes]
) -> None:
    with world.open() as deployment:
        name = {one.card().index: one for one in deployment.embedded()}[LIAR].witness.key.name
    true = Witness.add_checkpoints

    def lying(self: Witness, requests: Sequence[bytes]) -> list[Witness.Answer]:
        answers = true(self, requests)
        if self.key.name != name:
            return answers
        return [Witness.Answer(200, one.content_type, lie(one.body)) for one in answers]

    monkeypatch.setattr(Witness, "add_checkpoints", lying)
    assert world.restore() == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        fact = deployment.fact("vault.repaired", client.id, copied=0, replaced=0, left_out=0)
        deployment.registry.record(fact)
        told = conclude(deployment)
    assert len(told) == 1
    assert "in question: custodian 3" in told[0]
    assert "no signature of its witness" in told[0]


def test_who_claims_to_have_seen_more_cannot_make_the_home_seem_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a witness saw is believed where the log signed it, and it did not sign this."""
    with world.open() as deployment:
        name = {one.card().index: one for one in deployment.embedded()}[LIAR].witness.key.name
        epoch = deployment.registry.log.epoch()
    assert epoch.origin is not None
    claim = Checkpoint(epoch.origin, 1_000_000, bytes(32))
    true_latest, true_monitor = Witness.latest, Witness.monitor

    def latest(self: Witness, origins: Sequence[str]) -> list[Checkpoint | None]:
        lie: list[Checkpoint | None] = [replace(claim, origin=one) for one in origins]
        return lie if self.key.name == name else true_latest(self, origins)

    def monitor(self: Witness, wanted: str) -> Witness.Answer:
        answer = true_monitor(self, wanted)
        if self.key.name != name or answer.status != 200:
            return answer
        text, _, lines = answer.body.partition(b"\n\n")
        origin, _, root = text.split(b"\n")
        forged = b"\n".join((origin, b"1000000", root)) + b"\n\n" + lines
        return Witness.Answer(200, answer.content_type, forged)

    monkeypatch.setattr(Witness, "latest", latest)
    monkeypatch.setattr(Witness, "monitor", monitor)
    assert world.back_up().problems == []
    assert world.restore() == world.state()
    with world.open() as deployment:
        assert {one.state for one in resume_ledger(deployment)} == {"whole"}
        client = deployment.registry.client(NORMAL)
        fact = deployment.fact("vault.repaired", client.id, copied=0, replaced=0, left_out=0)
        deployment.registry.record(fact)
        (told,) = conclude(deployment)
    assert "in question: custodian 3" in told
    assert "saw 1000000 leaves" in told


def test_a_card_that_is_not_its_own_is_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.open() as deployment:
        kept = deployment.registry.witness_cards()
        other = deployment.custodians[1].witness_card()
    true = LocalCustodian.witness_card
    forged = sign_envelope(bytes(32), "witness-card", {"format": "x"})
    for lie in (other, forged):

        def lying(self: LocalCustodian, lie: Envelope = lie) -> Envelope:
            return lie if self.card().index == LIAR else true(self)

        monkeypatch.setattr(LocalCustodian, "witness_card", lying)
        assert world.back_up().problems == []
        assert world.restore() == world.state()
    with world.open() as deployment:
        assert deployment.registry.witness_cards() == kept
