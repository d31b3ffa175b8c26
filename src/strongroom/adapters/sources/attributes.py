"""Extended attributes of files, POSIX ACLs among them: read by a backup, set by a restore.

Who may write snapshots chooses names and values, so a restore sets only what cannot give power:
`user.*` and the two ACLs, of which a folder's default one gives nothing of what is restored, only
of what is made there later; capabilities, security labels and `trusted.*` need `privileged`. What
cannot be read or set is counted and stops nothing: a file without its comment is still a file.
"""

import contextlib
import errno
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.vault import Entry

Attributes = tuple[tuple[bytes, bytes], ...]

ACCESS_ACL = b"system.posix_acl_access"
DEFAULT_ACL = b"system.posix_acl_default"
_PLAIN_PREFIX = b"user."
_ACL_VERSION = 2
_ACL_HEAD = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_GROUP = 0x04
_GROUP_BITS = 0o070


def child(here: int, name: bytes) -> bytes:
    """Return a path to one name in an open directory, for calls that take no descriptor.

    The descriptor's own name in /proc leads to the directory wherever it is now, and one component
    is left, which the calls here do not follow.
    """
    return b"/proc/self/fd/%d/%b" % (here, name)


def read_attributes(at: int | bytes, path: bytes, unread: list[bytes]) -> Attributes:
    """Return the attributes of an open file, or of a `child`; a symlink's are its own.

    When there are some that cannot be read, or more than a recipe holds, `path` goes to `unread`.
    """
    follow = isinstance(at, int)
    try:
        names = os.listxattr(at, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            unread.append(path)
        return ()
    if not names:
        return ()
    found = []
    room = Entry.ATTRIBUTES_BYTES_MAX
    complete = len(names) <= Entry.ATTRIBUTES_MAX
    for name in sorted(map(os.fsencode, names))[: Entry.ATTRIBUTES_MAX]:
        try:
            value = os.getxattr(at, name, follow_symlinks=follow)
        except OSError as error:
            # One that was removed since it was listed is not there, which is no loss.
            complete = complete and error.errno == errno.ENODATA
            continue
        size = len(name) + len(value)
        if size > room:
            complete = False
            continue
        room -= size
        found.append((name, value))
    if not complete:
        unread.append(path)
    return tuple(found)


@dataclass(slots=True)
class AttributeWriter:
    """Sets attributes of restored files and counts the entries that did not get all of theirs."""

    privileged: bool
    _dropped: int = 0
    _not_taken: int = 0

    def set(self, at: int | bytes, entry: Entry) -> int:
        """Set an entry's attributes, never through a link; return the mode that goes with them.

        `at` is a descriptor, or a `child`.
        """
        mode = entry.mode
        dropped = not_taken = False
        for name, value in entry.attributes:
            if not (self.privileged or _is_plain(name)):
                dropped = True
                continue
            try:
                os.setxattr(at, name, value, follow_symlinks=isinstance(at, int))
            except OSError:
                not_taken = True
                if name == ACCESS_ACL:
                    mode = _without_acl(mode, value)
        self._dropped += dropped
        self._not_taken += not_taken
        return mode

    @property
    def notes(self) -> Mapping[str, int]:
        """How many entries lack attributes, by why."""
        counts = {"attributes_dropped": self._dropped, "attributes_not_taken": self._not_taken}
        return {name: count for name, count in counts.items() if count}


def forget_inherited(handle: int) -> None:
    """Remove the ACLs that a new file or directory took from the folder around it."""
    for name in (ACCESS_ACL, DEFAULT_ACL):
        with contextlib.suppress(OSError):
            os.removexattr(handle, name)


def _is_plain(name: bytes) -> bool:
    return name.startswith(_PLAIN_PREFIX) or name in (ACCESS_ACL, DEFAULT_ACL)


def _without_acl(mode: int, acl: bytes) -> int:
    """Return the mode of a file whose ACL cannot be set.

    Beside an ACL the group bits of the mode are the most that anybody named there may do, which
    the owning group need not be allowed at all; alone they must not give it more than it had.
    """
    return mode & ~_GROUP_BITS | (mode & _GROUP_BITS & _group_permission(acl) << 3)


def _group_permission(acl: bytes) -> int:
    """Return what an ACL gives the owning group, 0 to 7; nothing when it cannot be read."""
    body = acl[_ACL_HEAD.size :]
    if len(acl) < _ACL_HEAD.size or _ACL_HEAD.unpack_from(acl) != (_ACL_VERSION,):
        return 0
    if len(body) % _ACL_ENTRY.size:
        return 0
    for tag, permission, _ in _ACL_ENTRY.iter_unpack(body):
        if tag == _ACL_GROUP:
            return int(permission) & 7
    return 0
