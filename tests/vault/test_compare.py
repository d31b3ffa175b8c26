"""Two recipes walked side by side give what two dictionaries give, whatever the trees are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault import Entry
from strongroom.vault.compare import OrderUnknown, Pair, merge_recipes
from strongroom.vault.recipe import RecipeLine
from strongroom.vault.source import EntryKind

NAMES = st.sampled_from([b"a", b"b", b"a.b", b"c"])
KINDS: dict[str, EntryKind] = {
    "file": "file",
    "symlink": "symlink",
    "unreadable": "unreadable",
}
LEAVES = st.sampled_from(sorted(KINDS))
Tree = dict[bytes, "Tree | str"]
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda below: st.dictionaries(NAMES, below | LEAVES | st.just("shut"), max_size=4),
    max_leaves=12,
)


def walk(tree: Tree, path: bytes = b"") -> list[Entry]:
    """Yield a tree as a source does: the folder, what is no folder in it, then its folders.

    A folder that is shut cannot be looked into, and stands among the folders as unreadable.
    """
    entries = [Entry(path, "directory")]
    below = [(name, tree[name], path + b"/" + name if path else name) for name in sorted(tree)]
    for _, what, its in below:
        if isinstance(what, str) and what in KINDS:
            entries.append(Entry(its, KINDS[what]))
    for _, what, its in below:
        if what == "shut":
            entries.append(Entry(its, "unreadable"))
        elif isinstance(what, dict):
            entries += walk(what, its)
    return entries


def lines(entries: list[Entry]) -> list[RecipeLine]:
    return [RecipeLine(entry, 2 if entry.kind == "file" else 0) for entry in entries]


@given(TREES, TREES)
def test_a_merge_is_what_two_dictionaries_give(old: Tree, new: Tree) -> None:
    before, after = walk(old), walk(new)
    found = list(merge_recipes(lines(before), lines(after)))
    kinds = [{entry.path: entry.kind for entry in entries} for entries in (before, after)]
    assert len(found) == len(kinds[0].keys() | kinds[1].keys())
    for pair in found:
        for side, known in ((pair.before, kinds[0]), (pair.after, kinds[1])):
            assert known.get(pair.path) == (side.line.entry.kind if side else None)


def test_each_side_knows_where_its_chunks_begin() -> None:
    entries = walk({b"a": "file", b"b": "file"})
    (_, _, last) = merge_recipes(lines(entries), lines(entries[1:]))
    assert isinstance(last, Pair)
    assert last.before is not None
    assert last.after is not None
    assert (last.before.start, last.after.start) == (2, 2)


def test_another_order_is_refused_and_not_guessed() -> None:
    entries = lines([Entry(b"b", "file"), Entry(b"a", "file")])
    with pytest.raises(OrderUnknown):
        list(merge_recipes(entries, []))
