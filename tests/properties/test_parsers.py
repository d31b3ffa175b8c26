"""Whatever a parser of stored or foreign bytes is given, it reads it or says what is wrong.

Only children of StrongroomError come out, in bounded time: no traceback, no endless loop. A parser
that is not in the table fails the last test.
"""

import ast
import re
import time
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from strongroom.adapters.sources.postgres_contents import _items, entries_of_tables
from strongroom.errors import Damaged, StrongroomError
from strongroom.vault.codec import Zstandard
from tests.house.tree import ROOT, python_files
from tests.properties.mutations import altered_json, mutated, noise
from tests.properties.parsers import Parser, parsers

SECONDS_MAX = 2.0
SAID_LENGTH_MAX = 1000
NAMES = sorted(parsers())
JSON_NAMES = [name for name in NAMES if parsers()[name].is_json]
# Parsers whose bytes no other machine and nobody without the home's key can write.
OWN = {
    "vault.runs:Runs.decode": "runs of this machine's own index, cleared when it is rebuilt",
}


def read_or_refuse(parser: Parser, data: bytes) -> None:
    began = time.process_time()
    said = ""
    try:
        parser.read(data)
    except StrongroomError as error:
        said = str(error)
    assert time.process_time() - began < SECONDS_MAX
    # What is said of hostile bytes is short.
    assert len(said) < SAID_LENGTH_MAX


@pytest.mark.parametrize("name", NAMES)
def test_the_table_holds_what_is_taken(name: str) -> None:
    parser = parsers()[name]
    parser.read(parser.valid)


@pytest.mark.parametrize("name", NAMES)
@given(data=noise())
def test_noise_is_read_or_refused(name: str, data: bytes) -> None:
    read_or_refuse(parsers()[name], data)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_mutated_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    parser = parsers()[name]
    read_or_refuse(parser, data.draw(mutated(parser.valid)))


@pytest.mark.parametrize("name", JSON_NAMES)
@given(data=st.data())
def test_altered_fields_are_read_or_refused(name: str, data: st.DataObject) -> None:
    parser = parsers()[name]
    read_or_refuse(parser, data.draw(altered_json(parser.valid)))


@pytest.mark.parametrize("claimed", [9000, 1 << 40, None])
def test_decompression_bomb_is_damaged_before_it_takes_memory(claimed: int | None) -> None:
    packer = zstandard.ZstdCompressor(level=19, write_content_size=claimed is not None)
    bomb = packer.compress(bytes(64 << 20))
    if claimed == 1 << 40:
        # The size stands behind magic and descriptor; eight bytes where its flag says so.
        bomb = bomb[:4] + b"\xe0" + claimed.to_bytes(8, "little") + bomb[9:]
    tracemalloc.start()
    try:
        with pytest.raises(Damaged, match="compressed bytes are malformed"):
            Zstandard().decompress(bomb, 8000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_dump_of_a_long_chain_against_its_order_is_read_in_one_pass() -> None:
    """Each index belongs to the one behind it, each table is a partition of the one behind it."""
    count = 20_000
    lines = [f"{n}; 0 0 INDEX s i o\n;\tdepends on: {n + 1}\n" for n in range(2, count)]
    lines.append(f"{count}; 0 0 INDEX s i o\n;\tdepends on: {2 * count}\n")
    for n in range(count + 1, 2 * count):
        lines.append(f"{n}; 0 0 TABLE s t o\n{n + count}; 0 0 TABLE ATTACH s t o\n")
        lines.append(f";\tdepends on: {n} {n + 1}\n")
    lines.append(f"{2 * count}; 0 0 TABLE s t o\n1; 0 9 TABLE DATA s t o\n;\tdepends on: ")
    listing = "".join(lines) + f"{2 * count}\n"
    contents = list(_items(listing.split("\n")))
    began = time.process_time()
    numbers, _ = entries_of_tables(contents, {'"s"."t"': "1.dat"})
    assert time.process_time() - began < SECONDS_MAX
    assert len(numbers) == 3 * count - 1


def test_every_parser_is_in_the_table() -> None:
    known = {name.partition(" ")[0] for name in NAMES} | set(OWN)
    missing = [name for name in _parsers_of_the_package() if name not in known]
    assert missing == []


def _parsers_of_the_package() -> list[str]:
    """Return `module:name` of every public function that decodes or parses."""
    found: list[str] = []
    for path in python_files("src"):
        module = ".".join(path.relative_to(ROOT / "src" / "strongroom").with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            inside = node.body if isinstance(node, ast.ClassDef) else []
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            found += [
                f"{module}:{prefix}{one.name}"
                for one in (node, *inside)
                if isinstance(one, ast.FunctionDef) and re.match(r"(decode|parse)(_|$)", one.name)
            ]
    return found
