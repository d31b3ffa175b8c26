"""What a person may type as a source, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.clients.source_url import (
    SourceUrl,
    check_source_name,
    parse_source_url,
    split_source_name,
)
from strongroom.errors import Refused, UsageError


@pytest.mark.parametrize(
    ("text", "kind", "path"),
    [
        ("sqlite:///srv/a.db", "sqlite", b"/srv/a.db"),
        ("sqlite:////srv/a.db", "sqlite", b"/srv/a.db"),
        ("SQLite:///srv/a%20b.db", "sqlite", b"/srv/a b.db"),
        ("file:///srv/tree", None, b"/srv/tree"),
        ("file:///srv/tree/", None, b"/srv/tree"),
        ("file:///srv/%FF", None, b"/srv/\xff"),
        ("/srv/a%20b", None, b"/srv/a%20b"),
        ("data/a.db", None, b"/home/me/data/a.db"),
        ("./data//x/../a.db", None, b"/home/me/data/a.db"),
        (".", None, b"/home/me"),
        ("/", None, b"/"),
        ("/srv/\udcff", None, b"/srv/\xff"),
        ("a:b", None, b"/home/me/a:b"),
    ],
)
def test_a_source_is_understood(text: str, kind: str | None, path: bytes) -> None:
    found = parse_source_url(text, "/home/me")
    assert (found.kind, found.path) == (kind, path)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://db.example/",
        "postgresql://db.example",
        "postgresql://db/a b",
        "postgresql://db/a\nb",
        "postgresql://db/é",
        "mysql://db.example/app",
        "https://example.org/x",
        "sqlite://relative.db",
        "file://host/dir",
        "file:///dir?x=1",
        "file:///dir#x",
        "file:///a%00b",
        "/a\0b",
        "",
        "/" + "x" * 5000,
    ],
)
def test_what_is_no_source_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hunter2@h/db",
        "postgresql://h/db?password=hunter2",
        "postgres://h/db?user=u&PASSWORD=hunter2",
        "sqlite://u:hunter2@/x",
        "mysql:u:hunter2@h",
    ],
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_source_url(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_later_kinds_say_so() -> None:
    with pytest.raises(UsageError, match="not yet available"):
        parse_source_url("mysql://h/db")


@pytest.mark.parametrize(
    ("text", "stored", "name"),
    [
        ("postgresql://h/db", "postgresql://h/db", "db"),
        ("Postgres://u@h:1/db?sslmode=require", "postgresql://u@h:1/db?sslmode=require", "db"),
        ("postgresql:///a%20b?host=/run/pg", "postgresql:///a%20b?host=/run/pg", "a b"),
        ("postgresql://h/..%2Fx", "postgresql://h/..%2Fx", ".._x"),
    ],
)
def test_a_database_of_a_server(text: str, stored: str, name: str) -> None:
    found = parse_source_url(text, "/home/me")
    assert (found.kind, found.path, found.text) == ("postgresql", b"", stored)
    assert parse_source_url(found.text) == found
    assert check_source_name(found.default_name) == name


@given(st.binary(min_size=1, max_size=60), st.sampled_from([None, "sqlite"]))
def test_the_stored_text_reads_back(name: bytes, kind: None) -> None:
    path = b"/" + name.replace(b"\0", b"").replace(b"/", b"").replace(b".", b"_")
    url = SourceUrl(kind, path)
    assert parse_source_url(url.text) == url
    assert check_source_name(url.default_name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/srv/a.db", "a.db"),
        (b"/srv/tree", "tree"),
        (b"/", "root"),
        (b"/srv/-rf", "rf"),
        (b"/srv/---", "_"),
        (b"/srv/\xff\n", "\ufffd_"),
        (b"/srv/" + "é".encode() * 80, "é" * 50),
    ],
)
def test_a_default_name_is_a_safe_file_name(path: bytes, name: str) -> None:
    assert SourceUrl("tree", path).default_name == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "-x", "a\n", "x" * 101, "\udcff"])
def test_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_source_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app=/srv/a.db", ("app", "/srv/a.db")),
        ("app=sqlite:///a=b", ("app", "sqlite:///a=b")),
        ("/srv/a=b", (None, "/srv/a=b")),
        ("file:///a=b", (None, "file:///a=b")),
        ("plain", (None, "plain")),
        ("=x", (None, "=x")),
    ],
)
def test_a_name_stands_before_the_url(text: str, expected: tuple[str | None, str]) -> None:
    assert split_source_name(text) == expected
