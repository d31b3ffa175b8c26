"""The pages say what the house is, and every pointer in them leads somewhere."""

import pytest

from tests.house import prose
from tests.house.tree import ROOT, pages, python_files, top_names

DECISION = "# 1. A\n\nDate: 2026-11-22\n\n## Context\n\n## Choice\n\n## Cost\n"
KINDS_OF_TESTS = {
    "attacks",
    "contracts",
    "damaged",
    "faults",
    "ground",
    "house",
    "journeys",
    "properties",
}
KINDS_OF_TESTS |= {"scripts", "support", "vectors"}


def test_prose_checks_catch_what_is_planted() -> None:
    own = "/" + "home/ann/data"
    assert prose.machine_paths(f"see {own}") == [own]
    assert prose.machine_paths("file:///dir, /var/lib/strongroom, a/tmp/b, ~/home/x") == []
    here = ROOT / "docs" / "glossary.md"
    text = "[a](formats/share-v1.md) [b](gone.md#x) [c](https://x.y)"
    assert prose.dead_links(text, here) == ["gone.md"]
    assert prose.terms("| **client** | a |\n| word | b |\n") == ["client"]
    assert prose.vectors_named("See y. Vectors: `tests/vectors/x-v1.json`.") == [
        "tests/vectors/x-v1.json"
    ]
    assert prose.decision_gaps(DECISION) == []
    assert prose.decision_gaps(DECISION.replace("Date: 2", "Date: x")) == ["Date"]
    assert prose.decision_gaps(DECISION.replace("## Cost", "")) == ["## Cost"]


def test_no_page_or_module_names_a_place_of_one_machine() -> None:
    files = [*pages(), *python_files("src", "bench"), ROOT / "Makefile", ROOT / ".ci/run"]
    found = {
        str(path.relative_to(ROOT)): places
        for path in files
        if (places := prose.machine_paths(path.read_text("utf-8")))
    }
    assert found == {}


def test_every_link_leads_somewhere() -> None:
    found = {
        str(page.relative_to(ROOT)): dead
        for page in pages()
        if (dead := prose.dead_links(page.read_text("utf-8"), page))
    }
    assert found == {}


def test_glossary_names_every_room_once() -> None:
    words = prose.terms((ROOT / "docs" / "glossary.md").read_text("utf-8"))
    assert len(words) == len({word.lower() for word in words})
    known = {form for word in words for form in (word, f"{word}s")}
    assert top_names() - known == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "formats").glob("*.md")), ids=str)
def test_every_format_has_vectors_that_a_test_reads(page: str) -> None:
    named = prose.vectors_named((ROOT / page).read_text("utf-8"))
    assert len(named) == 1
    assert (ROOT / named[0]).exists()
    tests = [path for path in python_files("tests") if path.name.startswith("test_")]
    file_name = named[0].rpartition("/")[2]
    assert [path for path in tests if file_name in path.read_text("utf-8")]


def test_every_folder_of_tests_mirrors_a_room() -> None:
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in python_files("tests")}
    folders = {name for name in folders if not name.endswith(".py")}
    assert folders - top_names() - KINDS_OF_TESTS == set()


def test_decision_records_are_numbered_and_complete() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(records) + 1))
    gaps = {record.name: prose.decision_gaps(record.read_text("utf-8")) for record in records}
    assert {name: missing for name, missing in gaps.items() if missing} == {}
