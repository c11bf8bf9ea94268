"""How often a node pulses: "30s", "5m", "1h", "1d" to seconds.

Owns the notation only; who waits, and on which clock, is the federation's business.
"""

from __future__ import annotations

import math
import re

from sklearn_symfed.exceptions import SettingError

__all__ = ["MAX_BACKOFF", "backoff", "jittered", "parse_schedule"]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 366 * 86400.0
_NOTATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])", re.ASCII)

MAX_BACKOFF = 32
"""After failures in a row a node waits up to this many intervals."""


def parse_schedule(schedule: str | float, name: str = "schedule") -> float:
    """Turn a schedule into seconds.

    Parameters
    ----------
    schedule : str or float
        A number with a unit, one of ``s``, ``m``, ``h``, ``d``; or plain seconds.
    name : str, default="schedule"
        What the caller called it, for the error.

    Returns
    -------
    seconds : float
        Greater than 0 and at most 366 days.

    Raises
    ------
    SettingError
        If it is not a schedule.

    Examples
    --------
    >>> parse_schedule("5m")
    300.0
    """
    seconds = math.nan
    if isinstance(schedule, str):
        match = _NOTATION.fullmatch(schedule.strip())
        if match:
            seconds = float(match[1]) * _SECONDS[match[2]]
    elif isinstance(schedule, int | float) and not isinstance(schedule, bool):
        seconds = float(schedule)
    if not 0 < seconds <= _LONGEST:
        raise SettingError(
            f"Got {name}={schedule!r}, but expected a positive number with a unit, such as '30s', '5m', '1h' or '1d' "
            "(at most 366 days)."
        )
    return seconds


def backoff(interval: float, failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row: doubled each time, up to a cap."""
    return interval * min(1 << min(failures, 30), MAX_BACKOFF)


def jittered(seconds: float, chance: float) -> float:
    """Return a wait up to a tenth shorter or longer, so that members do not all pulse in the same moment.

    Parameters
    ----------
    seconds : float
        The wait.
    chance : float
        A random number from 0 to 1.
    """
    return seconds * (0.9 + 0.2 * chance)
