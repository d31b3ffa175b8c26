"""Checkpoints: a log's origin, size and root, as the text of a signed note (C2SP tlog-checkpoint).

Our logs write three lines. A reader takes further ones, of other logs, and gives them back as they
were; nothing here looks into them. Normative page: docs/formats/ledger-v1.md.
"""

import base64
import re
from dataclasses import dataclass
from typing import Final

from strongroom.ledger.note import NoteInvalid, VerifierKey, read_base64, split_note
from strongroom.ledger.tree import HASH_BYTES, SIZE_MAX

TEXT_BYTES_MAX: Final = 16 << 10
_CONTROL: Final = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was when its checkpoint was signed."""

    Key = VerifierKey

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return the text that is signed."""
        root = base64.b64encode(self.root).decode()
        lines = (self.origin, str(self.size), root, *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()

    @classmethod
    def parse(cls, text: bytes) -> "Checkpoint":
        """Read the text of a note; raise NoteInvalid where it is no checkpoint.

        The text of a note is trusted only after `open_note`.
        """
        lines = _lines(text)
        if len(lines) < 3 or not all(lines):
            raise _malformed("it is not an origin, a size and a root, each on its line")
        origin, size, root, *extensions = lines
        return cls(origin, read_number(size), read_root(root), tuple(extensions))

    @classmethod
    def claimed(cls, note: bytes) -> "Checkpoint":
        """Return what a signed note claims to be the checkpoint of; nothing of it is verified."""
        return cls.parse(split_note(note).text)


def read_number(text: str) -> int:
    """Return a size or an index from its only decimal form; raise NoteInvalid otherwise."""
    if not _NUMBER.fullmatch(text) or int(text) > SIZE_MAX:
        raise _malformed(f"{text!r:.40} is not a number")
    return int(text)


def read_root(text: str) -> bytes:
    """Return a hash of 32 bytes from base64; raise NoteInvalid otherwise."""
    root = read_base64(text)
    if len(root) != HASH_BYTES:
        raise _malformed(f"{text!r:.60} is not a hash")
    return root


def _lines(text: bytes) -> list[str]:
    if len(text) > TEXT_BYTES_MAX or not text.endswith(b"\n"):
        raise _malformed(f"it is not lines of at most {TEXT_BYTES_MAX} bytes together")
    try:
        lines = text[:-1].decode("utf-8").split("\n")
    except UnicodeDecodeError as err:
        raise _malformed("it is not UTF-8") from err
    if _CONTROL.search(text):
        raise _malformed("it holds control characters")
    return lines


def _malformed(why: str) -> NoteInvalid:
    return NoteInvalid("a checkpoint is malformed", why)
