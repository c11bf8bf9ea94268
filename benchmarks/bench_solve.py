"""How long a fit from exact moments takes, side by side with float64 on the same moments, in one run.

    python benchmarks/bench_solve.py

Each row is a median over rounds in which both sides take turns; the ratio is the median of their ratios.  Ridge is
compared with ``scipy.linalg.solve(assume_a="pos")``; both sides start at the PSR and make their own moments from it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg

from sklearn_symfed import PSR
from sklearn_symfed._least_squares import least_squares, ridge, singular_values, standard_errors
from sklearn_symfed.decomposition import PrincipalComponents
from sklearn_symfed.discriminant_analysis import FederatedLinearDiscriminantAnalysis


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Return both medians in milliseconds, and the median ratio."""
    ours(), theirs()
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    one, other = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
    return one, other, statistics.median(a / b for a, b in pairs)


def regression(d: int, condition: float = 1.0) -> PSR:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(4 * d, d))
    if condition > 1:  # all columns lie near the first
        x = x[:, :1] + x / condition**0.5
    return PSR.from_rows(x, x @ rng.normal(size=d) + rng.normal(size=len(x)))


def float_ridge(psr: PSR) -> object:
    scatter = psr.moments().scatter
    left = scatter[:-1, :-1] + np.identity(len(scatter) - 1)
    return scipy.linalg.solve(left, scatter[:-1, -1], assume_a="pos")


def float_components(psr: PSR) -> object:
    return scipy.linalg.eigh(psr.moments().covariance())


def float_discriminant(psr: PSR) -> object:
    scatter = sum(part.moments().scatter for part in psr.by_class().values())
    return scipy.linalg.solve(scatter, np.stack([p.moments().mean for p in psr.by_class().values()]).T, assume_a="pos")


def labelled(d: int) -> PSR:
    rng = np.random.default_rng(d)
    y = np.arange(8 * d) % 3
    return PSR.from_rows(rng.normal(size=(8 * d, d)) + y[:, None], y, classes=True)


def rows(sizes: list[int]) -> list[tuple[str, int, Callable[[], object], Callable[[], object]]]:
    out: list[tuple[str, int, Callable[[], object], Callable[[], object]]] = []
    for d in sizes:
        psr, hard, classes = regression(d), regression(d, 1e12), labelled(d)
        features = psr.drop("y")
        solution = least_squares(psr.moments())
        out += [
            ("ridge", d, lambda p=psr: ridge(p.moments()), lambda p=psr: float_ridge(p)),
            ("least squares", d, lambda p=psr: least_squares(p.moments()), lambda p=psr: float_ridge(p)),
            (
                "least squares, condition 1e12",
                d,
                lambda p=hard: least_squares(p.moments(), tol=0),
                lambda p=hard: float_ridge(p),
            ),
            (
                "standard errors",
                d,
                lambda p=psr, s=solution: standard_errors(p.moments(), s.rank),
                lambda p=psr: float_ridge(p),
            ),
            (
                "singular values",
                d,
                lambda p=features, d=d: singular_values(p.moments(), d),
                lambda p=features: float_components(p),
            ),
            (
                "lda",
                d,
                lambda p=classes: FederatedLinearDiscriminantAnalysis().fit(p, "y"),
                lambda p=classes: float_discriminant(p),
            ),
            (
                "pca",
                d,
                lambda p=features, d=d: PrincipalComponents(p.moments()).solve(d),
                lambda p=features: float_components(p),
            ),
        ]
    return out


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="once, on two columns: only to see that it runs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100], help="numbers of columns")
    parser.add_argument("--only", default="", help="rows whose name begins like this")
    options = parser.parse_args(arguments)
    print(f"{'fit':<32}{'d':>5}{'exact, ms':>12}{'float64, ms':>13}{'ratio':>9}")
    for name, d, ours, theirs in rows([2] if options.tiny else options.sizes):
        if name.startswith(options.only):
            one, other, ratio = compare(ours, theirs, 1 if options.tiny else 15 if d <= 30 else 7 if d <= 100 else 3)
            print(f"{name:<32}{d:>5}{one:>12.2f}{other:>13.2f}{ratio:>9.1f}")


if __name__ == "__main__":
    main()
