"""The facts that a deployment makes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clients import Keep
from strongroom.facts.scan import SecretInFact
from strongroom.operations.add_client import NewClient, add_client, add_source, set_password
from strongroom.operations.add_location import set_site
from strongroom.operations.deployment import Deployment
from strongroom.operations.set_up import InstallPlan, set_up

URL = "postgresql://app:hunter2@db/shop"


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    app = App()
    plan = InstallPlan(app.new_install(), "tester", 1, 1, {"folder": f"file://{tmp_path / 'one'}"})
    tools, registry = app.make_home(tmp_path / "home", plan.install, tmp_path / "key")
    set_up(tools, registry, plan)
    registry.close()
    return tmp_path / "home"


@pytest.fixture(name="deployment")
def _deployment(home: Path) -> Iterator[Deployment]:
    with App().open(home) as opened:
        yield opened


def test_facts_of_one_command_have_one_run(deployment: Deployment, home: Path) -> None:
    facts = [deployment.fact("location.added", deployment.install) for _ in range(2)]
    assert len({fact.run for fact in facts}) == 1
    assert len({fact.node for fact in facts}) == 1
    with App().open(home) as again:
        assert again.fact("location.added", again.install).run != facts[0].run


def test_a_fact_touches_its_client(deployment: Deployment) -> None:
    deployment.fact("location.added", deployment.install)
    assert deployment.touched == set()
    deployment.fact("client.recovered", "1" * 32, snapshots=1)
    deployment.intent("restore.done", "2" * 32)
    assert deployment.touched == {"1" * 32, "2" * 32}


def test_a_secret_in_a_private_value_fails_a_test(deployment: Deployment) -> None:
    with pytest.raises(SecretInFact):
        deployment.fact("location.added", deployment.install, private={"url": URL})


def test_a_secret_in_a_private_value_raises_an_alarm(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRONGROOM_REFUSE_SECRETS")
    with App().open(home) as deployment:
        fact = deployment.fact("location.added", deployment.install, private={"url": URL})
        (alarm,) = deployment.registry.facts("ledger.secret_masked")
    assert (alarm.subject, alarm.body) == (fact.id, {"looked_like": ["url_password"]})


def test_another_password_is_told_and_not_the_password(deployment: Deployment) -> None:
    client = add_client(deployment, NewClient("acme", "normal", Keep()))
    add_source(deployment, client, "db", "postgresql", "postgresql://app@127.0.0.1:9/shop")
    set_password(deployment, client, "db", "hunter2-canary")
    with deployment.tools.history(client.id) as history:
        *_, fact = history.facts("source.password_set")
        everything = b"".join(one.encode() for one in history.facts())
    assert fact.subject == client.id
    assert b"canary" not in everything
    assert b"shop" not in everything


def test_what_is_said_of_a_location_is_told_before_and_after(deployment: Deployment) -> None:
    for facility in ("Shed", "Vault 7"):
        set_site(deployment, "folder", {"facility": facility})
    (place,) = deployment.registry.locations()
    first, second = deployment.registry.facts("location.site_set")
    assert {first.subject, second.subject} == {place.id}
    assert second.body == {"changed": ["facility"]}
    with deployment.tools.privacy.reading() as disclosed:
        told = [disclosed(fact).values for fact in (first, second)]
    assert told == [
        {"name": "folder", "facility": "Shed", "facility_before": ""},
        {"name": "folder", "facility": "Vault 7", "facility_before": "Shed"},
    ]


def test_a_long_command_is_no_reason_to_refuse_it(deployment: Deployment) -> None:
    """A command may have 32 KiB, of which what is kept beside the fact shows the beginning."""
    client = add_client(deployment, NewClient("acme", "normal", Keep()))
    url = f'command:["dump","{"é" * 15_000}"]'
    add_source(deployment, client, "long", "command", url)
    with deployment.tools.history(client.id) as history:
        (fact,) = history.facts("source.added")
    with deployment.tools.privacy.reading() as disclosed:
        shown = disclosed(fact).values["url"]
    assert shown is not None
    assert shown.startswith('command:["dump","éé')
    assert shown.endswith("é [cut]")
