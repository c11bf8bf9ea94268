"""A node's folder: what may lie in it, how it comes there, the file of the node's seed, and where no home must be.

The seed makes the node's identity and the key that seals what is secret in its database, so a copy of the database
alone gives away no key.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sklearn_symfed.exceptions import StoreError

__all__ = [
    "DATABASE",
    "KEY_FILE",
    "network_file_system",
    "place",
    "prepare",
    "presence",
    "read_seed",
    "sweep",
    "write_seed",
]

DATABASE = "symfed.sqlite"
KEY_FILE = "identity.key"
_UNFINISHED = re.compile(rf"({re.escape(DATABASE)}|{re.escape(KEY_FILE)})\.[0-9a-f]{{16}}(-journal|-wal|-shm)?")
_ESCAPED = re.compile(r"\\([0-7]{3})")  # so the kernel writes a space in the path of a mount
_MAGIC = b"SYMFEDk1"
_SEED_BYTES = 32
_NETWORK = frozenset(
    "afs beegfs ceph cifs davfs fuse.blobfuse2 fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.mount-s3 "  # noqa: SIM905
    "fuse.rclone fuse.s3fs fuse.sshfs gfs2 gpfs lustre ncpfs nfs nfs4 ocfs2 smb2 smb3 smbfs".split()
)


def prepare(folder: Path, *, must_exist: bool) -> None:
    """Create the folder, or make sure that it is empty or a home, on a disk of this machine."""
    database = folder / DATABASE
    if must_exist and not database.exists():
        raise StoreError(f"Got {str(folder)!r}, where no home is, but expected the folder of an existing node.")
    kind = network_file_system(folder)
    if kind is not None:
        raise StoreError(f"Got home {str(folder)!r} on a network file system ({kind}), but expected a local disk.")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if database.exists() and database.stat().st_size == 0:
        raise StoreError(
            f"The home {str(folder)!r} is damaged, its database holds 0 bytes: restore a backup, or delete the folder "
            "to begin anew."
        )
    foreign = [name for name in os.listdir(folder) if not _UNFINISHED.fullmatch(name)]
    if foreign and not database.exists():
        raise StoreError(f"Got home {str(folder)!r}, which holds other files, but expected a new folder or a home.")


def network_file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the type of the network file system that a folder is on; None if it is on none, or nobody can tell."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    place, best, kind = os.path.realpath(folder), "", None
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5:
            continue
        mount = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind if kind in _NETWORK else None


@contextlib.contextmanager
def place(folder: Path) -> Iterator[Path]:
    """Yield where to make a database that is then put in its place as a whole, unless another process was quicker.

    So whoever is killed leaves no database or a whole one, and one that holds nothing has lost what it held.
    """
    temporary = folder / f"{DATABASE}.{secrets.token_hex(8)}"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite's other files take after it
    try:
        yield temporary
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(temporary, folder / DATABASE)
        _sync(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def presence(folder: Path) -> Callable[[], None]:
    """Return what raises a `StoreError` unless the database is the file that it is now, wherever the process works."""
    database = (folder / DATABASE).absolute()
    opened = _file_at(database)

    def check() -> None:
        if opened is None or _file_at(database) != opened:
            raise StoreError(
                f"The home {str(folder)!r} was deleted, moved or replaced while this node used it, so nothing of this "
                "call was stored: close the node, put the home back or restore a backup, and open it again."
            )

    return check


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left unfinished; for whoever has the home for itself."""
    for name in filter(_UNFINISHED.fullmatch, os.listdir(folder)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / name)


def write_seed(folder: Path, seed: bytes) -> None:
    """Put a seed in the place of the one that was there, readable by its owner alone, and on disk afterwards."""
    temporary = folder / f"{KEY_FILE}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o600)
    try:
        try:
            os.write(descriptor, _MAGIC + seed)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, folder / KEY_FILE)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync(folder)


def read_seed(folder: Path) -> bytes:
    """Return the seed of the node that lives in a folder."""
    path = folder / KEY_FILE
    if not path.exists():
        raise StoreError(
            f"The home {str(folder)!r} has lost its {KEY_FILE}: restore a backup, or ask an admin for an invite."
        )
    if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"Others may read {str(path)!r}, but expected that its owner alone may: chmod 600.")
    data = path.read_bytes()
    if len(data) != len(_MAGIC) + _SEED_BYTES or not data.startswith(_MAGIC):
        raise StoreError(f"Got {str(path)!r}, which is no key file of this release: restore a backup.")
    return data[len(_MAGIC) :]


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
