"""What things of a federation are called at AWS, and what a URL says.

Owns the names of topic, queues and objects, and ARNs.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from sklearn_symfed.federation.transports._cloud_names import Shape, Tokens

__all__ = ["Names", "Place", "member_of", "place_of", "token_of"]

_URL = Shape(
    "aws",
    place=re.compile(r"[a-z]{2,}(-[a-z0-9]+)+", re.ASCII),
    federation=re.compile(r"[a-z0-9-]{1,24}", re.ASCII),
    options={
        "bucket": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII),
        "account": re.compile(r"[0-9]{12}", re.ASCII),
        "wait": re.compile(r"1?[0-9]|20", re.ASCII),
    },
    expected="aws://region/federation?bucket=name, with a federation of at most 24 small letters, digits and -, and, "
    "if wanted, &account=123456789012 and &wait=seconds; credentials come from the usual chain of boto3",
)
_TOKENS = Tokens(string.ascii_letters + string.digits + "-")
token_of, member_of = _TOKENS.of, _TOKENS.member


class Place(NamedTuple):
    """What a URL says.

    Attributes
    ----------
    region : str
    federation : str
    bucket : str
        Where objects lie.
    account : str
        Of 12 digits; empty if it is that of whoever connects.
    wait : int
        For so many seconds an empty inbox is watched.
    """

    region: str
    federation: str
    bucket: str
    account: str
    wait: int


class Names(NamedTuple):
    """Of one federation; members are given as tokens.

    No federation's name holds an underscore, hence none begins with what the names of another one begin with.
    """

    partition: str
    region: str
    account: str
    federation: str
    bucket: str

    @property
    def topic(self) -> str:
        """Of messages for all."""
        return f"symfed_{self.federation}"

    def inbox(self, member: str) -> str:
        """Return the name of a member's queue: at most 80 letters, as SQS asks."""
        return f"symfed_{self.federation}_in_{member}"

    def dead(self, member: str) -> str:
        """Return the name of the queue of what a member could not take in."""
        return f"symfed_{self.federation}_dead_{member}"

    @property
    def objects(self) -> str:
        """What the names of objects begin with."""
        return f"{self.federation}/"

    @property
    def topic_arn(self) -> str:
        """Of the topic."""
        return f"arn:{self.partition}:sns:{self.region}:{self.account}:{self.topic}"

    def queue_arn(self, queue: str) -> str:
        """Return the ARN of a queue."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{queue}"

    def object_arn(self, pattern: str = "") -> str:
        """Return the ARN of the objects of a federation that match a pattern; that of the bucket for none."""
        return f"arn:{self.partition}:s3:::{self.bucket}" + (f"/{self.objects}{pattern}" if pattern else "")


def place_of(url: str) -> Place:
    """Return what a URL says.

    Raises
    ------
    SettingError
        If it names no region, federation or bucket, or holds what is none of these; a credential is not repeated.
    """
    region, federation, options = _URL.read(url)
    return Place(region, federation, options["bucket"], options.get("account", ""), int(options.get("wait", "1")))
