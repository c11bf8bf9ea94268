"""NIST's reference data, learned by three nodes: equal to fractions bit for bit, and near what NIST certifies.

The oracle is the exact rational solution *of the float64 rows*, by Gaussian elimination over fractions.  Certified
values are those of NIST's decimals.  Float64 rows are other numbers, and how far that carries depends on the data: the
floors below are what the exact solution of the rounded rows reaches, so more digits than these are luck.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sklearn_symfed import PSR, FederatedLinearRegression

ROOT = Path(__file__).resolve().parents[1]


def module(path: Path):
    """Import a script that is no part of the package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = sys.modules[path.stem] = importlib.util.module_from_spec(spec)  # dataclasses look for their module
    spec.loader.exec_module(loaded)
    return loaded


nist = module(ROOT / "tests" / "nist_data.py")


@pytest.fixture(scope="module")
def nist_files(shared) -> Path:
    """Folder of the reference files and of their certified values."""
    folder = shared / "data" / "nist"
    if not folder.is_dir():
        pytest.skip("NIST's files do not lie beside this checkout")
    return folder


def merged(*arrays, **kwargs) -> PSR:
    """Deal rows to three nodes in turn, and merge what they learned."""
    nodes = [PSR.from_rows(*(array[node::3] for array in arrays), **kwargs) for node in range(3)]
    return nodes[2] + nodes[0] + nodes[1]


def fractions(values) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def root(square: Fraction) -> float:
    """Return a square root, correctly rounded: 256 bits, and one that says whether more would follow."""
    shift = max(0, 512 + square.denominator.bit_length() - square.numerator.bit_length()) // 2
    product = square.numerator * square.denominator << 2 * shift
    truncated = math.isqrt(product)
    return float(Fraction(2 * truncated + (truncated * truncated != product), square.denominator << shift + 1))


# -- linear regression -----------------------------------------------------------------------------------------------


def eliminate(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Solve by Gauss-Jordan elimination a system whose right-hand sides stand beside it; return them solved."""
    size = len(matrix)
    rows = [list(row) for row in matrix]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


def least_squares(x, y, *, intercept: bool) -> tuple[list[Fraction], list[Fraction], Fraction]:
    """Return the exact parameters (intercept first), their variances, and the residual variance."""
    columns = [*([[Fraction(1)] * len(y)] if intercept else []), *(fractions(column) for column in x.T)]
    target = fractions(y)
    size = len(columns)
    gram = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in [*columns, target]] for p in columns]
    solved = eliminate([[*row, *(Fraction(i == k) for k in range(size))] for i, row in enumerate(gram)])
    parameters = [row[0] for row in solved]
    fitted = [sum(b * v for b, v in zip(parameters, row, strict=True)) for row in zip(*columns, strict=True)]
    variance = sum((t - f) ** 2 for t, f in zip(target, fitted, strict=True)) / (len(y) - size)
    return parameters, [variance * solved[i][1 + i] for i in range(size)], variance


def fit(regression, x, y) -> FederatedLinearRegression:
    return FederatedLinearRegression(fit_intercept=regression.intercept, tol=0).fit(merged(x, y), "y")


def parameters(regression, model) -> list[float]:
    return [*([float(model.intercept_)] if regression.intercept else []), *model.coef_.tolist()]


def deviations(regression, model) -> list[float]:
    return [*([float(model.intercept_stderr_)] if regression.intercept else []), *model.coef_stderr_.tolist()]


def worst(values, certified: str) -> float:
    return min(nist.digits(value, each) for value, each in zip(values, certified.split(), strict=True))


# Digits of the worst coefficient and of the worst standard deviation that the exact solution of the float64 rows shares
# with the certified values.  These have 15, so their own rounding leaves 14.3 to 15: Longley, NoInt and the Wamplers of
# integers reach them.  Decimals (Norris, Pontius, Wampler2) are rounded to float64, which the solution multiplies by up
# to its condition number.  Filip's powers up to the tenth are rounded, too, and its columns are nearly dependent.
FLOORS = {
    "Norris": (14.0, 13.9),
    "Pontius": (13.5, 13.7),
    "NoInt1": (14.7, 14.9),
    "NoInt2": (14.9, 14.9),
    "Filip": (7.9, 8.6),
    "Longley": (14.6, 14.8),
    "Wampler1": (15.0, 15.0),
    "Wampler2": (13.1, 15.0),
    "Wampler3": (15.0, 14.4),
    "Wampler4": (15.0, 14.4),
    "Wampler5": (15.0, 14.4),
}


@pytest.mark.parametrize("name", nist.REGRESSIONS)
def test_regression_equals_fractions(name):
    """Coefficients are rational, standard deviations roots of rationals, each rounded once; certified digits follow."""
    regression = nist.REGRESSIONS[name]
    x, y = regression.rows()
    exact, variances, residual = least_squares(x, y, intercept=regression.intercept)
    model = fit(regression, x, y)
    assert parameters(regression, model) == [float(value) for value in exact]
    assert deviations(regression, model) == [root(value) for value in variances]
    assert model.residual_std_ == root(residual)
    assert (model.rank_, model.dof_residual_) == (x.shape[1], len(y) - len(exact))
    assert worst(parameters(regression, model), regression.estimates) >= FLOORS[name][0]
    assert worst(deviations(regression, model), regression.deviations) >= FLOORS[name][1]
    assert worst([model.residual_std_], regression.residual_deviation) >= (8.4 if name == "Filip" else 13.7)


@pytest.mark.parametrize(
    ("name", "solver", "condition"),
    [
        ("Norris", "cholesky", 1.0),
        ("Longley", "cholesky", 2e4),
        ("Wampler5", "cholesky", 3.4e6),
        ("Filip", "balls", 2e19),
    ],
)
def test_the_rung_that_answers(name, solver, condition):
    """Float64 with exact residuals is enough but for Filip, whose normal equations have a condition of 1e19."""
    regression = nist.REGRESSIONS[name]
    model = fit(regression, *regression.rows())
    assert model.solver_ == solver
    assert model.condition_ == pytest.approx(condition, rel=0.1)


@pytest.mark.parametrize("name", [name for name, each in nist.REGRESSIONS.items() if each.intercept])
def test_r_squared(name):
    """R² of the merged statistics has the certified digits: 15, and Filip's 10.6."""
    regression = nist.REGRESSIONS[name]
    x, y = regression.rows()
    score = fit(regression, x, y).score(merged(x, y), "y")
    assert nist.digits(score, regression.r_squared) >= (10.6 if name == "Filip" else 14.9)


def test_powers_of_another_rounding():
    """Filip's powers by ``**`` are other rows than by products: as exact for them, and 7.6 instead of 7.9 digits."""
    regression = nist.REGRESSIONS["Filip"]
    x, y = regression.rows()
    powers = x[:, :1] ** np.arange(1, 11)
    exact, _, _ = least_squares(powers, y, intercept=True)
    model = fit(regression, powers, y)
    assert parameters(regression, model) == [float(value) for value in exact]
    assert worst(parameters(regression, model), regression.estimates) >= 7.0  # libraries round powers differently
    assert merged(powers, y) != merged(x, y)


# -- univariate ------------------------------------------------------------------------------------------------------


def check_univariate(values, mean: str, deviation: str, floors: tuple[float, float]):
    column = np.array([float(value) for value in values])
    exact = fractions(column)
    centre = sum(exact) / len(exact)
    variance = sum((value - centre) ** 2 for value in exact) / (len(exact) - 1)
    moments = merged(column[:, None]).moments()
    assert moments.mean.tolist() == [float(centre)]
    assert moments.variance(ddof=1).tolist() == [float(variance)]
    measured = np.sqrt(moments.variance(ddof=1))[0]
    assert abs(measured - root(variance)) <= np.spacing(measured)  # a root of what was rounded once
    assert nist.digits(float(moments.mean[0]), mean) >= floors[0]
    assert nist.digits(float(measured), deviation) >= floors[1]


# With float64 near 1e6 and 1e7, tenths are off by up to 6e-11 and 9e-10, one part in 1e9 and in 1e8 of the deviation.
@pytest.mark.parametrize(
    ("name", "floors"),
    [
        ("Mavro", (15.0, 13.1)),
        ("Michelso", (15.0, 13.8)),
        ("NumAcc1", (15.0, 15.0)),
        ("NumAcc2", (15.0, 15.0)),
        ("NumAcc3", (15.0, 9.4)),
        ("NumAcc4", (15.0, 8.2)),
    ],
)
def test_univariate_equals_fractions(name, floors):
    """Mean and variance are the rational ones, rounded once."""
    data = nist.UNIVARIATE[name]
    check_univariate(data.values, data.mean, data.deviation, floors)


@pytest.mark.parametrize(("name", "floors"), [("Lew", (15.0, 15.0)), ("Lottery", (15.0, 15.0))])
def test_longer_univariate_equals_fractions(name, floors, nist_files):
    """Integers lose nothing on the way to float64: what is left is the rounding of the certified values."""
    certified = json.loads((nist_files / "certified.json").read_text("utf-8"))["univariate"][name]
    values = [row[0] for row in reference(nist_files, name)]
    check_univariate(values, certified["mean"], certified["sd"], floors)


# -- one-way analysis of variance ------------------------------------------------------------------------------------


def anova_of_rows(treatments, y) -> tuple[Fraction, Fraction]:
    """Return sums of squares between and within treatments, from deviations over fractions."""
    groups = {label: [v for t, v in zip(treatments, y, strict=True) if t == label] for label in set(treatments)}
    mean = sum(y) / len(y)
    means = {label: sum(group) / len(group) for label, group in groups.items()}
    between = sum(len(group) * (means[label] - mean) ** 2 for label, group in groups.items())
    return between, sum((value - means[label]) ** 2 for label, group in groups.items() for value in group)


def anova_of_statistics(psr: PSR) -> tuple[Fraction, Fraction]:
    """Return the same from the integers of a PSR with treatments as classes."""

    def parts(moments) -> tuple[Fraction, Fraction]:
        count, total, squares = (moments.matrix[i, j] * moments.unit for i, j in [(0, 0), (0, 1), (1, 1)])
        return total * total / count, squares

    cells = [parts(each.moments()) for each in psr.by_class().values()]
    explained = sum(cell[0] for cell in cells)
    return explained - parts(psr.moments())[0], sum(cell[1] for cell in cells) - explained


def digits_of_anova(anova, between: Fraction, within: Fraction, unit: int = 1) -> float:
    """Return the certified digits of the worst figure; `unit` is what a column was multiplied by."""
    n, groups = len(anova.y), len(set(anova.treatments))
    residual = within / (n - groups)
    found = [
        (float(between / unit**2), anova.between),
        (float(within / unit**2), anova.within),
        (float(between / (groups - 1) / residual), anova.F),
        (float(between / (between + within)), anova.r_squared),
        (root(residual / unit**2), anova.residual_deviation),
    ]
    return min(nist.digits(*each) for each in found)


# Certified digits fall with the offset (1, 1e6, 1e12; AtmWtAg: 100 beside 1e-5) of what float64 has to round.
@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("SiRstv", 13.0),
        ("AtmWtAg", 10.1),
        ("SmLs01", 15.0),
        ("SmLs02", 15.0),
        ("SmLs03", 15.0),
        ("SmLs04", 10.0),
        ("SmLs05", 9.9),
        ("SmLs06", 9.9),
        ("SmLs07", 4.0),
        ("SmLs08", 3.9),
        ("SmLs09", 3.9),
    ],
)
def test_anova_equals_fractions(name, floor):
    """Sums of squares from the statistics of each class are those of the rows, as fractions."""
    anova = nist.ANOVAS[name]
    y = np.array([float(value) for value in anova.y])
    psr = merged(y[:, None], np.array(anova.treatments), classes=True)
    between, within = anova_of_statistics(psr)
    assert (between, within) == anova_of_rows(anova.treatments, fractions(y))
    assert digits_of_anova(anova, between, within) >= floor


@pytest.mark.parametrize("name", [f"SmLs0{number}" for number in range(1, 10)])
def test_tenths_as_integers_are_certified(name):
    """A column of decimals learned as integers is learned exactly, whatever its offset: all certified digits."""
    anova = nist.ANOVAS[name]
    tenths = np.array([int(10 * Decimal(value)) for value in anova.y])
    between, within = anova_of_statistics(merged(tenths[:, None], np.array(anova.treatments), classes=True))
    assert digits_of_anova(anova, between, within, unit=10) >= 14.9


# -- the table of digits ---------------------------------------------------------------------------------------------


def test_the_table_of_digits(capsys, tmp_path):
    """The benchmark finds every bit of this package right, and writes its tables between the markers of a page."""
    accuracy = module(ROOT / "benchmarks" / "accuracy.py")
    assert accuracy.main(["--tiny"]) == 0
    text = capsys.readouterr().out.strip()
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith(("| NIST", "| Hilbert", "| mean"))]
    assert [line[1] for line in lines] == ["16"] * 5 + ["14.7", "14.6", "15.0"]
    assert min(float(line[2]) for line in lines) < 12  # others lose digits here
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n", "utf-8")
    accuracy.write(text, page)
    assert page.read_text("utf-8") == f"before\n<!-- figures -->\n{text}\n<!-- end of figures -->\nafter\n"
    page.write_text("no markers", "utf-8")
    with pytest.raises(SystemExit, match="has no markers"):
        accuracy.write(text, page)


# -- the typed numbers -----------------------------------------------------------------------------------------------


def reference(folder: Path, name: str) -> list[list[str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def decimals(values) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_typed_numbers_are_those_of_nist(nist_files):
    """Every number in `nist_data` is the one in the reference files, as a decimal."""
    certified = json.loads((nist_files / "certified.json").read_text("utf-8"))
    for name, data in nist.REGRESSIONS.items():
        y, *x = zip(*reference(nist_files, name), strict=True)
        values = certified["linear_regression"][name]
        assert decimals(y) == decimals(data.y)
        assert [decimals(column) for column in x] == [decimals(column) for column in data.x]
        assert decimals(data.estimates.split()) == decimals(each["estimate"] for each in values["parameters"].values())
        assert decimals(data.deviations.split()) == decimals(each["sd"] for each in values["parameters"].values())
        assert decimals([data.residual_deviation, data.r_squared]) == decimals(
            [values["residual_sd"], values["r_squared"]]
        )
    for name, data in nist.UNIVARIATE.items():
        values = certified["univariate"][name]
        assert decimals(row[0] for row in reference(nist_files, name)) == decimals(data.values)
        assert decimals([data.mean, data.deviation]) == decimals([values["mean"], values["sd"]])
    for name, data in nist.ANOVAS.items():
        values = certified["anova"][name]
        assert reference(nist_files, name) == [[str(t), v] for t, v in zip(data.treatments, data.y, strict=True)]
        certified_figures = [values["between"]["ss"], values["within"]["ss"], values["between"]["F"]]
        certified_figures += [values["r_squared"], values["residual_sd"]]
        figures = [data.between, data.within, data.F, data.r_squared, data.residual_deviation]
        assert decimals(figures) == decimals(certified_figures)
