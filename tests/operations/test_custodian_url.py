"""A custodian's URL is a host and a port, and holds nothing that should not be kept."""

import pytest

from strongroom.errors import UsageError
from strongroom.operations.custodian_url import parse_custodian_url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://127.0.0.1:8470", ("127.0.0.1", 8470)),
        ("https://Two.Example:8470/", ("two.example", 8470)),
        ("https://[::1]:8470", ("::1", 8470)),
    ],
)
def test_host_and_port_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_custodian_url(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two.example:8470",
        "http://two.example:8470",
        "https://two.example",
        "https://two.example:0",
        "https://two.example:99999",
        "https://:8470",
        "https://ann:pass@two.example:8470",
        "https://two.example:8470/path",
        "https://two.example:8470?code=1",
        "https://two.example:8470#x",
        "https://zw\u00f6lf:8470",
        "https://[::1:8470",
        f"https://{'x' * 300}:8470",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not where a custodian can be"):
        parse_custodian_url(text)
