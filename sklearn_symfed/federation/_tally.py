"""The sum over the members whose statistics count: adjusted by `+ new - old`, so its cost does not grow with them.

Owns which statistics count: those of whom the roster lists, in its order, as long as no row can be among them twice.
It is a function of what is held alone, so nodes that hold the same count the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from sklearn_symfed.psr import PSR, kind_of_labels, sorted_labels

__all__ = ["Sum"]


class Sum:
    """Statistics by member, and the total of those that count."""

    def __init__(self) -> None:
        self._held: dict[str, PSR] = {}
        self._counted: dict[str, PSR] = {}
        self._total: PSR | None = None
        self.overlapping: dict[str, str] = {}

    def of(self, name: str) -> PSR | None:
        """Return what is held of one member."""
        return self._held.get(name)

    def kind_without(self, name: str) -> str:
        """Return of which kind the class labels of all but one are; "" if they have none."""
        kinds = (kind_of_labels(psr.labels) for other, psr in self._held.items() if other != name)
        return next(filter(None, kinds), "")

    def put(self, name: str, psr: PSR | None) -> None:
        """Replace what is held of one member; it counts once `count` has said so."""
        if psr is None:
            self._held.pop(name, None)
        else:
            self._held[name] = psr

    @property
    def total(self) -> PSR | None:
        """The sum over all that count."""
        return self._total

    @property
    def counted(self) -> list[str]:
        """Who counts."""
        return list(self._counted)

    def replace(self, name: str, psr: PSR | None, *, counts: bool = True) -> None:
        """Replace what is held of one member, where no two can overlap: the others are not looked at."""
        self.put(name, psr)
        old = self._counted.pop(name, None)
        if old is not None:
            self._total = self._total - old if self._total is not None and self._counted else None
        if psr is not None and counts:
            self._total = psr if self._total is None else self._total + psr
            self._counted[name] = psr

    def check(self, news: Mapping[str, PSR]) -> None:
        """Raise the error that holding these, one after the other, would raise, whoever of all may come to count."""
        total, counted = self._total, dict(self._counted)
        for name, psr in news.items():
            if total is not None and name in counted:
                total = total - counted[name]
            total = psr if total is None else total + psr
            counted[name] = psr
            left_out = [held for other, held in self._held.items() if other not in counted]
            if left_out:
                sorted_labels([*total.labels, *(label for held in left_out for label in held.labels)])

    def without(self, name: str) -> PSR | None:
        """Return the sum over all that count but one."""
        own = self._counted.get(name)
        if self._total is None or own is None:
            return self._total
        return self._total - own if len(self._counted) > 1 else None

    def count(self, origins: Mapping[str, tuple[bytes, ...]]) -> None:
        """Decide anew who counts.

        Parameters
        ----------
        origins : mapping of str to tuple of bytes
            Whose rows each member's statistics hold; in the order in which members take precedence.
        """
        taken: dict[bytes, str] = {}
        counted: dict[str, PSR] = {}
        self.overlapping = {}
        for name, listed in origins.items():
            if name not in self._held:
                continue
            other = next((taken[origin] for origin in listed if origin in taken), None)
            if other is not None:
                self.overlapping[name] = other
                continue
            taken.update(dict.fromkeys(listed, name))
            counted[name] = self._held[name]
        for name, psr in list(self._counted.items()):
            if counted.get(name) is not psr:
                del self._counted[name]
                self._total = self._total - psr if self._total is not None and self._counted else None
        for name, psr in counted.items():
            if name not in self._counted:
                self._counted[name] = psr
                self._total = psr if self._total is None else self._total + psr
