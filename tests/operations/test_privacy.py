"""Who acts is known to the home and to no log; what is private opens exactly its commitment."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.errors import Damaged, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.set_up import InstallPlan, set_up
from tests.support.stepping_clock import SteppingClock

ANN = "ann@example.org"
BO = "Bo O'Hara"
FROM = ("ann-login", "ann-desk")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home whose operator is Ann."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    app = App(origin=lambda: FROM)
    install = app.new_install()
    tools, registry = app.make_home(tmp_path / "home", install)
    set_up(tools, registry, InstallPlan(install, ANN, 1, 1, {"loc": str(tmp_path / "location")}))
    registry.close()
    return tmp_path / "home"


@pytest.fixture
def deployment(home: Path) -> Iterator[Deployment]:
    with App(origin=lambda: FROM, behalf=BO).open(home) as opened:
        yield opened


def told(deployment: Deployment, name: str = "cloud", url: str = "s3://bucket/x") -> None:
    """Record a fact with private values."""
    place = deployment.registry.locations()[0].id
    private = {"name": name, "url": url}
    deployment.registry.record(
        deployment.fact("location.made_again", place, private=private, copied=1)
    )


def test_the_private_side_of_a_fact_is_told_by_the_home(deployment: Deployment) -> None:
    told(deployment)
    (fact,) = deployment.registry.facts("location.made_again")
    with deployment.tools.privacy.reading() as disclosed:
        shown = disclosed(fact)
    assert shown.values == {"name": "cloud", "url": "s3://bucket/x"}
    assert (shown.who, shown.behalf, shown.station) == (ANN, BO, "@".join(FROM))


def test_the_log_names_nobody(deployment: Deployment) -> None:
    told(deployment)
    for fact in deployment.registry.facts():
        for word in (ANN, BO, *FROM, "cloud", "s3://"):
            assert word.encode() not in fact.encode()


def test_every_pseudonym_was_told_to_the_log_once(home: Path) -> None:
    for _ in range(2):
        with App(origin=lambda: FROM, behalf=BO).open(home) as opened:
            told(opened)
    with App().open(home) as opened:
        named = opened.registry.facts("person.named")
        (placed,) = opened.registry.facts("person.stationed")
        later = opened.registry.facts("location.made_again")
        with opened.tools.privacy.reading() as disclosed:
            names = {fact.subject: disclosed(fact).values["name"] for fact in named}
            where = disclosed(placed).values
    assert [names[fact.who.id] for fact in later] == [ANN, ANN]
    assert [names[fact.behalf] for fact in later] == [BO, BO]
    assert {fact.node for fact in later} == {placed.body["station"]}
    assert where == {"login": "ann-login", "host": "ann-desk"}
    assert len(named) == 2


def test_a_command_that_tells_nothing_writes_nothing(home: Path) -> None:
    # The first command has witnessed what `init` told.
    with App(origin=lambda: FROM).open(home):
        pass
    with App(origin=lambda: ("other", "other"), behalf="nobody").open(home) as opened:
        known = opened.registry.facts("person.named")
    assert len(known) == 1
    with App().open(home) as opened, opened.tools.privacy.disclosures(None) as disclosures:
        assert disclosures.find("nobody") is None


def test_what_is_erased_is_said_to_be(deployment: Deployment) -> None:
    told(deployment)
    (fact,) = deployment.registry.facts("location.made_again")
    with deployment.tools.privacy.disclosures(None) as disclosures:
        disclosures.erase(None, ["cloud"])
        disclosures.forget(fact.who.id)
    with deployment.tools.privacy.reading() as disclosed:
        shown = disclosed(fact)
    assert shown.values == {"name": None, "url": "s3://bucket/x"}
    assert (shown.who, shown.behalf, shown.station) == (None, BO, None)


def test_a_value_that_was_altered_is_not_believed(home: Path, deployment: Deployment) -> None:
    told(deployment)
    (fact,) = deployment.registry.facts("location.made_again")
    with closing(sqlite3.connect(home / "disclosures.db")) as altered, altered:
        altered.execute("UPDATE disclosure SET value = 's3://else' WHERE value LIKE 's3:%'")
    with (
        deployment.tools.privacy.reading() as disclosed,
        pytest.raises(Damaged, match="the value shown for url is not that of fact"),
    ):
        disclosed(fact)


def test_a_name_that_cannot_be_shown_stops_the_command_before_it_begins(home: Path) -> None:
    with pytest.raises(UsageError, match="name of a person"), App(behalf="a\nb").open(home):
        pytest.fail("it was opened")


def test_a_home_from_before_there_were_pseudonyms_names_nobody_any_more(home: Path) -> None:
    with closing(sqlite3.connect(home / "server.db")) as older, older:
        older.execute("UPDATE install SET operator = 'old-name@example.org'")
    assert b"old-name@example.org" in (home / "server.db").read_bytes()
    with App(origin=lambda: FROM).open(home) as opened:
        operator = opened.operator
        (changed,) = opened.registry.facts("install.operator_changed")
        with opened.tools.privacy.disclosures(None) as disclosures:
            assert disclosures.name(operator) == "old-name@example.org"
        found = [path.name for path in home.rglob("*") if path.is_file() and holds(path)]
    assert changed.body == {"operator": operator}
    assert {name.partition("-")[0] for name in found} == {"disclosures.db"}


@pytest.mark.parametrize(("days", "left"), [(729, 1), (732, 0)])
def test_what_is_older_than_the_settings_say_goes(home: Path, days: int, left: int) -> None:
    clock = SteppingClock()
    with App(clock, origin=lambda: FROM, behalf=BO).open(home) as opened:
        told(opened)
        (old,) = opened.registry.facts("location.made_again")
    clock.at += timedelta(days=days)
    with App(clock, origin=lambda: FROM).open(home) as opened:
        told(opened, "later", "s3://other/y")
        with opened.tools.privacy.reading() as disclosed:
            shown = disclosed(old)
        expired = opened.registry.facts("ledger.expired")
    assert (shown.who, shown.station) == (ANN, "@".join(FROM))
    assert sum(value is not None for value in shown.values.values()) == 2 * left
    assert (shown.behalf is not None) == bool(left)
    assert len(expired) == 1 - left
    assert bool(left) == any(b"s3://bucket/x" in path.read_bytes() for path in home.glob("*.db*"))


def test_nothing_expires_where_the_settings_say_so(home: Path) -> None:
    settings = home / "strongroom.toml"
    text = settings.read_text("utf-8").replace("disclosure_days = 730", "disclosure_days = 0")
    settings.write_text(text, encoding="utf-8")
    clock = SteppingClock()
    with App(clock, origin=lambda: FROM).open(home) as opened:
        told(opened)
    clock.at += timedelta(days=20_000)
    with App(clock, origin=lambda: FROM).open(home) as opened:
        told(opened)
        assert opened.registry.facts("ledger.expired") == []


def holds(path: Path) -> bool:
    return b"old-name@example.org" in path.read_bytes()
