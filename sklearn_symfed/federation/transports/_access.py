"""Who may use what is made in a shared folder: whoever may use the folder, whatever the umask of the maker says.

Owns as well what a user is told to do about a folder that cannot be used.

A message is sealed and signed, so a member who can read those of others learns nothing from them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

__all__ = ["advice", "share"]

_DENIED = frozenset({errno.EACCES, errno.EPERM})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, getattr(errno, "ESTALE", errno.ENOENT)})
_FOLDER = 0o3777  # setgid, so that the group goes on; and sticky, which keeps one member from removing another's files
_FILE = 0o666


def share(path: Path) -> None:
    """Grant to the group and to others what the folder around `path` grants to them; where that fails, leave it."""
    if sys.platform == "win32":  # the folder's access list is inherited there
        return
    with contextlib.suppress(OSError):
        around = os.stat(path.parent)
        with contextlib.suppress(OSError):
            os.chown(path, -1, around.st_gid)
        made = os.stat(path)
        mode = around.st_mode
        if made.st_gid != around.st_gid:  # another group than the one that was let in is among the others
            mode = mode & ~stat.S_IRWXG & ~stat.S_ISGID | (mode & stat.S_IRWXO) << 3
        folder = stat.S_ISDIR(made.st_mode)
        os.chmod(path, mode & _FOLDER | 0o700 if folder else mode & _FILE | 0o600)


def advice(error: OSError, root: Path) -> str:
    """Return what to do about a folder that is not there, or about a denied access: what denies it; or nothing."""
    if error.errno in _GONE and not os.path.isdir(root):
        return f": the folder {str(root)!r} is gone or not mounted. Mount or make it again, then pulse"
    if error.errno not in _DENIED:
        return ""
    denying = _denying(Path(error.filename) if isinstance(error.filename, str | os.PathLike) else root)
    try:
        found = os.stat(denying)
    except OSError:
        return ""
    return (
        f": {str(denying)!r} has mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid} and group "
        f"{found.st_gid}. Let all members write there: chmod 777, or chmod 2770 with a group that all are in"
    )


def _denying(path: Path) -> Path:
    """Return the closest to a path, at or above it, that can be seen and is not a file one may read."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.stat(place).st_mode) or not os.access(place, os.R_OK):
                return place
    return path
