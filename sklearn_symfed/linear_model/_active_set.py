"""Which columns count where coefficients are drawn to zero, or may not be negative: found in float64, decided exactly.

Owns the active set of the Lasso, of the elastic net and of non-negative least squares.  What is solved on it is
`_normal_equations`'s business.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram

from sklearn_symfed._definite import Definite, independent_columns
from sklearn_symfed._linalg import Field, signs
from sklearn_symfed._rounding import flint_integers, integer_ratio, quotients
from sklearn_symfed.linear_model._normal_equations import LinearSolution, NormalEquations, joined, least_norm

__all__ = ["ActiveSet", "Penalised", "minimum", "solve_sparse"]

Array = np.ndarray[Any, Any]
_FLIPS = 8
_FIRST_SHIFT = 40


@dataclass(frozen=True, eq=False)
class Penalised:
    r"""Minimise :math:`w^T G w / 2 - c^T w + l \|w\|_1`, where `positive` among non-negative numbers.

    Attributes
    ----------
    gram : ndarray of object of shape (n, n)
        Python integers, positive semi-definite with positive diagonal.
    right : ndarray of object of shape (n,)
        In the range of `gram`, which makes the minimum exist.
    level : int
        Not negative; positive unless `positive` is true.
    positive : bool
    """

    gram: Array
    right: Array
    level: int
    positive: bool

    def shifted(self, bits: int) -> Penalised:
        """Return the problem with ``2**-bits`` of the largest diagonal entry added to all."""
        gram = self.gram << bits
        gram[np.diag_indices(len(gram))] += max(self.gram.diagonal())
        return Penalised(gram, self.right << bits, self.level << bits, self.positive)

    def pull(self, sides: Array) -> Array:
        """Return the right side on active columns, whose correlations with what is left are `level` times a sign."""
        active = np.flatnonzero(sides)
        return np.array(self.right[active] - self.level * sides[active].astype(object))

    def system(self, columns: Sequence[int]) -> Definite:
        return Definite(self.gram[np.ix_(columns, columns)])


@dataclass(frozen=True, eq=False)
class ActiveSet:
    """The columns whose coefficients are not zero.

    Attributes
    ----------
    chosen : list of int
        Independent ones, on which the others depend.
    others : list of int
    sides : ndarray of int of shape (n,)
        Signs of the coefficients.
    """

    chosen: list[int]
    others: list[int]
    sides: Array


def solve_sparse(
    equations: NormalEquations, penalty: Fraction, level: Fraction = Fraction(0), *, positive: bool = False
) -> LinearSolution:
    """Solve normal equations whose solution has zeros, for one target after another, and round once.

    Parameters
    ----------
    equations : NormalEquations
    penalty : Fraction
        On half the squared norm of the coefficients, in the unit of the sum of squared residuals.
    level : Fraction, default=0
        On the sum of their absolute values; positive unless `positive` is true.
    positive : bool, default=False
        Whether coefficients may not be negative.

    Returns
    -------
    LinearSolution
        Its rank is the number of features less those without which there would be one solution only.
    """
    return joined([([t], _solve_one(equations.of(t), penalty, level, positive)) for t in equations.targets])


def _solve_one(equations: NormalEquations, penalty: Fraction, level: Fraction, positive: bool) -> LinearSolution:
    left, right, bound = equations.penalised(penalty, level)
    if not (len(left) and equations.active):
        return equations.solve_on(left, right, [], [], equations.n_features)
    found = minimum(Penalised(left, right[:, 0], bound, positive))
    pulled = right - bound * found.sides.astype(object)[:, None]
    return equations.solve_on(left, pulled, found.chosen, found.others, equations.n_features - len(found.others))


def minimum(problem: Penalised) -> ActiveSet:
    r"""Return the active set of the minimum; of that with the smallest norm where there are several.

    Parameters
    ----------
    problem : Penalised

    Returns
    -------
    ActiveSet

    Notes
    -----
    :math:`w` is a minimum if and only if :math:`r = c - G w` has :math:`r_j = l \, \mathrm{sign}(w_j)` where
    :math:`w_j \ne 0`, and :math:`|r_j| \le l` (or only :math:`r_j \le l`) elsewhere [1]_.  On a guessed active set with
    signs :math:`s` the first is solved by :math:`w_A = G_{AA}^{-1} (c_A - l s_A)`; whether these have the signs, and
    whether the second holds, are signs of rational numbers, which are decided exactly.  The guess is float64's, by the
    path of least angle regression; where it is wrong, what contradicts it changes sides, a few times.

    Where that does not settle it, or where columns with :math:`|r_j| = l` depend on each other, so that there may be
    other minima, the problem is the limit of those with :math:`G + \epsilon` for :math:`\epsilon \to 0`, which have
    unique minima.  With the active set of a small :math:`\epsilon`, the smallest of all solutions of
    :math:`G_{AA} w_A = c_A - l s_A` is the limit if it passes the test above, has no wrong sign, and
    :math:`s_j (G_{jA} h)_j \le 0` with :math:`G_{AA} h = w_A` for the other columns with :math:`|r_j| = l`: these are
    the conditions for the smallest norm among all minima.  Else :math:`\epsilon` was too large.

    References
    ----------
    .. [1] R. J. Tibshirani, "The Lasso Problem and Uniqueness", Electronic Journal of Statistics 7, 2013.
    """
    verdict = _settled(problem, _guess(problem))
    if verdict is not None and verdict.is_only():
        return ActiveSet(np.flatnonzero(verdict.sides).tolist(), [], verdict.sides)
    for shift in (_FIRST_SHIFT << k for k in count()):
        shifted = problem.shifted(shift)
        guess = _guess(shifted)
        verdict = _settled(shifted, guess)
        found = _smallest(problem, _descend(shifted, guess) if verdict is None else verdict.sides)
        if found is not None:
            return found
    raise AssertionError  # some shift is small enough


def _guess(problem: Penalised) -> Array:
    """Return about the minimum, in float64."""
    unit = int(max(problem.gram.diagonal())).bit_length()
    scale = max(int(max(abs(problem.right))), problem.level, 1).bit_length()
    right, level = quotients(problem.right, 1 << scale), quotients(np.array([problem.level]), 1 << scale)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, _, coef = lars_path_gram(
            right,
            quotients(problem.gram, 1 << unit),
            n_samples=1,
            max_iter=8 * len(right),
            alpha_min=float(level[0]),
            method="lasso",
            return_path=False,
            positive=problem.positive,
        )
    coef = np.ldexp(np.maximum(coef, 0.0) if problem.positive else coef, scale - unit)
    return np.where(np.isfinite(coef), coef, 0.0)


# -- what decides: signs of rational numbers -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Verdict:
    """What an active set of independent columns comes to.

    Attributes
    ----------
    problem : Penalised
    tried : ndarray of int of shape (n,)
        The sides on which columns were.
    sides : ndarray of int of shape (n,)
        The signs of the coefficients.
    above, below : ndarray of int of shape (n,)
        The signs of :math:`r - l` and :math:`r + l`; of active columns -1 and 1.
    """

    problem: Penalised
    tried: Array
    sides: Array
    above: Array
    below: Array

    @property
    def wanted(self) -> Array:
        """The sides to try next; those tried if this is the minimum."""
        entering = (self.above > 0).astype(np.int64) - (self.below < 0)
        return np.where(self.tried == 0, entering, np.where(self.sides == -self.tried, 0, self.tried))

    @property
    def ties(self) -> Array:
        """The inactive columns whose correlation is as large as that of the active ones."""
        return np.flatnonzero((self.tried == 0) & ((self.above == 0) | (self.below == 0)))

    def is_only(self) -> bool:
        """Tell whether a minimum is the only one."""
        columns = np.sort(np.concatenate([np.flatnonzero(self.tried), self.ties]))
        gram = self.problem.gram[np.ix_(columns, columns)]
        return not len(self.ties) or len(independent_columns(gram, 0)) == len(columns)


def _verdict(problem: Penalised, tried: Array, beside: Sequence[int] = ()) -> _Verdict:
    """Solve on an active set of independent columns; columns `beside` it are not looked at."""
    active = np.flatnonzero(tried)
    rest = np.setdiff1d(np.flatnonzero(tried == 0), beside)
    system, right = problem.system(active.tolist()), problem.pull(tried)[:, None]
    level = np.full((len(rest), 1), problem.level, dtype=object)

    def formula(field: Field) -> list[Any]:
        left = field.matrix(problem.right[rest, None])
        if not len(active):
            return [left - field.matrix(level), left + field.matrix(level)]
        coef = field.solve(system, right)
        left -= field.matrix(problem.gram[np.ix_(rest, active)]) * coef
        return [left - field.matrix(level), left + field.matrix(level), coef]

    if len(active) and system.factor is None and not system.is_regular:
        raise np.linalg.LinAlgError("Got a singular matrix, but expected a positive definite one.")
    over, under, *coef = signs(formula)
    sides, above, below = np.zeros_like(tried), np.full_like(tried, -1), np.full_like(tried, 1)
    above[rest] = over[:, 0]
    if not problem.positive:
        below[rest] = under[:, 0]
    if coef:
        sides[active] = coef[0][:, 0]
    return _Verdict(problem, tried, sides, above, below)


def _settled(problem: Penalised, guess: Array) -> _Verdict | None:
    """Let what contradicts a guess change sides until nothing does; None where it does not come to an end."""
    sides = np.sign(guess).astype(np.int64)
    for _ in range(_FLIPS):
        try:
            verdict = _verdict(problem, sides)
        except np.linalg.LinAlgError:
            return None
        if np.array_equal(verdict.wanted, sides):
            return verdict
        sides = verdict.wanted
    return None


def _smallest(problem: Penalised, sides: Array) -> ActiveSet | None:
    """Return the support of the smallest solution on an active set, if that is the smallest of all minima."""
    active = np.flatnonzero(sides).tolist()
    chosen, others = _split(problem, active)
    alone = sides.copy()
    alone[others] = 0
    verdict = _verdict(problem, alone, others)
    if (verdict.above > 0).any() or (verdict.below < 0).any():
        return None
    system, gram = problem.system(chosen), problem.gram
    across, right = gram[np.ix_(chosen, others)], problem.pull(alone)[:, None]

    def coefficients(field: Field) -> list[Any]:
        return least_norm(field, system, across, right)

    found = np.zeros_like(sides)
    if chosen:
        found[[*chosen, *others]] = np.concatenate([each[:, 0] for each in signs(coefficients)])
    ties = verdict.ties.tolist()

    def pull(field: Field) -> list[Any]:
        lifted = field.solve_over(field.matrix(gram[np.ix_(chosen, chosen)]), coefficients(field)[0])
        return [field.matrix(gram[np.ix_(ties, chosen)]) * lifted]

    if (found == -sides)[active].any():
        return None
    if ties and chosen and (signs(pull)[0][:, 0] * np.where(verdict.above[ties] == 0, 1, -1) > 0).any():
        return None
    return ActiveSet(*_split(problem, np.flatnonzero(found).tolist()), found)


def _split(problem: Penalised, active: list[int]) -> tuple[list[int], list[int]]:
    """Return independent columns among the active ones, and the others."""
    chosen = [active[i] for i in independent_columns(problem.gram[np.ix_(active, active)], 0)]
    return chosen, [j for j in active if j not in chosen]


# -- where the guess is far off --------------------------------------------------------------------------------------


def _descend(problem: Penalised, guess: Array) -> Array:
    r"""Return the signs of the minimum of a positive definite problem, over rational numbers.

    Notes
    -----
    Goes from a point straight towards the minimum on its active set, and drops what reaches zero on the way; there, the
    column that contradicts most becomes active, ties to the first [1]_ [2]_.  No active set comes twice, because
    each is left for a smaller value.

    References
    ----------
    .. [1] C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23.
    .. [2] H. Lee, A. Battle, R. Raina, A. Y. Ng, "Efficient Sparse Coding Algorithms", NIPS 2006.
    """
    sides = np.sign(guess).astype(np.int64)
    point = [fmpq(*integer_ratio(value)) for value in guess.tolist()]
    right = fmpq_mat(flint_integers(problem.right[:, None]))
    while True:
        point = _descended(problem, point, sides)
        active = np.flatnonzero(sides)
        residual = right
        if len(active):
            columns = fmpq_mat(flint_integers(problem.gram[:, active]))
            residual = right - columns * fmpq_mat(len(active), 1, [point[j] for j in active])
        over = [abs(r) if not problem.positive else r for r in residual.entries()]
        waiting = [j for j in np.flatnonzero(sides == 0).tolist() if over[j] > problem.level]
        if not waiting:
            return sides
        entering = max(waiting, key=lambda j: over[j])
        sides[entering] = 1 if residual[entering, 0] > 0 else -1


def _descended(problem: Penalised, point: list[fmpq], sides: Array) -> list[fmpq]:
    """Return the minimum on an active set from which, on the way there, columns are dropped."""
    while (sides != 0).any():
        active = np.flatnonzero(sides).tolist()
        pull = fmpq_mat(flint_integers(problem.pull(sides)[:, None]))
        goal = fmpq_mat(problem.system(active).flint).solve(pull).entries()
        shares = [point[j] / (point[j] - z) for j, z in zip(active, goal, strict=True) if z * int(sides[j]) <= 0]
        share = min(shares, default=fmpq(1))
        for j, z in zip(active, goal, strict=True):
            point[j] += share * (z - point[j])
            if shares and point[j] == 0:
                sides[j] = 0
        if not shares:
            break
    return point
