"""The benchmark's page and picture show its results, and what it measures by is what it says."""

import hashlib
import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import measure, page, plot, results, suite
from bench.data import SEED, make_dump, make_large, make_tree, statements
from bench.figures import Figures
from bench.goals import Goal, judge, sentence
from bench.lane import Trial, folder
from bench.orders import Orders, change_database, create_database
from bench.scenarios import SCENARIOS

# The first ten statements of the dump: whoever changes them makes old results incomparable.
FIRST_STATEMENTS = "679d887d5b672197096d0f5b76de4f5244d0d070bd04616f8854e4efaf02013d"


def test_page_and_picture_are_those_of_the_results() -> None:
    kept = results.read(suite.RESULTS)
    text = suite.PAGE.read_text("utf-8")
    assert set(kept.scenarios) <= set(SCENARIOS)
    assert page.replaced(text, kept) == text
    assert plot.draw(kept) == suite.PLOT.read_text("utf-8")


def test_kept_results_are_of_full_size_and_judged_by_todays_goals() -> None:
    for name, part in results.read(suite.RESULTS).scenarios.items():
        assert part.measured.scale == 1
        assert part.goals == judge(SCENARIOS[name].goals, part.sides)


def test_every_scenario_and_option_is_on_the_page() -> None:
    text = suite.PAGE.read_text("utf-8").split(page.BEGIN)[0]
    assert [name for name in SCENARIOS if f"| `{name}` |" not in text] == []


def test_the_picture_is_whole_xml_and_escapes_what_it_is_given() -> None:
    figures = Figures()
    figures.add("strongroom", {"x_seconds": 1.0})
    figures.add("<peer & co>", {"x_seconds": 2.0})
    goal = Goal("x_seconds", "twice", 2, plotted="<head>")
    now = next(iter(results.read(suite.RESULTS).scenarios.values())).measured
    sides = figures.spreads()
    part = results.Part("A", now, {}, sides, judge([goal], sides))
    drawn = plot.draw(results.Results(scenarios={"dump": part}))
    texts = [one.text for one in ET.fromstring(drawn).iter()]  # noqa: S314 - we drew it
    assert {"<head>", "<peer & co>", "2.00 s"} <= set(texts)


def test_a_goal_is_judged_by_the_fastest_peer_alone() -> None:
    figures = Figures()
    for side, runs in {
        "ceiling": [0.1],
        "strongroom": [2.0, 9.0, 1.0],
        "strongroom, 3 copies": [0.5],
        "restic": [5.0],
        "borg": [4.0],
    }.items():
        for value in runs:
            figures.add(side, {"x_seconds": value})
    goals = [Goal("x_seconds", "a", 2), Goal("x_seconds", "b", 2.1), Goal("y_seconds", "c", 2)]
    twice, more = judge(goals, figures.spreads())
    assert (twice.ours, twice.peer, twice.theirs, twice.allowed) == (2.0, "borg", 4.0, 2.0)
    assert (twice.met, more.met) == (True, False)
    assert sentence(twice) == "| a | 2.00 s, borg 4.00 s (2.00 times ours) | met |"
    assert judge([Goal("x_seconds", "limit", limit=1.9)], figures.spreads())[0].met is False


def test_without_peers_nothing_is_claimed() -> None:
    figures = Figures()
    figures.add("strongroom", {"x_seconds": 1.0})
    assert judge([Goal("x_seconds", "a", 2)], figures.spreads()) == []


def test_inputs_are_the_same_bytes_everywhere(tmp_path: Path) -> None:
    first = b"".join(islice(statements(random.Random(SEED)), 10))
    assert hashlib.sha256(first).hexdigest() == FIRST_STATEMENTS
    dump = make_dump(tmp_path / "dump", 0.001)
    assert (dump.root / "orders.sql").read_bytes()[:1000] == first[:1000]
    tree = make_tree(tmp_path / "tree", 0.001)
    assert (tree.files, len(list(tree.root.rglob("*.*")))) == (10, 10)


def test_a_large_dump_holds_no_part_twice(tmp_path: Path) -> None:
    large = make_large(tmp_path / "large", 0.001)
    data = (large.root / "orders.sql").read_bytes()
    parts = {data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000)}
    assert (len(data), len(parts)) == (10_000_000, 10)
    assert all(part.count(b"INSERT INTO") == data[:1_000_000].count(b"INSERT") for part in parts)


def test_a_day_touches_the_share_of_rows_that_the_page_names(tmp_path: Path) -> None:
    orders = Orders(SEED)
    create_database(tmp_path / "a.db", orders, 2_000_000)
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        (count,) = database.execute("SELECT max(id) FROM orders").fetchone()
        day = orders.day("recent")
        touched = len(day.updated) + len(day.deleted) + len(day.added)
        assert touched == pytest.approx(count / 100, rel=0.05)
        recent = [number for _, _, number in day.updated if number > count * 0.95]
        assert 0.8 < len(recent) / len(day.updated) <= 1
        change_database(tmp_path / "a.db", day)
        (after,) = database.execute("SELECT count(*) FROM orders").fetchone()
        assert after == count + len(day.added) - len(set(day.deleted))


def test_a_restored_database_may_differ_in_counters_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one.db", tmp_path / "other.db"
    create_database(one, Orders(SEED), 2_000_000)
    with closing(sqlite3.connect(one)) as source, closing(sqlite3.connect(other)) as copy:
        source.backup(copy)
    assert one.read_bytes() != other.read_bytes()
    assert measure.database_differences(one, other) == []
    data = bytearray(other.read_bytes())
    for place in (23, 28, 91, 96, len(data) - 1):
        data[place] ^= 1
        other.write_bytes(data)
        assert measure.database_differences(one, other) == ["other.db: content"]
        data[place] ^= 1


def test_a_restored_tree_may_not_differ(tmp_path: Path) -> None:
    made = make_tree(tmp_path / "tree", 0.001)
    shutil.copytree(made.root, tmp_path / "copy")
    assert measure.differences(made.root, tmp_path / "copy") == []
    victim = next((tmp_path / "copy").rglob("*.bin"))
    about = victim.stat()
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    os.utime(victim, ns=(about.st_atime_ns, about.st_mtime_ns))
    name = victim.relative_to(tmp_path / "copy")
    assert measure.differences(made.root, tmp_path / "copy") == [f"{name}: content"]


def test_memory_of_children_counts(tmp_path: Path) -> None:
    hold = "import time; held = bytearray(60 << 20); time.sleep(0.3)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{hold}'])"
    command = [sys.executable, "-c", f"held = bytearray(50 << 20); {start}"]
    cost = measure.run(command, {}, tmp_path, tmp_path / "log")
    assert 110 << 20 < cost.peak_bytes < 150 << 20


def test_a_command_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(measure.NotMeasured, match="sorry"):
        measure.run(["sh", "-c", "echo sorry; exit 3"], {}, tmp_path, tmp_path / "log")


@pytest.mark.long
@pytest.mark.loopback
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_runs_without_peers(name: str) -> None:
    with folder(None) as work:
        figures = SCENARIOS[name].measure(Trial(work, runs=1, scale=0.001, peers=()))
    sides = figures.spreads()
    for figure in SCENARIOS[name].figures:
        assert sides["strongroom"][figure].runs >= 1
    limits = [goal for goal in SCENARIOS[name].goals if goal.limit is not None]
    assert len(judge(SCENARIOS[name].goals, sides)) == len(limits)
