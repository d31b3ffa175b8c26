"""The key over a custodian's secrets (KEK), and what keeps it while the custodian does not run.

Three ways, one of which its settings name. A passphrase keeps it from whoever has the disk, and
the custodian stays locked after a restart until somebody types it; systemd keeps it from whoever
has the home without this machine; a key file keeps it from whoever has the home alone, which is
shown as DEGRADED. Format: docs/formats/custodian-v1.md.
"""

import os
import subprocess
from pathlib import Path
from typing import Final, Literal

from strongroom.adapters.secrets.key_file import KeyFile, write_once
from strongroom.crypto import passphrase as stretching
from strongroom.crypto import sealing
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.ids import Token

Keeper = Literal["key-file", "passphrase", "systemd-creds"]

SYSTEMD_CREDS: Final = "/usr/bin/systemd-creds"
CREDENTIAL: Final = "strongroom-kek"
SECONDS_MAX: Final = 60
_MAGIC: Final = b"SRKEK\x01"
_KIND: Final = "custodian-kek"
_FILE_BYTES_MAX: Final = 4096


class WrongPassphrase(Refused):
    """The passphrase does not open what it should."""

    code = "wrong_passphrase"
    hint = "Type it again. Nobody can tell you what it is: without it only the kit brings it back."


class CredentialUnusable(StrongroomError):
    """systemd did not seal or open the credential."""

    code = "credential_unusable"
    hint = (
        "It opens as root on the machine that sealed it, or in a unit that loads it: "
        "docs/how-to/custodians.md shows one for a single command."
    )


def keep_in_key_file(path: Path, token: Token) -> bytes:
    """Make a key file outside the home and return the key it gives."""
    return KeyFile.create(path, token).derive("custodian")


def open_key_file(path: Path) -> bytes:
    """Return the key that a key file gives."""
    return KeyFile.open(path).derive("custodian")


def keep_under_passphrase(path: Path, words: str, token: Token) -> bytes:
    """Draw a key, write it sealed under a passphrase, and return it."""
    kek, salt, seal_salt = (
        token(size) for size in (sealing.KEY_BYTES, stretching.SALT_BYTES, sealing.SALT_BYTES)
    )
    sealed = sealing.seal(stretching.stretch(words, salt), _KIND, seal_salt, b"", kek)
    write_once(path, _MAGIC + salt + seal_salt + sealed)
    return kek


def open_under_passphrase(path: Path, words: str) -> bytes:
    """Return the key that a passphrase opens; raises WrongPassphrase."""
    data = _read(path)
    salt_at = len(_MAGIC)
    seal_at = salt_at + stretching.SALT_BYTES
    body_at = seal_at + sealing.SALT_BYTES
    if not data.startswith(_MAGIC) or len(data) <= body_at:
        raise Damaged(f"{path} is damaged", "it is no sealed key of ours")
    key = stretching.stretch(words, data[salt_at:seal_at])
    try:
        return sealing.open_sealed(key, _KIND, data[seal_at:body_at], b"", data[body_at:])
    except Damaged as err:
        raise WrongPassphrase("the custodian stays locked", "the passphrase is another") from err


def keep_by_systemd(path: Path, token: Token) -> bytes:
    """Draw a key, have systemd seal it to this machine, and return it."""
    kek = token(sealing.KEY_BYTES)
    write_once(path, _run("encrypt", f"--name={CREDENTIAL}", "-", "-", given=kek.hex().encode()))
    return kek


def open_by_systemd(path: Path, loaded: Path | None) -> bytes:
    """Return the key from the credential that the unit loaded, or have systemd open the file."""
    if loaded is not None and (loaded / CREDENTIAL).exists():
        opened = _read(loaded / CREDENTIAL)
    else:
        opened = _run("decrypt", f"--name={CREDENTIAL}", str(path), "-")
    try:
        kek = bytes.fromhex(opened.decode("ascii"))
    except ValueError as err:
        raise Damaged(f"the credential {CREDENTIAL} is damaged", "it is no key") from err
    if len(kek) != sealing.KEY_BYTES:
        raise Damaged(f"the credential {CREDENTIAL} is damaged", "it is no key of ours")
    return kek


def _run(*arguments: str, given: bytes = b"") -> bytes:
    """Run systemd-creds; the secret goes through pipes, never through arguments or files."""
    try:
        done = subprocess.run(  # noqa: S603  # an absolute program, and arguments of our own
            [SYSTEMD_CREDS, *arguments],
            input=given,
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        why = err.strerror if isinstance(err, OSError) and err.strerror else type(err).__name__
        raise CredentialUnusable(f"{SYSTEMD_CREDS} cannot be run", why.lower()) from err
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise CredentialUnusable(f"systemd-creds did not {arguments[0]} the key", lines[-1][:200])
    return done.stdout


def _read(path: Path) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as err:
        why = (err.strerror or type(err).__name__).lower()
        raise StrongroomError(f"{path} cannot be read", why, "Put it back.") from err
