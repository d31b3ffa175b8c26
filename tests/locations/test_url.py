"""The URL of a location: one way to write it, and no secret in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from strongroom.errors import UsageError
from strongroom.locations import parse_location_url


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/srv/backups", "file:///srv/backups"),
        ("/srv//backups/", "file:///srv/backups"),
        ("//srv/backups", "file:///srv/backups"),
        ("file:///srv/backups", "file:///srv/backups"),
        ("file://localhost/srv/a%20b", "file:///srv/a%20b"),
        ("/srv/a?b%20c", "file:///srv/a%3Fb%2520c"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("s3://bucket/p?region=eu-west-1", "s3://bucket/p?region=eu-west-1"),
        (
            "s3://bucket?region=eu-west-1&endpoint=https://minio.example:9000/",
            "s3://bucket?endpoint=https://minio.example:9000&region=eu-west-1",
        ),
        ("s3://bucket?endpoint=http://127.0.0.1:9", "s3://bucket?endpoint=http://127.0.0.1:9"),
        ("s3://bucket?endpoint=http://[::1]:9", "s3://bucket?endpoint=http://[::1]:9"),
        ("gs://bucket_1/prefix", "gs://bucket_1/prefix"),
        ("az://container/prefix?account=acme", "az://container/prefix?account=acme"),
    ],
)
def test_a_url_is_written_in_one_way(text: str, written: str) -> None:
    parsed = parse_location_url(text)
    assert str(parsed) == written
    assert parse_location_url(written) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *["", "relative/path", "./here", "ftp://host/dir", "sftp://host/dir", "memory://x"],
        *["/", "file:///", "file:///srv/..", "file://host/srv", "file:relative", "file:///a?b=c"],
        *["s3://", "s3://ab", "s3://Bucket", "s3:///prefix", "s3://bucket:9000/p", "s3://[bad"],
        *["s3://bucket/a//b", "s3://bucket/../other", "s3://bucket/.hidden", "s3://bucket/a b"],
        *["s3://bucket/a%2fb", "s3://bucket/p#part", "s3://bucket?region=a/b", "s3://b.?x=y"],
        *["s3://bucket?region=a&region=b", "s3://bucket?account=a", "gs://bucket?region=a"],
        *["az://container", "az://container?account=evil.example/"],
        *["s3://bucket?endpoint=", "s3://bucket?endpoint=ftp://host", "s3://bucket?endpoint=host"],
        *["s3://bucket?endpoint=https://host/path", "s3://bucket?endpoint=https://host:99999"],
        *["/srv/\0", "/" + "a" * 2001],
    ],
)
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_location_url(text)


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"scheme ftp.*file://.*s3://.*gs://.*az://"):
        parse_location_url("ftp://host/dir")


def test_http_is_only_for_this_machine() -> None:
    for host in ("127.0.0.1", "127.9.9.9:8333", "localhost:1", "[::1]:9000"):
        assert parse_location_url(f"s3://bucket?endpoint=http://{host}").is_plain_http
    for host in ("10.0.0.1", "store.example", "localhost.example", "127.0.0.1.example", "[::2]"):
        with pytest.raises(UsageError, match="must be https"):
            parse_location_url(f"s3://bucket?endpoint=http://{host}")
    assert not parse_location_url("s3://bucket?endpoint=https://store.example").is_plain_http


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:hunter2@bucket/prefix",
        "s3://hunter2@bucket/prefix",
        "s3://bucket?secret=hunter2",
        "s3://bucket?region=eu&secret_access_key=hunter2",
        "az://container?account=a&sig=hunter2",
        "s3://bucket?endpoint=https://user:hunter2@host",
        "s3://bucket?endpoint=https://host/?token=hunter2",
        "ftp://user:hunter2@host/dir",
        "s3://user:hunter2@host:port/dir",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_location_url(text)
    error = caught.value
    assert "hunter2" not in f"{error}{error!r}{error.why}{error.hint}"


@given(some.text(alphabet="abc/:?&=.@%#[]s3filegz -_9\0é", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_location_url(text)
    except UsageError:
        return
    assert parse_location_url(str(parsed)) == parsed


@given(some.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name))
def test_any_directory_name_survives(name: bytes) -> None:
    path = "/srv/d" + name.decode("utf-8", "surrogateescape")
    parsed = parse_location_url(path)
    assert parse_location_url(str(parsed)) == parsed
    assert str(parsed).isascii()
