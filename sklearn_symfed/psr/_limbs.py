"""Vectors of exact numbers: integers on an absolute binary grid, stored as planes of base-2^32 digits.

Owns the canonical form, its addition, and the way to and from Python integers.  Knows nothing of rows or columns.

Entry ``i`` of a vector is ``sum(planes[j, i] * 2**(32 * keys[j]) for j)``.  Digits lie in ``[-2**31, 2**31)`` and
planes that are zero are dropped, so every vector has exactly one representation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["LIMB_BITS", "Accumulator", "Limbs"]

LIMB_BITS = 32
_MASK = (1 << LIMB_BITS) - 1
_HALF = 1 << (LIMB_BITS - 1)
# One `Accumulator.add` puts less than 2**34 on a limb; after this many adds a limb is still below 2**62.
_ADDS_BEFORE_CARRY = 1 << 28

Int64 = np.ndarray[Any, np.dtype[np.int64]]
Octets = np.ndarray[Any, np.dtype[np.uint8]]
Int32 = np.ndarray[Any, np.dtype[np.int32]]


class Limbs:
    """An immutable vector of exact numbers in canonical form.

    Parameters
    ----------
    length : int
        Number of entries.
    keys : tuple of int
        Positions of the planes on the grid, ascending: plane ``j`` has the weight ``2**(32 * keys[j])``.
    planes : ndarray of int32 of shape (len(keys), length)
        Digits; trusted to be canonical (`Limbs.carried` makes them so).
    """

    __slots__ = ("keys", "length", "planes")

    def __init__(self, length: int, keys: tuple[int, ...] = (), planes: Int32 | None = None) -> None:
        self.length = length
        self.keys = keys
        self.planes = np.zeros((0, length), np.int32) if planes is None else planes
        self.planes.flags.writeable = False

    @classmethod
    def carried(cls, length: int, lanes: Mapping[int, Int64]) -> Limbs:
        """Bring int64 digits of any size below 2**62 into canonical form."""
        keys: list[int] = []
        planes: list[Int32] = []
        carry: Int64 | None = None
        pending = sorted(lanes, reverse=True)
        key = pending[-1] if pending else 0
        while pending or carry is not None:
            if pending and pending[-1] == key:
                lane = lanes[pending.pop()]
                value = lane if carry is None else lane + carry
            elif carry is not None:
                value = carry
            else:
                key = pending[-1]
                continue
            carry = (value + _HALF) >> LIMB_BITS
            digits = (value - (carry << LIMB_BITS)).astype(np.int32)
            if not carry.any():
                carry = None
            if digits.any():
                keys.append(key)
                planes.append(digits)
            key += 1
        return cls(length, tuple(keys), np.stack(planes) if planes else None)

    @classmethod
    def from_integers(cls, integers: Iterable[int], exponent: int = 0) -> Limbs:
        """Store the numbers ``integer * 2**exponent``."""
        key, shift = divmod(exponent, LIMB_BITS)
        values = [int(value) << shift for value in integers]
        size = 1 + max((value.bit_length() for value in values), default=0) // LIMB_BITS
        lanes: dict[int, Int64] = {}
        for j in range(size):
            word = [
                (value >> (LIMB_BITS * j)) & _MASK if j < size - 1 else value >> (LIMB_BITS * j) for value in values
            ]
            lanes[key + j] = np.array(word, dtype=np.int64)
        return cls.carried(len(values), lanes)

    def to_integers(self) -> tuple[np.ndarray[Any, np.dtype[np.object_]], int]:
        """Return Python integers and the exponent of two that they share.

        Returns
        -------
        integers : ndarray of object of shape (length,)
        exponent : int
            Entry ``i`` is ``integers[i] * 2**exponent``.
        """
        out = np.empty(self.length, dtype=object)
        if not self.keys:
            out[:] = 0
            return out, 0
        words = self._words()
        if words.shape[1] == 2:
            out[:] = words.view("<i8").ravel().tolist()
        else:
            raw, step = words.tobytes(), 4 * words.shape[1]
            out[:] = [int.from_bytes(raw[i : i + step], "little", signed=True) for i in range(0, len(raw), step)]
        return out, LIMB_BITS * self.keys[0]

    def to_octets(self) -> tuple[Octets, int]:
        """Return the shortest two's complement that holds every entry, in planes of bytes.

        Returns
        -------
        octets : ndarray of uint8 of shape (width, length)
            Least significant first; the last plane carries the signs.  Width 0 stands for zeros.
        exponent : int
            The first plane has the weight ``2**(8 * exponent)``.
        """
        if not self.keys:
            return np.zeros((0, self.length), dtype=np.uint8), 0
        octets = np.ascontiguousarray(self._words().view(np.uint8).T)
        low, high = 0, len(octets)
        while not octets[low].any():
            low += 1
        while high - low > 1 and np.array_equal(octets[high - 1], _signs(octets[high - 2])):
            high -= 1
        return octets[low:high], 4 * self.keys[0] + low

    @classmethod
    def from_octets(cls, octets: Octets, exponent: int) -> Limbs:
        """Read what `to_octets` returned.

        Raises
        ------
        ValueError
            If the planes are not the shortest ones.
        """
        if not len(octets):
            return cls(octets.shape[1])
        redundant = len(octets) > 1 and np.array_equal(octets[-1], _signs(octets[-2]))
        if redundant or not octets[0].any():
            msg = "Got planes of bytes that are not the shortest ones, but expected no more than it takes."
            raise ValueError(msg)
        key, below = divmod(exponent, 4)
        n_words = -(-(below + len(octets)) // 4)
        whole = np.zeros((4 * n_words, octets.shape[1]), dtype=np.uint8)
        whole[below : below + len(octets)] = octets
        whole[below + len(octets) :] = _signs(octets[-1])
        words = np.ascontiguousarray(whole.T).view("<u4").astype(np.int64)
        words[:, -1] = words[:, -1].astype(np.int32)  # the last one is signed
        return cls.carried(octets.shape[1], {key + j: np.ascontiguousarray(words[:, j]) for j in range(n_words)})

    def _words(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Return two's complement over ``2**(32 * keys[0])``: little-endian uint32 of shape (length, n_words)."""
        low, n_words = self.keys[0], self.keys[-1] - self.keys[0] + 2
        words = np.zeros((self.length, n_words), dtype="<u4")
        carry = np.zeros(self.length, dtype=np.int64)
        index = 0
        for j in range(n_words):
            value = carry
            if index < len(self.keys) and self.keys[index] == low + j:
                value = self.planes[index] + carry
                index += 1
            words[:, j] = value & _MASK
            carry = value >> LIMB_BITS
        return words

    def take(self, index: np.ndarray[Any, Any]) -> Limbs:
        """Return the entries at `index`; planes that become zero are dropped."""
        planes = self.planes[:, index]
        kept = np.asarray(planes.any(axis=1)).tolist()
        keys = tuple(key for key, keep in zip(self.keys, kept, strict=True) if keep)
        return Limbs(len(index), keys, np.ascontiguousarray(planes[kept]))

    def _plus(self, other: Limbs, sign: int) -> Limbs:
        if other.length != self.length:
            msg = f"Got vectors of {self.length} and {other.length} entries, but expected equal lengths."
            raise ValueError(msg)
        if self.keys == other.keys and self.keys and self.keys[-1] - self.keys[0] == len(self.keys) - 1:
            added = self._plus_aligned(other, sign)
            if added is not None:
                return added
        lanes: dict[int, Int64] = {
            key: plane.astype(np.int64) for key, plane in zip(self.keys, self.planes, strict=True)
        }
        for key, plane in zip(other.keys, other.planes, strict=True):
            if key not in lanes:
                lanes[key] = sign * plane.astype(np.int64)
            elif sign > 0:
                lanes[key] += plane
            else:
                lanes[key] -= plane
        return Limbs.carried(self.length, lanes)

    def _plus_aligned(self, other: Limbs, sign: int) -> Limbs | None:
        """Add all planes at once; return None where a carry goes on beyond the next plane, or asks for a new one.

        Addition in 32 bits wraps around into the balanced digit; what overflows is carried.
        """
        ours, theirs = self.planes, other.planes
        if sign > 0:
            planes = ours + theirs
            overflow = _overflow(ours, theirs, planes)
        else:
            planes = ours - theirs
            overflow = np.bitwise_xor(ours, theirs)
            overflow &= ours ^ planes
        overflow >>= 31  # -1 where the true sum has another sign than the digit, which is the sign of ours
        carries = ours >> 31
        carries |= 1
        carries &= overflow
        if carries[-1].any():
            return None
        digits = planes[1:] + carries[:-1]
        if digits.size and _overflow(planes[1:], carries[:-1], digits).min() < 0:
            return None
        planes[1:] = digits
        if not planes.any(axis=1).all():
            return None
        return Limbs(self.length, self.keys, planes)

    def __add__(self, other: Limbs) -> Limbs:
        return self._plus(other, +1)

    def __sub__(self, other: Limbs) -> Limbs:
        return self._plus(other, -1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Limbs):
            return NotImplemented
        return self.length == other.length and self.keys == other.keys and np.array_equal(self.planes, other.planes)

    def __hash__(self) -> int:
        return hash((self.length, self.keys, self.planes.tobytes()))

    def __bool__(self) -> bool:
        """Tell whether any entry differs from zero."""
        return bool(self.keys)


def _overflow(first: Int32, second: Int32, added: Int32) -> Int32:
    """Return a negative number wherever the sum of two int32 wrapped around."""
    overflow = np.bitwise_xor(first, added)
    overflow &= second ^ added
    return overflow


def _signs(octets: Octets) -> Octets:
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

    def add(self, values: Int64, exponent: Int64 | int) -> None:
        """Add ``values * 2**exponent``; `exponent` broadcasts against `values`."""
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
                part = word if here is None else np.where(here, word, 0)
                if key + j in self.lanes:
                    self.lanes[key + j] += part
                else:
                    self.lanes[key + j] = np.array(np.broadcast_to(part, self.shape), dtype=np.int64)

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
        limbs = self.limbs()
        self.lanes = {
            key: plane.astype(np.int64).reshape(self.shape) for key, plane in zip(limbs.keys, limbs.planes, strict=True)
        }
        self._adds = 1

    def limbs(self, index: np.ndarray[Any, Any] | None = None) -> Limbs:
        """Return the sum in canonical form, raveled, or only its entries at `index`."""
        flat = {key: lane.ravel() if index is None else lane.ravel()[index] for key, lane in self.lanes.items()}
        length = int(np.prod(self.shape)) if index is None else len(index)
        return Limbs.carried(length, flat)
