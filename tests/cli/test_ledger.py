"""`strongroom ledger`: what it finds and proves, and what it says of each kind of harm."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strongroom.cli.ledger import CELL_LENGTH_MAX, _cell
from tests.support.first_home import FirstHome
from tests.support.transcript import Done, strongroom


def said(*arguments: str, code: int = 0) -> Done:
    done = strongroom("ledger", *arguments)
    assert done.code == code, done
    return done


def told(*arguments: str, code: int = 0) -> Any:
    return json.loads(said(*arguments, "--json", code=code).out)


def client_database(first: FirstHome) -> Path:
    (found,) = (first.home / "clients").glob("*/client.db")
    return found


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(sql, values).rowcount > 0


def rolled_back(first: FirstHome, act: Callable[[], object]) -> None:
    """Do something, and put the client's database back to before it."""
    path = client_database(first)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = path.read_bytes()
    act()
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(kept)


def test_search_reads_every_log_or_one(first: FirstHome) -> None:
    logs = {one["log"] for one in told("search")}
    assert logs == {"server", "acme"}
    (written,) = told("search", "op:backup.written", "--client", "acme")
    assert (written["log"], written["outcome"]) == ("acme", "ok")
    assert [one["fact"] for one in told("search", written["fact"][:12])] == [written["fact"]]
    assert told("search", "backup written", "--since", "2999-01-01") == []


def test_what_is_not_found_proves_nothing_until_every_leaf_was_read(first: FirstHome) -> None:
    done = said("search", "nothing of the kind")
    assert "That proves nothing: --scan reads every leaf." in done.out
    done = said("search", "nothing of the kind", "--scan")
    assert "Every leaf of 2 logs was read" in done.out
    assert ": 0 facts found." in done.out
    everything = len(told("search", "--limit", "10000"))
    done = said("search", "--scan", "--limit", "1")
    assert f"{everything} facts found, the newest 1 shown." in done.out


def test_private_side_is_found_and_shown_while_it_is_kept(first: FirstHome) -> None:
    (added,) = told("search", "notes")
    assert added["private_name"] == "notes"
    assert added["who_name"] == "operator"
    assert added["fact"] in {one["fact"] for one in told("search", "--who", "operator")}
    for kept in [
        *first.home.glob("disclosures.db*"),
        *first.home.glob("clients/*/disclosures.db*"),
    ]:
        kept.unlink()
    assert told("search", "notes") == []
    page = said("show", added["fact"]).out
    assert page.count("(erased)") == 4
    assert "Proved: " in page


def test_hits_are_proved_by_a_cosigned_checkpoint(first: FirstHome) -> None:
    found = told("search", "--verify")
    assert found
    assert all(one["proved"] for one in found)
    assert "are proved by a cosigned checkpoint." in said("search", "--verify").out


def test_show_says_all_of_a_fact_and_proves_it(first: FirstHome) -> None:
    (written,) = told("search", "op:backup.written")
    page = said("show", written["fact"]).out
    assert "backup.written: " in page
    assert "Proved: it is in the tree of" in page
    assert "cosigned by custodian-1 (" in " ".join(page.split())
    whole = told("show", written["fact"][:16])
    assert whole["proof"].startswith("c2sp.org/tlog-proof@v1\n")
    assert json.loads(whole["canonical"])["id"] == written["fact"]


@pytest.mark.parametrize("wanted", ["0" * 32, "no-id"])
def test_show_of_what_is_not_there_is_refused(first: FirstHome, wanted: str) -> None:
    first.refused(2, "ledger", "show", wanted)


def test_tail_goes_on_at_its_cursor(first: FirstHome) -> None:
    everything = told("tail", "--client", "acme", "--cursor", "0", "--limit", "1000")
    assert [one["leaf"] for one in everything] == list(range(len(everything)))
    assert told("tail", "--client", "acme", "--limit", "2") == everything[-2:]
    assert told("tail", "--client", "acme", "--cursor", "1", "--limit", "1") == everything[1:2]
    assert told("tail", "--client", "acme", "--cursor", str(len(everything))) == []
    first.refused(2, "ledger", "tail", "--client", "acme", "--cursor", str(len(everything) + 1))


def test_tail_writes_events_of_ocsf(first: FirstHome) -> None:
    lines = said("tail", "--client", "acme", "--cursor", "0", "--ocsf").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["unmapped"]["ledger"]["cursor"] for event in events] == list(
        range(1, len(events) + 1)
    )
    assert {event["metadata"]["version"] for event in events} == {"1.8.0"}


def test_sound_ledger_is_said_to_be_witnessed(first: FirstHome) -> None:
    assert said("verify").out.startswith("Sound and witnessed: 2 logs")
    assert {one["state"] for one in told("verify")} == {"witnessed"}


def test_facts_that_no_quorum_has_cosigned_exit_10_until_it_has(first: FirstHome) -> None:
    (first.home / "custodians").rename(first.folder / "away")
    (first.home / "custodians").mkdir()
    strongroom("client", "set", "acme", "--keep", "3d3w3m3f")
    assert said("verify", code=10).out.startswith("Sound, and not all of it is witnessed yet")
    newest = told("search", "--verify", "--limit", "1", code=10)[0]
    assert newest["proved"] is False
    assert "Not witnessed yet" in said("show", newest["fact"], code=10).out
    (first.home / "custodians").rmdir()
    (first.folder / "away").rename(first.home / "custodians")
    # The first command that meets the custodians again shows it to them as it ends.
    said("verify", code=10)
    assert said("verify").out.startswith("Sound and witnessed")


def test_rolled_back_log_exits_20(first: FirstHome) -> None:
    rolled_back(first, lambda: strongroom("backup", "acme"))
    done = said("verify", code=20)
    assert done.out.startswith("STALE")
    (stale,) = [one for one in told("verify", code=20) if one["log"] == "acme"]
    assert "saw" in stale["why"]


def test_split_view_exits_30_and_prints_both_notes(first: FirstHome) -> None:
    # A machine image is taken, and both go on with the same keys. Neither sees what the other did:
    # custodians are in the image, too, and what the locations have of the ledger is kept away.
    image = first.folder / "image"
    shutil.copytree(first.home, image)
    assert strongroom("vault", "scrub", "acme").code == 0
    for placed in first.folder.glob("*/*/ledger/"):
        shutil.rmtree(placed)
    assert strongroom("--home", str(image), "vault", "scrub", "acme").code == 0
    ours = client_database(first)
    for end in ("", "-wal", "-shm"):
        ours.with_name(ours.name + end).unlink(missing_ok=True)
    shutil.copy(next((image / "clients").glob("*/client.db")), ours)
    done = said("verify", code=30)
    assert done.out.startswith("SPLIT VIEW")
    assert done.out.count("\u2014 ") >= 2
    (split,) = [one for one in told("verify", code=30) if one["log"] == "acme"]
    one, other = split["notes"]
    assert one.split("\n")[:2] == other.split("\n")[:2]
    assert one.split("\n")[2] != other.split("\n")[2]


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [("leaf", "bytes", "number = 1"), ("head", "root", "1"), ("checkpoint", "note", "1")],
)
def test_altered_byte_exits_40(first: FirstHome, table: str, column: str, where: str) -> None:
    path = client_database(first)
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
    spoilt = bytearray(found[0])
    spoilt[-9] ^= 1
    change(path, f"UPDATE {table} SET {column} = ? WHERE {where}", bytes(spoilt))
    done = said("verify", code=40)
    assert done.out.startswith("DAMAGED")


def test_export_is_verified_with_a_policy_from_outside(first: FirstHome) -> None:
    policy = first.folder / "policy"
    policy.write_text(said("policy").out)
    exported = told("export", "--to", "logs")
    assert {one["log"] for one in exported} == {"server", "acme"}
    first.home.rename(first.folder / "gone")
    for one in exported:
        (verdict,) = told("verify", one["folder"], "--policy", str(policy))
        assert (verdict["state"], verdict["facts"]) == ("witnessed", one["facts"])
    path = Path(exported[0]["folder"], "tile", "0", f"000.p/{exported[0]['facts']}")
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    (verdict,) = told("verify", exported[0]["folder"], "--policy", str(policy), code=40)
    assert "tile/0/" in verdict["why"]


def test_copies_just_made_are_as_new_as_the_home(first: FirstHome) -> None:
    for one in told("export", "--to", "logs"):
        assert told("verify", one["folder"])[0]["state"] == "witnessed", one
    first.refused(2, "ledger", "export", "--to", "logs")


def test_copy_that_the_log_has_outgrown_exits_20(first: FirstHome) -> None:
    (exported,) = told("export", "--to", "logs", "--client", "acme")
    assert said("verify", exported["folder"]).out.startswith("Sound and witnessed")
    strongroom("backup", "acme")
    (verdict,) = told("verify", exported["folder"], code=20)
    assert "has gone on" in verdict["why"]


def test_search_file_may_be_deleted_and_damaged_at_any_time(first: FirstHome) -> None:
    before = told("search", "--limit", "100")
    for path in [first.home / "search.db", *(first.home / "clients").glob("*/search.db")]:
        path.write_bytes(b"not a database, and long enough that it looks like a file of one")
    assert told("search", "--limit", "100") == before
    for path in [first.home / "search.db", *(first.home / "clients").glob("*/search.db")]:
        path.unlink()
    assert told("search", "--limit", "100") == before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("x" * 100, "x" * (CELL_LENGTH_MAX - 3) + "..."),
    ],
)
def test_cells_move_no_cursor_and_compute_nothing(text: str, shown: str) -> None:
    assert _cell(text) == shown


def test_mistakes_are_told(first: FirstHome) -> None:
    for arguments in (
        ("search", "x", "--since", "yesterday"),
        ("search", "..."),
        ("search", "x", "--client", "nobody"),
        ("search", "x", "--who", "nobody"),
        ("verify", "--policy", "policy"),
        ("verify", ".", "--policy", "absent"),
        ("verify", "."),
        ("tail", "--cursor", "-1"),
    ):
        first.refused(2, "ledger", *arguments)
