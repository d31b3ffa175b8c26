"""A vault of a newer kind is refused, an altered config is found, a missing one is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clients import Client, Keep
from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.errors import Damaged
from strongroom.operations.add_client import NewClient, add_client
from strongroom.operations.deployment import Deployment
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.operations.vault_config import NewerVault, Operation, check_config


@pytest.fixture(name="deployment")
def _deployment(tmp_path: Path) -> Iterator[Deployment]:
    app = App()
    install = app.new_install()
    locations = {name: f"file://{tmp_path / name}" for name in ("one", "two")}
    plan = InstallPlan(install, "tester", 3, 2, locations)
    tools, registry = app.make_home(tmp_path / "home", install, tmp_path / "key")
    set_up(tools, registry, plan)
    registry.close()
    with app.open(tmp_path / "home") as deployment:
        add_client(deployment, NewClient("acme", "normal", Keep()))
        yield deployment


def _check(deployment: Deployment, operation: Operation) -> None:
    client = deployment.registry.client("acme")
    with deployment.tools.history(client.id) as history:
        check_config(deployment, client, history, operation)


def _paths(deployment: Deployment, tmp_path: Path, client: Client) -> list[Path]:
    folder = f"{deployment.install}/vaults/{client.vault}/config"
    return [next((tmp_path / name / folder).iterdir()) for name in ("one", "two")]


def _rewrite(deployment: Deployment, tmp_path: Path, *, raised: bool, unknown: Operation) -> None:
    """Place a config with an unknown feature, by the client's own writer or over the old one."""
    client = deployment.registry.client("acme")
    for path in _paths(deployment, tmp_path, client):
        fields = decode_envelope(path.read_bytes(), "config").statement.fields("config")
        fields["features"][unknown] = ["parity-v1"]
        fields["generation"] = int(raised)
        name = f"{fields['writer']}-{int(raised):08d}"
        seed = deployment.worker_keys(client).writer_seed
        path.with_name(name).write_bytes(sign_envelope(seed, "config", fields).encode())


@pytest.mark.parametrize("operation", ["read", "write", "check"])
def test_the_config_of_a_new_vault_allows_everything(
    deployment: Deployment, operation: Operation
) -> None:
    _check(deployment, operation)


def test_an_unknown_feature_stops_what_it_concerns_and_nothing_else(
    deployment: Deployment, tmp_path: Path
) -> None:
    _rewrite(deployment, tmp_path, raised=True, unknown="write")
    _check(deployment, "read")
    with pytest.raises(NewerVault, match="parity-v1") as caught:
        _check(deployment, "write")
    assert caught.value.exit_code == 1


def test_an_altered_copy_gives_way_to_a_good_one(deployment: Deployment, tmp_path: Path) -> None:
    client = deployment.registry.client("acme")
    first, second = _paths(deployment, tmp_path, client)
    first.write_bytes(first.read_bytes().replace(b'"parity":null', b'"parity":1234'))
    _check(deployment, "read")
    second.write_bytes(first.read_bytes())
    with pytest.raises(Damaged, match="config"):
        _check(deployment, "write")


def test_a_stranger_cannot_raise_the_generation(deployment: Deployment, tmp_path: Path) -> None:
    client = deployment.registry.client("acme")
    for path in _paths(deployment, tmp_path, client):
        fields = decode_envelope(path.read_bytes(), "config").statement.fields("config")
        fields["generation"] = 1
        forged = sign_envelope(bytes(32), "config", fields).encode()
        path.with_name(f"{fields['writer']}-00000001").write_bytes(forged)
    _check(deployment, "read")


def test_a_missing_config_stops_writing_and_never_reading(
    deployment: Deployment, tmp_path: Path
) -> None:
    client = deployment.registry.client("acme")
    for path in _paths(deployment, tmp_path, client):
        path.unlink()
    _check(deployment, "read")
    with pytest.raises(Damaged, match="no config at any location"):
        _check(deployment, "write")


@pytest.mark.parametrize("features", [None, {"read": 1}, {"read": [[]]}, {"read": [1]}])
def test_a_malformed_config_is_damage(
    deployment: Deployment, tmp_path: Path, features: object
) -> None:
    client = deployment.registry.client("acme")
    seed = deployment.worker_keys(client).writer_seed
    empty: dict[str, object] = {one: [] for one in ("read", "write", "check", "prune")}
    for path in _paths(deployment, tmp_path, client):
        fields = decode_envelope(path.read_bytes(), "config").statement.fields("config")
        fields["features"] = {**empty, **features} if isinstance(features, dict) else features
        path.write_bytes(sign_envelope(seed, "config", fields).encode())
    with pytest.raises(Damaged, match=r"malformed|no good copy"):
        _check(deployment, "write")
