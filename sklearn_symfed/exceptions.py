"""Every error that sklearn_symfed raises, in one tree.

::

    SymfedError
    ├── DataError (ValueError)          rows that cannot be learned: not finite, wrong width, wrong dtype, ...
    │   ├── DataTypeError (TypeError)   a column, label or weight of a type that is not learned
    │   └── ForgetError                 rows that cannot have been learned, hence cannot be forgotten
    ├── SchemaError (ValueError)        columns, kinds or classes that do not fit together
    ├── FormatError (ValueError)        bytes that are not a valid PSR, message or home of a known version
    ├── AuthenticationError (ValueError)  bytes that do not come from where they say, or were altered
    ├── ArithmeticModeError (RuntimeError)   a BLAS or a floating-point mode in which exactness does not hold
    ├── FederationError (RuntimeError)  local misuse: not a member, already a member, ...
    │   ├── ClosedError (AttributeError)          what a node has until it is closed
    │   ├── NotAMemberError (AttributeError)      what only members have
    │   ├── NothingLearnedError (NotFittedError)  no columns are known: neither own rows nor a peer's
    │   ├── InviteError (ValueError)    an invite or code that cannot be used: wrong, altered, expired, used, refused
    │   ├── SettingError (ValueError)   a name, URL or schedule that cannot be used
    │   ├── StoreError                  a home that cannot be opened, read or written
    │   │   └── HomeInUseError          ... because another process or object uses it
    │   └── StillWaitingError           what was waited for has not come yet: wait again
    └── TransportError (ConnectionError)  the carrier failed; nothing was lost, try again
        └── PayloadTooLargeError        the message exceeds what this carrier takes

    PairwiseWarning (UserWarning)       covariances of pairs that are there were changed to be those of some rows

A leaf also inherits the builtin that a caller would catch.  Messages say what was got and what was expected; they
never hold a value of a row, a key or a payload.
"""

from __future__ import annotations

from sklearn.exceptions import NotFittedError

__all__ = [
    "ArithmeticModeError",
    "AuthenticationError",
    "ClosedError",
    "DataError",
    "DataTypeError",
    "FederationError",
    "ForgetError",
    "FormatError",
    "HomeInUseError",
    "InviteError",
    "NotAMemberError",
    "NothingLearnedError",
    "PairwiseWarning",
    "PayloadTooLargeError",
    "SchemaError",
    "SettingError",
    "StillWaitingError",
    "StoreError",
    "SymfedError",
    "TransportError",
]


class SymfedError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(SymfedError, ValueError):
    """Rows cannot be learned as they are; nothing was changed."""


class DataTypeError(DataError, TypeError):
    """A column, label or weight has a type that cannot be learned; nothing was changed."""


class ForgetError(DataError):
    """Rows cannot be forgotten because they cannot have been learned; nothing was changed."""


class SchemaError(SymfedError, ValueError):
    """Names, kinds or classes of columns do not fit together; nothing was changed."""


class FormatError(SymfedError, ValueError):
    """Bytes are not a valid PSR, message or home of a version that this release reads."""


class AuthenticationError(SymfedError, ValueError):
    """Bytes do not authenticate: another key or code sealed or signed them, or they were altered."""


class ArithmeticModeError(SymfedError, RuntimeError):
    """Sums of products are not exact in the way in which this process computes."""


class FederationError(SymfedError, RuntimeError):
    """The call does not fit the state of this node."""


class ClosedError(FederationError, AttributeError):
    """The node was closed, so it has none of what it had while it was open."""


class NotAMemberError(FederationError, AttributeError):
    """The node belongs to no federation, so it has none of what only members have."""


class NothingLearnedError(FederationError, NotFittedError):
    """Neither this node nor a peer that it has heard has learned any rows."""


class InviteError(FederationError, ValueError):
    """An invite cannot be used: wrong code, altered, expired, used before, or refused by the admin."""


class SettingError(FederationError, ValueError):
    """A name, URL or schedule of the federation is not one that can be used; nothing was changed."""


class StoreError(FederationError):
    """The node's home cannot be opened, read or written."""


class HomeInUseError(StoreError):
    """Another process, or another object of this one, uses the node's home; close that first."""


class StillWaitingError(FederationError):
    """What was waited for has not come in time; whatever was asked for stays asked for."""


class TransportError(SymfedError, ConnectionError):
    """The carrier of messages failed; what was not sent will be sent by a later pulse."""


class PayloadTooLargeError(TransportError):
    """A message exceeds the largest payload that the carrier takes."""


class PairwiseWarning(UserWarning):
    """Covariances of pairs that are there are not positive semi-definite; the message says what was done."""
