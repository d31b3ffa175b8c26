"""Every command that changes or releases something leaves a fact, and no other leaves one.

The steps below run one after the other in one home, before whatever looks at it, and name every
command there is: a new one fails here until somebody has said what it tells.
"""

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.cli.main import commands
from strongroom.facts import Fact, read_facts
from strongroom.facts.vocabulary import OPS
from tests.cli.test_commands_page import chains
from tests.support.first_home import make_database
from tests.support.transcript import at_home, strongroom

NOTHING: frozenset[str] = frozenset()
BEGUN = frozenset(
    {
        "custodian.witness_kept",
        "install.begun",
        "location.added",
        "person.named",
        "person.stationed",
        "policy.adopted",
        "policy.signed",
        "roster.adopted",
        "settings.changed",
    }
)
ASKED = frozenset({"procedure.requested", "procedure.approved"})
OBEYED = ASKED | {"procedure.run", "procedure.obeyed", "request.obeyed"}
ERASED = frozenset({"client.erased", "client.cleared", "client.keys_destroyed"})
OPENED = frozenset({"keys.opened", "share.released"})
KEPT = frozenset({"backup.written", "snapshot.good", "snapshot.receipted"})
ADDED = frozenset({"client.added", "client.enrolled", "writer.enrolled"})
RECOVERED = frozenset(
    {
        *OPENED,
        "keys.asked",
        "client.recovered",
        "custodian.witness_kept",
        "install.recovered",
        "ledger.epoch_begun",
        "location.added",
        "person.named",
        "person.stationed",
        "policy.adopted",
        "policy.signed",
        "roster.adopted",
        "settings.changed",
        "source.recovered",
    }
)
WITNESSED = frozenset({"ledger.anchored", "log.pinned", "log.registered"})
"""What is told of its own accord at the end of any command that told something."""

STEPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("status", NOTHING),
    ("kit show", NOTHING),
    ("kit confirm custodian-1 --words-file kit-1", frozenset({"kit.confirmed"})),
    ("kit written custodian-1", frozenset({"kit.sheet_written"})),
    ("custodian list", NOTHING),
    ("network probe", NOTHING),
    ("procedure list", NOTHING),
    ("policy show", NOTHING),
    ("policy sign --to next", NOTHING),
    ("procedure device --to ann.device --passphrase-file kit-1", NOTHING),
    ("client add acme --source app.db", ADDED | {"source.added"}),
    ("client add empty", ADDED),
    ("client set acme --keep 3d", frozenset({"client.keep_set"})),
    ("client list", NOTHING),
    ("client show acme", NOTHING),
    ("custodian rotate custodian-1 --client acme", OBEYED | {"client.key_rotated"}),
    ("source add acme notes", frozenset({"source.added"})),
    ("source list acme", NOTHING),
    ("source remove acme notes --yes", frozenset({"source.removed"})),
    ("source set acme app.db --password-file kit-1", NOTHING),
    ("backup acme", KEPT),
    ("backup acme", KEPT),
    ("snapshots acme", NOTHING),
    ("browse acme", OPENED | {"browse.done"}),
    ("diff acme latest latest", OPENED | {"diff.done"}),
    ("restore acme --to back", OPENED | {"restore.done"}),
    ("location add three", frozenset({"location.added"})),
    ("location set three --facility Shed", frozenset({"location.site_set"})),
    ("location list", NOTHING),
    ("location remove three --yes", ASKED | {"procedure.run", "location.removed"}),
    ("vault check acme", frozenset({"vault.checked"})),
    ("vault scrub acme", frozenset({"vault.scrubbed"})),
    ("vault repair acme", frozenset({"vault.repaired"})),
    ("vault prune acme --dry-run", NOTHING),
    ("vault prune acme --yes", NOTHING),
    ("client erase empty --yes", OBEYED | ERASED),
    ("ledger search acme --scan --verify", NOTHING),
    ("ledger show 00000000", NOTHING),
    ("ledger tail --client acme --ocsf", NOTHING),
    ("ledger verify", NOTHING),
    ("ledger reconcile", frozenset({"ledger.reconciled"})),
    ("ledger erase ann@example.org --basis request-31 --yes", frozenset({"ledger.erased"})),
    ("ledger policy", NOTHING),
    ("ledger resume", NOTHING),
    ("ledger export --to logs", frozenset({"ledger.exported"})),
    ("ledger bundle --fact 00000000 --to evidence.zip", NOTHING),
)
ELSEWHERE = {
    "custodian confirm-kit": "it is of a custodian's own home",
    "custodian deny": "custodians of this home have no certificate; tests/journeys",
    "custodian enrol": "what it tells is in tests/journeys/test_enrolled_custodian.py",
    "custodian init": "it makes the home of a custodian",
    "custodian join": "custodians of this home are joined by nobody; tests/journeys",
    "custodian join-code": "it is of a custodian's own home",
    "custodian redeal": "what it tells is in tests/journeys/test_redealt_elsewhere.py",
    "custodian serve": "it is of a custodian's own home",
    "policy change": "in a home of its own; tests/scripts/policy.txt, tests/operations",
    "procedure approve": "it needs no home; tests/cli/test_procedure.py",
    "procedure refuse": "the same",
    "procedure run": "in the home of a team, in the same test",
    "procedure show": "the same",
    "procedure take": "the same",
    "procedure withdraw": "the same",
    "init": "it makes the home of these steps",
    "recover": "it makes another home, below",
    "up": "it is the operations of the others one after the other",
}


def told(home: Path) -> dict[str, Fact]:
    """Return every fact of a home: of its logs and of its custodians' journals."""
    with App().open(home) as deployment:
        facts = list(deployment.registry.facts())
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                facts += history.facts()
        for index in deployment.custodians:
            database, _ = deployment.tools.custodian_home(index, False)
            with closing(database), database.reading() as reading:
                facts += read_facts(reading)
    return {fact.id: fact for fact in facts}


def state(folder: Path) -> dict[str, object]:
    """Return what a command could change: rows of the home, sealed secrets, stored objects."""
    found: dict[str, object] = {}
    for path in sorted((folder / "home").rglob("*.db")):
        if path.name in ("server.db", "client.db"):
            found |= {f"{path}:{name}": rows for name, rows in rows_of(path).items()}
    for part in ("home/secrets", "one", "two", "config"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}"), key=str)
            for (name,) in tables.fetchall()
        }


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("told")
    with at_home(folder):
        make_database(folder / "app.db")
        (folder / "notes").mkdir()
        (folder / "notes" / "today.txt").write_text("Buy locks.", encoding="utf-8")
        places = ["--location", "one", "--location", "two"]
        done = strongroom("init", *places, "--delay-hours", "0", "--json")
        assert done.code == 0, done.err
        for number, kit in enumerate(json.loads(done.out)["kits"], start=1):
            (folder / f"kit-{number}").write_text(kit["words"] + "\n", encoding="utf-8")
        yield folder


@dataclass(frozen=True, slots=True)
class Walked:
    """What a step told beside witnessing, and whether it left the rest as it was."""

    fresh: frozenset[str]
    kept: bool = True
    changed: bool = True


@pytest.fixture(name="walked", scope="module")
def _walked(folder: Path) -> list[Walked]:
    """Go through all the steps, once for all who look at what they left."""
    known = told(folder / "home")
    walked = [Walked(frozenset(fact.op for fact in known.values()) - WITNESSED)]
    for line, _ in STEPS:
        before = state(folder)
        done = strongroom(*line.split())
        assert "Traceback" not in done.err
        after = told(folder / "home")
        fresh = frozenset(fact.op for fact in after.values() if fact.id not in known)
        kept = all(fact.encode() == after[fact.id].encode() for fact in known.values())
        walked.append(Walked(fresh - WITNESSED, kept, state(folder) != before))
        known = after
    return walked


def test_every_command_is_a_step() -> None:
    every = {" ".join(chain) for chain in chains(commands)}
    leaves = {one for one in every if not any(other.startswith(f"{one} ") for other in every)}
    named = {one for one in leaves for line, _ in STEPS if f"{line} ".startswith(f"{one} ")}
    assert leaves - named == ELSEWHERE.keys()


def test_every_op_that_a_step_tells_is_one() -> None:
    names = {op.name for op in OPS}
    assert frozenset().union(*(ops for _, ops in STEPS), BEGUN, RECOVERED, WITNESSED) <= names


def test_each_command_tells_what_it_does_and_nothing_else(walked: Sequence[Walked]) -> None:
    begun, *steps = walked
    assert begun.fresh == BEGUN
    for one, (line, ops) in zip(steps, STEPS, strict=True):
        assert one.fresh == ops, line
        assert one.kept, f"{line} altered what was told before"
        assert not one.changed or ops, f"{line} changed something and told nothing"


@pytest.mark.usefixtures("walked")
def test_no_fact_names_anything_or_holds_a_secret(folder: Path) -> None:
    """The steps above typed these; the secrets are those that the home has sealed."""
    leaves = b"\n".join(fact.encode() for fact in told(folder / "home").values())
    named = ["acme", "app.db", "notes", "today", "three", "Shed", folder.name, "file:", "/"]
    assert [word for word in named if word.encode() in leaves] == []
    words = (folder / "kit-1").read_text(encoding="utf-8").split()
    assert [pair for pair in pairwise(words) if " ".join(pair).encode() in leaves] == []
    for secret in sealed_secrets(folder / "home"):
        assert not any(form in leaves for form in forms(secret))


def sealed_secrets(home: Path) -> list[bytes]:
    """Return every part of what is sealed in a home that could be a key."""
    with App().open(home) as deployment:
        tools = deployment.tools
        names = [path.name for path in (home / "secrets").iterdir()]
        sealed = [tools.secrets.read(name) for name in names]
        sealed += [tools.key_file.read_bytes().split()[1]]
    found = [data[at : at + 16] for data in sealed for at in range(0, len(data) - 15, 16)]
    assert len(found) > 12, "worker keys, the operator's seed, the key file"
    return found


def forms(secret: bytes) -> list[bytes]:
    """Return how a secret could stand in a text."""
    return [secret, secret.hex().encode(), base64.b64encode(secret)[:20]]


@pytest.mark.usefixtures("walked")
def test_a_recovery_tells_what_it_made(folder: Path) -> None:
    words = "".join((folder / f"kit-{number}").read_text("utf-8") for number in (1, 2))
    (folder / "kits").write_text(words, encoding="utf-8")
    place = ["--location", "one", "--location", "two", "--kits", "kits"]
    done = strongroom("--home", "other", "recover", *place)
    assert done.code in (0, 3), done.err
    assert {fact.op for fact in told(folder / "other").values()} - WITNESSED == RECOVERED


@pytest.mark.usefixtures("walked")
def test_logs_that_go_on_in_a_home_that_was_put_back_tell_it(folder: Path) -> None:
    home, image = folder / "home", folder / "image"
    shutil.copytree(home, image)
    assert strongroom("backup", "acme").code == 0
    made = told(home)
    shutil.rmtree(home)
    image.rename(home)
    done = strongroom("ledger", "resume")
    assert done.code == 0, done.err
    fresh = {fact.op for fact in told(home).values() if fact.id not in made}
    assert fresh - WITNESSED == {"ledger.resumed"}


@pytest.mark.usefixtures("walked")
def test_settings_that_somebody_edited_are_told_once(folder: Path) -> None:
    known = told(folder / "home")
    path = folder / "home" / "strongroom.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("prune_wait_hours = 72", "prune_wait_hours = 24"), "utf-8")
    try:
        for _ in range(2):
            assert strongroom("status").code in (0, 3)
        fresh = [fact for fact in told(folder / "home").values() if fact.id not in known]
    finally:
        path.write_text(text, encoding="utf-8")
    assert [fact.op for fact in fresh] == ["settings.changed"]
    assert fresh[0].body == {
        "disclosure_days": 730,
        "disclosure_days_before": 730,
        "keep": "7d5w12m3f",
        "keep_before": "7d5w12m3f",
        "prune_wait_hours": 24,
        "prune_wait_hours_before": 72,
    }
