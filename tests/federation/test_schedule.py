"""Schedules are read as people write them."""

from __future__ import annotations

import pytest

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation import parse_schedule
from sklearn_symfed.federation._schedule import MAX_BACKOFF, backoff, jittered


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86400), (" 2 h ", 7200), ("0.5s", 0.5), (7, 7), (0.25, 0.25)],
)
def test_known_notations(schedule, seconds):
    """A number with a unit, or plain seconds."""
    assert parse_schedule(schedule) == seconds


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "s",
        "30",
        "30x",
        "-1s",
        "0s",
        "1e3s",
        "1m30s",
        "٣s",
        "367d",
        "9" * 400 + "d",
        0,
        -1,
        True,
        None,
        [],
        1e9,
        float("nan"),
    ],
)
def test_other_notations_are_refused(schedule):
    """Anything else is an error that shows what is expected."""
    with pytest.raises(SettingError, match="'30s', '5m', '1h' or '1d'"):
        parse_schedule(schedule)


def test_a_refusal_calls_the_time_as_the_caller_did():
    """Whoever mistyped when an invite expires is not told of a schedule."""
    with pytest.raises(SettingError, match=r"^Got expires='2 hours', but expected"):
        parse_schedule("2 hours", "expires")


def test_back_off_doubles_to_a_cap():
    """Each failure in a row doubles the wait, up to a cap."""
    assert [backoff(2.0, failures) for failures in range(4)] == [2, 4, 8, 16]
    assert backoff(2.0, 10**6) == 2 * MAX_BACKOFF


def test_waits_differ_by_a_tenth():
    """Members of one schedule do not all pulse in the same moment."""
    assert [round(jittered(30, chance), 6) for chance in (0, 0.5, 1)] == [27, 30, 33]
