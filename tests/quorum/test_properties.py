"""The promise of the quorum over many shapes: t honest answers open, liars are named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.crypto import scalars
from strongroom.quorum.label import VaultClass
from strongroom.quorum.opening import SharesAltered, TooFewShares
from strongroom.quorum.release import Release
from tests.quorum.world import World


@settings(max_examples=20)
@given(st.data())
def test_a_threshold_of_honest_answers_opens_and_every_liar_is_named(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5), "count")
    threshold = data.draw(st.integers(1, count), "threshold")
    vault_class: VaultClass = "high" if data.draw(st.booleans(), "high") else "normal"
    answering = data.draw(st.permutations(range(count)), "order")[
        : data.draw(st.integers(0, count), "answers")
    ]
    liars = {at for at in answering if data.draw(st.booleans(), f"{at} lies")}
    world = World(threshold, count, vault_class, f"{threshold}/{count}/{vault_class}")
    statement, dealt = world.backed_up()
    opening = world.opening(statement)
    for at in answering:
        custodian = world.custodians[at]
        answer = custodian.release(opening.request)
        if at in liars:
            release = Release.parse(answer, custodian.card())
            shares = release.open(opening._seed, answer.body)
            off = scalars.add(shares[:32], scalars.from_int(1)) + shares[32:]
            answer = release.sign(custodian._own.seed, opening.request.recipient, [off])
        opening.take(custodian.card(), answer)
    named = [f"custodian {at + 1} (name{at + 1}): its share" for at in sorted(liars)]
    assert [text.startswith(name) for text, name in zip(opening.culprits, named, strict=True)] == [
        True
    ] * len(liars)
    if len(answering) - len(liars) >= threshold:
        assert list(opening.complete().values()) == [(dealt[0].inner, dealt[0].outer)]
    else:
        with pytest.raises(SharesAltered if liars else TooFewShares):
            opening.complete()
    world.close()
