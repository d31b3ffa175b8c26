"""The settings of a home: every key is written, nothing unknown is read."""

import os
import pwd
import tomllib
from pathlib import Path

import pytest

from strongroom import settings
from strongroom.errors import StrongroomError, UsageError


def write(home: Path, *lines: str) -> None:
    (home / settings.FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


GOOD = ["home_version = 1", 'key_file = "/k"', 'spool = "/s"', "threads = 2", 'keep = "7d"']


def test_what_init_writes_is_read_again(tmp_path: Path) -> None:
    key_file = tmp_path / 'a "quoted" \\ place' / "install.key"
    settings.write_settings(tmp_path, key_file)
    found = settings.read_settings(tmp_path)
    assert (found.home, found.key_file, found.keep) == (tmp_path, key_file, "7d5w12m3f")
    assert 1 <= found.threads <= 8
    assert found.spool.is_absolute()
    assert not found.spool.is_relative_to(tmp_path)


def test_every_key_is_written_with_a_comment(tmp_path: Path) -> None:
    settings.write_settings(tmp_path, Path("/k"))
    text = (tmp_path / settings.FILE_NAME).read_text(encoding="utf-8")
    blocks = text.strip().split("\n\n")[1:]
    assert [block.splitlines()[-1].split(" = ")[0] for block in blocks] == list(tomllib.loads(text))
    assert all(block.startswith("# ") for block in blocks)


def test_good_settings(tmp_path: Path) -> None:
    write(tmp_path, *GOOD)
    assert settings.read_settings(tmp_path) == settings.Settings(
        tmp_path, Path("/k"), Path("/s"), 2, "7d"
    )
    write(tmp_path, *GOOD, 'tool_folders = ["/p", "/q"]')
    assert settings.read_settings(tmp_path).tool_folders == (Path("/p"), Path("/q"))


def test_folders_of_programs_are_those_of_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/a::relative:/b")
    assert settings.path_folders() == (Path("/a"), Path("/b"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('extra = "x"', "unknown setting 'extra'"),
        ("[table]", "unknown setting 'table'"),
    ],
)
def test_unknown_keys_are_refused(tmp_path: Path, line: str, said: str) -> None:
    write(tmp_path, *GOOD, line)
    with pytest.raises(UsageError, match=said):
        settings.read_settings(tmp_path)


@pytest.mark.parametrize(
    ("index", "line", "said"),
    [
        (0, "home_version = 0", "home_version"),
        (0, "home_version = true", "home_version"),
        (0, "", "home_version"),
        (1, "key_file = 1", "key_file"),
        (1, 'key_file = "relative"', "absolute"),
        (2, 'spool = "relative"', "absolute"),
        (3, 'threads = "2"', "threads"),
        (3, "threads = true", "threads"),
        (3, "threads = 0", "1 to 64"),
        (3, "threads = 65", "1 to 64"),
        (3, "threads = 2.0", "threads"),
        (4, "", "keep"),
        (4, 'keep = "', "cannot be read"),
        (4, 'keep = "7d"\ndisclosure_days = 6', "7 to 36500 days, or 0"),
        (4, 'keep = "7d"\ndisclosure_days = 36501', "7 to 36500 days, or 0"),
        (4, 'keep = "7d"\ndisclosure_days = -1', "7 to 36500 days, or 0"),
        (4, 'keep = "7d"\ndisclosure_days = false', "disclosure_days"),
        (4, 'keep = "7d"\ntool_folders = "/p"', "tool_folders"),
        (4, 'keep = "7d"\ntool_folders = [1]', "tool_folders"),
        (4, 'keep = "7d"\ntool_folders = ["relative"]', "absolute"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, index: int, line: str, said: str) -> None:
    write(tmp_path, *GOOD[:index], line, *GOOD[index + 1 :])
    with pytest.raises(UsageError, match=said):
        settings.read_settings(tmp_path)


def test_newer_home_is_refused_before_its_other_keys_are_read(tmp_path: Path) -> None:
    write(tmp_path, "home_version = 2", "something_new = 1")
    with pytest.raises(settings.NewerHome, match="is of version 2"):
        settings.read_settings(tmp_path)


def test_no_home_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no Strongroom home"):
        settings.read_settings(tmp_path)
    (tmp_path / settings.FILE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        settings.read_settings(tmp_path)


def test_default_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRONGROOM_HOME", "named")
    assert settings.default_home() == tmp_path / "named"
    monkeypatch.delenv("STRONGROOM_HOME")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert settings.default_home() == Path("/var/lib/strongroom")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert settings.default_home() == Path("/data/strongroom")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/u")
    assert settings.default_home() == Path("/u/.local/share/strongroom")


def test_default_key_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/config")
    assert settings.default_key_file("abc") == Path("/config/strongroom/abc.key")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/u")
    assert settings.default_key_file("abc") == Path("/u/.config/strongroom/abc.key")


def test_default_spool_is_memory_where_there_is_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, *GOOD[:2], 'spool = ""', *GOOD[3:])
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert settings.read_settings(tmp_path).spool == tmp_path / "strongroom-spool"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    assert settings.read_settings(tmp_path).spool.name == f"strongroom-spool-{os.geteuid()}"


def test_private_values_may_be_kept_without_a_limit(tmp_path: Path) -> None:
    write(tmp_path, *GOOD, "disclosure_days = 0")
    assert settings.read_settings(tmp_path).disclosure_days == 0


def test_origin_is_this_login_on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert settings.origin() == (pwd.getpwuid(os.geteuid()).pw_name, os.uname().nodename)
    monkeypatch.setenv("SUDO_USER", "ann")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert settings.origin()[0] == "ann"
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert settings.origin()[0] == "4000000000"


CUSTODIAN = {
    "home_version": "1",
    "listen_address": '"127.0.0.1"',
    "listen_port": "7443",
    "key_keeper": '"passphrase"',
    "key_file": '""',
    "releases_per_hour_of_client": "5",
    "releases_per_hour": "20",
    "questions_per_minute_of_peer": "600",
    "writers_per_hour": "50",
}


def custodian(home: Path, **changes: str) -> settings.CustodianSettings:
    """Read a custodian's settings with these changes; an empty text leaves a setting out."""
    lines = [f"{key} = {value}" for key, value in {**CUSTODIAN, **changes}.items() if value]
    (home / settings.CUSTODIAN_FILE_NAME).write_text("\n".join(lines), encoding="utf-8")
    return settings.read_custodian_settings(home)


def test_what_custodian_init_writes_is_read_again(tmp_path: Path) -> None:
    key_file = tmp_path / 'a "quoted" \\ place' / "custodian.key"
    wanted = settings.CustodianSettings(tmp_path, ("::1", 0), "key-file", key_file)
    settings.write_custodian_settings(wanted)
    assert settings.read_custodian_settings(tmp_path) == wanted
    text = (tmp_path / settings.CUSTODIAN_FILE_NAME).read_text(encoding="utf-8")
    assert list(tomllib.loads(text)) == list(CUSTODIAN)


def test_good_settings_of_a_custodian(tmp_path: Path) -> None:
    found = custodian(tmp_path)
    assert (found.listen, found.rates) == (("127.0.0.1", 7443), (5, 20, 600, 50))
    assert (found.key_file, found.kek_path) == (None, tmp_path / "kek")
    assert custodian(tmp_path, writers_per_hour="").rates == (5, 20, 600, 1000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": "1"}, "unknown setting 'extra'"),
        ({"home_version": "2"}, "knows homes up to version 1"),
        ({"home_version": ""}, "no usable home_version"),
        ({"listen_port": "65536"}, "listen_port .* is not 0 to 65535"),
        ({"listen_port": "true"}, "listen_port .* is not usable"),
        ({"listen_address": ""}, "listen_address .* is not usable"),
        ({"releases_per_hour": "0"}, "releases_per_hour .* is not 1 to"),
        ({"writers_per_hour": "0"}, "writers_per_hour .* is not 1 to"),
        ({"key_keeper": '"nobody"'}, "it may be key-file, passphrase, systemd-creds"),
        ({"key_keeper": '"key-file"'}, "key_file .* is not usable"),
        ({"key_file": '"/k"'}, "key_file .* is not usable"),
        ({"key_keeper": '"key-file"', "key_file": '"k"'}, "key_file .* is not usable"),
    ],
)
def test_bad_settings_of_a_custodian_are_refused(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(StrongroomError, match=said):
        custodian(tmp_path, **changes)


def test_a_unit_says_where_its_credentials_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert settings.credentials_folder() is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    assert settings.credentials_folder() == Path("/run/credentials/x")
