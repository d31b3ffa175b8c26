"""A new location holds what the others hold, before it counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.first_home import FirstHome
from tests.support.transcript import at_home, strongroom


@pytest.fixture(name="first")
def _first(tmp_path: Path) -> Iterator[FirstHome]:
    with at_home(tmp_path):
        yield FirstHome.make(tmp_path, "one", "two")


def objects(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and "vaults" in path.parts
    }


def test_new_location_is_a_full_copy(first: FirstHome) -> None:
    assert strongroom("location", "add", "three").code == 0
    assert objects(first.folder / "three") == objects(first.folder / "one")
    for place in ("one", "two"):
        (first.folder / place).rename(first.folder / f"{place}-lost")
    first.still_restores()


def test_adding_continues_where_it_stopped(first: FirstHome) -> None:
    assert strongroom("location", "add", "three").code == 0
    with_all = objects(first.folder / "three")
    assert strongroom("--home", "other", "init", "--location", "three/../four").code == 0
    done = strongroom("location", "add", "four", "--name", "fourth")
    assert done.code == 0
    copied = objects(first.folder / "four")
    assert {key: copied[key] for key in with_all} == with_all


def test_altered_pack_is_never_copied(first: FirstHome) -> None:
    for place in ("one", "two"):
        for path in first.objects(place, "packs"):
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-1] + b"\0")
    done = strongroom("location", "add", "three")
    assert done.code == 3
    assert "warning: not copied: " in done.err
    assert "/packs/" in done.err
    assert not list((first.folder / "three").glob("*/vaults/*/packs/*/*"))


def test_one_good_copy_is_enough_to_copy_from(first: FirstHome) -> None:
    for path in first.objects("one", "packs"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert strongroom("location", "add", "three").code == 0
    assert objects(first.folder / "three") == objects(first.folder / "two")


def test_repair_brings_a_location_up_to_the_others(first: FirstHome) -> None:
    for part in ("packs", "keys", "snapshots"):
        for path in first.objects("one", part):
            path.unlink()
    assert strongroom("vault", "check", "acme").code == 3
    done = strongroom("vault", "repair", "acme")
    assert done.code == 0, done.err
    assert "two: copied 0 objects, 0 B" in done.out
    assert objects(first.folder / "one") == objects(first.folder / "two")
    assert strongroom("vault", "check", "acme", "--read").code == 0


def test_repair_says_who_is_not_there(first: FirstHome) -> None:
    (first.folder / "one").rename(first.folder / "one-lost")
    done = strongroom("vault", "repair", "acme")
    assert done.code == 3
    assert "warning: location one: " in done.err


@pytest.mark.parametrize("name", ["../x", "A", "a b", ""])
def test_name_that_cannot_be(first: FirstHome, name: str) -> None:
    first.refused(2, "location", "add", "three", "--name", name)
    assert not (first.folder / "three").exists()
