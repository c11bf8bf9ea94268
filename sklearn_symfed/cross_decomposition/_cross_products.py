"""The joint products of features and targets, centred and scaled, as balls; and what is learned of them, as floats."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, arb_mat

from sklearn_symfed._eigen import LEVELS, Level, evaluate_pairs
from sklearn_symfed.psr import Moments

__all__ = ["NOTHING_LEFT", "CrossComponents", "CrossProducts", "dot", "orientation"]

Array = np.ndarray[Any, Any]

NOTHING_LEFT = Fraction(10, 2**52) ** 2
"""Share of a variance, or squared correlation, that counts as none: scikit-learn's 10 eps, squared."""
_LEVELS = tuple(Level(level.bits, level.wanted, level.gap) for level in LEVELS)


@dataclass(frozen=True)
class CrossComponents:
    """Components of features and of targets that belong together, in units of their scales.

    Attributes
    ----------
    x_weights, x_loadings, x_rotations : ndarray of shape (n_features, n_components)
    y_weights, y_loadings, y_rotations : ndarray of shape (n_targets, n_components)
    coef : ndarray of shape (n_targets, n_features)
        In units of the rows.
    """

    x_weights: Array
    y_weights: Array
    x_loadings: Array
    y_loadings: Array
    x_rotations: Array
    y_rotations: Array
    coef: Array


class CrossProducts:
    """The co-moments of features and targets that vary, in the order of their names.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    n_targets : int
    scale : bool
        Whether to divide by standard deviations.

    Attributes
    ----------
    x, y : list of int
        Columns of features and of targets that vary.
    """

    def __init__(self, moments: Moments, n_targets: int, *, scale: bool) -> None:
        names, comoments = moments.names, moments.comoments
        self.comoments, self.scale = comoments, scale
        self.n_features, self.n_targets = len(names) - n_targets, n_targets
        varying = sorted((j for j in range(len(names)) if comoments[j, j]), key=lambda j: names[j])
        self.x = [j for j in varying if j < self.n_features]
        self.y = [j for j in varying if j >= self.n_features]

    def block(self, rows: Sequence[int], columns: Sequence[int]) -> arb_mat:
        """Return products of some columns with others, up to one factor that all share."""
        left, right = self.scales(rows), self.scales(columns)
        entries = [
            arb(int(self.comoments[i, j])) / (s * t)
            for i, s in zip(rows, left, strict=True)
            for j, t in zip(columns, right, strict=True)
        ]
        return arb_mat(len(rows), len(columns), entries)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of precision that scales ask for: without dividing by them they may be far apart."""
        sizes = [int(self.comoments[j, j]).bit_length() for j in [*self.x, *self.y]]
        apart = 0 if self.scale else max(sizes) - min(sizes)
        return *_LEVELS, Level(1600 + 4 * apart, 800 + 2 * apart, 600 + 2 * apart, last=True)

    def scales(self, columns: Sequence[int]) -> list[arb]:
        """Return what columns are divided by, up to one factor that all share."""
        return [arb(int(self.comoments[j, j])).sqrt() if self.scale else arb(1) for j in columns]

    def evaluate(self, count: int, attempt: Callable[[Level], dict[str, list[list[arb]]] | None]) -> CrossComponents:
        """Round components of balls, once they are precise enough, and put them where their columns are.

        Parameters
        ----------
        count : int
            How many were asked for.
        attempt : callable
            Takes a level and returns weights, loadings and rotations, a list of balls for each component, or None.
            There may be fewer than were asked for: the others are zero.
        """
        names = [field.name for field in fields(CrossComponents)]
        sizes = {"x": len(self.x), "y": len(self.y)}

        def matrices(level: Level) -> list[arb_mat] | None:
            try:
                found = attempt(level)
            except ZeroDivisionError:  # not regular for sure at this level
                if level.last:
                    raise
                return None
            if found is None:
                return None
            padded = {
                name: arb_mat([*found[name], *[[arb(0)] * sizes[name[0]]] * (count - len(found[name]))]).transpose()
                for name in names[:-1]
            }
            return [*padded.values(), self._coef(padded["x_rotations"], padded["y_loadings"])]

        rounded = dict(zip(names, evaluate_pairs(matrices, self.levels), strict=True)) if self.x and self.y else {}
        places = {"x": self.x, "y": [j - self.n_features for j in self.y]}
        out = {name: np.zeros(((self.n_features, self.n_targets)[name[0] == "y"], count)) for name in names[:-1]}
        out["coef"] = np.zeros((self.n_targets, self.n_features))
        for name, values in rounded.items():
            where = np.ix_(places["y"], places["x"]) if name == "coef" else (places[name[0]],)
            out[name][where] = values
        components = CrossComponents(**out)
        learned = int(components.x_weights.any(axis=0).sum())
        if learned < count:
            msg = f"Features and targets have {learned} components in common, not {count}: the others are zero."
            warnings.warn(msg, UserWarning, stacklevel=7)
        return components

    def _coef(self, x_rotations: arb_mat, y_loadings: arb_mat) -> arb_mat:
        x_scales, y_scales = self.scales(self.x), self.scales(self.y)
        rows = zip((y_loadings * x_rotations.transpose()).tolist(), y_scales, strict=True)
        return arb_mat([[entry * t / s for entry, s in zip(row, x_scales, strict=True)] for row, t in rows])


def orientation(vector: Sequence[arb]) -> int:
    """Return the sign that makes the entry of largest magnitude positive; ties go to the first."""
    sizes = np.array([abs(float(entry.mid())) for entry in vector])
    first = int(np.argmax(sizes >= sizes.max() * (1 - 1e-15)))
    return -1 if vector[first].mid() < 0 else 1


def dot(a: Sequence[arb], b: Sequence[arb]) -> arb:
    """Return the sum of products of two vectors."""
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))
