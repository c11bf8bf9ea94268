"""The disclosure guard: attacks that work without it and find nothing with it, and each of its rules at its edge.

Attacks are carried out twice: on the rules alone, and on what a real node's peer holds of it.
"""

from __future__ import annotations

import importlib.util
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed import FederatedPSR
from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation import _differencing
from sklearn_symfed.federation._differencing import Earlier, Turnover, judge
from sklearn_symfed.federation._guard import DEFAULT, OFF, Guard
from sklearn_symfed.psr import PSR

_SPEC = importlib.util.spec_from_file_location("attacks", Path(__file__).with_name("attacks.py"))
attacks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(attacks)

NAMES = ("age", "dose", "member")


class House:
    """What a node does with its statistics: all but the node."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.local: PSR | None = None
        self.turnover = Turnover()
        self.earlier: list[Earlier] = []
        self.seen: list[PSR] = []

    def learn(self, psr: PSR) -> None:
        self.local = psr if self.local is None else self.local + psr
        self.turnover = self.turnover.learned(psr)

    def forget(self, psr: PSR) -> None:
        self.local -= psr
        self.turnover = self.turnover.forgotten(psr)

    def pulse(self) -> str:
        local = self.local
        verdict = judge(self.guard, local, self.turnover, self.earlier)
        if not verdict:
            return f"pending: {verdict}"
        self.earlier.append(Earlier(f"release {len(self.earlier) + 1}", self.turnover, lambda: local))
        self.seen.append(local)
        return "published"


class Node:
    """A real node, and a peer that looks at what it publishes."""

    def __init__(self, guard: Guard) -> None:
        url = f"memory://{uuid.uuid4()}"
        self.node = FederatedPSR().create_federation("f", url, member="a", guard=guard, on_recovery_key=lambda _: None)
        self.peer = FederatedPSR().join(*self.node.invite("b"))
        for _ in range(3):
            self.node.pulse(), self.peer.pulse()
        self.seen: list[PSR] = []

    def learn(self, psr: PSR) -> None:
        self.node.partial_fit(psr)

    def forget(self, psr: PSR) -> None:
        self.node.forget(psr)

    def pulse(self) -> str:
        before = self.node.status().version
        report = self.node.pulse()
        self.peer.pulse()
        if report.version > before:
            self.seen.append(self.peer.psr_of("a"))
        elif self.seen:
            assert self.peer.psr_of("a") == self.seen[-1]
        assert len(self.node.releases_) == report.version
        return report.status


@pytest.fixture(params=[House, Node])
def place(request: pytest.FixtureRequest) -> type[House | Node]:
    return request.param


def people(n_rows: int, seed: int = 0) -> np.ndarray:
    """Return rows of an age, a dose, and whether somebody is a member: whole numbers."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(20, 80, n_rows), rng.integers(1, 9, n_rows), np.arange(n_rows) % 2])


def psr_of(rows: np.ndarray, y: np.ndarray | None = None, names: tuple[str, ...] = NAMES, **settings) -> PSR:
    """Return the statistics of rows."""
    whole = PSR.from_rows(rows, y, classes=None if y is None else True, **settings)
    assert len(whole.names) == rows.shape[1]
    return whole


def rules_of(guard: Guard, psr: PSR) -> list[tuple[str, object, object, int, int]]:
    """Return what keeps a first release from being made."""
    reasons = judge(guard, psr, Turnover().learned(psr), []).reasons
    return [(reason.rule, reason.column, reason.label, reason.have, reason.need) for reason in reasons]


VICTIM = np.array([[44, 7, 1]])


# -- attacks ---------------------------------------------------------------------------------------------------------


def test_one_row_is_recovered_from_two_pulses_without_the_guard(place) -> None:
    """A row that was learned between two pulses is the difference of what was published, unless it waits for others."""
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(people(40)))
        assert house.pulse() == "published"
        house.learn(psr_of(VICTIM))
        answer = house.pulse()
        if guard:
            assert "1 of 10 rows learned since release 1 (learn 9 more)" in answer
            assert len(house.seen) == 1
        else:
            assert attacks.one_more(*house.seen) == VICTIM[0].tolist()


def test_one_row_that_outweighs_nine_others_is_recovered_from_two_pulses_without_the_guard(place) -> None:
    """Ten rows learned are as good as one if nine of them weigh next to nothing: rows count as far as they weigh."""
    rows = np.vstack([VICTIM, people(9, seed=1)])
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(people(40)))
        assert house.pulse() == "published"
        house.learn(psr_of(rows, sample_weight=np.array([1.0] + [2.0**-30] * 9)))
        answer = house.pulse()
        if guard:
            assert "1 of 10 rows changed since release 1, as far as they weigh" in answer
            assert len(house.seen) == 1
        else:
            assert attacks.heaviest(*house.seen) == VICTIM[0].tolist()


def test_one_row_is_recovered_from_three_pulses_without_the_guard(place) -> None:
    """Pulses one and three are compared, too: twenty rows learned and nineteen forgotten leave one."""
    added = np.vstack([people(19, seed=1), VICTIM])
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(people(60)))
        assert house.pulse() == "published"
        house.learn(psr_of(added))
        assert house.pulse() == "published"
        house.forget(psr_of(added[:-1]))
        answer = house.pulse()
        if guard:
            assert "since release 1 may differ by 1 of 10 rows" in answer
            assert "release 2" not in answer
            assert len(house.seen) == 2
        else:
            assert attacks.one_more(house.seen[0], house.seen[2]) == VICTIM[0].tolist()


def test_one_row_is_recovered_by_forgetting_and_relearning_without_the_guard(place) -> None:
    """Forty rows forgotten and thirty-nine of them learned again are one row, however many were moved."""
    rows = np.vstack([people(39), VICTIM])
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(np.vstack([people(60, seed=1), rows])))
        assert house.pulse() == "published"
        house.forget(psr_of(rows))
        house.learn(psr_of(rows[:-1]))
        answer = house.pulse()
        if guard:
            assert "since release 1 may differ by 1 of 10 rows" in answer
            assert len(house.seen) == 1
        else:
            assert attacks.one_less(*house.seen) == VICTIM[0].tolist()


def test_a_corrected_row_is_recovered_before_and_after_without_the_guard(place) -> None:
    """A batch that is forgotten, and learned again with one row corrected, tells that row twice if columns are few."""
    old, new = np.array([[44, 7]]), np.array([[45, 3]])
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(np.vstack([people(60)[:, :2], old])))
        assert house.pulse() == "published"
        house.forget(psr_of(np.vstack([people(60)[:39, :2], old])))
        house.learn(psr_of(np.vstack([people(60)[:39, :2], new])))
        answer = house.pulse()
        if guard:
            assert answer.startswith("pending: ")
            assert len(house.seen) == 1
        else:
            assert attacks.corrected(*house.seen) == (old[0].tolist(), new[0].tolist())


def test_a_single_member_of_a_level_is_recovered_without_the_guard(place) -> None:
    """Products with a column that is one in a single row are that row; the column is named, and what helps."""
    rows = people(40)
    rows[:, 2] = 0
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(np.vstack([rows, VICTIM])))
        answer = house.pulse()
        if guard:
            assert "column 'x2': 1 of 5 rows in level 1 (declare its levels with 'other', drop the column" in answer
            assert not house.seen
        else:
            assert attacks.single_member(house.seen[0], "x2") == VICTIM[0].tolist()


def test_all_rows_are_recovered_where_there_are_fewer_than_columns_without_the_guard(place) -> None:
    """Twelve rows of twenty whole numbers are read from their products, every one."""
    rows = np.random.default_rng(0).integers(0, 100, (12, 20))
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(rows))
        answer = house.pulse()
        if guard:
            assert "12 of 100 rows (5 for each of 20 columns: wait for more rows, or drop columns)" in answer
            assert not house.seen
        else:
            assert sorted(attacks.all_rows(house.seen[0])) == sorted(rows.tolist())


def test_an_outlier_that_outweighs_all_others_is_recovered_without_the_guard(place) -> None:
    """One income of a billion among small ones tells itself, and age and dose of whoever has it."""
    rows = np.column_stack([people(60)[:, :2], np.arange(60) % 7])
    rich = np.array([[44, 7, 10**9]])
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(np.vstack([rows, rich])))
        answer = house.pulse()
        if guard:
            assert "column 'x2': the square of its sum is within 1 % of its sum of squares" in answer
            assert not house.seen
        else:
            assert attacks.outlier(house.seen[0], "x2") == rich[0].tolist()


def test_each_attack_is_possible_within_a_class(place) -> None:
    """Statistics of each class are published, so each class is held to the same: a change of one row in one of them."""
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(people(80), np.arange(80) % 2))
        assert house.pulse() == "published"
        house.learn(psr_of(np.vstack([people(30, seed=1), VICTIM]), np.array([0] * 30 + [1])))
        answer = house.pulse()
        if guard:
            assert "1 of 10 rows of class 1 learned since release 1" in answer
            assert len(house.seen) == 1
        else:
            before, after = (psr.by_class()[1] for psr in house.seen)
            assert attacks.one_more(before, after) == VICTIM[0].tolist()


# -- a single release ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "waits"), [(9, True), (10, False)])
def test_ten_rows_are_asked_for(n_rows: int, waits: bool) -> None:
    """Nine rows wait and ten do not."""
    found = rules_of(DEFAULT, psr_of(people(n_rows)[:, :2]))
    assert found == ([("rows", None, None, 9, 10), ("rows_per_column", None, None, 9, 10)] if waits else [])


@pytest.mark.parametrize(("n_rows", "waits"), [(9, True), (10, False)])
def test_ten_rows_of_each_class_are_asked_for(n_rows: int, waits: bool) -> None:
    """Nine rows of a class wait, however many there are of another, and the class is named."""
    labels = np.array(["often"] * 50 + ["rare"] * n_rows)
    found = rules_of(replace(DEFAULT, rows_per_column=0), psr_of(people(50 + n_rows)[:, :2], labels))
    assert found == ([("class_rows", None, "rare", 9, 10)] if waits else [])


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(("n_rows", "waits"), [(0, False), (4, True), (5, False)])
def test_five_rows_in_each_level_that_occurs_are_asked_for(level: int, n_rows: int, waits: bool) -> None:
    """Four rows in either level of a column of zeros and ones wait, none do not."""
    rows = people(50)
    rows[:, 2] = 1 - level
    rows[:n_rows, 2] = level
    assert rules_of(DEFAULT, psr_of(rows)) == ([("level_rows", "x2", None, 4, 5)] if waits else [])


def test_levels_are_counted_in_each_class() -> None:
    """A level with five rows waits while four of them are of one class and one of another."""
    rows = people(60)
    labels = np.arange(60) % 2
    rows[:, 2] = 0
    rows[[0, 2, 4, 6, 1], 2] = 1
    assert rules_of(DEFAULT, psr_of(rows)) == []
    assert rules_of(DEFAULT, psr_of(rows, labels)) == [("level_rows", "x2", 0, 4, 5), ("level_rows", "x2", 1, 1, 5)]


@pytest.mark.parametrize(("n_rows", "waits"), [(14, True), (15, False)])
def test_five_rows_for_each_column_are_asked_for(n_rows: int, waits: bool) -> None:
    """Fourteen rows of three columns wait and fifteen do not."""
    rows = np.random.default_rng(0).normal(3, 1, (n_rows, 3))
    assert rules_of(DEFAULT, psr_of(rows)) == ([("rows_per_column", None, None, 14, 15)] if waits else [])


def test_a_row_of_a_large_weight_does_not_count_as_many() -> None:
    """Rows count as far as they weigh: nine of weight 0.001 beside one of weight 1000 are as good as one."""
    rows, weights = people(50)[:, :2].astype(float), np.full(50, 0.001)
    weights[0] = 1000.5
    assert ("rows", None, None, 1, 10) in rules_of(DEFAULT, psr_of(rows, sample_weight=weights))
    assert rules_of(DEFAULT, psr_of(rows, sample_weight=np.full(50, 0.25))) == []


def test_levels_of_weighted_rows_are_counted_from_below() -> None:
    """The weight of a level is no number of rows: what is proven of it counts."""
    rows = people(50)
    rows[:, 2] = 0
    rows[0, 2] = 1
    weights = np.full(50, 0.5)
    weights[0] = 20.5
    found = rules_of(replace(DEFAULT, rows=0, rows_per_column=0), psr_of(rows, sample_weight=weights))
    assert ("level_rows", "x2", None, 0, 5) in found


def test_decimals_are_judged_as_the_numbers_that_they_are() -> None:
    """A column of cents is no column of zeros and ones, and an outlier in dollars is one."""
    fares = np.round(np.random.default_rng(0).uniform(1, 9, (40, 1)), 2)
    assert rules_of(DEFAULT, PSR.from_rows(fares, decimals={"x0": 2})) == []
    fares[3] = 123_456.78
    assert [rule for rule, *_ in rules_of(DEFAULT, PSR.from_rows(fares, decimals={"x0": 2}))] == ["dominance"]


def test_statistics_of_no_rows_are_let_out() -> None:
    """A node that forgot all of its rows says so."""
    house = House(DEFAULT)
    house.learn(psr_of(people(40)))
    assert house.pulse() == "published"
    house.forget(psr_of(people(40)))
    assert house.pulse() == "published"
    assert house.seen[-1].n_rows == 0


# -- between releases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "n_columns", "need"), [(9, 2, 10), (10, 2, 10), (11, 12, 12), (12, 12, 12)])
@pytest.mark.parametrize("forget", [False, True])
def test_as_many_rows_as_columns_are_learned_or_forgotten_at_once(
    n_rows: int, n_columns: int, need: int, forget: bool
) -> None:
    """At least ten rows, or as many as there are columns, make a change that may be seen."""
    rng = np.random.default_rng(0)
    house, batch = House(DEFAULT), psr_of(rng.normal(3, 1, (n_rows, n_columns)))
    house.learn(psr_of(rng.normal(3, 1, (100, n_columns))))
    if forget:
        house.learn(batch)
    assert house.pulse() == "published"
    (house.forget if forget else house.learn)(batch)
    done = f"{n_rows} of {need} rows {'forgotten' if forget else 'learned'} since release 1"
    assert (done in house.pulse()) == (n_rows < need)


def test_rows_that_are_learned_and_forgotten_count_each_on_its_own() -> None:
    """A hundred rows learned do not hide three that were forgotten."""
    house = House(DEFAULT)
    house.learn(psr_of(people(60)))
    assert house.pulse() == "published"
    house.learn(psr_of(people(100, seed=1)))
    house.forget(psr_of(people(60)[:3]))
    assert "3 of 10 rows forgotten since release 1 (forget 7 more)" in house.pulse()
    house.forget(psr_of(people(60)[3:10]))
    assert house.pulse() == "published"


def test_a_state_that_was_altered_is_held_back() -> None:
    """A home whose statistics changed, with no row learned or forgotten, waits, and says that it is damaged."""
    house, rng = House(DEFAULT), np.random.default_rng(0)
    house.learn(PSR.from_rows(rng.normal(size=(60, 2))))
    assert house.pulse() == "published"
    house.local = PSR.from_rows(rng.normal(size=(60, 2)))
    assert house.pulse() == (
        "pending: what differs from release 1 are statistics that no rows have, so what this home holds was altered or "
        "damaged (reset, and learn the rows again)"
    )


def test_what_was_undone_does_not_count() -> None:
    """A state that was published is no news: what led back to it is not held against it."""
    house = House(DEFAULT)
    house.learn(psr_of(people(60)))
    assert house.pulse() == "published"
    house.learn(psr_of(people(20, seed=1)))
    assert house.pulse() == "published"
    house.forget(psr_of(people(20, seed=1)))
    assert house.pulse() == "published"
    assert house.seen[0] == house.seen[2]


def test_columns_that_depend_on_others_do_not_hold_back() -> None:
    """Two indicators that add up to one, and a column that is one number in each batch, lower the rank of a change."""
    house = House(DEFAULT)
    for month, n_rows in enumerate((60, 40, 50)):
        rows = people(n_rows, seed=month)
        house.learn(psr_of(np.column_stack([rows, 1 - rows[:, 2], np.full(n_rows, month + 1)])))
        assert house.pulse() == "published"
    house.forget(psr_of(np.column_stack([people(40, seed=1), 1 - people(40, seed=1)[:, 2], np.full(40, 2)])))
    assert house.pulse() == "published"


def test_a_single_member_among_rows_that_were_learned_between_two_pulses(place) -> None:
    """What was only added is held to the rules on levels, too: its one member would be told by the difference."""
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(people(40)))
        assert house.pulse() == "published"
        added = people(20, seed=1)
        added[:, 2] = 0
        house.learn(psr_of(np.vstack([added, VICTIM])))
        answer = house.pulse()
        if guard:
            assert "since release 1: column 'x2': 1 of 5 rows in level 1" in answer
            assert len(house.seen) == 1
        else:
            difference = attacks.gram(house.seen[1]) - attacks.gram(house.seen[0])
            assert difference[3, 3] == 1
            assert difference[3, 1:].tolist() == VICTIM[0].tolist()


def test_a_single_member_among_rows_that_a_longer_file_brought(place) -> None:
    """A file that is forgotten, and learned again with ten rows more, differs by these ten: the same rules hold."""
    file = people(60)
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(psr_of(file))
        assert house.pulse() == "published"
        added = people(9, seed=1)
        added[:, 2] = 0
        house.forget(psr_of(file))
        house.learn(psr_of(np.vstack([file, added, VICTIM])))
        answer = house.pulse()
        if guard:
            assert "since release 1: column 'x2': 1 of 5 rows in level 1" in answer
            assert len(house.seen) == 1
        else:
            assert attacks.single_member(house.seen[1] - house.seen[0], "x2") == VICTIM[0].tolist()


def flights(carriers: str, age: int = 40) -> PSR:
    """Return statistics of flights of carriers of one letter each, and of the age of their aircraft."""
    ages = [age - place % 7 for place in range(len(carriers))]
    return PSR.from_rows(pd.DataFrame({"carrier": list(carriers), "age": ages}))


@pytest.mark.parametrize(
    ("before", "added", "level"),
    [
        ("A" * 20 + "U" * 20, "Z" + "A" * 10 + "U" * 10, "Z"),  # nobody had that level
        ("A" * 20 + "Z" * 20, "Z" + "A" * 20, "Z"),  # others had it
        ("A" * 20 + "U" * 20, "Z" + "N" * 10 + "M" * 10, "Z"),  # other levels are new, too
        ("A" * 20 + "Z" * 20, "Z" + "N" * 20, "Z"),  # that one is not
        ("U" * 40, "Z" + "U" * 20, "Z"),  # there was one level only
    ],
)
def test_a_single_row_of_a_level_is_held_back_whatever_levels_there_were(place, before, added, level) -> None:
    """Releases are compared over the levels of both: a row that is alone in one, new or known, would be told."""
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(flights(before))
        assert house.pulse() == "published"
        house.learn(flights(added, age=44))
        answer = house.pulse()
        if guard:
            assert f"since release 1: column 'carrier', level '{level}': 1 of 5 rows in it (declare levels" in answer
            assert len(house.seen) == 1
        else:
            change = house.seen[1] - house.seen[0]
            told = dict(zip(change.names, attacks.single_member(change, f"carrier={level}"), strict=True))
            assert {name for name, value in told.items() if value} == {f"carrier={level}", "age"}
            assert told["age"] == 44


def test_a_level_that_goes_tells_of_its_last_row_unless_held_back(place) -> None:
    """Forgetting all rows of a level but in a class, or one of them, is a change like any other; so is its return."""
    for guard in (OFF, DEFAULT):
        house = place(guard)
        house.learn(flights("A" * 30 + "Z" * 5))
        assert house.pulse() == "published"
        gone = PSR.from_rows(pd.DataFrame({"carrier": ["Z", *"A" * 14], "age": [40 - p % 7 for p in [30, *range(14)]]}))
        house.forget(gone)
        answer = house.pulse()
        if guard:
            assert "level 'Z': 4 of 5 rows in it" in answer
            assert "since release 1: column 'carrier', level 'Z': 1 of 5 rows in it" in answer
            assert len(house.seen) == 1
        else:
            told = attacks.single_member(house.seen[0] - house.seen[1], "carrier=Z")
            assert told[house.seen[0].names.index("age")] == 40 - 30 % 7


def test_a_single_missing_value_is_held_back() -> None:
    """What says where values are is judged as levels are, and named by its column."""
    frame = pd.DataFrame({"x": np.arange(40.0), "age": [np.nan, *range(39)]})
    for mode in ("pairwise", "indicator"):
        psr = PSR.from_rows(frame, missing={"age": mode})
        found = judge(DEFAULT, psr, Turnover().learned(psr), []).reasons
        assert [(reason.rule, reason.column, reason.have, reason.need) for reason in found] == [
            ("level_rows", "age", 1, 5)
        ]
        assert str(found[0]).startswith("1 of 5 rows without a value of 'age' (leave such rows out, ")
        few = PSR.from_rows(frame.assign(age=[7.0] * 3 + [np.nan] * 37), missing={"age": mode})
        assert "3 of 5 rows with a value of 'age'" in str(judge(DEFAULT, few, Turnover().learned(few), []))
    complete = PSR.from_rows(frame, missing={"age": "listwise"})
    assert judge(DEFAULT, complete, Turnover().learned(complete), [])


def test_all_but_a_few_rows_of_a_level_are_held_back() -> None:
    """Few rows outside of a level are as few rows in one, and declared levels that nobody has are none."""
    frame = pd.DataFrame({"carrier": ["A"] * 37 + ["U"] * 3, "x": np.arange(40.0)})
    psr = PSR.from_rows(frame, categories={"carrier": ["A", "Q", "other"]})
    assert [str(reason).split(" (")[0] for reason in judge(DEFAULT, psr, Turnover().learned(psr), []).reasons] == [
        "column 'carrier', level 'A': 3 of 5 rows outside of it",
        "column 'carrier', level 'other': 3 of 5 rows in it",
    ]


def test_the_order_of_columns_does_not_hide_a_difference() -> None:
    """Releases are compared by name."""
    house = House(DEFAULT)
    house.learn(psr_of(people(60)))
    assert house.pulse() == "published"
    house.local = (house.local + psr_of(VICTIM)).select(["x2", "x0", "x1"])
    house.turnover = house.turnover.learned(psr_of(VICTIM))
    assert "1 of 10 rows learned" in house.pulse()


def test_a_class_that_vanishes_or_appears_is_a_change_of_that_class() -> None:
    """Ten rows of a new class are let out; a class may go as a whole."""
    house = House(DEFAULT)
    house.learn(psr_of(people(60)[:, :2], np.zeros(60, int)))
    assert house.pulse() == "published"
    house.learn(psr_of(people(10, seed=1)[:, :2], np.ones(10, int)))
    assert house.pulse() == "published"
    house.forget(psr_of(people(10, seed=1)[:, :2], np.ones(10, int)))
    assert house.pulse() == "published"


steps = st.lists(st.tuples(st.sampled_from(["learn", "learn", "learn", "forget"]), st.integers(0, 11)), max_size=8)


@settings(max_examples=40)
@given(steps)
def test_what_is_not_compared_would_not_have_been_held_back(course: list[tuple[str, int]]) -> None:
    """Comparing with the newest of the releases since which nothing was forgotten says as much as with all of them."""
    house = House(replace(DEFAULT, dominance=0))
    batches = [psr_of(people(2 + number, seed=number)) for number in range(12)]
    held = []
    house.learn(psr_of(people(60, seed=99)))
    for what, number in course:
        if what == "learn":
            house.learn(batches[number])
            held.append(number)
        elif held:
            house.forget(batches[held.pop(number % len(held))])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_differencing, "_worth_comparing", lambda _, earlier: list(earlier))
            thorough = judge(house.guard, house.local, house.turnover, house.earlier)
        assert (house.pulse() == "published") == bool(thorough)


# -- thresholds ------------------------------------------------------------------------------------------------------


def test_thresholds_are_integers_in_their_range() -> None:
    """Anything else is refused with what was got and what was expected."""
    for wrong in ({"rows": -1}, {"rows": 1.5}, {"rows": True}, {"dominance": 51}):
        with pytest.raises(SettingError, match="but expected an integer from 0 to"):
            Guard(**wrong)
    assert bool(DEFAULT)
    assert not OFF


def test_a_laxer_guard_is_refused_with_every_threshold_that_is() -> None:
    """A node may be stricter than its federation in each rule, and not laxer in any."""
    replace(DEFAULT, rows=100).require_as_strict(DEFAULT)
    DEFAULT.require_as_strict(OFF)
    with pytest.raises(SettingError, match=r"Got a guard with rows=5 where the federation has 10, level_rows=0 where"):
        Guard(rows=5, level_rows=0, class_rows=50).require_as_strict(DEFAULT)


def test_a_guard_is_read_from_what_users_write() -> None:
    """None is the default, "off" is none, and the numbers of one make it again."""
    assert Guard.read(None, DEFAULT) is DEFAULT
    assert Guard.read("off", DEFAULT) is OFF
    assert Guard.read(OFF, DEFAULT) is OFF
    assert Guard.of(DEFAULT.thresholds) == DEFAULT
    with pytest.raises(SettingError, match="Got guard='lax', but expected a Guard, 'off' or None"):
        Guard.read("lax", DEFAULT)
    with pytest.raises(SettingError, match="Got 1 thresholds"):
        Guard.of((1,))


def test_a_turnover_is_kept_as_bytes() -> None:
    """Labels of every kind come back as they were."""
    for labels in (np.array([True, False]), np.array([1, 2]), np.array(["a", "b"])):
        turnover = Turnover().learned(psr_of(people(2), labels)).forgotten(psr_of(people(1), labels[:1]))
        assert Turnover.from_bytes(turnover.to_bytes()) == turnover
        assert turnover.total() == (2, 1)
    assert Turnover.from_bytes(None) == Turnover()
