"""Vectors of exact numbers: integers on an absolute binary grid, stored as planes of base-2^48 digits.

Owns their addition, the canonical form, and the way to and from Python integers.  Knows nothing of rows or columns.

Entry ``i`` of a vector is ``sum(planes[j, i] * 2**(48 * (low + j)) for j)``.  Digits are int64 and leave room: a
sum is one addition of planes, and carries wait until somebody asks what the numbers are.  Then they are settled: in the
canonical form all digits lie in ``[0, 2**48)`` but those of the last plane, which carries the signs, and no plane at
either end is superfluous, so that every vector has exactly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["LIMB_BITS", "Accumulator", "Limbs", "shortest", "signs"]

LIMB_BITS = 32
_MASK = (1 << LIMB_BITS) - 1
# One `Accumulator.add` puts less than 2**34 on a limb; after this many adds a limb is still below 2**62.
_ADDS_BEFORE_CARRY = 1 << 28

_BITS = 48
_OCTETS = _BITS // 8
_DIGIT = (1 << _BITS) - 1
# Digits of a canonical vector are at most 2**48; those of a sum of this many are at most 2**62.
_MOST_TERMS = 1 << 14
# As float64, relative to the last: with eight planes, squares of the smallest number stay above 2**-700.
_MOST_PLANES = 8
_WEIGHTS = 2.0 ** (_BITS * np.arange(1 - _MOST_PLANES, 1))

Int64 = np.ndarray[Any, np.dtype[np.int64]]
Octets = np.ndarray[Any, np.dtype[np.uint8]]
Float64 = np.ndarray[Any, np.dtype[np.float64]]
Index = np.ndarray[Any, np.dtype[np.intp]]
Form = tuple[tuple[int, int, int], Int64, int]  # (low, n_planes, length), planes, terms


class Limbs:
    """An immutable vector of exact numbers.

    Parameters
    ----------
    low : int
        Position of the first plane on the grid: plane ``j`` has the weight ``2**(48 * (low + j))``.
    planes : ndarray of int64 of shape (n_planes, length)
        Digits of at most ``terms * 2**48``.
    terms : int, default=2
        Of how many canonical vectors this is the sum; 1 only if it is one itself.
    """

    __slots__ = ("_form",)

    def __init__(self, low: int, planes: Int64, terms: int = 2) -> None:
        # replaced as one, so that threads see one form or the other
        self._form: Form = ((low, len(planes), planes.shape[1]), planes, terms)

    @classmethod
    def zeros(cls, length: int) -> Limbs:
        """Return as many zeros."""
        return cls(0, np.zeros((0, length), np.int64), 1)

    @classmethod
    def carried(cls, length: int, lanes: Mapping[int, Int64]) -> Limbs:
        """Take over digits of base 2^32, of any size below 2**62, by their position on the grid of that base."""
        if not lanes:
            return cls.zeros(length)
        low, words = _words(lanes)
        first, second, third = words.reshape(-1, 3, length).swapaxes(0, 1)  # three of 32 bits are two of 48
        planes = np.empty((len(first), 2, length), np.int64)
        planes[:, 0] = first | (second & 0xFFFF) << 32
        planes[:, 1] = second >> 16 | third << 16
        limbs = cls(low // 3 * 2, planes.reshape(-1, length))
        limbs._settled()
        return limbs

    @classmethod
    def from_integers(cls, integers: Iterable[int], exponent: int = 0) -> Limbs:
        """Store the numbers ``integer * 2**exponent``."""
        low, shift = divmod(exponent, _BITS)
        values = [int(value) << shift for value in integers]
        size = 1 + max((value.bit_length() for value in values), default=0) // _BITS
        digits = [[(value >> (_BITS * j)) & _DIGIT for value in values] for j in range(size - 1)]
        digits.append([value >> (_BITS * (size - 1)) for value in values])
        return cls(low, np.array(digits, dtype=np.int64).reshape(size, len(values)))

    @property
    def length(self) -> int:
        """Number of entries."""
        return self._form[0][2]

    def _settled(self) -> Form:
        """Carry, and drop planes that are superfluous; what was found stays."""
        form = self._form
        if form[2] != 1:
            low, planes = _settle(form[0][0], form[1])
            form = self._form = ((low, *planes.shape), planes, 1)
        return form

    def to_integers(self) -> tuple[np.ndarray[Any, np.dtype[np.object_]], int]:
        """Return Python integers and the exponent of two that they share.

        Returns
        -------
        integers : ndarray of object of shape (length,)
        exponent : int
            Entry ``i`` is ``integers[i] * 2**exponent``.
        """
        (low, _, _), planes, _ = self._settled()
        out = np.zeros(self.length, dtype=object)
        if len(planes) < 2:
            out[:] = planes[0].tolist() if len(planes) else 0
            return out, _BITS * low
        octets, exponent = self.to_octets()
        raw, step = octets.T.tobytes(), len(octets)
        out[:] = [int.from_bytes(raw[i : i + step], "little", signed=True) for i in range(0, len(raw), step)]
        return out, 8 * exponent

    def some_integers(self, index: Index | slice) -> tuple[list[int], int]:
        """Return a few entries as `to_integers` does, without settling the others."""
        (low, n_planes, _), planes, _ = self._form
        some = planes[:, index]
        if not n_planes:
            return [0] * some.shape[1], 0
        digits = some.tolist()
        values: list[int] = digits.pop()
        while digits:
            values = [(value << _BITS) + digit for value, digit in zip(values, digits.pop(), strict=True)]
        return values, _BITS * low

    def some_floats(self, index: Index) -> tuple[Float64, Float64]:
        """Return a few entries, divided by the weight of the last plane, and bounds of the errors.

        Where that takes more planes than are sure not to underflow, the bounds are infinite.
        """
        (_, n_planes, _), planes, _ = self._form
        some = planes.take(index, axis=1).astype(np.float64)
        if n_planes > _MOST_PLANES:
            return np.zeros(some.shape[1]), np.full(some.shape[1], np.inf)
        weights = _WEIGHTS[_MOST_PLANES - n_planes :]
        return weights @ some, weights @ np.abs(some) * np.float64(2.0**-45)

    def to_octets(self) -> tuple[Octets, int]:
        """Return the shortest two's complement that holds every entry, in planes of bytes.

        Returns
        -------
        octets : ndarray of uint8 of shape (width, length)
            Least significant first; the last plane carries the signs.  Width 0 stands for zeros.
        exponent : int
            The first plane has the weight ``2**(8 * exponent)``.
        """
        (low, _, _), planes, _ = self._settled()
        whole = planes.astype("<i8", copy=False).view(np.uint8).reshape(*planes.shape, 8)[..., :_OCTETS]
        octets = whole.transpose(0, 2, 1).reshape(_OCTETS * len(planes), self.length)
        first, last = shortest(octets)
        return octets[first:last], _OCTETS * low + first if last else 0

    @classmethod
    def from_octets(cls, octets: Octets, exponent: int) -> Limbs:
        """Read what `to_octets` returned.

        Raises
        ------
        ValueError
            If the planes are not the shortest ones.
        """
        if shortest(octets) != (0, len(octets)):
            msg = "Got planes of bytes that are not the shortest ones, but expected no more than it takes."
            raise ValueError(msg)
        if not len(octets):
            return cls.zeros(octets.shape[1])
        low, below = divmod(exponent, _OCTETS)
        n_planes = -(-(below + len(octets)) // _OCTETS)
        whole = np.zeros((_OCTETS * n_planes, octets.shape[1]), dtype=np.uint8)
        whole[below : below + len(octets)] = octets
        whole[below + len(octets) :] = signs(octets[-1])
        words = np.zeros((n_planes, octets.shape[1], 8), dtype=np.uint8)
        words[..., :_OCTETS] = whole.reshape(n_planes, _OCTETS, -1).transpose(0, 2, 1)
        planes = words.view("<i8")[..., 0].astype(np.int64, copy=False)
        planes[-1] = planes[-1] << 16 >> 16  # the last one is signed
        return cls(low, planes, 1)

    def take(self, index: Index) -> Limbs:
        """Return the entries at `index`."""
        (low, _, _), planes, terms = self._form
        return Limbs(low, planes.take(index, axis=1), max(terms, 2))

    def within(self, length: int, start: int) -> Limbs:
        """Return a vector that has these entries from `start` on, and zeros before and behind them."""
        (low, n_planes, own), planes, terms = self._form
        padded = np.zeros((n_planes, length), np.int64)
        padded[:, start : start + own] = planes
        return Limbs(low, padded, max(terms, 2))

    def __add__(self, other: Limbs) -> Limbs:
        frame, ours, terms = self._form
        same, theirs, more = other._form
        terms += more
        if frame == same and terms <= _MOST_TERMS:
            added = _new(Limbs)
            added._form = (frame, ours + theirs, terms)
            return added
        return self._plus(other, np.add)

    def __sub__(self, other: Limbs) -> Limbs:
        frame, ours, terms = self._form
        same, theirs, more = other._form
        if frame == same and terms + more <= _MOST_TERMS:
            return Limbs(frame[0], ours - theirs, terms + more)
        return self._plus(other, np.subtract)

    def _plus(self, other: Limbs, operation: np.ufunc) -> Limbs:
        """Add or subtract where planes stand elsewhere, or digits have no room left."""
        if other.length != self.length:
            msg = f"Got vectors of {self.length} and {other.length} entries, but expected equal lengths."
            raise ValueError(msg)
        one, two = self._form, other._form
        if one[2] + two[2] > _MOST_TERMS:
            one, two = self._settled(), other._settled()
        ((low, ours, _), _, _), ((first, theirs, _), _, _) = one, two
        if not ours:
            low = first
        elif not theirs:
            first = low
        start = min(low, first)
        planes = np.zeros((max(low + ours, first + theirs) - start, self.length), np.int64)
        planes[low - start : low - start + ours] = one[1]
        part = planes[first - start : first - start + theirs]
        operation(part, two[1], out=part)
        return Limbs(start, planes, one[2] + two[2])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Limbs):
            return NotImplemented
        frame, planes, _ = self._settled()
        same, others, _ = other._settled()
        return frame == same and np.array_equal(planes, others)

    def __hash__(self) -> int:
        frame, planes, _ = self._settled()
        return hash((frame, planes.tobytes()))

    def __bool__(self) -> bool:
        """Tell whether any entry differs from zero."""
        return self._settled()[0][1] > 0


_new = object.__new__


def _settle(low: int, planes: Int64) -> tuple[int, Int64]:
    """Return the canonical form."""
    n_planes, length = planes.shape
    digits = np.empty((n_planes + 1, length), np.int64)
    carry = np.zeros(length, np.int64)
    for j in range(n_planes):
        value = planes[j] + carry
        np.bitwise_and(value, _DIGIT, out=digits[j])
        carry = value >> _BITS
    digits[-1] = carry
    first, last = 0, n_planes
    while first <= last and not digits[first].any():
        first += 1
    if first > last:
        return 0, np.zeros((0, length), np.int64)
    while last > first and np.array_equal(digits[last], -(digits[last - 1] >> (_BITS - 1))):
        digits[last - 1] += digits[last] << _BITS
        last -= 1
    return low + first, digits[first : last + 1].copy()


def _words(lanes: Mapping[int, Int64]) -> tuple[int, Int64]:
    """Carry digits of base 2^32, of any size below 2**62: all lie in ``[0, 2**32)`` but those of the last plane.

    Returns
    -------
    low : int
        Position of the first plane, a multiple of three.
    words : ndarray of int64 of shape (n_planes, ...)
        As many as a multiple of three; the last has the sign.
    """
    low = min(lanes) // 3 * 3
    n_words = (max(lanes) + 1 - low) // 3 * 3 + 3
    words = np.zeros((n_words, *next(iter(lanes.values())).shape), np.int64)
    carry: Int64 | int = 0
    for j in range(n_words):
        value = lanes[low + j] + carry if low + j in lanes else carry
        words[j] = value
        carry = value >> LIMB_BITS
    words[:-1] &= _MASK
    return low, words


def shortest(octets: Octets) -> tuple[int, int]:
    """Return which planes of a two's complement it takes, from the first to before the last."""
    first, last = 0, len(octets)
    while first < last and not octets[first].any():
        first += 1
    if first == last:
        return 0, 0
    while last - first > 1 and np.array_equal(octets[last - 1], signs(octets[last - 2])):
        last -= 1
    return first, last


def signs(octets: Octets) -> Octets:
    """Return the plane that goes on above a last one: 255 for negative entries, else 0."""
    return np.where(octets > 127, np.uint8(255), np.uint8(0))


class Accumulator:
    """A growing sum of int64 arrays on the grid; carries are postponed, never lost.

    Parameters
    ----------
    shape : tuple of int
        Shape of the arrays.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.lanes: dict[int, Int64] = {}
        self._adds = 0

    def add(self, values: Int64, exponent: Int64 | int, part: Any = ...) -> None:
        """Add ``values * 2**exponent`` to all entries, or to a `part` of them; `exponent` broadcasts against `values`.

        One exponent for all is several times as fast as one for each.
        """
        if self._adds >= _ADDS_BEFORE_CARRY:
            self._carry()
        self._adds += 1
        keys, shift = np.divmod(exponent, LIMB_BITS)
        low = (values & _MASK) << shift  # below 2**63
        high = (values >> LIMB_BITS) << shift
        words = (low & _MASK, ((low >> LIMB_BITS) & _MASK) + (high & _MASK), high >> LIMB_BITS)
        first, last = int(np.min(keys)), int(np.max(keys))
        for key in range(first, last + 1):
            here = None if first == last else keys == key
            if here is not None and not here.any():
                continue
            for j, word in enumerate(words):
                if key + j not in self.lanes:
                    self.lanes[key + j] = np.zeros(self.shape, dtype=np.int64)
                self.lanes[key + j][part] += word if here is None else np.where(here, word, 0)

    def merge(self, other: Accumulator) -> None:
        """Add another accumulator of the same shape."""
        if self._adds + other._adds >= _ADDS_BEFORE_CARRY:
            self._carry()
            other._carry()
        self._adds += other._adds + 1
        for key, lane in other.lanes.items():
            self.lanes[key] = self.lanes[key] + lane if key in self.lanes else lane.copy()

    def like(self, shape: tuple[int, ...], times: int) -> Accumulator:
        """Return an empty accumulator whose lanes will be sums of `times` of these."""
        other = Accumulator(shape)
        other._adds = times * self._adds
        return other

    def _carry(self) -> None:
        if self.lanes:
            low, words = _words(self.lanes)
            self.lanes = {low + j: word for j, word in enumerate(words) if word.any()}
        self._adds = 1

    def limbs(self, index: Index | None = None) -> Limbs:
        """Return the sum, raveled, or only its entries at `index`."""
        flat = {key: lane.ravel() if index is None else lane.ravel()[index] for key, lane in self.lanes.items()}
        length = int(np.prod(self.shape)) if index is None else len(index)
        return Limbs.carried(length, flat)
