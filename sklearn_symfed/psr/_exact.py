"""Exact Gram matrices: floats are split without error, digits are multiplied without error, integers are added.

Owns the kernel only: float64 or float32 rows in, integers on the grid out.  What the columns mean is not known here.

A column is read in units of ``2**u`` and split into balanced digits of 23 bits, ``x = sum_k h_k * 2**(u - 23 k)``.
Units, number of digits and block sizes follow the data and serve speed alone: every path below is free of error, so
none of them can change a bit of the result.

1. A remainder after the last digit sends its row through again with one more digit.
2. Products of digits are Gram matrices of 512 rows (``syrk``); mixed products come from
   ``h'l + l'h = (h + l)'(h + l) - h'h - l'l``.
3. Certificate: where all diagonal entries are below 2**53, Cauchy-Schwarz bounds every partial sum of every entry, so
   the product is exact in any order of summation.  A block without certificate goes again with wider units.
4. Exponents beyond the range of this scheme take a path of integer shifts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_symfed.psr._arithmetic import require_exact_blas, require_gradual_underflow
from sklearn_symfed.psr._limbs import Accumulator, Int64, Limbs

__all__ = ["CHUNK_ROWS", "ExactGram", "NotFiniteError"]

CHUNK_ROWS = 32_768
_BLOCK = 512  # rows of one product: 512 * (2**22)**2 = 2**53
_DIGIT = 23  # bits of a balanced digit
_SHIFT_DIGIT = 22  # bits of a digit on the path of integer shifts
_MAX_DIGITS = 6
_MAX_UNIT = 900  # units beyond 2**+-900 leave the range in which scaling cannot overflow
_MAX_RETRIES = 4
_CERTIFIED = float(2**53)
_SAMPLE = 256  # rows that units are guessed from
_BUFFER = 1 << 16  # float64 numbers in one buffer of digits

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class NotFiniteError(ValueError):
    """A row holds NaN or infinity; the caller knows the names and says where."""


class ExactGram:
    """Running exact sums of the augmented Gram matrix ``[1, X]' W [1, X]``.

    Parameters
    ----------
    n_columns : int
        Width of the chunks.
    """

    def __init__(self, n_columns: int) -> None:
        require_exact_blas()
        self.n_columns = n_columns
        self._lanes = Accumulator((n_columns + 1, n_columns + 1))
        self._buffers: list[Floats] = []

    def add(self, x: Floats, exponent: int = 0) -> None:
        """Add the rows of a chunk, each counted ``2**exponent`` times.

        Parameters
        ----------
        x : ndarray of float64 or float32 of shape (n_rows, n_columns)
            At most `CHUNK_ROWS` rows.
        exponent : int, default=0
            Exponent of the weight that the rows share.

        Raises
        ------
        NotFiniteError
            If a value is NaN or infinite.  The sums are then spoilt: drop this object.
        """
        require_gradual_underflow()
        self._count(len(x), exponent)
        self._add_rows(x, exponent)

    def add_split(self, x: Floats, low: Floats, columns: Int64, exponent: int = 0) -> None:
        """Add rows whose `columns` are each the sum of two floats, ``x[:, columns] + low``.

        A sum of two columns has the sum of their Gram entries, so the wider matrix is learned and folded.
        """
        wide = ExactGram(self.n_columns + len(columns))
        wide.add(np.hstack([x, low]), exponent)
        size = self.n_columns + 1
        folded = wide._lanes.like(self._lanes.shape, 4)  # an entry adds up at most four
        for key, lane in wide._lanes.lanes.items():
            rows = lane[:size]
            rows[columns + 1] += lane[size:]
            both = rows[:, :size].copy()
            both[:, columns + 1] += rows[:, size:]
            folded.lanes[key] = both
        self._lanes.merge(folded)

    def merge(self, other: ExactGram) -> None:
        """Add the sums of another kernel of the same width."""
        self._lanes.merge(other._lanes)

    def packed(self, n_rows: int | None = None, sum_w2: Limbs | None = None) -> Limbs:
        """Return the state as one vector: rows, sum of squared weights, upper triangle of the augmented Gram matrix.

        Both leading entries default to the sum of weights, which they equal where every weight is one.
        """
        triangle = np.flatnonzero(np.triu(np.ones(self._lanes.shape, dtype=bool)))
        state = self._lanes.limbs(np.concatenate([[0, 0], triangle]))
        if n_rows is None or sum_w2 is None:
            return state
        lanes = {key: plane.astype(np.int64) for key, plane in zip(state.keys, state.planes, strict=True)}
        for position, entry in enumerate((Limbs.from_integers([n_rows]), sum_w2)):
            digits = dict(zip(entry.keys, entry.planes[:, 0].tolist(), strict=True))
            for key in set(lanes) | set(digits):
                lanes.setdefault(key, np.zeros(state.length, dtype=np.int64))[position] = digits.get(key, 0)
        return Limbs.carried(state.length, lanes)

    # -- the path of float digits ------------------------------------------------------------------------------------

    def _add_rows(
        self, x: Floats, exponent: int, units: Int64 | None = None, n_digits: int | None = None, retries: int = 0
    ) -> None:
        if not x.size:
            return
        if units is None:
            units = _guess_units(x)
        if n_digits is None:
            n_digits = _guess_digits(x, units)
        if n_digits > _MAX_DIGITS or retries > _MAX_RETRIES or np.abs(units).max() > _MAX_UNIT:
            self._add_by_shifts(x, exponent)
            return
        block = _BLOCK
        if n_digits == 1 and not retries:
            units, block = _narrow(x, units)
        products = _DigitProducts(self.n_columns, n_digits, self._buffers, block)
        deferred: list[Floats] = []
        uncertified: list[Floats] = []
        scale = np.ldexp(1.0, -units)
        for start in range(0, len(x), products.rows):
            rows = x[start : start + products.rows]
            try:
                left_over = products.split(rows, scale)
            except FloatingPointError:  # a value too small or too large for these units
                self._add_by_shifts(rows, exponent)
                continue
            if left_over.any():
                if left_over.mean() > 0.6:
                    deferred.append(rows)
                    continue
                deferred.append(rows[left_over])
                products.blank(left_over)
            if not products.multiply():
                uncertified.append(rows[~left_over])
        products.flush(self._lanes, units, exponent)
        if uncertified:
            self._widen(np.concatenate(uncertified), exponent, units, retries)
        if deferred:
            self._add_rows(np.concatenate(deferred), exponent, units, n_digits + 1, retries)

    def _widen(self, x: Floats, exponent: int, units: Int64, retries: int) -> None:
        """Send rows without certificate again: rare outliers with units of their own, the rest with wider ones."""
        outliers = (np.abs(x) > np.ldexp(1.0, np.minimum(units + 22, 1023))).any(axis=1)
        if 0 < outliers.mean() < 0.3:
            self._add_rows(x[~outliers], exponent, units + 1, None, retries + 1)
            x = x[outliers]
        wider = np.maximum(_exponent(np.abs(x).max(axis=0)) - 21, units + 1)
        self._add_rows(x, exponent, wider, None, retries + 1)

    # -- the path of integer shifts ----------------------------------------------------------------------------------

    def _add_by_shifts(self, x: Floats, exponent: int) -> None:
        """Add any finite floats: 53-bit integers, cut into digits on the absolute grid by shifts."""
        if not np.isfinite(x).all():
            raise NotFiniteError
        for start in range(0, len(x), _BLOCK):
            keys, digits = _shifted_digits(x[start : start + _BLOCK].astype(np.float64))
            if not len(keys):
                continue
            levels = np.zeros((2 * (keys[-1] - keys[0]) + 1, self.n_columns, self.n_columns), dtype=np.int64)
            for position, key in enumerate(keys):
                # 512 products below 2**44 each; a level adds up at most 50 pairs of digits
                products = np.matmul(digits[position].T, digits[position:]).astype(np.int64)
                products[1:] += products[1:].transpose(0, 2, 1).copy()
                levels[keys[position:] + key - 2 * keys[0]] += products
                sums = digits[position].sum(axis=0).astype(np.int64)
                _place(self._lanes, (0, slice(1, None)), sums, _SHIFT_DIGIT * int(key) + exponent)
            for level in np.flatnonzero(levels.any(axis=(1, 2))):
                position = _SHIFT_DIGIT * int(level + 2 * keys[0]) + exponent
                _place(self._lanes, (slice(1, None), slice(1, None)), levels[level], position)

    # -- integers onto the grid --------------------------------------------------------------------------------------

    def _count(self, n_rows: int, exponent: int) -> None:
        corner = np.zeros(self._lanes.shape, dtype=np.int64)
        corner[0, 0] = n_rows
        self._lanes.add(corner, exponent)


def _place(lanes: Accumulator, where: tuple[Any, ...], values: Int64, exponents: Int64 | int) -> None:
    """Add values to a part of the augmented matrix."""
    full = np.zeros(lanes.shape, dtype=np.int64)
    full[where] = values
    if isinstance(exponents, int):
        lanes.add(full, exponents)
        return
    positions = np.zeros(lanes.shape, dtype=np.int64)
    positions[...] = np.min(exponents)
    positions[where] = exponents
    lanes.add(full, positions)


class _DigitProducts:
    """The digits of some rows, and the running products of all digits that share their units."""

    def __init__(self, n_columns: int, n_digits: int, buffers: list[Floats], block: int) -> None:
        self.rows = max(_BLOCK, _BUFFER // n_columns // _BLOCK * _BLOCK)
        self._block = min(block, self.rows)
        self.rows -= self.rows % self._block
        while len(buffers) < n_digits + 2:
            buffers.append(np.empty((self.rows, n_columns)))
        self._digits = buffers[:n_digits]
        self._rest, self._mixed = buffers[-1], buffers[-2]
        self._n_digits = n_digits
        self._padded = 0
        self._products: dict[tuple[int, int], Int64] = {}
        self._sums: dict[int, Int64] = {}

    def split(self, rows: Floats, scale: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Split rows into digits; return a mask of the rows that leave a remainder.

        Raises
        ------
        FloatingPointError
            If a product with `scale` would be rounded.
        """
        used = len(rows)
        self._padded = used if used <= self._block else -(-used // self._block) * self._block
        rest = self._rest[:used]
        with np.errstate(under="raise", over="raise", invalid="raise"):
            np.multiply(rows, scale, out=rest)
            for k, digit in enumerate(self._digits):
                if k:
                    np.multiply(rest, 2.0**_DIGIT, out=rest)
                np.rint(rest, out=digit[:used])
                np.subtract(rest, digit[:used], out=rest)
                digit[used : self._padded] = 0.0
        if rest.max() == 0.0 == rest.min():
            return np.zeros(used, dtype=bool)
        return np.asarray(rest.any(axis=1))

    def blank(self, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Zero the digits of some rows."""
        rows = np.flatnonzero(mask)
        for digit in self._digits:
            digit[rows] = 0.0

    def multiply(self) -> bool:
        """Add the products of the digits that were split last; return False, adding nothing, without certificate."""
        # Some BLAS set spurious floating-point flags: the certificate is what tells an overflow.
        with np.errstate(all="ignore"):
            return self._multiply()

    def _multiply(self) -> bool:
        blocks = (max(1, self._padded // self._block), -1, self._digits[0].shape[1])
        grams: dict[tuple[int, int], Floats] = {}
        for k in range(self._n_digits):
            for m in range(k, self._n_digits):
                factor = self._digits[k][: self._padded]
                if m > k:
                    factor = np.add(factor, self._digits[m][: self._padded], out=self._mixed[: self._padded])
                block = factor.reshape(blocks)
                gram = np.matmul(block.transpose(0, 2, 1), block)
                if not np.einsum("bii->bi", gram).max() < _CERTIFIED:
                    return False
                grams[k, m] = gram
        ones = np.ones(self._padded)
        for (k, m), gram in grams.items():
            whole = gram.astype(np.int64).sum(axis=0)
            self._products[k, m] = self._products[k, m] + whole if (k, m) in self._products else whole
            if k == m:
                sums = (ones @ self._digits[k][: self._padded]).astype(np.int64)
                self._sums[k] = self._sums[k] + sums if k in self._sums else sums
        return True

    def flush(self, lanes: Accumulator, units: Int64, exponent: int) -> None:
        """Move the products onto the grid."""
        if not self._products:
            return
        pairs = units[:, None] + units[None, :] + exponent
        by_level: dict[int, Int64] = {}
        for (k, m), product in self._products.items():
            value = product if k == m else product - self._products[k, k] - self._products[m, m]
            by_level[k + m] = by_level[k + m] + value if k + m in by_level else value
        for level, value in by_level.items():
            _place(lanes, (slice(1, None), slice(1, None)), value, pairs - _DIGIT * level)
        for k, sums in self._sums.items():
            _place(lanes, (0, slice(1, None)), sums, units + exponent - _DIGIT * k)


def _exponent(magnitudes: Floats) -> Int64:
    """Return e with ``magnitude < 2**e``; 1 for zero."""
    return np.frexp(np.where(magnitudes == 0, 1.0, magnitudes))[1].astype(np.int64)


def _largest(x: Floats) -> Floats:
    """Return the largest magnitude of each column; NaN propagates."""
    n_rows, n_columns = x.shape
    fold = max(1, 512 // n_columns)
    if fold == 1 or n_rows < fold or not x.flags.c_contiguous:
        return np.asarray(np.maximum(x.max(axis=0), -x.min(axis=0)))
    whole = n_rows // fold * fold
    folded = x[:whole].reshape(-1, fold * n_columns)  # narrow reductions are slow: fold rows into wide ones
    largest = np.maximum(folded.max(axis=0), -folded.min(axis=0)).reshape(fold, n_columns).max(axis=0)
    return np.asarray(np.maximum(largest, np.abs(x[whole:]).max(axis=0)) if whole < n_rows else largest)


def _guess_units(x: Floats) -> Int64:
    """Choose the unit of each column from the spread of a sample and the largest magnitude."""
    largest = _largest(x).astype(np.float64)
    if not np.isfinite(largest).all():
        raise NotFiniteError
    sample = x[:: max(1, len(x) // _SAMPLE)][:_SAMPLE].astype(np.float64)
    top = np.abs(sample).max(axis=0)
    top = np.where(top == 0, 1.0, top)
    with np.errstate(under="ignore"):
        rms = top * np.sqrt(np.mean((sample / top) ** 2, axis=0))
    # Rare values may take up to 24 bits of the first digit; the certificate decides whether that was too bold.
    return np.maximum(_exponent(rms) - 21, _exponent(largest) - 24)


def _narrow(x: Floats, units: Int64) -> tuple[Int64, int]:
    """Widen the units of one-digit columns to their last bit; small digits then allow taller blocks than 512 rows."""
    sample = x[:: max(1, len(x) // _SAMPLE)][:_SAMPLE].astype(np.float64)
    with np.errstate(all="ignore"):
        bits = np.bitwise_or.reduce(np.abs(np.rint(sample * np.ldexp(1.0, -units))).astype(np.int64), axis=0)
    last = bits & -bits
    units = units + np.where(last > 1, np.log2(np.maximum(last, 1)).astype(np.int64), 0)
    largest = _largest(x).astype(np.float64) * np.ldexp(1.0, -units)
    height = _CERTIFIED / 2 / max(1.0, float(largest.max())) ** 2
    return units, _BLOCK * (1 << max(0, int(np.log2(max(1.0, height / _BLOCK)))))


def _guess_digits(x: Floats, units: Int64) -> int:
    """Choose how many digits leave no remainder in most rows of a sample."""
    if np.abs(units).max() > _MAX_UNIT:
        return _MAX_DIGITS + 1
    rest = x[:: max(1, len(x) // _SAMPLE)][:_SAMPLE].astype(np.float64)
    with np.errstate(all="ignore"):
        rest = rest * np.ldexp(1.0, -units)
        for n_digits in range(1, _MAX_DIGITS):
            rest = (rest - np.rint(rest)) * 2.0**_DIGIT
            if rest.any(axis=1).mean() < 0.12:
                return n_digits
    return 3


def _shifted_digits(rows: Floats) -> tuple[Int64, Floats]:
    """Cut floats into signed digits of 22 bits: ``rows = sum(digits[i] * 2**(22 * keys[i]))``, keys ascending."""
    mantissa, exponents = np.frexp(rows)
    integers = np.abs(np.ldexp(mantissa, 53)).astype(np.uint64)
    exponents = exponents.astype(np.int64) - 53
    present = exponents[integers != 0]
    keys: list[int] = []
    digits: list[Floats] = []
    lowest, highest = (present.min(), present.max() + 53) if len(present) else (0, -_SHIFT_DIGIT)
    for key in range(int(lowest) // _SHIFT_DIGIT, int(highest) // _SHIFT_DIGIT + 1):
        shift = exponents - _SHIFT_DIGIT * key
        left = np.where((shift >= 0) & (shift < _SHIFT_DIGIT), shift, 0).astype(np.uint64)
        right = np.where((shift < 0) & (shift > -53), -shift, 0).astype(np.uint64)
        digit = ((integers << left) >> right) & np.uint64((1 << _SHIFT_DIGIT) - 1)
        digit[(shift >= _SHIFT_DIGIT) | (shift <= -53)] = 0
        if digit.any():
            keys.append(key)
            digits.append(digit.astype(np.float64) * np.sign(rows))
    return np.array(keys, dtype=np.int64), np.array(digits)
