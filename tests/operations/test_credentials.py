"""Credentials of object stores: what is sealed is read back, and nothing else."""

import pytest

from strongroom.errors import Damaged
from strongroom.operations.credentials import Credential

SECRET = "canary-secret-of-a-store"  # noqa: S105  # looked for in every text below


def test_a_credential_is_not_shown() -> None:
    assert SECRET not in repr(Credential("key", SECRET))


def test_a_credential_is_kept_and_read_back() -> None:
    credential = Credential("key", SECRET)
    assert Credential.parse(credential.encode()) == credential


@pytest.mark.parametrize(
    "data",
    [
        *[b"", b"{", b"[]", b"null", b"\xff", SECRET.encode()],
        b'{"key_id": "a"}',
        b'{"key_id": "a", "secret": 1}',
        b'{"key_id": "a", "secret": "%s", "more": ""}' % SECRET.encode(),
        b'{"key_id": "a", "secret": "%s"}' % (b"a" * (32 << 10)),
    ],
)
def test_what_is_no_credential_is_damaged_and_not_repeated(data: bytes) -> None:
    with pytest.raises(Damaged) as caught:
        Credential.parse(data)
    assert caught.value.__cause__ is None
    assert SECRET not in f"{caught.value}{caught.value.hint}"
