"""Roots of equations are rounded correctly, wherever the float64 steps came from."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from sklearn_symfed._refined import refined_root

START = np.array([1.2, 0.8])


def circle_and_curve(x):
    """Return how far a point is from the circle of radius squared 2, and from ``x**3 = y + 1/3``."""
    return [x[0] * x[0] + x[1] * x[1] - 2, 3 * x[0] ** 3 - 3 * x[1] - 1]


def jacobian(x):
    return np.array([[2 * x[0], 2 * x[1]], [9 * x[0] ** 2, -3.0]])


@pytest.mark.parametrize("spoiled", [0.0, 1e-3, -0.05])
def test_the_root_does_not_depend_on_the_steps(spoiled):
    """A Jacobian that is a little wrong takes more steps to the same float64 numbers, which are mpmath's."""
    start = START
    for _ in range(20):
        start = start - np.linalg.solve(jacobian(start), circle_and_curve(start))
    slope = jacobian(start) * (1 + spoiled)
    found = refined_root(circle_and_curve, lambda r: np.linalg.solve(slope, r), start + spoiled / 10)
    with mpmath.workdps(60):
        truth = mpmath.findroot(lambda *x: circle_and_curve(x), START.tolist())
    assert found.tolist() == [float(value) for value in truth]


def test_what_is_read_at_the_root_is_rounded_once():
    """A function of the root is evaluated before it is rounded."""
    root = refined_root(lambda x: [x[0] * x[0] - 2], lambda r: r / 2.8, np.array([1.4]), read=lambda x: [x[0] ** 2])
    assert root.tolist() == [2.0]


def test_an_exact_root_takes_no_step():
    """Nothing moves where nothing is left."""
    assert refined_root(lambda x: [x[0] - 3], lambda r: r, np.array([3.0])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("residual", "step"),
    [
        (lambda x: [x[0] * x[0] + 1], lambda r: r / 2),
        (lambda x: [x[0] - 3], lambda r: r * np.inf),
        (lambda x: [x[0] - 3], lambda r: -r),
    ],
    ids=["no root", "singular", "wrong way"],
)
def test_no_root_is_no_answer(residual, step):
    """Where steps do not lead anywhere, an error says so."""
    with pytest.raises(ArithmeticError, match="expected"):
        refined_root(residual, step, np.array([1.0]))
