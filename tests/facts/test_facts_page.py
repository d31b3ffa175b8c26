"""docs/reference/facts.md lists every op, and cannot go stale.

With UPDATE_TRANSCRIPTS=1 in the environment of pytest the page is written anew.
"""

import os
from collections.abc import Mapping

from strongroom.facts.kinds import Kind
from strongroom.facts.op import Op
from strongroom.facts.vocabulary import AREAS
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "reference" / "facts.md"
UPDATE = os.environ.get("UPDATE_TRANSCRIPTS") == "1"
HEAD = """\
# Facts

Everything that can be in the ledger. A leaf is one fact: an op of this page, with the body that is
listed here and no other field ([format](../formats/ledger-v1.md#facts)). The page is made from the
vocabulary by `tests/facts/test_facts_page.py`, which fails when they differ;
`UPDATE_TRANSCRIPTS=1` writes it anew.

Every fact says besides: when, by whom (a pseudonym), on whose behalf, in which run of a command, in
which home, with which version, for which client; whether it is a note, an intent or a result, and
how it ended. No fact holds a name, a path, a URL or any text that somebody typed. Those are
**private fields**: the fact commits to them with a salt, and the value can be erased.

| class | what it means |
|---|---|
| A | uses a key, destroys, or changes who is trusted: announced and witnessed before the act |
| B | changes something: durable together with the change, witnessed when the command ends |
| C | changes nothing: durable, and witnessed when the command ends |

An **id** is 32 hexadecimal digits, a **hash** or **public key** 64, a **count** an integer from 0,
a **keep policy** like `7d5w12m3f`. A field with a question mark may be absent. An intent, and what
was denied or failed, may leave out any field.
"""


def page() -> str:
    """Return the page as it should be."""
    parts = [HEAD]
    for area in AREAS:
        parts.append(f"## {area.__name__.rpartition('.')[2].capitalize()}\n")
        parts.append(f"{area.__doc__}\n")
        parts += [
            "| op | class | of | what happened | body | private |",
            "|---|---|---|---|---|---|",
        ]
        parts += [row(op) for op in area.OPS]
        parts.append("")
    return "\n".join(parts)


def row(op: Op) -> str:
    name = f"`{op.name}`" if op.version == 1 else f"`{op.name}`, version {op.version}"
    body = [*fields(op.must, ""), *fields(op.may, "?")]
    private = ", ".join(f"`{one}`" for one in sorted(op.private))
    cells = (name, op.failure_class, op.subject[0], op.about, "; ".join(body), private)
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"


def fields(kinds: Mapping[str, Kind], mark: str) -> list[str]:
    return [f"`{name}`{mark} {kind.says}" for name, kind in sorted(kinds.items())]


def test_page_lists_every_op_as_it_is() -> None:
    wanted = page()
    if UPDATE:
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted


def test_every_op_says_what_it_is_in_one_row() -> None:
    ops = [op for area in AREAS for op in area.OPS]
    for op in ops:
        area, _, verb = op.name.partition(".")
        assert area.isalpha()
        assert verb.replace("_", "").isalpha()
        assert op.about.endswith(".")
        assert "\n" not in row(op)
        assert not op.must.keys() & op.may.keys()
        taken = {"op", "subject", "client", "private", "intent", "out", "why", "self"}
        assert not taken & (op.must.keys() | op.may.keys()), "a body is given by keywords"
    assert len({(op.name, op.version) for op in ops}) == len(ops)
