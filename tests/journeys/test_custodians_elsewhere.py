"""A home whose custodians are elsewhere: joined by `init`, met by every command, absent if gone."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_bytes

import pytest

from strongroom.adapters.locations.directory import DirectoryLocation
from strongroom.app import App
from strongroom.clock import Clock, SystemClock
from strongroom.crypto.certificates import read_leaf
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import StrongroomError, UsageError
from strongroom.ids import InstallId
from strongroom.operations.join_custodians import Invited, LeftJoined
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.transport import Authority, Link, Peer
from tests.support import served_custodian
from tests.support.first_home import make_database
from tests.support.peers import PATIENCE_SECONDS
from tests.support.ports import held
from tests.support.served_custodian import Told
from tests.support.transcript import Done, at_home, strongroom

NAMES = ("anna", "berta", "clara")


class Earlier(SystemClock):
    """The machine's clock, some time ago."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() - self._by


@dataclass
class Custodians:
    """Three custodians in folders of their own, each served until it is stopped."""

    folder: Path
    codes: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    _running: dict[str, ExitStack] = field(default_factory=dict)
    _held: dict[str, socket.socket] = field(default_factory=dict)

    def make(self) -> None:
        for name in NAMES:
            made = served_custodian.make(self.folder / name)
            self.codes[name], self.words[name] = made.code, " ".join(made.words)
            self.start(name)

    def start(self, name: str) -> None:
        running = ExitStack()
        port, told = running.enter_context(served_custodian.served(self.folder / name))
        assert self.ports.setdefault(name, port) == port
        self.told[name] = told
        self._running[name] = running
        if name in self._held:
            self._held.pop(name).close()

    def stop(self, name: str) -> None:
        self._running.pop(name).close()
        self._held[name] = held(self.ports[name])

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def let_go(self) -> None:
        self.close()
        for holding in self._held.values():
            holding.close()

    def invited(self, **codes: str) -> tuple[Invited, ...]:
        return tuple(
            Invited(
                name,
                f"https://127.0.0.1:{self.ports[name]}",
                JoinCode.parse(codes.get(name) or self.codes[name]),
            )
            for name in NAMES
        )


@contextmanager
def custodians(folder: Path) -> Iterator[Custodians]:
    made = Custodians(folder)
    try:
        made.make()
        yield made
    finally:
        made.let_go()


def begin(
    folder: Path,
    invited: tuple[Invited, ...],
    clock: Clock | None = None,
    install: InstallId | None = None,
) -> None:
    """Make a home as `init` does, with these custodians."""
    app = App() if clock is None else App(clock)
    install = install or app.new_install()
    places = {name: (folder / name).as_uri() for name in ("one", "two")}
    plan = InstallPlan(install, "ann", 3, 2, places, elsewhere=invited)
    tools, registry = app.make_home(folder / "home", install)
    try:
        set_up(tools, registry, plan)
    except BaseException:
        app.remove_home(folder / "home", tools.key_file)
        raise
    finally:
        registry.close()


def done(code: int, *arguments: str) -> Done:
    ended = strongroom(*arguments)
    assert ended.code == code, (arguments, ended)
    return ended


def test_backups_and_restores_go_on_without_one_of_three(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(0, "backup", "acme")
        done(0, "restore", "acme", "--to", "back")
        listed = done(0, "custodian", "list")
        assert all(name in listed.out for name in NAMES)
        three.stop("berta")
        done(0, "backup", "acme")
        done(0, "restore", "acme", "--to", "back-of-two")
        listed = done(3, "custodian", "list")
        row = next(line for line in listed.out.splitlines() if line.startswith("berta "))
        assert f" at 127.0.0.1:{three.ports['berta']} " in row
        three.stop("clara")
        done(3, "backup", "acme")
        assert "pending" in done(0, "snapshots", "acme").out
        refused = done(4, "restore", "acme", "--to", "back-of-one")
        assert f"custodian 2 (berta) at 127.0.0.1:{three.ports['berta']}" in refused.err
        assert not (tmp_path / "back-of-one").exists()
        three.start("berta")
        three.start("clara")
        done(0, "backup", "acme")
        assert "pending" not in done(0, "snapshots", "acme").out
        done(0, "restore", "acme", "--to", "back-again")
        done(0, "custodian", "list")
        done(0, "ledger", "verify")


def test_the_probe_finds_every_listener_closed(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        probed = done(0, "network", "probe")
        assert "27 attempts at 3 listeners: 0 wrong, 0 unknown." in probed.out
        three.stop("berta")
        found = json.loads(done(3, "network", "probe", "--json").out)
        got = {one["listener"]: one["got"] for one in found if one["attempt"] == "no certificate"}
        assert got == {"anna": "refused", "berta": "unknown", "clara": "refused"}
        assert not any(one["wrong"] for one in found)
        with App().open(tmp_path / "home") as deployment:
            facts = [fact for fact in deployment.registry.facts() if fact.op == "network.probed"]
    assert [fact.body["unknown"] for fact in facts] == [0, 9]
    assert facts[0].body == {
        "listeners": 3,
        "attempts": 27,
        "wrong": 0,
        "unknown": 0,
        "wrong_at": [],
    }


def test_a_wrong_code_joins_nobody(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        with pytest.raises(StrongroomError, match="refuses us") as caught:
            begin(tmp_path, three.invited(clara=three.codes["anna"]))
        assert "has not proved the code" in str(caught.value)
        assert not (tmp_path / "home").exists()
        # The two whose codes were right wait as they did.
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(0, "backup", "acme")


def test_what_fails_after_the_joining_says_who_is_joined_to_nothing(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        three.stop("clara")
        with pytest.raises(StrongroomError) as early:
            begin(tmp_path, three.invited())
        assert early.value.code == "peer_unavailable"
        three.start("clara")
        # Nothing of this install can be written to the locations; that shows when all are joined.
        install = App().new_install()
        for name in ("one", "two"):
            DirectoryLocation.create(tmp_path / name, token_bytes)
            (tmp_path / name / install).touch()
        with pytest.raises(LeftJoined) as caught:
            begin(tmp_path, three.invited(), install=install)
        assert caught.value.why.endswith("joined: anna, berta, clara")
        assert "run `custodian init` again" in caught.value.hint
        assert not (tmp_path / "home").exists()


def test_names_and_places_are_given_once(tmp_path: Path) -> None:
    invited = Invited("anna", "https://127.0.0.1:1", JoinCode(bytes(16)))
    install = App().new_install()
    plan = InstallPlan(install, "ann", 2, 2, {"one": "file:///one"})
    for other, said in (
        (replace(invited, url="https://127.0.0.1:2"), "the same name"),
        (replace(invited, name="berta"), "the same place"),
    ):
        with pytest.raises(UsageError, match=said):
            replace(plan, elsewhere=(invited, other)).check()
    with pytest.raises(UsageError, match="either all custodians"):
        replace(plan, elsewhere=(invited,)).check()


def test_certificates_are_renewed_by_any_command_when_they_are_due(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited(), Earlier(timedelta(hours=17)))
        made = places(tmp_path / "home")
        done(0, "custodian", "list")
        renewed = places(tmp_path / "home")
        for index, certificate in renewed.items():
            before, after = read_leaf(made[index]), read_leaf(certificate)
            assert before.public == after.public
            assert after.not_after - before.not_after > timedelta(hours=16)
        done(0, "custodian", "list")
        assert places(tmp_path / "home") == renewed


@pytest.mark.parametrize("both", [True, False], ids=["server and custodians", "custodians"])
@pytest.mark.parametrize("days", [-3, 400], ids=["expired", "from a clock far ahead"])
def test_who_has_a_certificate_of_another_time_is_known_by_its_key(
    tmp_path: Path, days: int, both: bool
) -> None:
    """All were off for days, or custodians are put back from an image, or a clock ran ahead."""
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        three.close()
        with App().open(tmp_path / "home") as deployment:
            secret = deployment.tools.secrets.read("authority")
            authority = Authority.open(deployment.install, secret)
        then = SystemClock().now() + timedelta(days=days)
        for index, certificate in places(tmp_path / "home").items():
            other = authority.renew(certificate, then, token_bytes)
            change(tmp_path / NAMES[index - 1] / "service.db", "service", other)
            if both:
                place = f"custodian_place WHERE custodian = {index}"
                change(tmp_path / "home" / "server.db", place, other)
        for name in NAMES:
            three.start(name)
        done(0, "custodian", "list")
        assert "0 wrong, 0 unknown" in done(0, "network", "probe").out
        met = places(tmp_path / "home")
        now = SystemClock().now()
        assert not any(read_leaf(certificate).is_due(now) for certificate in met.values())
        done(0, "custodian", "list")
        assert places(tmp_path / "home") == met


def change(database: Path, row: str, certificate: bytes) -> None:
    """Put a certificate into the row of a table that names it so."""
    table, _, which = row.partition(" ")
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute(f"UPDATE {table} SET certificate = ? {which}", (certificate,))


def places(home: Path) -> dict[int, bytes]:
    """Return the certificates that a home knows, without opening it, which would renew them."""
    with closing(sqlite3.connect(home / "server.db")) as database:
        return dict(database.execute("SELECT custodian, certificate FROM custodian_place"))


def test_the_authority_is_a_sealed_secret(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        begin(tmp_path, three.invited())
        with App().open(tmp_path / "home") as deployment:
            seed = deployment.tools.secrets.read("authority")[:48]
        found = [
            path for path in tmp_path.rglob("*") if path.is_file() and seed in path.read_bytes()
        ]
        assert found == []


def test_a_denied_custodian_is_asked_nothing_more_and_a_denied_server_is_refused(
    tmp_path: Path,
) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three:
        make_database(tmp_path / "app.db")
        begin(tmp_path, three.invited())
        done(0, "client", "add", "acme", "--source", "app.db")
        done(4, "custodian", "deny", "berta")
        with App().open(tmp_path / "home") as deployment:
            authority = Authority.open(
                deployment.install, deployment.tools.secrets.read("authority")
            )
            berta = deployment.roster.member(2)
            anna = deployment.roster.member(1)
        badge = authority.badge(Peer.server(authority.install), SystemClock().now(), token_bytes)
        three.stop("clara")
        said = done(3, "custodian", "deny", "berta", f"{badge.leaf.serial:032X}", "--yes")
        assert f"The certificate {badge.leaf.serial:032x} is denied." in said.out
        assert "Told: anna." in said.out
        assert "clara is told by the next command that meets it" in said.err
        # The home asks berta nothing more, and the others refuse the badge.
        listed = done(3, "custodian", "list")
        row = next(line for line in listed.out.splitlines() if line.startswith("berta "))
        assert "is not asked: its certificate is denied" in row
        found = done(0, "ledger", "search", "network.denied").out
        assert found.count("network.denied") == 2
        three.start("clara")
        done(0, "backup", "acme")
        done(0, "restore", "acme", "--to", "back")
        for name, member in (("anna", anna), ("clara", None)):
            port = three.ports[name]
            with App().open(tmp_path / "home") as deployment:
                expected = member or deployment.roster.member(3)
            peer = Peer.custodian(expected.id)
            with (
                Link(("127.0.0.1", port), badge, peer, SystemClock(), PATIENCE_SECONDS) as link,
                pytest.raises(StrongroomError, match="refuses us") as caught,
            ):
                link.ask("GET", "/v1/health")
            assert "is denied" in str(caught.value)
        # Who shows the denied certificate is not believed either, whatever this home knows of it.
        own = places(tmp_path / "home")[2]
        with closing(sqlite3.connect(tmp_path / "home" / "server.db")) as opened, opened:
            opened.execute(
                "UPDATE custodian_place SET certificate = ? WHERE custodian = 2",
                (authority.renew(own, SystemClock().now(), token_bytes),),
            )
        listed = done(3, "custodian", "list")
        assert f"that of custodian {berta.id[:8]} is denied" in listed.out
        done(0, "ledger", "verify")


def test_what_cannot_be_denied(tmp_path: Path) -> None:
    with at_home(tmp_path):
        done(0, "init", "--location", "one", "--quiet")
        assert "runs in this home" in done(2, "custodian", "deny", "custodian-1").err
        assert "neither a custodian nor a serial" in done(2, "custodian", "deny", "nobody").err
        assert "nobody to tell" in done(2, "custodian", "deny", "8" * 32).err
        assert "nothing is named" in done(2, "custodian", "deny").err
