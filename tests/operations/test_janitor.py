"""Only the janitor deletes: whose credential opens a location for it, and what is never taken."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clients import Registry
from strongroom.errors import Refused, UsageError
from strongroom.ids import LocationId
from strongroom.locations import Location, ObjectMissing
from strongroom.operations.add_location import set_credentials
from strongroom.operations.credentials import (
    Credential,
    Credentials,
    janitor_name,
    secret_name,
    unseal_credential,
)
from strongroom.operations.deployment import Deployment
from strongroom.operations.set_up import InstallPlan, set_up

# Port 9 of this machine: nobody answers there, and nothing below asks anybody.
STORE = "s3://bucket/prefix?endpoint=http://127.0.0.1:9"
CLOUD = LocationId("6" * 32)
WORKER = Credential("worker", "secret-of-the-worker")
JANITOR = Credential("janitor", "secret-of-the-janitor")


@pytest.fixture(name="deployment")
def _deployment(tmp_path: Path) -> Iterator[Deployment]:
    app = App()
    install = app.new_install()
    plan = InstallPlan(install, "tester", 1, 1, {"folder": f"file://{tmp_path / 'one'}"})
    tools, registry = app.make_home(tmp_path / "home", install, tmp_path / "key")
    set_up(tools, registry, plan)
    Credentials(WORKER).seal(tools.secrets, "cloud", STORE)
    registry.add_location(
        Registry.Place(CLOUD, "cloud", STORE, Registry.Site(), True, tools.clock.now()),
        registry.facts()[0],
    )
    registry.close()
    with app.open(tmp_path / "home", concludes=False) as opened:
        yield opened


Seen = list[tuple[str, Credential | None]]


def watched(deployment: Deployment) -> tuple[Deployment, Seen]:
    """Return the deployment, and what its locations are opened with from now on."""
    seen: Seen = []

    def location_as(url: str, credential: Credential | None) -> Location:
        seen.append((url, credential))
        return deployment.tools.location_as(url, credential)

    tools = replace(deployment.tools, location_as=location_as)
    return replace(deployment, tools=tools), seen


def test_a_store_without_a_janitor_is_named_and_the_worker_is_not_taken(
    deployment: Deployment,
) -> None:
    deployment, seen = watched(deployment)
    with pytest.raises(Refused, match="location cloud") as caught, deployment.janitor():
        pass
    assert "location set cloud --janitor-credential-file" in caught.value.hint
    assert seen == []


def test_the_sealed_credential_opens_it(deployment: Deployment) -> None:
    Credentials(janitor=JANITOR).seal(deployment.tools.secrets, "cloud", STORE)
    deployment, seen = watched(deployment)
    with deployment.janitor() as copies:
        assert copies.locations.keys() == {"cloud", "folder"}
    assert seen == [(STORE, JANITOR)]


def test_one_given_for_this_run_opens_it_and_is_not_kept(deployment: Deployment) -> None:
    deployment, seen = watched(deployment)
    with deployment.janitor(given=JANITOR):
        pass
    assert seen == [(STORE, JANITOR)]
    assert not deployment.tools.secrets.has(janitor_name("cloud"))


def test_a_folder_needs_none_and_can_be_asked_for_alone(deployment: Deployment) -> None:
    key = f"{deployment.install}/something"
    deployment.copies.locations["folder"].put(key, b"bytes")
    with deployment.janitor(["folder"]) as copies:
        assert copies.locations.keys() == {"folder"}
        copies.locations["folder"].delete(key)
    with pytest.raises(ObjectMissing):
        deployment.copies.locations["folder"].get(key)


def test_the_worker_reads_with_its_own(deployment: Deployment) -> None:
    Credentials(janitor=JANITOR).seal(deployment.tools.secrets, "cloud", STORE)
    assert unseal_credential(deployment.tools.secrets, secret_name("cloud")) == WORKER


def test_what_was_sealed_can_be_forgotten(deployment: Deployment) -> None:
    Credentials(janitor=WORKER).seal(deployment.tools.secrets, "cloud", STORE)
    assert set_credentials(deployment, "cloud", Credentials()).same
    done = set_credentials(deployment, "cloud", Credentials(), forget_janitor=True)
    assert (done.worker, done.janitor, done.same) == (True, False, False)
    *_, fact = deployment.registry.facts("location.credentials_set")
    assert (fact.subject, fact.body["janitor_forgotten"]) == (CLOUD, True)


@pytest.mark.parametrize("name", ["folder", "nowhere"])
def test_folders_and_what_is_not_there_have_no_credential(
    deployment: Deployment, name: str
) -> None:
    with pytest.raises(UsageError):
        set_credentials(deployment, name, Credentials(janitor=JANITOR))
