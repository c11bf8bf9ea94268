"""The laws of exact statistics, as one suite that a test class inherits.

Every law is an equality without tolerance.  An implementation that rounds anywhere breaks one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import ForgetError
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.testing._strategies import class_labels, finite_rows, partitions, weights

__all__ = ["PSRLaws", "exact_moments"]

Array = np.ndarray[Any, Any]


def exact_moments(rows: Any, sample_weight: Any = None) -> list[list[Fraction]]:
    """Return the augmented Gram matrix ``[1, X]' W [1, X]`` by schoolbook sums of fractions: slow, and plainly right.

    Parameters
    ----------
    rows : array-like of shape (n_rows, n_columns)
    sample_weight : array-like of shape (n_rows,), default=None
    """
    wide = [[Fraction(1), *(Fraction(value) for value in row)] for row in np.asarray(rows).tolist()]
    scales = (
        [Fraction(1)] * len(wide)
        if sample_weight is None
        else [Fraction(w) for w in np.asarray(sample_weight).tolist()]
    )
    size = np.asarray(rows).shape[1] + 1
    return [
        [sum((w * row[i] * row[j] for w, row in zip(scales, wide, strict=True)), Fraction(0)) for j in range(size)]
        for i in range(size)
    ]


def _law(max_examples: int = 100, **strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw the arguments of a law.

    Extreme exponents take longer than Hypothesis' default deadline, and a suite is there to be inherited more than
    once, which is what the health check on differing executors warns of.
    """
    profile = settings(
        deadline=None, max_examples=max_examples, suppress_health_check=[HealthCheck.differing_executors]
    )
    return lambda law: profile(given(**strategies)(law))


class PSRLaws:
    """Inherit this in a test class; override the three operations to put other implementations to the test.

    Examples
    --------
    >>> from sklearn_symfed.testing import PSRLaws
    >>> class TestMine(PSRLaws):
    ...     pass
    """

    def learn(self, *args: Any, **kwargs: Any) -> PSR:
        """Learn rows: `PSR.from_rows` by default."""
        return PSR.from_rows(*args, **kwargs)

    def merge(self, first: PSR, second: PSR) -> PSR:
        """Add what two parties have learned."""
        return first + second

    def forget(self, whole: PSR, part: PSR) -> PSR:
        """Take a part away."""
        return whole - part

    @_law(data=st.data(), rows=finite_rows())
    def test_any_partition_order_and_tree_gives_the_state_of_all_rows(self, data: Any, rows: Array) -> None:
        """Parts merged in any tree equal all rows learned in one place."""
        parts = [self.learn(rows[part]) for part in data.draw(partitions(len(rows)))]
        while len(parts) > 1:
            first = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            second = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
            parts.append(self.merge(first, second))
        assert parts[0] == self.learn(rows)

    @_law(rows=finite_rows(max_rows=8, max_columns=3))
    def test_the_state_is_the_exact_sum(self, rows: Array) -> None:
        """Every moment equals the same sum over fractions."""
        moments = self.learn(rows).moments()
        unit = moments.unit
        assert [[value * unit for value in row] for row in moments.matrix.tolist()] == exact_moments(rows)
        assert moments.n_rows == len(rows)

    @_law(data=st.data(), rows=finite_rows(max_columns=5))
    def test_the_order_of_columns_does_not_matter(self, data: Any, rows: Array) -> None:
        """Columns are matched by name, and the digest does not see their order."""
        order = data.draw(st.permutations(range(rows.shape[1])))
        whole = self.learn(rows)
        permuted = whole.select([f"x{i}" for i in order])
        assert permuted == whole
        assert self.merge(whole, permuted) == self.merge(permuted, whole) == self.merge(whole, whole)
        assert self.learn(rows[:, order]).moments().matrix.tolist() == permuted.moments().matrix.tolist()

    @_law(data=st.data(), rows=finite_rows(max_rows=9))
    def test_states_form_a_commutative_group_of_what_was_learned(self, data: Any, rows: Array) -> None:
        """Zero is neutral, addition commutes and associates, and forgetting undoes learning."""
        first, second, third = (self.learn(rows[part]) for part in data.draw(partitions(len(rows), 3)))
        zero = PSR.zero(first.schema)
        assert self.merge(zero, first) == first == self.merge(first, zero)
        assert self.merge(first, second) == self.merge(second, first)
        assert self.merge(self.merge(first, second), third) == self.merge(first, self.merge(second, third))
        assert self.forget(self.merge(first, second), second) == first
        assert self.forget(first, first) == zero == self.learn(rows[:0])

    @_law(rows=finite_rows(min_rows=1))
    def test_what_was_not_learned_cannot_be_forgotten(self, rows: Array) -> None:
        """Taking rows from nothing is refused."""
        whole = self.learn(rows)
        try:
            left = self.forget(PSR.zero(whole.schema), whole)
        except ForgetError:
            return
        raise AssertionError(f"forgot {whole.n_rows} rows of nothing, and was left with {left!r}")

    @_law(data=st.data(), rows=finite_rows(max_rows=8, max_columns=2))
    def test_classes_are_kept_apart_and_add_up(self, data: Any, rows: Array) -> None:
        """Each class is the state of its rows, and the classes together are the state of all rows."""
        labels = data.draw(class_labels(len(rows)))
        keys = np.array(labels, dtype=object)
        whole = self.learn(rows, keys, classes=True)
        parts = [self.learn(rows[part], keys[part], classes=True) for part in data.draw(partitions(len(rows)))]
        merged = parts[0]
        for part in parts[1:]:
            merged = self.merge(merged, part)
        assert merged == whole
        assert whole.drop("y") == self.learn(rows)
        assert list(whole.labels) == sorted(set(labels))
        for label, state in whole.by_class().items():
            assert state == self.learn(rows[[each == label for each in labels]])

    @_law(max_examples=40, data=st.data(), rows=finite_rows(max_rows=5, max_columns=2))
    def test_weights_are_exact(self, data: Any, rows: Array) -> None:
        """Integer weights repeat rows; any weights give exact sums that do not depend on the partition."""
        weight = data.draw(weights(len(rows)))
        whole = self.learn(rows, sample_weight=weight)
        moments = whole.moments()
        unit = moments.unit
        kept = weight > 0
        assert [[value * unit for value in row] for row in moments.matrix.tolist()] == exact_moments(rows, weight)
        if weight.dtype.kind == "i":
            assert whole == self.learn(np.repeat(rows, weight, axis=0))
        else:
            squares = sum((Fraction(w) ** 2 for w in weight.tolist()), Fraction(0))
            assert (moments.n_rows, moments.sum_w2 * unit) == (kept.sum(), squares)
        parts = data.draw(partitions(len(rows)))
        merged = PSR.zero(whole.schema)
        for part in parts:
            merged = self.merge(merged, self.learn(rows[part], sample_weight=weight[part]))
        assert merged == whole

    @_law(max_examples=3, data=st.data(), rows=finite_rows(min_rows=5, max_rows=7), times=st.integers(6_600, 7_000))
    def test_batches_blocks_and_threads_do_not_matter(self, data: Any, rows: Array, times: int) -> None:
        """Many rows in one call, in batches, or on two threads, equal each row repeated by its weight."""
        order = np.random.default_rng(data.draw(st.integers(0, 2**32))).permutation(len(rows) * times)
        many = np.tile(rows, (times, 1))[order]
        want = self.learn(rows, sample_weight=np.full(len(rows), times))
        assert self.learn(many) == want
        assert self.learn(np.asfortranarray(many), n_jobs=2) == want
        batches = [self.learn(batch) for batch in np.array_split(many, data.draw(st.integers(2, 5)))]
        assert sum(batches[1:], batches[0]) == want

    @_law(data=st.data(), rows=finite_rows())
    def test_bytes_carry_the_whole_state(self, data: Any, rows: Array) -> None:
        """A state read from its bytes is equal and has the same columns in the same order."""
        order = data.draw(st.permutations(range(rows.shape[1])))
        psr = self.learn(rows).select([f"x{i}" for i in order])
        again = PSR.from_bytes(psr.to_bytes())
        assert again == psr
        assert again.names == psr.names
        assert again.to_bytes() == psr.to_bytes()
        assert psr.schema == Schema(psr.names)
