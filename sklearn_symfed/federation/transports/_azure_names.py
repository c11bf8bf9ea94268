"""What things of a federation are called at Azure, and what a URL says.

Owns the names of topic, subscriptions and blobs.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from sklearn_symfed.federation.transports._cloud_names import Shape, Tokens

__all__ = ["ALL", "Place", "member_of", "place_of", "token_of"]

ALL = "*"
"""Who a message is for that is for all; no token is that."""

_URL = Shape(
    "azure",
    place=re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", re.ASCII),
    federation=re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", re.ASCII),
    options={
        "blobs": re.compile(r"[a-z0-9]{3,24}/[a-z0-9](-?[a-z0-9]){2,62}", re.ASCII),
        "wait": re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?", re.ASCII),
    },
    expected="azure://namespace.servicebus.windows.net/federation?blobs=account/container, with a federation of at "
    "most 40 small letters, digits and -, and, if wanted, &wait=seconds; credentials come from the environment",
)
_TOKENS = Tokens(string.ascii_lowercase + string.digits)  # to Service Bus, large letters are small ones
token_of, member_of = _TOKENS.of, _TOKENS.member

_INBOX = "in_"


class Place(NamedTuple):
    """What a URL says, and what things are called there; members are given as tokens.

    Attributes
    ----------
    namespace : str
        Its host, as ``acme.servicebus.windows.net``.
    federation : str
    account : str
        The storage account.
    container : str
        Where blobs lie.
    wait : float
        For so many seconds an empty inbox is watched.
    """

    namespace: str
    federation: str
    account: str
    container: str
    wait: float

    @property
    def topic(self) -> str:
        """Of all messages.  No federation's name holds an underscore."""
        return f"symfed_{self.federation}"

    @property
    def blobs(self) -> str:
        """What the names of blobs begin with."""
        return f"{self.federation}/"

    @property
    def storage_url(self) -> str:
        """Of the storage account, in the cloud (Azure's, or that of a country) in which the namespace is."""
        return f"https://{self.account}.blob.core.{self.namespace.partition('.servicebus.')[2] or 'windows.net'}"

    def inbox(self, member: str) -> str:
        """Return the name of a member's subscription: at most 50 letters, beginning with one, as Service Bus asks."""
        return f"{_INBOX}{member}"

    def owner(self, subscription: str) -> str | None:
        """Return whose inbox a subscription is: the name, or the token where that cannot be told; None: nobody's."""
        if not subscription.startswith(_INBOX):
            return None
        token = subscription.removeprefix(_INBOX)
        return member_of(token) or token


def place_of(url: str) -> Place:
    """Return what a URL says.

    Raises
    ------
    SettingError
        If it names no namespace, federation or container, or holds what is none of these; a credential is not repeated.
    """
    namespace, federation, options = _URL.read(url)
    account, _, container = options["blobs"].partition("/")
    return Place(namespace, federation, account, container, float(options.get("wait", "1")))
