"""Files of statistics: bytes behind their SHA-256, so that damage is found, and put in place whole or not at all.

Owns the file only; what the bytes say is `_codec`.  A file of such bytes alone, as `PSR.to_bytes` gives them, is read,
too, unchecked.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from sklearn_symfed.exceptions import FormatError

__all__ = ["read_file", "write_file"]

_MAGIC = b"SYMF-SUM"
_DIGEST_BYTES = 32


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Put bytes into a file, in the place of one that may be there, and on disk once this returns.

    Raises
    ------
    OSError
        If that cannot be done; names the file that was asked for.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(data).digest() + data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes that `write_file` wrote, or those of a file that does not begin as its do.

    Raises
    ------
    FormatError
        If they are not those that were written.
    OSError
        If there is no such file, or it cannot be read.
    """
    data = Path(path).read_bytes()
    if not data.startswith(_MAGIC):
        return data
    start = len(_MAGIC) + _DIGEST_BYTES
    digest, content = data[len(_MAGIC) : start], data[start:]
    if hashlib.sha256(content).digest() != digest:
        raise FormatError(
            f"Got {os.fspath(path)!r}, whose bytes are not those that were saved: it is damaged or cut short; take a "
            "copy of it, or learn its rows again."
        )
    return content
