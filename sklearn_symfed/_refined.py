"""Roots of smooth equations beyond float64: floats say where they are and which way to go, balls say how far it is.

What iterates in scikit-learn ends where a tolerance lets it, with the last bits of the machine's BLAS.  Here the point
that is iterated to is found to so many bits that one rounding gives its float64 on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb

from sklearn_symfed._rounding import magnitude, precision, to_float

__all__ = ["refined_root"]

Array = np.ndarray[Any, Any]

_BITS = 320
_WANTED = 160
_MOST_STEPS = 60


def refined_root(
    residual: Callable[[list[arb]], Sequence[arb]],
    step: Callable[[Array], Array],
    start: Array,
    *,
    read: Callable[[list[arb]], Sequence[arb]] | None = None,
) -> Array:
    r"""Find a root near a float64 one by chord Newton, with residuals in balls, and round it once.

    Parameters
    ----------
    residual : callable
        Takes the n unknowns and returns the n left-hand sides of the equations, which are zero at the root.
    step : callable
        Solves the linearised equations in float64: takes n residuals, returns the n changes by which the unknowns have
        to *fall*, about :math:`J^{-1} r`.  It is linear, so that residuals may be handed over scaled.
    start : ndarray of shape (n,)
        Near enough for each step to at least halve the error.
    read : callable, default=None
        Takes the unknowns at the root and returns what is to be rounded; None rounds the unknowns.

    Returns
    -------
    ndarray of float64 of shape (n,), or as long as what `read` returns

    Raises
    ------
    ArithmeticError
        If the steps do not get smaller: `start` is not near a regular root.

    Notes
    -----
    Each step takes the error down by about the relative error of the float64 Jacobian [1]_, whatever kernel computed
    it, until a step is below :math:`2^{-160}` of the largest unknown.  What is rounded then lies so near to the root
    that its bits do not depend on where the steps came from.

    References
    ----------
    .. [1] C. T. Kelley, "Solving Nonlinear Equations with Newton's Method", SIAM 2003, section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_symfed._refined import refined_root
    >>> refined_root(lambda x: [x[0] * x[0] - 2], lambda r: r / 2.8, np.array([1.41])).tolist()
    [1.4142135623730951]
    """
    with precision(_BITS):
        unknowns = [arb(float(value)) for value in start]
        last = None
        for _ in range(_MOST_STEPS):
            wrong = [arb(value.mid()) for value in residual(unknowns)]
            scale = max((magnitude(value) for value in wrong if value != 0), default=None)
            if scale is None:
                break
            floats = np.array([float((value * arb((1, -scale))).mid()) for value in wrong])
            change = np.asarray(step(floats), dtype=np.float64)
            if not np.isfinite(change).all():
                raise ArithmeticError("Got equations that are singular near the start, but expected a regular root.")
            moves = [arb(float(value)) * arb((1, scale)) for value in change]
            unknowns = [arb((value - move).mid()) for value, move in zip(unknowns, moves, strict=True)]
            size = max((magnitude(value) for value in unknowns if value != 0), default=0)
            moved = max((magnitude(value) for value in moves if value != 0), default=size - _BITS)
            if moved < size - _WANTED:
                break
            if last is not None and moved > last + 1:
                raise ArithmeticError("Got steps that grow, but expected a start near a regular root.")
            last = moved
        else:
            raise ArithmeticError(f"Got no root after {_MOST_STEPS} steps, but expected a start near a regular one.")
        found = unknowns if read is None else read(unknowns)
        return np.array([to_float(arb(value.mid()), settle=True) for value in found], dtype=np.float64)
