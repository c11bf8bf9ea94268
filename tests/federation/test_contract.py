"""The contract as a value: how rules are read, that nothing else is, what they say at the bound, and their bytes."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.exceptions import FormatError, SettingError
from sklearn_symfed.federation._contract import MAX_RULES, Contract
from sklearn_symfed.federation._fields import pack
from sklearn_symfed.federation._rules import (
    FUNCTIONS,
    MAX_RULE,
    Arithmetic,
    Call,
    Comparison,
    Junction,
    Negative,
    Not,
    Number,
    Rule,
    _written,
)
from sklearn_symfed.federation._surds import Surd
from sklearn_symfed.psr import PSR, Schema

TABLE = pd.DataFrame(
    {
        "x": [1, 2, 3, 4],
        "y": [2.0, 4.0, 6.0, 8.0],
        "fare": [0.1, 0.2, 0.3, 0.2],
        "flat": [7, 7, 7, 7],
        "late": [True, True, True, False],
    }
)
ROWS = PSR.from_rows(TABLE, classes="late", decimals={"fare": 1})
CARRIERS = PSR.from_rows(TABLE.assign(late=["UA", "UA", "AA", "1"]), classes="late")


def holds(rule, psr=ROWS):
    """Tell whether statistics keep a rule."""
    return Contract.of([rule], schema=psr.schema).breach(psr) is None


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("count()>=1000", "count() >= 1000"),
        (
            "0<mean('fare_amount')<2_00.0 and std('trip_distance')<=3e1",
            '0 < mean("fare_amount") < 200 and std("trip_distance") <= 30',
        ),
        ('( corr("x","y") )>=-0', 'corr("x", "y") >= -0'),
        ('count("carrier", "UA") >= 50', 'count("carrier", "UA") >= 50'),
        ('share_missing("age") < .20', 'share_missing("age") < 0.2'),
        ('not(count()<3 or variance("a")>1)', 'not (count() < 3 or variance("a") > 1)'),
        ('(count()+1)*2-(3-cov("a","b"))!=0', '(count() + 1) * 2 - (3 - cov("a", "b")) != 0'),
        ('mean(\n  "ä\'\\"\\\\", "late", -1\n) < +1e-99', 'mean("ä\'\\"\\\\", "late", -1) < 1e-99'),
        ('mean("e\u0301") > 0', 'mean("\u00e9") > 0'),
        ('count("late", True) > 0  # of the delayed', 'count("late", True) > 0'),
    ],
)
def test_a_rule_has_one_form(text, form):
    """However somebody spaces, quotes and brackets a rule, what travels is one text, which is read as the same rule."""
    rule = Rule.read(text)
    assert str(rule) == form
    assert Rule.read(form) == rule


LABELS = st.one_of(st.booleans(), st.integers(), st.text(st.characters(codec="utf-8"), max_size=5))
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


@st.composite
def calls(draw):
    """Draw a figure."""
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    columns = tuple(draw(NAMES) for _ in range(FUNCTIONS[name]))
    if draw(st.booleans()):
        return Call(name, columns)
    label = draw(LABELS)
    return Call(name, columns, draw(NAMES), (type(label), label))


def trees():
    """Draw trees of rules."""
    rational = calls().filter(lambda call: call.function not in {"std", "corr"})
    numbers = st.builds(
        lambda digits, exponent: Number(digits, exponent if digits else 0),
        st.integers(0, 10**30 - 1).filter(lambda digits: digits % 10 or not digits),
        st.integers(-300, 300),
    )
    terms = st.recursive(
        numbers | rational,
        lambda of: st.builds(Negative, of) | st.builds(Arithmetic, st.sampled_from("+-*/"), of, of),
        max_leaves=5,
    )
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    comparisons = st.builds(Comparison, calls(), st.lists(st.tuples(signs, terms), min_size=1, max_size=2).map(tuple))
    return st.recursive(
        comparisons,
        lambda of: (
            st.builds(Not, of)
            | st.builds(Junction, st.sampled_from(["and", "or"]), st.lists(of, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=3,
    )


@given(trees())
def test_a_rule_is_read_as_it_was_written(tree):
    """The text of any tree of the grammar is read as that tree, but for names, which are composed."""
    text = _written(tree)[0]
    try:
        rule = Rule.read(text)
    except SettingError as error:
        assert len(text) > MAX_RULE or "figures in a rule" in str(error)  # noqa: PT017 - bounds, which trees may exceed
        return
    assert Rule.read(str(rule)) == rule
    if text.isascii():
        assert rule.test == tree
        assert str(rule) == text


SCHEMA = Schema(["fare", "dist"], classes="late")


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("", 1, 1, "a comparison"),
        ("count()", 1, 1, "a comparison"),
        ("count() >= ", 1, 11, "a comparison"),
        ("count() >= 1; count()", 1, 13, "a comparison"),
        ("count() > 1 and 2", 1, 17, "a comparison"),
        ("count() >> 3", 1, 1, "a comparison"),
        ("1 < 2", 1, 1, "a figure of the statistics in each comparison"),
        ("count() is 3", 1, 12, "a comparison by one of < <= > >= == != before it"),
        ("count() in (1, 2)", 1, 12, "a comparison by one of"),
        ("1in (1, 2)", 1, 5, "a comparison by one of"),
        ('avg("fare") > 1', 1, 1, "one of the functions count, mean, variance, std, cov, corr, share_missing"),
        ("count() > True", 1, 11, "a number or one of the functions"),
        ('count() > "a"', 1, 11, "a number or"),
        ("count() > 2 ** 3", 1, 11, "a number or"),
        ("count() > 0x10", 1, 11, "a decimal number as 1000, 0.2 or 1e6"),
        ("count() > 1j", 1, 11, "a number or"),
        ("count() > 1e301", 1, 11, "at most 30 digits and powers of ten up to 300"),
        ("count() > 1e9999", 1, 11, "a decimal number"),
        ("count() > 0.1234567890123456789012345678901", 1, 11, "at most 30 digits"),
        ("mean(fare) > 1", 1, 6, "a column's name in quotes, as in mean("),
        ('mean("") > 1', 1, 6, "a column's name (Got a column name of 0 bytes"),
        ('mean("tip") > 1', 1, 6, "one of the columns 'fare', 'dist'"),
        ('0 < 1 +\\\n mean("tip")', 2, 7, "one of the columns"),
        ('mean("é", "late", 1) > 1', 1, 6, "one of the columns"),
        ('std("fare") < mean("tip")', 1, 20, "one of the columns"),
        ('mean("fare", "dist", 1) > 1', 1, 14, "the class column (which is 'late')"),
        ('mean("fare", "late") > 1', 1, 1, 'mean("x") or mean("x", "class column", label)'),
        ('cov("fare") > 1', 1, 1, 'cov("x", "y") or'),
        ('count(x="fare") > 1', 1, 1, "count() or count("),
        ("count(*[]) > 1", 1, 1, "count() or count("),
        ('count("late", 1.5) > 1', 1, 15, 'a label: True, 7 or "UA"'),
        ('count("late", -True) > 1', 1, 15, "a label"),
        ("count() > 1\0", 1, 1, "a comparison"),
        ('mean("\ud800") > 1', 1, 1, "a comparison"),
        ("(" * 300, 1, 201, "a comparison"),
        ("count() > " + "-" * 900 + "1", 1, 30, "at most 20 levels"),
        ("not " * 200 + "count() > 1", 1, 81, "at most 20 levels"),
        (" + ".join(["count()"] * 22) + " > 1", 1, 1, "at most 20 levels"),
        (" and ".join(["count() > 1"] * 33), 1, 513, "at most 32 figures"),
        (" + ".join(f'std("fare", "late", {n})' for n in range(5)) + " > 1", 1, 1, "at most 4 different std and corr"),
    ],
)
def test_a_wrong_rule_is_refused_with_the_place(text, line, column, expected):
    """Whoever writes a rule is told line and column, sees the place, and reads what was expected there."""
    with pytest.raises(SettingError) as caught:
        Contract.of(["count() > 1", text], schema=SCHEMA)
    message, shown, marker = str(caught.value).rsplit("\n", 2)
    assert message.startswith("Rule 2 of the contract: Got a rule with ")
    assert f"at line {line}, column {column}, but expected {expected}" in message
    assert marker.endswith("^")
    assert len(marker) <= len(shown) + 1 <= 130


@pytest.mark.parametrize(
    ("rules", "flag", "expected"),
    [
        ("count() > 1", (), "a list of str"),
        (5, (), "a list of str"),
        ([5], (), "a str as"),
        (["count() > 1" + " " * MAX_RULE], (), f"at most {MAX_RULE}"),
        (['count()>1 or mean("' + "x" * (MAX_RULE - 25) + '")>1'], (), f"characters, but expected at most {MAX_RULE}"),
        (["count() > 1"] * (MAX_RULES + 1), (), f"at most {MAX_RULES}"),
        (["count() > 1"], "north", "a list of str"),
        (["count() > 1"], [""], "1 to"),
    ],
)
def test_what_is_no_contract_is_refused(rules, flag, expected):
    """Types, lengths and numbers are bounded, and names are names."""
    with pytest.raises(SettingError, match=re.escape(expected)):
        Contract.of(rules, flag)


# Each kind of expression that Python has and no rule holds.
FOREIGN = {
    ast.NamedExpr: "(x := count()) > 1",
    ast.Lambda: "(lambda: 1)() < count()",
    ast.IfExp: "count() > (1 if 2 else 3)",
    ast.Dict: "count() > {}",
    ast.Set: "count() > {1}",
    ast.ListComp: "count() > [x for x in (1,)]",
    ast.SetComp: "count() > {x for x in (1,)}",
    ast.DictComp: "count() > {x: x for x in (1,)}",
    ast.GeneratorExp: "count() > sum(x for x in (1,))",
    ast.Await: "count() > await x",
    ast.Yield: "count() > (yield)",
    ast.YieldFrom: "count() > (yield from ())",
    ast.FormattedValue: 'count() > f"{print(1)}"',
    ast.JoinedStr: 'mean(f"fare") > 1',
    ast.Attribute: "count().real > 1",
    ast.Subscript: "count()[0] > 1",
    ast.Starred: "count() > (*(1,),)",
    ast.Name: "count > 1",
    ast.List: "count() > [1]",
    ast.Tuple: "count() > (1, 2)",
    ast.Slice: "count()[0:1] > 1",
}
TAKEN = {ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Constant}


def test_nothing_but_the_grammar_is_read():
    """Every other kind of expression is refused, and so is each operator, literal and call that no rule holds."""
    known = {kind for kind in ast.expr.__subclasses__() if kind.__name__ not in {"TemplateStr", "Interpolation"}}
    assert known == TAKEN | FOREIGN.keys()
    others = [f"count() {sign} 2 > 1" for sign in ("//", "%", "**", "<<", ">>", "&", "|", "^", "@")]
    others += [f"count() {sign} 1" for sign in ("is", "is not", "in", "not in")]
    others += [f"count() > {literal}" for literal in ("None", "True", "...", '"1"', 'b"1"', "1j", "~1", "not 1")]
    others += ['__import__("os") > 1', 'eval("1") > 1', "count.real() > 1", "count()() > 1", "float() > 1"]
    for text in [*FOREIGN.values(), *others]:
        with pytest.raises(SettingError, match="but expected"):
            Rule.read(text)


@given(st.text(max_size=60) | st.text("count()mean\"x', <>=1.e-_0TrueandorNt", max_size=60))
def test_any_text_is_a_rule_or_refused(text):
    """No text brings anything else about."""
    try:
        rule = Rule.read(text)
    except SettingError:
        return
    assert Rule.read(str(rule)) == rule


# -- what is judged --------------------------------------------------------------------------------------------------

AT_THE_BOUND = [
    ("count()", "4"),
    ('count("late", True)', "3"),
    ('count("late", False)', "1"),
    ('mean("x")', "2.5"),
    ('mean("fare")', "0.2"),
    ('mean("x", "late", True)', "2"),
    ('mean("x", "late", False)', "4"),
    ('variance("x")', "5 / 3"),
    ('variance("x", "late", True)', "1"),
    ('variance("fare") * 3', "0.02"),
    ('variance("flat")', "0"),
    ('std("x") * std("x")', "5 / 3"),
    ('std("y")', '2 * std("x")'),
    ('std("y", "late", True)', "2"),
    ('1 / (std("y") - std("x"))', '1 / std("x")'),
    ('std("x") + std("y") - 3 * std("x")', "0"),
    ('cov("x", "y")', "10 / 3"),
    ('cov("x", "fare", "late", True)', "0.1"),
    ('cov("x", "x")', 'variance("x")'),
    ('corr("x", "y")', "1"),
    ('corr("y", "y")', "1"),
    ('corr("x", "fare") * corr("x", "fare")', "0.4"),
    ('-corr("x", "fare", "late", True)', "-1"),
    ('share_missing("x")', "0"),
]


@pytest.mark.parametrize(("figure", "bound"), AT_THE_BOUND)
def test_figures_are_compared_exactly(figure, bound):
    """At the very bound <=, >= and == hold and <, > and != do not; 1e-60 above or below it, the other way round."""
    for sign, held in {"<": False, "<=": True, ">": False, ">=": True, "==": True, "!=": False}.items():
        assert holds(f"{figure} {sign} {bound}") is held
    for shift in ("+ 1e-60", "- 1e-60"):
        above = shift[0] == "-"  # the figure is above the bound
        for sign, held in {"<": not above, "<=": not above, ">": above, ">=": above, "==": False, "!=": True}.items():
            assert holds(f"{figure} {sign} {bound} {shift}") is held


def test_floats_would_have_decided_wrong():
    """The mean of 0.1, 0.2, 0.3 is 0.2 where these are decimals; numpy's is not, nor are the floats themselves."""
    table = TABLE[["fare"]][:3]
    assert np.mean(table.fare) != 0.2
    assert holds('mean("fare") == 0.2', PSR.from_rows(table, decimals={"fare": 1}))
    assert not holds('mean("fare") == 0.2', PSR.from_rows(table))


def test_weights_are_those_of_a_sample():
    """Integer weights repeat rows; others weigh them, and the divisor is that of numpy's ``aweights``."""
    twice = PSR.from_rows([[1.0], [2.0]], sample_weight=[2, 1])
    assert holds('count() == 3 and mean("x0") == 4 / 3 and variance("x0") == 1 / 3', twice)
    half = PSR.from_rows([[1.0], [2.0]], sample_weight=[0.5, 0.25])
    assert np.cov([1.0, 2.0], aweights=[0.5, 0.25]) == 0.5
    assert holds('count() == 2 and mean("x0") == 4 / 3 and variance("x0") == 0.5', half)


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        ("1 < count() < 5", True),
        ("1 < count() < 4", False),
        ("5 > count() >= 4 > 3 + 0 * count()", True),
        ("count() == 4 and count() > 5", False),
        ("count() == 4 or count() > 5", True),
        ("not count() == 4", False),
        ("not (count() < 4 or count() > 4)", True),
        ('count("late", 1) == 0', True),
        ('count("late", "True") == 0', True),
        ('count("late", True) == 3', True),
        ("count() - 2 - 1 == 1", True),
        ("count() - (2 - 1) == 3", True),
        ("count() / 2 / 2 == 1", True),
        ("-count() + 5 == 1 and - - count() == 4", True),
    ],
)
def test_tests_are_joined_as_they_read(rule, held):
    """Chains, and, or, not, brackets and precedence mean what they mean in Python; 1 is not True."""
    assert holds(rule) is held


def test_classes_are_labels_of_their_kind():
    """A label that is text is found by that text, and by nothing that looks like it."""
    assert holds('count("late", "UA") == 2 and mean("x", "late", "UA") == 1.5', CARRIERS)
    assert holds('count("late", "1") == 1 and count("late", 1) == 0 and count("late", True) == 0', CARRIERS)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('mean("x", "late", 9) > 0', "there are no such rows"),
        ('not mean("x", "late", 9) > 0', "there are no such rows"),
        ('variance("x", "late", False) >= 0', "it takes two rows"),
        ('corr("x", "flat") >= -1', "a column is constant"),
        ('corr("x", "y", "late", False) >= -1', "a column is constant"),
        ('std("x") / variance("flat") > 0 or count() < 4', 'std("x") is'),
        ('mean("x", "late", 9) > 0 and count() == 4', "there are no such rows"),
    ],
)
def test_what_is_undefined_keeps_no_rule(rule, why):
    """Neither a comparison with it nor its contrary holds, and the reason is told."""
    assert why in Contract.of([rule]).breach(ROWS).figures


def test_what_does_not_hang_on_it_is_decided_all_the_same():
    """One side of ``or`` that holds is enough, one side of ``and`` that does not is enough, in whatever order."""
    undefined = 'mean("x", "late", 9) > 0'
    assert holds(f"{undefined} or count() == 4")
    assert holds(f"count() == 4 or {undefined}")
    assert holds(f"not ({undefined} and count() == 5)")
    assert holds("not (count() < mean('flat') < 0 / (count() - 4) and count() == 5)")


roots = st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 60)), min_size=1, max_size=4)


@given(roots, roots, st.integers(-9, 9))
def test_numbers_with_roots_have_the_sign_that_sixty_digits_show(above, below, shift):
    """Sums, products and quotients of roots; what 60 digits cannot tell from zero, for numbers so small, is zero."""
    mpmath.mp.dps = 120

    def exact(terms):
        return sum((Surd.of(by) * Surd.root(Fraction(under, 7)) for by, under in terms), Surd.of(shift))

    def near(terms):
        return sum((by * mpmath.sqrt(mpmath.mpf(under) / 7) for by, under in terms), mpmath.mpf(shift))

    def sign(value):
        return 0 if abs(value) < mpmath.mpf(10) ** -60 else int(mpmath.sign(value))

    first, second = exact(above), exact(below[:2])
    assert first.sign() == sign(near(above))
    assert (first * second).sign() == sign(near(above) * near(below[:2]))
    if second.sign():
        assert (first / second * second - first).sign() == 0
        assert (first / second - Surd.of(3)).sign() == sign(near(above) / near(below[:2]) - 3)


# -- levels and missing values ---------------------------------------------------------------------------------------

TRIPS = pd.DataFrame(
    {
        "carrier": ["AA", "AA", "AA", "UA", "UA", None, None, "AA"],
        "delay": [1.0, 2.0, 6.0, 4.0, np.nan, 7.0, np.nan, 0.5],
        "dist": [10, 20, 30, 40, 50, 60, 70, 80],
        "late": [0, 0, 1, 1, 0, 1, 0, 0],
    }
)
KINDS = {"classes": "late", "categories": ["carrier"]}


def trips(mode, frame=TRIPS, **kinds):
    return PSR.from_rows(frame, missing={"delay": mode, "carrier": mode}, **KINDS | kinds)


@pytest.mark.parametrize("mode", ["pairwise", "indicator"])
def test_figures_of_levels_and_of_values_that_are_there(mode):
    """Counts and means of a level, and all figures of the values that are there, are those of pandas on these rows."""
    psr, both = trips(mode), TRIPS.dropna(subset=["delay"])
    of_aa, of_one = TRIPS[TRIPS.carrier == "AA"], TRIPS[TRIPS.late == 1]
    expected = {
        'count("carrier", "AA")': 4,
        'count("carrier", "ZZ")': 0,
        "count()": 8,
        'mean("delay", "carrier", "AA")': Fraction(19, 8),
        'mean("delay", "carrier", "UA")': 4,
        'mean("dist", "carrier", "UA")': 45,
        'mean("delay")': Fraction(41, 12),
        'mean("delay", "late", 1)': Fraction(17, 3),
        'share_missing("delay")': Fraction(1, 4),
        'share_missing("carrier")': Fraction(1, 4),
        'share_missing("dist")': 0,
        'share_missing("delay", "carrier", "UA")': Fraction(1, 2),
        'share_missing("carrier", "late", 1)': Fraction(1, 3),
    }
    for figure, value in expected.items():
        assert holds(f"{figure} == {value}", psr), figure
    near = {
        'variance("delay")': TRIPS.delay.var(),
        'std("delay", "late", 1)': of_one.delay.std(),
        'cov("delay", "dist")': TRIPS[["delay", "dist"]].cov().iloc[0, 1],
        'corr("delay", "dist", "late", 1)': of_one[["delay", "dist"]].corr().iloc[0, 1],
        'mean("dist", "carrier", "AA")': of_aa.dist.mean(),
    }
    for figure, value in near.items():
        assert holds(f"{value - 1e-9} < {figure} < {value + 1e-9}", psr), figure
    whole = both.delay.cov(both.dist, ddof=0) / (both.delay.std(ddof=0) * TRIPS.dist.std(ddof=0))
    assert holds(f'{whole - 1e-9} < corr("delay", "dist") < {whole + 1e-9}', psr)  # as in `moments()`


def test_rows_that_were_left_out_are_a_share():
    """Where rows are left out, their share is of all rows there were, and of no class."""
    psr = trips("listwise")
    assert holds('count() == 5 and share_missing("delay") == 3 / 8 and share_missing("carrier") == 3 / 8', psr)
    assert holds('count("carrier", "AA") == 4 and share_missing("dist") == 0', psr)
    part = Contract.of(['share_missing("delay", "late", 1) < 1']).breach(psr)
    assert "rows that are left out are counted for all of them together" in part.figures
    assert holds('share_missing("delay") == 0', PSR.from_rows(TRIPS[["delay"]].dropna(), missing="listwise"))


def test_levels_are_texts_whatever_type_they_have():
    """A level is found by its text and by the number or the truth value that it is; an absent one has no rows."""
    psr = PSR.from_rows(pd.DataFrame({"c": [7, 7, 8], "b": [True, False, True], "x": [1.0, 2.0, 3.0]}),
                        categories={"c": None, "b": [True, False]})  # fmt: skip
    assert holds('count("c", 7) == 2 and count("c", "7") == 2 and count("b", True) == 2 and count("c", 9) == 0', psr)
    assert holds('mean("x", "b", True) == 2 and mean("x", "c", 8) == 3', psr)
    assert "there are no such rows" in Contract.of(['mean("x", "c", 9) > 0']).breach(psr).figures
    assert "there are no such rows" in Contract.of(['share_missing("x", "c", 9) >= 0']).breach(psr).figures


def test_weights_of_levels():
    """Repeated rows are counted; where some weigh more than others, means are weighted and rows are not counted."""
    frame = TRIPS[["carrier", "dist"]].dropna()
    twice = PSR.from_rows(frame, categories=["carrier"], sample_weight=[2, 1, 1, 3, 1, 1])
    assert holds('count("carrier", "UA") == 4 and mean("dist", "carrier", "UA") == 42.5', twice)
    uneven = PSR.from_rows(frame, categories=["carrier"], sample_weight=[1, 1, 1, 0.5, 1.5, 1])
    assert holds('mean("dist", "carrier", "UA") == 47.5 and count("carrier", "ZZ") == 0', uneven)
    assert "some weigh more" in Contract.of(['count("carrier", "UA") > 0']).breach(uneven).figures
    partly = PSR.from_rows(TRIPS[["delay"]], missing="pairwise", sample_weight=[0.5, 1, 1, 1, 1, 1, 1, 1])
    assert holds('mean("delay") == 40 / 11', partly)
    assert "some of which weigh more" in Contract.of(['variance("delay") > 0']).breach(partly).figures


OF_LEVELS = Schema(["carrier", "origin", "delay", "age"], "late", categories={"carrier": ["AA", "UA"], "origin": None},
                   missing={"age": "listwise"})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "got", "expected"),
    [
        ('variance("delay", "carrier", "UA") > 1', 19, "a column of categories", "hold their number and sums"),
        ('1 < std("delay", "origin", "X")', 18, "a column of categories", "no squares, which std takes"),
        ('cov("delay", "age", "carrier", "UA") > 1', 21, "a column of categories", "no squares, which cov takes"),
        ('corr("delay", "age", "carrier", "UA") > 1', 22, "a column of categories", "the class column there"),
        ('mean("carrier") > 1', 6, "a column of categories", "one of the columns of numbers 'delay', 'age', or count("),
        ('mean("carrier=AA") > 1', 6, "an unknown column", "one of the columns 'carrier', 'origin', 'delay', 'age'"),
        ('count("carrier", "ZZ") > 1', 18, "an unknown level", "one of the levels 'AA', 'UA'"),
        ('count("delay", 1) > 1', 7, "another column", "(which is 'late') or a column of categories, 'carrier', 'or"),
        ('share_missing("age", "late", 1) < 1', 22, "a part of the rows", "no class and no level"),
    ],
)
def test_what_no_statistics_of_levels_hold_is_refused_when_it_is_written(text, column, got, expected):
    """A rule on what is no function of the statistics is refused with the place and the reason."""
    with pytest.raises(SettingError) as caught:
        Contract.of([text], schema=OF_LEVELS)
    assert f"Got a rule with {got} at line 1, column {column}, but expected " in str(caught.value)
    assert expected in str(caught.value)


def test_what_may_be_said_of_levels_is_read():
    """Counts, means and shares of levels, declared or not, and everything of classes."""
    rules = ['count("carrier", "UA") >= 0', 'mean("delay", "origin", "anything") > 0', 'share_missing("carrier") == 0',
             'share_missing("delay", "origin", 7) == 0', 'corr("delay", "age", "late", 1) > 0']  # fmt: skip
    contract = Contract.of(rules, schema=OF_LEVELS)
    assert Contract.from_bytes(contract.to_bytes()) == contract
    contract.require_fit(OF_LEVELS)
    late = Contract.of(['std("delay", "carrier", "UA") > 0'])  # written before the columns were known
    assert "no squares" in late.breach(PSR.from_rows(TRIPS.dropna(), **KINDS)).figures


def test_figures_of_few_rows_of_a_level_are_not_told():
    """As those of a class: the mean of few rows of a level, or of the few values that are there, says too much."""
    frame = pd.DataFrame({"c": ["a"] * 9 + ["b"] * 20, "x": [5.0] * 29, "y": [*[1.0] * 9, *[np.nan] * 20]})
    psr = PSR.from_rows(frame, missing={"y": "pairwise"})
    told = Contract.of(['mean("x", "c", "a") + mean("x", "c", "b") + mean("y") + count("c", "a") < 0']).breach(psr)
    assert told.figures == (
        'mean("x", "c", "a") is not told, as it is of fewer than 10 rows, mean("x", "c", "b") is 5, '
        'mean("y") is not told, as it is of fewer than 10 rows, count("c", "a") is 9'
    )


# -- what is told ----------------------------------------------------------------------------------------------------


def test_a_breach_names_rule_and_rounded_figures():
    """Six digits of each figure that the rule speaks of; counts as they are."""
    psr = PSR.from_rows(pd.DataFrame({"fare": np.arange(123_457)}))
    contract = Contract.of(["count() > 5", 'mean("fare") < 200 or std("fare") < 5 or count() < 3'])
    assert str(contract.breach(psr)) == (
        'mean("fare") < 200 or std("fare") < 5 or count() < 3 does not hold: '
        'mean("fare") is 61728, std("fare") is 35639.1, count() is 123457'
    )


def test_a_figure_of_few_rows_is_not_told():
    """The mean of one row is that row, and no log line holds a row."""
    psr = PSR.from_rows(pd.DataFrame({"fare": [*range(100, 120), 98765], "late": [0] * 20 + [1]}), classes="late")
    breach = str(Contract.of(['mean("fare", "late", 1) < 200 and mean("fare", "late", 0) < 200']).breach(psr))
    assert 'mean("fare", "late", 1) is not told, as it is of fewer than 10 rows' in breach
    assert 'mean("fare", "late", 0) is 109.5' in breach
    assert "98765" not in breach


def test_no_rows_break_no_rule():
    """Whoever cannot keep the contract can always take its rows away."""
    assert Contract.of(["count() >= 1000"]).breach(PSR.zero(ROWS.schema)) is None
    assert Contract.of([]).breach(ROWS) is None
    assert not Contract.of([])


def test_whoever_is_flagged_is_not_blocked():
    """The breach is found all the same."""
    contract = Contract.of(["count() >= 1000"], ["north"])
    assert contract.blocks("north", ROWS) is None
    assert contract.blocks("south", ROWS) == contract.breach(ROWS) is not None


# -- bytes -----------------------------------------------------------------------------------------------------------


def test_a_contract_has_one_form_of_bytes():
    """They are pinned: other releases have to read them; the order of names does not enter, that of rules does."""
    contract = Contract.of(["count()>=1000", 'share_missing("age")<.2'], ["south", "north"])
    data = contract.to_bytes()
    assert data.hex() == (
        "9292af636f756e742829203e3d2031303030ba73686172655f6d697373696e67282261676522"
        "29203c20302e3292a56e6f727468a5736f757468"
    )
    assert Contract.from_bytes(data) == contract
    assert Contract.from_bytes(Contract.of([]).to_bytes()) == Contract()


@pytest.mark.parametrize(
    "fields",
    [
        {"rules": ["count()>=1000"], "flagged": []},
        {"rules": ["print() >= 1"], "flagged": []},
        {"rules": ["count() >= 1"] * (MAX_RULES + 1), "flagged": []},
        {"rules": [], "flagged": ["south", "north"]},
        {"rules": [], "flagged": ["north", "north"]},
        {"rules": [], "flagged": [""]},
    ],
)
def test_bytes_of_no_contract_are_refused(fields):
    """What no admin of this release would send is refused, wherever it comes from."""
    from sklearn_symfed.federation._contract import _LAYOUT

    with pytest.raises(FormatError):
        Contract.from_bytes(pack(_LAYOUT, fields))
    with pytest.raises(FormatError):
        Contract.from_bytes(b"")


def test_rules_speak_of_the_columns_that_there_are():
    """Once the columns are known, a contract that names others is refused, with rule and place."""
    contract = Contract.of(["count() > 1", 'mean("tip") > 1'])
    contract.require_fit(Schema(["tip"]))
    with pytest.raises(SettingError, match="Rule 2 of the contract: Got a rule with an unknown column at line 1"):
        contract.require_fit(SCHEMA)
