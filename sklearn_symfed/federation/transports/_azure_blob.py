"""The container of blobs in which lies what is too large for Service Bus.

Owns what is asked of it; names of objects are the claim check's, below the federation's own.
"""

from __future__ import annotations

from sklearn_symfed.federation.transports._azure_session import AzureAnswerError, Session

__all__ = ["Container"]


class Container:
    """The blobs of one federation."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._start = session.place.blobs

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        with self._session.translated("to store a blob"):
            self._session.container.upload_blob(self._start + key, data)

    def get(self, key: str) -> bytes | None:
        """Return an object; None if there is none."""
        try:
            with self._session.translated("a blob"):
                data: bytes = self._session.container.download_blob(self._start + key).readall()
                return data
        except AzureAnswerError as error:
            if error.missing:
                return None
            raise

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        try:
            with self._session.translated("to remove a blob"):
                self._session.container.delete_blob(self._start + key)
        except AzureAnswerError as error:
            if not error.missing:
                raise

    def keys(self, prefix: str) -> list[str]:
        """Return the names of objects that begin so."""
        with self._session.translated("a list of blobs"):
            found = self._session.container.list_blob_names(name_starts_with=self._start + prefix)
            return [name.removeprefix(self._start) for name in found]

    def is_there(self) -> bool:
        """Tell whether there is such a container."""
        with self._session.translated("to see the container of blobs"):
            return bool(self._session.container.exists())

    def make(self) -> None:
        """Make the container; one that is there stays."""
        if not self.is_there():
            with self._session.translated("to make the container of blobs"):
                self._session.container.create_container()

    def remove(self) -> bool:
        """Remove the blobs, and the container; return False if something of somebody else keeps it there."""
        for key in self.keys(""):
            self.delete(key)
        with self._session.translated("to remove the container of blobs"):
            if next(iter(self._session.container.list_blob_names()), None) is not None:
                return False
            self._session.container.delete_container()
        return True
