"""Names for locations that were only given as URLs."""

from pathlib import Path

import pytest

from strongroom.cli.naming import name_locations
from strongroom.errors import UsageError


def test_names_are_the_last_part_and_never_alike() -> None:
    assert name_locations(["/a/Backup", "/b/backup", "s3://bucket/prefix?region=eu", "/x/***"]) == {
        "backup": "file:///a/Backup",
        "backup-2": "file:///b/backup",
        "prefix": "s3://bucket/prefix?region=eu",
        "location": "file:///x/%2A%2A%2A",
    }


def test_folder_is_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert name_locations(["backup"]) == {"backup": f"file://{tmp_path}/backup"}


@pytest.mark.parametrize("urls", [["/a", "/a/"], ["/a", "file:///a"], [""], ["s4://x"]])
def test_what_is_no_location_or_given_twice(urls: list[str]) -> None:
    with pytest.raises(UsageError):
        name_locations(urls)
