"""The contract: what the admins ask of the statistics that members publish, and of whom it is only noted.

Owns the value and its bytes, which travel in the roster; what a rule is stands in `_rules`, what it says of statistics
in `_figures`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sklearn_symfed.exceptions import FormatError, SettingError
from sklearn_symfed.federation._fields import MAX_MEMBERS, NAME, Layout, list_of, pack, read, text
from sklearn_symfed.federation._figures import Figures
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation._rules import MAX_RULE, Rule
from sklearn_symfed.psr import PSR, Schema

__all__ = ["MAX_CONTRACT_BYTES", "MAX_RULES", "Breach", "Contract"]

MAX_RULES = 64
MAX_CONTRACT_BYTES = 2**19
"""Room for that many rules, and for the names of all members."""
_LAYOUT: Layout = {"rules": list_of(text(4 * MAX_RULE), MAX_RULES), "flagged": list_of(NAME, MAX_MEMBERS)}


class Breach(NamedTuple):
    """A rule that does not hold, and the figures that show it."""

    rule: str
    figures: str

    def __str__(self) -> str:
        return f"{self.rule} does not hold: {self.figures}"


@dataclass(frozen=True)
class Contract:
    """Rules that hold for what each member publishes.

    Attributes
    ----------
    rules : tuple of Rule
    flagged : frozenset of str
        Members whose statistics count although they break a rule, with a note; those of others do not.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> contract = Contract.of(["count() >= 3", 'mean("x0") < 2'])
    >>> print(contract.breach(PSR.from_rows([[1.0], [2.0], [3.0]])))
    mean("x0") < 2 does not hold: mean("x0") is not told, as it is of fewer than 10 rows
    >>> contract.breach(PSR.from_rows([[1.0], [2.0], [2.5]]))
    """

    rules: tuple[Rule, ...] = ()
    flagged: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rules: Iterable[str], flag: Iterable[str] = (), schema: Schema | None = None) -> Contract:
        """Read a contract as an admin writes it.

        Parameters
        ----------
        rules : iterable of str
        flag : iterable of str, default=()
            Members that may break it, and are flagged.
        schema : Schema, default=None
            The columns, where they are known.

        Raises
        ------
        SettingError
            If a rule is none: which one, where in it, and what was expected there.
        """
        for got, what in ((rules, "rules"), (flag, "names of members")):
            if isinstance(got, str) or not isinstance(got, Iterable):
                raise SettingError(f"Got {what} of type {type(got).__name__}, but expected a list of str.")
        written = list(rules)
        if len(written) > MAX_RULES:
            raise SettingError(f"Got a contract of {len(written)} rules, but expected at most {MAX_RULES}.")
        made = []
        for number, rule in enumerate(written, 1):
            try:
                made.append(Rule.read(rule, schema))
            except SettingError as error:
                raise SettingError(f"Rule {number} of the contract: {error}") from None
        return cls(tuple(made), frozenset(check_name(name) for name in flag))

    def __bool__(self) -> bool:
        return bool(self.rules)

    def require_fit(self, schema: Schema) -> None:
        """Raise a `SettingError` if a rule speaks of other columns than there are."""
        Contract.of(map(str, self.rules), (), schema)

    def breach(self, psr: PSR) -> Breach | None:
        """Return the first rule that statistics break; None if they keep the contract.

        Statistics of no rows break none: whoever cannot keep the contract can take its rows away.
        """
        if not self.rules or not psr.n_rows:
            return None
        figures = Figures(psr, (call for rule in self.rules for call in rule.calls))
        for rule in self.rules:
            found = figures.judge(rule)
            if found is not None:
                return Breach(str(rule), found)
        return None

    def blocks(self, member: str, psr: PSR) -> Breach | None:
        """Return what keeps the statistics of a member from counting; None if nothing does."""
        return None if member in self.flagged else self.breach(psr)

    def to_bytes(self) -> bytes:
        """Return the form that travels, which is one for each contract."""
        return pack(_LAYOUT, {"rules": [str(rule) for rule in self.rules], "flagged": sorted(self.flagged)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Contract:
        """Read what `to_bytes` wrote.

        Raises
        ------
        FormatError
            If the bytes are anything else, or a rule is none.
        """
        fields = read(_LAYOUT, data, "contract")
        try:
            contract = cls.of(fields["rules"], fields["flagged"])
        except SettingError as error:
            raise FormatError(str(error)) from None
        if contract.to_bytes() != data:
            raise FormatError("Got a contract that is not in its canonical form.")
        return contract
