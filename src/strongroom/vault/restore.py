"""Restores one source: parses its recipe as hostile input and hands entries to a target.

Nothing is published before everything was checked: the root, the recipe's digest and length, the
names, the counts of chunks, the size of each file, and by the target the facts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged
from strongroom.vault.part import Part
from strongroom.vault.place import Progress
from strongroom.vault.reading import StreamReader
from strongroom.vault.recipe import PathRule, RecipeLine, decode_line, split_lines
from strongroom.vault.source import Facts, Target
from strongroom.vault.structure import Root, facts_of

PROGRESS_STEP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What was restored, the facts that hold for it, which of them were compared, and notes."""

    entries: int
    bytes: int
    facts: Facts = field(repr=False)
    compared: tuple[str, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Streams:
    """The two streams of a source, and its root to check them against."""

    root: Root
    recipe: StreamReader
    data: StreamReader
    expected_bytes: int


def restore_streams(
    streams: Streams,
    target: Target,
    progress: Callable[[Progress], None],
    part: Part | None = None,
) -> RestoreOutcome:
    """Write every entry to the target and publish it; on any failure the target is abandoned.

    With a part only its entries are written, and the data stream holds its chunks alone.
    """
    try:
        entries, size = _write_entries(streams, target, progress, part)
        facts = facts_of(streams.root) if part is None else part.facts
        target.finish(facts)
    except BaseException:
        target.abandon()
        raise
    return RestoreOutcome(entries, size, facts, tuple(target.compared), dict(target.notes))


def read_entries(root: Root, recipe: StreamReader) -> Iterator[RecipeLine]:
    """Yield the lines of a recipe, each judged by the rule for names; raises Damaged.

    The digest is known only at the end, so what was made of the lines counts only after that.
    """
    digest = Digest()
    taken = 0

    def digested() -> Iterator[bytes]:
        nonlocal taken
        for block in recipe.rest():
            digest.update(block)
            taken += len(block)
            yield block

    rule = PathRule()
    for text in split_lines(digested()):
        line = decode_line(text)
        rule.accept(line.entry)
        yield line
    if taken != root.recipe_bytes or digest.hex() != root.recipe_blake3:
        raise Damaged("a recipe is not the one its root names", f"{taken} bytes were read")


def _write_entries(
    streams: Streams,
    target: Target,
    progress: Callable[[Progress], None],
    part: Part | None,
) -> tuple[int, int]:
    entries = chunks = done = shown = 0
    recipe = read_entries(streams.root, streams.recipe)
    wanted = streams.root.data_chunks if part is None else part.chunks
    for line in recipe if part is None else part.lines(recipe):
        blocks = _Counted(streams.data.take(line.chunks))
        target.write(line.entry, iter(blocks))
        # A target may leave blocks of an entry it does not want; the stream goes on behind them.
        for _ in blocks:
            pass
        if blocks.size_bytes != line.entry.data_bytes:
            raise Damaged(
                "a file has another length than its recipe says",
                f"{blocks.size_bytes} of {line.entry.data_bytes} bytes",
            )
        entries += 1
        chunks += line.chunks
        done += blocks.size_bytes
        if done - shown >= PROGRESS_STEP_BYTES:
            shown = done
            progress(Progress(done, streams.expected_bytes))
    if chunks != wanted or not streams.data.exhausted:
        raise Damaged("a recipe does not use all of its data", f"{chunks} of {wanted} chunks")
    progress(Progress(done, streams.expected_bytes))
    return entries, done


class _Counted:
    """Blocks on their way to a target, counted as they pass."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.size_bytes += len(block)
            yield block
