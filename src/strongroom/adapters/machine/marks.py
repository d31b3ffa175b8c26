"""What tells one machine from another, and one run of its kernel, without telling which it is.

Two processes with an equal mark run on one machine, or on copies of one image. Different marks
prove nothing: whoever runs both machines can say what he likes.
"""

import hashlib
from pathlib import Path
from typing import Final

from strongroom.crypto.framing import frame
from strongroom.ids import InstallId

MACHINE: Final = Path("/etc/machine-id")
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ID_BYTES_MAX: Final = 64
_PURPOSE: Final = "strongroom/custodian-v1/mark/"


def machine_marks(
    install: InstallId, machine: Path = MACHINE, boot: Path = BOOT
) -> tuple[str, str]:
    """Return the marks of this machine and of this run of it, or nothing where none is known.

    They are of one install only, so that nobody compares them with those of another.
    """
    return _mark(install, "machine", machine), _mark(install, "boot", boot)


def _mark(install: InstallId, what: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_ID_BYTES_MAX).strip()
    except OSError:
        return ""
    if not text:
        return ""
    framed = frame(f"{_PURPOSE}{what}".encode(), bytes.fromhex(install), text)
    return hashlib.sha256(framed).hexdigest()
