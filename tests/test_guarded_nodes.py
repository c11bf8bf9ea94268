"""Nodes under the disclosure guard: what waits, what is told of it, what the ledger keeps, and who may be stricter."""

from __future__ import annotations

import logging
import uuid

import numpy as np
import pytest

from sklearn_symfed import PSR, FederatedPSR, Guard
from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation import _ledger


def rows(n_rows: int, seed: int = 0) -> np.ndarray:
    """Return rows of two columns."""
    return np.random.default_rng(seed).normal(5.0, 1.0, (n_rows, 2))


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4()}"


def founder(url: str, *, home=None, own=None, **settings) -> FederatedPSR:
    """Return the first member of a federation."""
    return FederatedPSR(home=home, guard=own).create_federation(
        "f", url, member="a", on_recovery_key=lambda _: None, **settings
    )


def joined(admin: FederatedPSR, member: str = "b", **params) -> FederatedPSR:
    """Return a member that was welcomed."""
    node = FederatedPSR(**params).join(*admin.invite(member))
    admin.pulse()
    return node


def settle(*nodes: FederatedPSR) -> None:
    for _ in range(4):
        for node in nodes:
            node.pulse()


def test_statistics_of_few_rows_wait_and_say_so(url: str) -> None:
    """A pulse reports pending and the numbers, status repeats it, peers get nothing, and more rows let all go."""
    a = founder(url).partial_fit(rows(7))
    b = joined(a)
    settle(a, b)
    report = a.pulse()
    assert report.status == (
        "pending: 7 of 10 rows (wait for more rows); "
        "7 of 10 rows (5 for each of 2 columns: wait for more rows, or drop columns)"
    )
    assert str(report).startswith("pending: 7 of 10 rows")
    assert a.status().pending == report.status.removeprefix("pending: ")
    assert (report.version, a.releases_, b.psr_.n_rows) == (0, [], 0)
    assert not a.converged_
    a.partial_fit(rows(3, seed=1))
    assert a.pulse().status == "published"
    settle(a, b)
    assert a.psr_ == b.psr_
    assert a.converged_
    assert b.converged_
    assert a.status().pending is None


def test_what_waits_is_not_logged_in_detail(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log names rules, once, and neither labels nor numbers."""
    a = founder(url)
    a.partial_fit(PSR.from_rows(rows(30), np.array(["fine"] * 29 + ["hushed"]), classes=True))
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        assert "class 'hushed': 1 of 10 rows" in a.pulse().status
        a.pulse()
    held = [record.getMessage() for record in caplog.records]
    assert held == ["'a' publishes nothing new: its guard holds it back by class_rows, dominance, rows_per_column"]


def test_a_late_joiner_gets_the_newest_release_while_later_rows_wait(tmp_path, url: str) -> None:
    """What was published stays to be had, also of a node that was opened again, whatever it has learned since."""
    share = f"dir://{tmp_path}/share"
    a = founder(share, home=tmp_path / "a").partial_fit(rows(30))
    a.pulse()
    released = a.psr_
    a.partial_fit(rows(1, seed=1))
    b = joined(a, "b")
    settle(b, a)
    assert b.psr_of("a") == released
    a.close()
    a = FederatedPSR.open(tmp_path / "a")
    c = joined(a, "c")
    settle(b, c, a)
    assert c.psr_of("a") == released
    assert "1 of 10 rows learned since release 1" in a.pulse().status
    for node in (a, b, c):
        node.close()


def test_the_ledger_outlives_the_process_and_the_membership(tmp_path) -> None:
    """A home that is opened again, or has left and joined again, compares with all that it ever published."""
    share = f"dir://{tmp_path}/share"
    a = founder(share)
    a.partial_fit(rows(50, seed=9))
    a.pulse()
    b = joined(a, "b", home=tmp_path / "b")
    b.pulse()
    b.partial_fit(rows(30), batch_id="many")
    settle(b, a)
    kept = b.releases_
    b.close()
    b = FederatedPSR.open(tmp_path / "b")
    assert b.releases_ == kept
    b.forget(rows(30), batch_id="many").partial_fit(rows(30)[1:])
    settle(a, b)
    assert "since release 1 may differ by 1 of 10 rows" in b.pulse().status
    b.leave(forget=True)
    a.pulse(), b.pulse()
    assert not b.is_member
    b.join(*a.invite("b"))
    settle(a, b)
    assert "since release 1 may differ by 1 of 10 rows" in b.pulse().status
    assert b.releases_ == kept
    b.partial_fit(rows(20, seed=3))
    settle(b, a)
    assert a.psr_ == b.psr_
    a.close(), b.close()


def test_releases_say_when_what_and_how_it_changed(url: str) -> None:
    """Each has time, version, rows, digest, and the rows that were learned and forgotten since the one before."""
    a = founder(url).partial_fit(rows(30))
    a.pulse()
    first = a.psr_
    a.forget(rows(30)[:12]).partial_fit(rows(40, seed=1)).pulse()
    one, two = a.releases_
    assert (one.number, one.incarnation, one.version, one.rows, one.digest) == (1, 1, 1, 30, first.digest)
    assert (one.learned, one.forgotten) == (30, 0)
    assert (two.version, two.rows, two.digest, two.learned, two.forgotten) == (2, 58, a.psr_.digest, 40, 12)
    assert one.at <= two.at
    assert one.federation == two.federation
    assert str(two).endswith(f"version 2 ({a.psr_.digest[:12]}) · 58 rows · +40 -12")


def test_erasures_go_out_together(url: str) -> None:
    """One row that is forgotten is gone here at once, and elsewhere when ten are."""
    a = founder(url).partial_fit(rows(50))
    b = joined(a)
    settle(a, b)
    for number in range(9):
        a.forget(rows(50)[[number]])
        assert f"{number + 1} of 10 rows forgotten since" in a.pulse().status
    assert (a.local_psr_.n_rows, b.psr_of("a").n_rows) == (41, 50)
    a.forget(rows(50)[[9]])
    settle(a, b)
    assert b.psr_of("a") == PSR.from_rows(rows(50)[10:])


def test_a_reset_goes_out_at_once(url: str) -> None:
    """All rows forgotten are enough rows, and statistics of none tell nothing."""
    a = founder(url).partial_fit(rows(30))
    b = joined(a)
    settle(a, b)
    a.reset()
    assert a.pulse().status == "published"
    b.pulse()
    assert b.psr_of("a").n_rows == 0
    assert (a.releases_[-1].learned, a.releases_[-1].forgotten) == (0, 30)


def test_what_the_contract_takes_back_passes_the_guard_and_so_does_its_return(url: str) -> None:
    """A withdrawal holds no rows, so the guard lets it go; the same rows again, or enough more, may follow it."""
    a = founder(url).partial_fit(rows(30))
    b = joined(a)
    settle(a, b)
    a.set_contract(["count() >= 31"])
    assert a.pulse().status.startswith("pending: what was learned here breaks the contract")
    b.pulse()
    assert b.psr_.n_rows == 0
    assert [(release.rows, release.forgotten) for release in a.releases_] == [(30, 0), (0, 0)]
    a.partial_fit(rows(1, seed=1))
    assert a.pulse().status.startswith("pending: 1 of 10 rows learned since release 1")
    a.set_contract([]).forget(rows(1, seed=1))
    assert a.pulse().status == "published"
    settle(b, a)
    assert b.psr_ == PSR.from_rows(rows(30))


def test_releases_without_a_guard_are_not_compared_by_one_that_is_switched_on_later(tmp_path) -> None:
    """Their statistics are not kept, as the page on privacy says; from the first guarded release on all are."""
    a = founder(f"dir://{tmp_path}/share", home=tmp_path / "a", guard="off").partial_fit(rows(30))
    a.pulse()
    a.close()
    with FederatedPSR.open(tmp_path / "a", guard=Guard()) as a:
        assert a.partial_fit(rows(1, seed=1)).pulse().status == "published"
        assert "1 of 10 rows learned since release 2" in a.partial_fit(rows(1, seed=2)).pulse().status


def test_rows_of_another_federation_are_counted_as_they_replace_their_last(url: str) -> None:
    """A relay that learns one row more of its other federation waits as any member does."""
    inner = founder(f"{url}-inner", guard="off").partial_fit(rows(40))
    inner.pulse()
    a = founder(url, schema=inner.psr_.schema).relay(inner)
    assert a.pulse().status == "published"
    inner.partial_fit(rows(1, seed=1))
    inner.pulse()
    a.relay(inner)
    assert "may differ by 1 of 10 rows" in a.pulse().status


def test_a_federation_can_be_founded_without_a_guard_and_a_member_have_one(url: str) -> None:
    """Each member of such a federation decides for itself; the ledger is kept all the same."""
    a = founder(url, guard="off").partial_fit(rows(1))
    assert a.pulse().status == "published"
    b = joined(a, "b", guard=Guard())
    b.pulse()
    b.partial_fit(rows(9, seed=1))
    assert b.pulse().status.startswith("pending: 9 of 10 rows")
    assert [release.rows for release in a.releases_] == [1]
    assert b.releases_ == []


def test_a_member_may_be_stricter(url: str) -> None:
    """Its own guard holds back what the federation's would let go."""
    a = founder(url, own=Guard(rows=50)).partial_fit(rows(49))
    assert a.pulse().status == "pending: 49 of 50 rows (wait for more rows)"
    assert a.partial_fit(rows(1, seed=1)).pulse().status == "published"


def test_a_member_may_not_be_laxer(url: str) -> None:
    """A laxer guard is refused, whichever way the node comes to the federation, and nothing is published."""
    for lax in ("off", Guard(rows=9)):
        with pytest.raises(SettingError, match=r"Got a guard with rows=\d where the federation has 10"):
            founder(url, own=lax)
    a = founder(url).partial_fit(rows(30))
    a.pulse()
    b = joined(a, "b", guard="off")
    with pytest.raises(SettingError, match="but expected one that is at least as strict in everything"):
        b.pulse()
    assert b.psr_.n_rows == 30
    with pytest.raises(SettingError, match="Got guard='none', but expected a Guard, 'off' or None"):
        FederatedPSR(guard="none").partial_fit(rows(3))


def test_the_guard_of_a_federation_is_fixed_by_its_founder(url: str) -> None:
    """Thresholds are in the first link, so whoever joins has them."""
    a = founder(url, guard=Guard(rows=20)).partial_fit(rows(30))
    b = joined(a)
    b.pulse()
    assert b.partial_fit(rows(19, seed=1)).pulse().status == "pending: 19 of 20 rows (wait for more rows)"


def test_a_full_ledger_waits_and_forgets_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more releases can be kept, none is made that a later one could not be compared with."""
    monkeypatch.setattr(_ledger, "MAX_RELEASES", 1)
    a = founder(url).partial_fit(rows(30))
    a.pulse()
    assert (
        a.partial_fit(rows(30, seed=1)).pulse().status.startswith("pending: the ledger is full: 1 releases were made")
    )
    assert len(a.releases_) == 1
