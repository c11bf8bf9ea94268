"""Shared access signatures: who signed one, for what, and until when."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, quote_plus, unquote_plus, urlsplit

from tests.servers._servicebus_entities import NamespaceError

_SCHEME = "SharedAccessSignature "


class Unauthorized(NamespaceError):  # noqa: N818 - as its siblings
    """A token that is not taken."""


def path_of(address: str) -> str:
    """Return the path within the namespace of a URL, or of what is a path already, in small letters."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()


def covers(audience: str, path: str) -> bool:
    """Tell whether who may use an audience may use a path."""
    return not audience or path == audience or path.startswith(audience + "/")


def signature(audience: str, name: str, key: str, expiry: int) -> str:
    """Return a shared access signature for a URL, as the clients make them."""
    resource = quote_plus(audience)
    made = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256))
    return f"{_SCHEME}sr={resource}&sig={quote_plus(made)}&se={expiry}&skn={name}"


def expiry_of(token: str, audience: str, keys: Mapping[str, str], now: float) -> float:
    """Check a signature for an audience, and return until when it holds; raise `Unauthorized`.

    Parameters
    ----------
    token : str
        `SharedAccessSignature sr=…&sig=…&se=…&skn=…`.
    audience : str
        A URL or path.
    keys : mapping
        The key of each name.
    now : float
        Seconds since the epoch.
    """
    try:
        fields = dict(part.split("=", 1) for part in token.removeprefix(_SCHEME).split("&"))
        signed, name, expiry = f"{fields['sr']}\n{fields['se']}", unquote_plus(fields["skn"]), float(fields["se"])
        given = base64.b64decode(parse_qs(f"sig={fields['sig']}", strict_parsing=True)["sig"][0], validate=True)
    except (ValueError, KeyError) as error:
        raise Unauthorized("malformed shared access signature") from error
    if not token.startswith(_SCHEME):
        raise Unauthorized("no shared access signature")
    expected = hmac.digest(keys.get(name, "").encode(), signed.encode(), hashlib.sha256)
    if name not in keys or not hmac.compare_digest(expected, given):
        raise Unauthorized("InvalidSignature: the token has an invalid signature")
    if expiry <= now:
        raise Unauthorized("ExpiredToken: the token has expired")
    if not covers(path_of(unquote_plus(fields["sr"])), path_of(audience)):
        raise Unauthorized("the token was signed for another audience")
    return expiry
