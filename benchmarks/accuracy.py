"""How many decimal digits of a least-squares fit are right: this package beside others, on problems that are hard.

    python benchmarks/accuracy.py            print the tables
    python benchmarks/accuracy.py --write    and put them into docs/accuracy.md
    python benchmarks/accuracy.py --tiny     few problems, only what this package needs itself

A figure is the log relative error of the worst parameter, intercept included: against the exact rational solution of
the float64 rows, and against NIST's certified values.  16 says that every parameter is the correctly rounded one.  All
codes get the same rows.  Packages that are not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import math
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import scipy.linalg
from flint import fmpq, fmpq_mat
from sklearn.linear_model import LinearRegression

from sklearn_symfed import PSR, FederatedLinearRegression

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from _harness import blas, processor, version  # noqa: E402 -- beside this script
from nist_data import REGRESSIONS, digits  # noqa: E402 -- the tests' data, beside the package

Array = np.ndarray


@dataclass(frozen=True)
class Problem:
    """Rows to fit, and the certified parameters where somebody certifies them."""

    name: str
    x: Array
    y: Array
    intercept: bool = True
    certified: tuple[str, ...] = ()

    @property
    def design(self) -> Array:
        return np.column_stack([np.ones(len(self.x)), self.x]) if self.intercept else self.x

    def exact(self) -> list[Fraction]:
        """Return the rational solution of the normal equations of the float64 rows."""
        columns = [[Fraction(value) for value in column] for column in self.design.T.tolist()]
        target = [Fraction(value) for value in self.y.tolist()]
        gram = [_dot(p, q) for p in columns for q in columns]
        size = len(columns)
        solution = fmpq_mat(size, size, gram).solve(fmpq_mat(size, 1, [_dot(p, target) for p in columns]))
        return [Fraction(int(entry.p), int(entry.q)) for entry in solution.entries()]


def _dot(p: list[Fraction], q: list[Fraction]) -> fmpq:
    total = sum((a * b for a, b in zip(p, q, strict=True)), Fraction(0))
    return fmpq(total.numerator, total.denominator)


# -- problems --------------------------------------------------------------------------------------------------------


def nist_problems() -> Iterator[Problem]:
    for name, each in REGRESSIONS.items():
        yield Problem(f"NIST {name}", *each.rows(), each.intercept, tuple(each.estimates.split()))


def hilbert(size: int) -> Problem:
    """Rows of the Hilbert matrix, rounded to float64, and their sums."""
    x = 1.0 / (1.0 + np.add.outer(np.arange(size), np.arange(size)))
    return Problem(f"Hilbert {size}", x, x.sum(axis=1), intercept=False)


def far_from_zero(offset: float) -> Problem:
    """Three columns of standard deviation 1 around a mean."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) + offset
    return Problem(f"mean/std 1e{round(math.log10(offset))}", x, (x - offset) @ [1.0, -2.0, 3.0] + rng.normal(size=200))


def polynomial(degree: int) -> Problem:
    """Powers of 82 numbers between -9 and -3, as Filip's."""
    x = np.linspace(-9.0, -3.0, 82)
    return Problem(
        f"polynomial, degree {degree}",
        np.vander(x, degree + 1, increasing=True)[:, 1:],
        np.round(0.8 + 0.1 * np.cos(x), 4),
    )


def problems(*, tiny: bool) -> list[Problem]:
    if tiny:
        few = {"NIST NoInt1", "NIST Longley", "NIST Wampler5"}
        return [*(each for each in nist_problems() if each.name in few), hilbert(6), far_from_zero(1e6)]
    made = [hilbert(6), hilbert(8), hilbert(12), polynomial(8), polynomial(12)]
    return [*nist_problems(), *made, *(far_from_zero(offset) for offset in (1e3, 1e6, 1e9, 1e12))]


# -- codes -----------------------------------------------------------------------------------------------------------

Code = Callable[[Problem], Iterable[float]]


def _parameters(model: object, problem: Problem) -> list[float]:
    first = np.ravel(model.intercept_)[:1] if problem.intercept else []
    return [float(value) for value in [*first, *np.ravel(model.coef_)]]


def this_package(problem: Problem, **options: float) -> list[float]:
    """Fit from the merged statistics of three nodes."""
    psr = sum(PSR.from_rows(problem.x[node::3], problem.y[node::3]) for node in range(3))
    return _parameters(FederatedLinearRegression(fit_intercept=problem.intercept, **options).fit(psr, "y"), problem)


def numpy_lstsq(problem: Problem) -> Array:
    return np.linalg.lstsq(problem.design, problem.y)[0]


def numpy_qr(problem: Problem) -> Array:
    q, r = np.linalg.qr(problem.design)
    return scipy.linalg.solve_triangular(r, q.T @ problem.y)


def gram_cholesky(problem: Problem) -> Array:
    gram = problem.design.T @ problem.design
    return scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), problem.design.T @ problem.y)


def scikit_learn(problem: Problem, **options: float) -> list[float]:
    model = LinearRegression(fit_intercept=problem.intercept, **options)
    return _parameters(model.fit(problem.x, problem.y), problem)


def statsmodels_ols(problem: Problem) -> Array:
    return importlib.import_module("statsmodels.api").OLS(problem.y, problem.design).fit().params


def intelex_batch(problem: Problem) -> list[float]:
    model = importlib.import_module("sklearnex.linear_model").LinearRegression(fit_intercept=problem.intercept)
    return _parameters(model.fit(problem.x, problem.y), problem)


def intelex_incremental(problem: Problem) -> list[float]:
    linear_model = importlib.import_module("sklearnex.linear_model")
    model = linear_model.IncrementalLinearRegression(fit_intercept=problem.intercept)
    for node in range(3):
        model.partial_fit(problem.x[node::3], problem.y[node::3])
    return _parameters(model, problem)


CODES: dict[str, Code] = {
    "this package, `tol=0`": partial(this_package, tol=0),
    "this package": this_package,
    "`numpy.linalg.lstsq`": numpy_lstsq,
    "scikit-learn, `tol=0`": partial(scikit_learn, tol=0.0),
    "scikit-learn": scikit_learn,
    "float64 QR": numpy_qr,
    "float64 Gram, Cholesky": gram_cholesky,
}
if "tol" not in LinearRegression().get_params():  # scikit-learn before 1.7
    del CODES["scikit-learn, `tol=0`"]
OPTIONAL: dict[str, tuple[str, Code]] = {
    "statsmodels": ("statsmodels", statsmodels_ols),
    "intelex, batch": ("scikit-learn-intelex", intelex_batch),
    "intelex, incremental": ("scikit-learn-intelex", intelex_incremental),
}


# -- tables ----------------------------------------------------------------------------------------------------------


def solve(code: Code, problem: Problem) -> list[float] | None:
    """Return a code's parameters, or None where it finds none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [float(value) for value in code(problem)]
        except (np.linalg.LinAlgError, ValueError, RuntimeError):
            return None


def against_exact(found: list[float] | None, exact: list[Fraction]) -> str:
    if found is None:
        return "fails"
    if found == [float(value) for value in exact]:
        return "16"
    return f"{min(digits(value, true, most=15.9) for value, true in zip(found, exact, strict=True)):.1f}"


def against_certified(found: list[float] | None, certified: tuple[str, ...]) -> str:
    if found is None:
        return "fails"
    return f"{min(digits(value, true) for value, true in zip(found, certified, strict=True)):.1f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conditions(codes: dict[str, Code]) -> str:
    """Say what the figures depend on: versions, processor, kernel of BLAS."""
    wanted = ["numpy", "scipy", "scikit-learn", *(name for title, (name, _) in OPTIONAL.items() if title in codes)]
    found = ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(wanted))
    missing = dict.fromkeys(name for title, (name, _) in OPTIONAL.items() if title not in codes)
    left_out = f" Not installed, hence left out: {', '.join(missing)}." if missing else ""
    return f"Python {platform.python_version()}, {found}; {processor()}, {', '.join(blas())}.{left_out}"


def report(*, tiny: bool) -> tuple[str, bool]:
    """Return both tables as Markdown, and whether all parameters of this package are correctly rounded."""
    codes = dict(CODES)
    if not tiny:
        codes |= {title: code for title, (name, code) in OPTIONAL.items() if version(name)}
    first, second = [], []
    for problem in problems(tiny=tiny):
        exact, found = problem.exact(), [solve(code, problem) for code in codes.values()]
        first.append([problem.name, *(against_exact(each, exact) for each in found)])
        if problem.certified:
            best = [float(value) for value in exact]
            second.append([problem.name, *(against_certified(each, problem.certified) for each in [best, *found])])
    parts = [
        "Digits of the worst parameter, against the exact solution of the float64 rows (16: all correctly rounded):",
        markdown(["problem", *codes], first),
        "Digits of the worst parameter, against the certified values, which have 15:",
        markdown(["problem", "exact solution of the float64 rows", *codes], second),
        conditions(codes),
    ]
    return "\n\n".join(parts), all(row[1] == "16" for row in first)


def write(text: str, page: Path) -> None:
    """Replace what stands between the markers of a page."""
    begin, end = "<!-- figures -->", "<!-- end of figures -->"
    before = page.read_text("utf-8")
    after = re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", before, count=1, flags=re.DOTALL)
    if begin not in before or end not in before:
        raise SystemExit(f"{page.name} has no markers {begin} ... {end}")
    page.write_text(after, "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; the exit code is 1 if this package missed a bit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tiny", action="store_true", help="few problems, no optional packages")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    text, right = report(tiny=options.tiny)
    print(text)
    if options.write:
        write(text, PAGE)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
