"""Checkpoints: three lines, each in its only form."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.ledger import Checkpoint
from strongroom.ledger.note import NoteInvalid

# The example of C2SP tlog-checkpoint.
EXAMPLE = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = base64.b64encode(bytes(32))


def test_the_example_of_the_specification_reads_and_is_written_back() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.encode() == EXAMPLE


def test_further_lines_are_kept_as_they_are() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE + b"one more\n")
    assert checkpoint.extensions == ("one more",)
    assert checkpoint.encode() == EXAMPLE + b"one more\n"


@given(
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
)
def test_every_checkpoint_reads_back(size: int, root: bytes, origin: str) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.encode()) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"a\n1\n",
        b"a\n1\n" + ROOT,
        b"a\n1\n\n" + ROOT + b"\n",
        b"\n1\n" + ROOT + b"\n",
        b"a\n01\n" + ROOT + b"\n",
        b"a\n+1\n" + ROOT + b"\n",
        b"a\n1 \n" + ROOT + b"\n",
        b"a\n\xd9\xa1\n" + ROOT + b"\n",
        b"a\n%d\n" % 2**63 + ROOT + b"\n",
        b"a\n1\n" + ROOT[:-1] + b"\n",
        b"a\n1\n" + base64.b64encode(bytes(31)) + b"\n",
        b"a\n1\n" + ROOT + b"\n\n",
        b"a\n1\n" + ROOT + b"\nx\n\n",
        b"a\r\n1\r\n" + ROOT + b"\r\n",
        b"a\x00\n1\n" + ROOT + b"\n",
        b"\xff\n1\n" + ROOT + b"\n",
        b"a" * (17 << 10) + b"\n1\n" + ROOT + b"\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(NoteInvalid, match="malformed"):
        Checkpoint.parse(text)
