"""The key file of unattended roles, and the sealed files it opens.

The key file is the one named exception to "no secret in clear on disk": 32 bytes outside the home,
mode 0600, so that a copy of the home or of a location opens nothing. Whoever reads both is the
worker. Everything that rests on it is shown as DEGRADED. Format: docs/formats/home-v1.md.
"""

import os
import stat
from pathlib import Path

from strongroom.crypto import sealing
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import Token

_LINE = "strongroom-key-file-v1"
_MAGIC = b"SRSEC\x01"
_CHECK_DIGITS = 8
SECRET_BYTES_MAX = 1 << 16


class KeyFileMissing(StrongroomError):
    """The key file of this home is not where the home says."""

    code = "key_file_missing"
    hint = "Put the key file back, or rebuild the home with `strongroom recover` and the kits."


class KeyFileOpen(StrongroomError):
    """Other users can read the key file."""

    code = "key_file_open"
    hint = "Run `chmod 600` on it and think about who may have read it."


class KeyFile:
    """The 32 bytes of a key file; `derive` gives each role a key of its own."""

    def __init__(self, key: bytes, path: Path) -> None:
        self._key = key
        self.path = path

    @classmethod
    def create(cls, path: Path, token: Token) -> "KeyFile":
        """Draw a key and write it, durable, where no file is yet."""
        key = token(sealing.KEY_BYTES)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = f"{_LINE} {key.hex()} {content_hash(key).hex()[:_CHECK_DIGITS]}\n"
        write_once(path, text.encode())
        return cls(key, path)

    @classmethod
    def open(cls, path: Path) -> "KeyFile":
        """Read a key file; refuses one that others can read or whose check does not fit."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as err:
            raise KeyFileMissing(f"the key file {path} cannot be opened", _reason(err)) from err
        with os.fdopen(handle, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeyFileOpen(f"the key file {path} can be read by other users")
            words = file.read(200).decode("ascii", "replace").split()
        if len(words) != 3 or words[0] != _LINE:
            raise Damaged(f"{path} is not a key file", f"its line does not begin {_LINE}")
        try:
            key = bytes.fromhex(words[1])
        except ValueError as err:
            raise Damaged(f"the key file {path} is damaged", "its key is not hexadecimal") from err
        if content_hash(key).hex()[:_CHECK_DIGITS] != words[2] or len(key) != sealing.KEY_BYTES:
            raise Damaged(f"the key file {path} is damaged", "its check digits do not fit")
        return cls(key, path)

    def derive(self, role: str) -> bytes:
        """Return the 32-byte key of one role (`secrets`, `custodian-<id>`)."""
        return sealing.derive(self._key, "key-file", context=role.encode())


class SealedFiles:
    """A folder of small secrets, each sealed to its own name."""

    def __init__(self, folder: Path, key: bytes, token: Token) -> None:
        self._folder = folder
        self._key = key
        self._token = token

    def write(self, name: str, secret: bytes) -> None:
        """Seal and store a secret under a name that is not taken, durable when this returns."""
        salt = self._token(sealing.SALT_BYTES)
        sealed = sealing.seal(self._key, "secret", salt, name.encode(), secret)
        write_once(self._folder / name, _MAGIC + salt + sealed)

    def read(self, name: str) -> bytes:
        """Return a secret; raises Damaged when it is missing, altered or another's."""
        path = self._folder / name
        try:
            data = path.read_bytes()
        except OSError as err:
            raise Damaged(f"the secret {name} cannot be read", _reason(err)) from err
        head = len(_MAGIC) + sealing.SALT_BYTES
        if not data.startswith(_MAGIC) or not head < len(data) <= SECRET_BYTES_MAX:
            raise Damaged(f"the secret {name} is damaged", "it is not a sealed secret of ours")
        salt, sealed = data[len(_MAGIC) : head], data[head:]
        return sealing.open_sealed(self._key, "secret", salt, name.encode(), sealed)

    def has(self, name: str) -> bool:
        """Tell whether a secret of this name exists."""
        return (self._folder / name).exists()

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin so, sorted."""
        try:
            return sorted(name for name in os.listdir(self._folder) if name.startswith(prefix))
        except OSError as err:
            raise StrongroomError(f"{self._folder} cannot be read", _reason(err)) from err

    def remove(self, name: str) -> None:
        """Remove a secret that is not needed any more."""
        path = self._folder / name
        try:
            path.unlink()
        except OSError as err:
            raise StrongroomError(f"{path} cannot be removed", _reason(err)) from err


def write_once(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600 and make it and its name durable."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as err:
        raise StrongroomError(
            f"{path} cannot be written",
            _reason(err),
            hint="Check that the folder exists, is yours and has room.",
        ) from err


def _reason(err: OSError) -> str:
    return (err.strerror or type(err).__name__).lower()
