"""Trees with paths longer than the system, or a recipe, takes in one piece."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.tree import TreeSource
from strongroom.adapters.sources.tree_target import TreeTarget
from strongroom.vault.source import Entry, Facts
from tests.adapters.sources.trees import LateClock, fill, token


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def copy(root: Path, destination: Path, **options: bool) -> tuple[list[Entry], Facts]:
    with closing(TreeSource(os.fsencode(root), LateClock())) as source:
        target = TreeTarget(destination, token, **options)
        entries = fill(source, target)
        facts = source.facts()
    target.finish(facts)
    return entries, facts


def test_a_tree_deeper_than_any_path_name(root: Path, tmp_path: Path) -> None:
    depth = 600  # of 7 bytes each: more than the 4,096 of a path name
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(b"deeper", dir_fd=here)
        below = os.open(b"deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open(b"end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    entries, facts = copy(root, tmp_path / "out")
    assert len(entries) == facts["entries"] == depth + 2
    # Restored once more in its place, which removes the first one, whatever its depth; the
    # limit of a path's length would stop anything that goes by names.
    copy(root, tmp_path / "out", overwrite=True)
    (tmp_path / "small").mkdir()
    for deep in (root, tmp_path / "out"):
        copy(tmp_path / "small", deep, overwrite=True)
        assert os.listdir(deep) == []


def test_a_path_longer_than_a_recipe_holds_is_named_and_the_rest_comes_back(
    root: Path, tmp_path: Path
) -> None:
    (root / "file").touch()
    here = os.open(root, os.O_RDONLY)
    for _ in range(132):
        os.mkdir(b"x" * 250, dir_fd=here)
        below = os.open(b"x" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    entries, facts = copy(root, tmp_path / "out")
    assert max(len(entry.path) for entry in entries) <= Entry.PATH_BYTES_MAX
    assert [entry.kind for entry in entries][-1] == "unreadable"
    assert facts["unreadable"] == 1
    assert (tmp_path / "out" / "file").exists()
    # Nothing that goes by names could remove them again.
    (tmp_path / "small").mkdir()
    for deep in (root, tmp_path / "out"):
        copy(tmp_path / "small", deep, overwrite=True)
