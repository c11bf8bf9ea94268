"""The bucket of S3 in which lies what is too large for SNS and SQS.

Owns its settings and what is asked of it; names of objects are the claim check's, below the federation's own.
"""

from __future__ import annotations

from sklearn_symfed.federation.transports._aws_session import AwsError, Session

__all__ = ["Bucket"]

_DAYS = 15
"""An object stays a day longer than a message can that points to it."""


class Bucket:
    """The objects of one federation."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = session.names
        self._it = {"Bucket": self._names.bucket, "ExpectedBucketOwner": self._names.account}

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._session.ask("s3", "put_object", **self._it, Key=self._names.objects + key, Body=data)

    def get(self, key: str) -> bytes | None:
        """Return an object; None if there is none."""
        try:
            return self._session.read(**self._it, Key=self._names.objects + key)
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._session.ask("s3", "delete_object", **self._it, Key=self._names.objects + key)

    def keys(self, prefix: str) -> list[str]:
        """Return the names of objects that begin so."""
        start = self._names.objects
        found = self._session.pages("s3", "list_objects_v2", "Contents", **self._it, Prefix=start + prefix)
        return [entry["Key"].removeprefix(start) for entry in found]

    def is_there(self) -> bool:
        """Tell whether there is such a bucket, and it is this account's."""
        try:
            self._session.ask("s3", "head_bucket", **self._it)
        except AwsError as error:
            if error.missing:
                return False
            raise
        return True

    def make(self) -> None:
        """Make a bucket that encrypts, and removes what killed senders left behind; one that is there stays."""
        if self.is_there():
            return
        bucket, region = {"Bucket": self._names.bucket}, self._names.region
        there = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._session.ask("s3", "create_bucket", **bucket, **there)
        encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
        self._session.ask("s3", "put_bucket_encryption", **self._it, ServerSideEncryptionConfiguration=encryption)
        rule = {"ID": self._names.topic, "Status": "Enabled", "Filter": {"Prefix": self._names.objects}}
        lifecycle = {"Rules": [{**rule, "Expiration": {"Days": _DAYS}}]}
        self._session.ask("s3", "put_bucket_lifecycle_configuration", **self._it, LifecycleConfiguration=lifecycle)

    def remove(self) -> bool:
        """Remove the objects, and the bucket; return False if something of somebody else keeps it there."""
        for key in self.keys(""):
            self.delete(key)
        try:
            self._session.ask("s3", "delete_bucket", **self._it)
        except AwsError as error:
            if error.code != "BucketNotEmpty":
                raise
            return False
        return True
