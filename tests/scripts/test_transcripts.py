"""The command line does what the transcripts beside this file show, word for word.

With UPDATE_TRANSCRIPTS=1 in the environment of pytest the files are written anew; read the
difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from tests.support.transcript import folder_of_one_length, perform

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
UPDATE = os.environ.get("UPDATE_TRANSCRIPTS") == "1"


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_transcript(script: Path) -> None:
    wanted = script.read_text(encoding="utf-8")
    with folder_of_one_length() as folder:
        performed = perform(wanted, folder)
    if UPDATE:
        script.write_text(performed, encoding="utf-8")
    assert performed == wanted or UPDATE
