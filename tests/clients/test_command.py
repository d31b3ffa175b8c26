"""What a person may type as a command: a list, and never a password."""

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strongroom.clients.command import (
    ARGUMENTS_MAX,
    COMMAND_BYTES_MAX,
    command_text,
    parse_command,
)
from strongroom.clients.source_url import check_source_name, parse_source_url, split_source_name
from strongroom.errors import Refused, StrongroomError, UsageError
from tests.house.tree import ROOT


@pytest.mark.parametrize(
    ("text", "arguments", "name"),
    [
        ('command:["pg_dumpall"]', ("pg_dumpall",), "pg_dumpall"),
        ('COMMAND: ["/opt/my sql/dump", "a=b"]', ("/opt/my sql/dump", "a=b"), "dump"),
        ('command:["x","","\\u00e9\\n"]', ("x", "", "é\n"), "x"),
        ('command:["x","é"]', ("x", "é"), "x"),
        ('command:["-x"]', ("-x",), "x"),
    ],
)
def test_a_list_is_understood(text: str, arguments: tuple[str, ...], name: str) -> None:
    found = parse_source_url(text, "/home/me")
    assert (found.kind, found.path, found.arguments) == ("command", b"", arguments)
    assert found.default_name == name
    assert parse_source_url(found.text) == found
    assert found.text.isascii()
    assert found.text.isprintable()


def test_a_name_before_it_is_no_part_of_it() -> None:
    text = 'command:["dump","--routines=yes"]'
    assert split_source_name(f"nightly={text}") == ("nightly", text)
    assert split_source_name(text) == (None, text)


@pytest.mark.parametrize(
    "text",
    [
        "command:",
        "command:[]",
        'command:[""]',
        'command:["bin/dump"]',
        'command:["./dump"]',
        'command:["/opt/"]',
        'command:["a\\u0000"]',
        'command:["\\ud800"]',
        'command:["\udcff"]',
        "command:[1]",
        'command:[["a"]]',
        'command:{"a":"b"}',
        'command:["a"] x',
        'command:["a"',
        "command:[dump,shop]",
        "command:" + "[" * 10_000,
        "command:[" + ",".join(['"x"'] * (ARGUMENTS_MAX + 1)) + "]",
        'command:["' + "x" * COMMAND_BYTES_MAX + '"]',
    ],
)
def test_what_is_no_command_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source_url(text)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("mysqldump shop", """'command:["mysqldump","shop"]'"""),
        ("dump 'two words'", """'command:["dump","two words"]'"""),
        ("dump | gzip", """'command:["bash","-o","pipefail","-c","dump | gzip"]'"""),
        ("'unclosed", "Write a list"),
    ],
)
def test_a_line_for_a_shell_is_shown_as_a_list(line: str, written: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_command(f"command:{line}")
    assert written in caught.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ("mysqldump", "--password=hunter2"),
        ("mysqldump", "--password", "hunter2"),
        ("mysqldump", "-phunter2", "shop"),
        ("/usr/bin/mariadb-dump", "-phunter2"),
        ("mongodump", "-p", "hunter2"),
        ("mongodump", "--uri=mongodb://u:hunter2@h/db"),
        ("redis-cli", "-a", "hunter2"),
        ("env", "PGPASSWORD=hunter2", "pg_dump"),
        ("env", "MYSQL_PWD=hunter2", "mysqldump"),
        ("pg_dump", "host=h password = hunter2"),
        ("pg_dump", "postgresql://h/db?password=hunter2"),
        ("sh", "-c", "mysqldump --Password=hunter2 shop"),
        ("tool", "--key-passphrase", "hunter2"),
    ],
)
@pytest.mark.parametrize("as_line", [False, True])
def test_a_password_is_refused_and_not_repeated(arguments: tuple[str, ...], as_line: bool) -> None:
    text = command_text(arguments)
    if as_line:
        text = "command:" + " ".join(f"'{argument}'" for argument in arguments)
    with pytest.raises(Refused) as caught:
        parse_source_url(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("mysqldump", "--defaults-extra-file=/root/my.cnf", "shop"),
        ("pg_dump", "--no-password", "shop"),
        ("mongodump", "--config", "/root/mongo.yaml", "--port=27017"),
        ("mysqldump", "--skip-password", "shop"),
        ("tool", "--password-file", "/root/p"),
        ("tool", "--password-file=/root/p"),
        ("ssh", "-p", "2222", "backup@db", "dump"),
        ("pg_dump", "postgresql://backup@h/db"),
    ],
)
def test_what_only_looks_like_a_password_is_taken(arguments: tuple[str, ...]) -> None:
    assert parse_command(command_text(arguments)) == arguments


@given(
    st.from_regex(r"/?[a-z.-]{1,20}", fullmatch=True),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4),
)
@example(".", [])
@example("/..", [])
def test_the_stored_text_reads_back(program: str, more: list[str]) -> None:
    arguments = (program, *more)
    try:
        found = parse_source_url(command_text(arguments))
    except StrongroomError:
        return
    assert found.arguments == arguments
    assert parse_source_url(found.text) == found
    assert check_source_name(found.default_name)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(StrongroomError):
        assert parse_command("command:" + text)


def test_every_command_in_the_pages_is_one() -> None:
    page = (ROOT / "docs" / "how-to" / "command.md").read_text(encoding="utf-8")
    found = re.findall(r"command:\[.*?\]", page)
    assert len(found) >= 8
    for text in found:
        assert parse_command(text)
