"""What exactness asks of this process: an ordinary BLAS, and gradual underflow in the calling thread.

Sums of products of small integers are exact in float64 in any order of summation, which holds for every BLAS that
multiplies and adds.  It does not hold for one that uses Strassen's scheme or emulates float64, and a thread that
flushes subnormal numbers to zero loses digits in silence.  Both are checked, never assumed.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sklearn_symfed.exceptions import ArithmeticModeError

__all__ = ["require_exact_blas", "require_gradual_underflow"]

_TINY = np.array([2.0**-1022, 5e-324])
_SCALES = np.array([0.5, 2.0**60])
_EXPECTED = np.array([2.0**-1023, 2.0**-1014])


def require_gradual_underflow() -> None:
    """Raise unless this thread keeps subnormal numbers.

    The mode is a property of the thread and can change at any time (a library loaded with fast-math flags sets it), so
    every call that learns asks anew; the question costs a microsecond.

    Raises
    ------
    ArithmeticModeError
        If subnormal operands or results are replaced by zero.
    """
    if not np.array_equal(_TINY * _SCALES, _EXPECTED):
        msg = (
            "This thread flushes subnormal numbers to zero (FTZ or DAZ is set), so digits would be lost. A library "
            "that was compiled with -ffast-math sets this mode when it is loaded: import it in another process, or "
            "reset the mode before learning."
        )
        raise ArithmeticModeError(msg)


@cache
def require_exact_blas() -> None:
    """Raise unless this process's BLAS sums integer products below 2**53 exactly; checked once a process.

    Raises
    ------
    ArithmeticModeError
        If a product of integer matrices differs from the same product in 64-bit integer arithmetic.
    """
    rng = np.random.default_rng(0)
    for n_columns in (1, 3, 10, 33, 128):
        # Magnitudes just below 2**22 bring sums over 512 rows next to 2**53: any intermediate that is not one of the
        # partial sums (Strassen's are not) leaves the exact range. Columns 0 and 1 share their signs.
        digits = rng.integers(2**22 - 2**12, 2**22, size=(2, 512, n_columns))
        digits *= rng.choice([-1, 1], size=digits.shape)
        digits[:, :, :2] = np.abs(digits[:, :, :2])
        floats = digits.astype(np.float64)
        products = np.matmul(floats.transpose(0, 2, 1), floats)  # syrk
        mixed = np.matmul(floats[0].T, floats[1])  # gemm
        sums = np.ones(512) @ floats[0]  # gemv
        if not (
            np.array_equal(products, np.matmul(digits.transpose(0, 2, 1), digits))
            and np.array_equal(mixed, np.matmul(digits[0].T, digits[1]))
            and np.array_equal(sums, digits[0].sum(axis=0))
        ):
            msg = (
                "This process's BLAS does not add products of integers below 2**53 exactly (Strassen-like or emulated "
                "float64 arithmetic). Use an ordinary OpenBLAS, BLIS, MKL or Accelerate build of numpy."
            )
            raise ArithmeticModeError(msg)
