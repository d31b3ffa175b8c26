"""An erased person is in no byte of any file, before and after a recovery; every proof verifies.

The operator and somebody on whose behalf she works are erased. Files of the home, its locations,
the spool, the key file and an export of the logs are searched, journals of open databases too.
"""

from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.errors import UsageError
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.tree import leaf_hash, verify_inclusion
from strongroom.operations.deployment import Deployment
from strongroom.operations.erase import Erased, ErasePlan, erase_person, find_person
from strongroom.operations.read_ledger import SearchRequest, search_ledger
from tests.journeys.world import NORMAL, World, files_below, make_world

ANN, ANN_FROM = "ann.smith@example.org", ("annlogin", "ann-desktop")
BO = "Bo O'Hara-Lindqvist"
CY, CY_FROM = "cy.jones@example.org", ("cylogin", "cy-desktop")
OF_ANN = (ANN, *ANN_FROM)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a world in which Ann has worked, partly for Bo, and named both in what she typed."""
    made = make_world(tmp_path / "world", clients=[NORMAL])
    with App(origin=lambda: CY_FROM).open(made.home) as deployment:
        operate(deployment, ANN)
    for behalf in ("", BO):
        acting = World(made.root, made.kits, App(origin=lambda: ANN_FROM, behalf=behalf))
        acting.back_up()
        acting.restore()
        with acting.open() as deployment:
            told(deployment, f"for {BO}", f"file:///srv/{ANN}/copies")
    return World(made.root, made.kits, App(origin=lambda: CY_FROM))


def operate(deployment: Deployment, name: str) -> None:
    operator = deployment.tools.privacy.pseudonym(name)
    changed = deployment.fact("install.operator_changed", deployment.install, operator=operator)
    deployment.registry.set_operator(operator, changed)


def told(deployment: Deployment, name: str, url: str) -> None:
    """Record facts with private values in the server's log and in a client's."""
    place, client = deployment.registry.locations()[0], deployment.registry.client(NORMAL)
    private = {"name": name, "url": url}
    deployment.registry.record(
        deployment.fact("location.made_again", place.id, private=private, copied=1)
    )
    with deployment.tools.history(client.id) as history:
        source = history.sources()[0]
        history.record(
            deployment.fact("source.removed", client.id, private=private, source=source.id)
        )


def erase(world: World, person: str, successor: str = "operator") -> Erased:
    with world.open() as deployment:
        plan = ErasePlan(person, "Art. 17, request 31", successor)
        erased = erase_person(deployment, plan)
        # The databases are open, so their journals are there to be searched.
        assert nowhere(world, [person])
    return erased


def holding(world: World, words: list[str]) -> list[str]:
    """Return the files of a world, but for the live data, that hold one of the words."""
    live = world.root / "live"
    return [
        str(path.relative_to(world.root))
        for path in files_below(world.root)
        if not path.is_relative_to(live) and any(w.encode() in path.read_bytes() for w in words)
    ]


def nowhere(world: World, words: list[str]) -> bool:
    assert holding(world, words) == []
    return True


def logs(deployment: Deployment) -> list[tuple[str, list[bytes]]]:
    """Return what every log holds, after looking at each of its bytes and proving each leaf."""
    client = deployment.registry.client(NORMAL)
    found = []
    with deployment.tools.history(client.id) as history:
        for name, log in (("server", deployment.registry.log), ("client", history.log)):
            log.verify()
            size = log.size()
            root = log.root(size)
            leaves = list(log.leaves(0, size))
            for number, leaf in enumerate(leaves):
                proof = log.inclusion(number, size)
                verify_inclusion(leaf_hash(leaf), number, size, proof, root)
            found.append((name, leaves))
    return found


def export(world: World) -> Path:
    """Write both logs to a folder of the world."""
    folder = world.root / "export"
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        with deployment.tools.history(client.id) as history:
            for name, log in (("server", deployment.registry.log), ("client", history.log)):
                if log.checkpoint() is not None:
                    assert isinstance(log.export(folder / name), Checkpoint)
    return folder


def test_the_search_would_find_them(world: World) -> None:
    """Before they are erased both stand in the files that are for it, and in no others."""
    assert {Path(name).name for name in holding(world, [*OF_ANN, BO])} == {"disclosures.db"}
    assert len(holding(world, [ANN])) == len(holding(world, [BO])) == 2


def test_erased_persons_are_in_no_byte_and_every_proof_verifies(world: World) -> None:
    with world.open() as deployment:
        before = logs(deployment)
        salts = salts_of(deployment)
    assert len(salts) >= 12
    assert erase(world, BO).left == []
    assert erase(world, ANN, CY).left == []
    export(world)
    assert nowhere(world, [*OF_ANN, BO])
    everything = b"\0".join(path.read_bytes() for path in files_below(world.root))
    assert [salt for salt in salts if salt in everything] == []
    with world.open() as deployment:
        after = logs(deployment)
        assert_erased(deployment)
    for (name, old), (_, new) in zip(before, after, strict=True):
        assert new[: len(old)] == old, f"a leaf of the {name} log changed"

    world.lose_home()
    world.recover(world.kits[:2])
    assert nowhere(world, [*OF_ANN, BO])
    with world.open() as deployment:
        logs(deployment)
        with deployment.tools.privacy.disclosures(None) as disclosures:
            assert disclosures.find(ANN) is disclosures.find(BO) is None
    world.back_up()
    assert nowhere(world, [*OF_ANN, BO])


def salts_of(deployment: Deployment) -> list[bytes]:
    """Return the salts of every value that names one of the two."""
    found = []
    client = deployment.registry.client(NORMAL).id
    with deployment.tools.history(client) as history:
        facts = [*deployment.registry.facts(), *history.facts()]
    for place in (None, client):
        with deployment.tools.privacy.disclosures(place) as disclosures:
            values = [one for fact in facts for one in disclosures.of(fact.id)]
        found += [one.salt for one in values if any(word in one.value for word in (*OF_ANN, BO))]
    return found


def assert_erased(deployment: Deployment) -> None:
    """What is left says that it is erased, and that it was erased and why."""
    registry = deployment.registry
    with deployment.tools.privacy.reading() as disclosed:
        for fact in registry.facts("location.made_again"):
            shown = disclosed(fact)
            assert (shown.who, shown.behalf, shown.station) == (None, None, None)
            assert shown.values == {"name": None, "url": None}
        results = [one for one in registry.facts("ledger.erased") if one.phase == "result"]
        intents = [one for one in registry.facts("ledger.erased") if one.phase == "intent"]
        assert [one.ref for one in results] == [one.id for one in intents]
        assert {disclosed(one).values["basis"] for one in intents} == {"Art. 17, request 31"}
        # Who follows is known.
        assert disclosed(registry.facts()[-1]).who in (CY, None)
    assert len(results) == 2


def test_search_forgets_whom_it_had_found(world: World) -> None:
    """Search keeps words of private values in files of its own, split as it splits them."""
    files = [*world.home.glob("search.db"), *world.home.glob("clients/*/search.db")]
    assert files == []
    with world.open() as deployment:
        assert found_by(deployment, "smith") == 5
    files = [*world.home.glob("search.db"), *world.home.glob("clients/*/search.db")]
    assert len(files) == 2
    erase(world, ANN, CY)
    assert not any(path.exists() for path in files)
    with world.open() as deployment:
        assert found_by(deployment, "smith") == 0
        assert found_by(deployment, "op:location.made_again") == 2


def found_by(deployment: Deployment, text: str) -> int:
    return len(search_ledger(deployment, SearchRequest(text)).facts)


def test_an_erasure_leaves_others_alone(world: World) -> None:
    erase(world, BO)
    assert len(holding(world, [ANN])) == 2
    with world.open() as deployment, deployment.tools.privacy.reading() as disclosed:
        (mine, his) = deployment.registry.facts("location.made_again")
        assert disclosed(mine).who == disclosed(his).who == ANN
        assert disclosed(mine).values == {"name": None, "url": f"file:///srv/{ANN}/copies"}


def test_somebody_who_never_acted_is_erased_from_values(world: World) -> None:
    with world.open() as deployment:
        told(deployment, "a copy", "file:///srv/di.other@example.org")
    with world.open() as deployment:
        plan = ErasePlan("di.other@example.org", "Art. 17")
        assert not find_person(deployment, plan).known
        assert erase_person(deployment, plan).values == 2
    assert nowhere(world, ["di.other@example.org"])


def test_an_operator_named_otherwise_is_erased_and_does_not_follow_herself(world: World) -> None:
    with world.open() as deployment, pytest.raises(UsageError, match="the successor is the person"):
        erase_person(deployment, ErasePlan(deployment.operator, "Art. 17", ANN))
    assert erase(world, ANN.upper(), CY).left == []
    assert nowhere(world, [*OF_ANN])


def test_what_is_not_the_ledgers_is_named(world: World) -> None:
    """Settings and rows are for people to change; the erasure says where they still name one."""
    settings = world.home / "strongroom.toml"
    settings.write_text(settings.read_text("utf-8") + f"# asked by {BO}\n", encoding="utf-8")
    with world.open() as deployment:
        assert erase_person(deployment, ErasePlan(BO, "Art. 17")).left == ["strongroom.toml"]


@pytest.mark.parametrize(
    ("person", "basis", "successor", "said"),
    [
        (ANN, "", CY, "the basis cannot be recorded"),
        (ANN, "a\nb", CY, "the basis cannot be recorded"),
        (ANN, "a" * 501, CY, "the basis cannot be recorded"),
        (ANN, f"asked by {ANN.upper()}", CY, "the basis names the person"),
        (ANN, "Art. 17", ANN, "the successor is the person"),
        ("operator", "Art. 17", CY, "is a role and no person"),
    ],
)
def test_a_plan_that_would_not_erase_is_refused(
    person: str, basis: str, successor: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ErasePlan(person, basis, successor).check()
