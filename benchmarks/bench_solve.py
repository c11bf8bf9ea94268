"""How long a fit from exact moments takes, side by side with float64 on the same moments, in one run.

    python benchmarks/bench_solve.py

Each row is a median over rounds in which both sides take turns; the ratio is the median of their ratios.  Ridge is
compared with ``scipy.linalg.solve(assume_a="pos")``; both sides start at the PSR and make their own moments from it.
"""

from __future__ import annotations

import statistics

import numpy as np
import scipy.linalg
from _harness import Options, Side, Table, in_turns, limited, ratio, significant

from sklearn_symfed import PSR
from sklearn_symfed.decomposition import PrincipalComponents
from sklearn_symfed.discriminant_analysis import FederatedLinearDiscriminantAnalysis
from sklearn_symfed.linear_model._inference import singular_values, standard_errors
from sklearn_symfed.linear_model._ordinary import least_squares
from sklearn_symfed.linear_model._ridge import ridge


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


def fits(d: int) -> dict[str, tuple[Side, Side]]:
    psr, hard, classes = regression(d), regression(d, 1e12), labelled(d)
    features = psr.drop("y")
    solution = least_squares(psr.moments())
    return {
        "ridge": (lambda: ridge(psr.moments()), lambda: float_ridge(psr)),
        "least squares": (lambda: least_squares(psr.moments()), lambda: float_ridge(psr)),
        "least squares, condition 1e12": (lambda: least_squares(hard.moments(), tol=0), lambda: float_ridge(hard)),
        "standard errors": (lambda: standard_errors(psr.moments(), solution.rank), lambda: float_ridge(psr)),
        "singular values": (lambda: singular_values(features.moments(), d), lambda: float_components(features)),
        "lda": (
            lambda: FederatedLinearDiscriminantAnalysis().fit(classes, "y"),
            lambda: float_discriminant(classes),
        ),
        "pca": (lambda: PrincipalComponents(features.moments()).solve(d), lambda: float_components(features)),
    }


def solves(sizes: list[int], only: str, options: Options) -> Table:
    table = Table(
        "Solving: correctly rounded from a PSR / float64 from the same moments, one thread",
        ["fit", "d", "exact, ms", "float64, ms", "ratio"],
    )
    for d in sizes:
        for name, (ours, theirs) in fits(d).items():
            if name.startswith(only):
                timed = in_turns({"ours": ours, "theirs": theirs}, options.rounds)
                milli = [significant(1e3 * statistics.median(each)) for each in timed.values()]
                table.rows.append([name, d, *milli, ratio(*timed.values())])
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = Options.parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100], help="numbers of columns")
    parser.add_argument("--only", default="", help="fits whose name begins like this")
    found = parser.parse_args(arguments)
    options = Options.of(found)
    with limited(1):
        options.finish("solve", [solves([2] if options.tiny else found.sizes, found.only, options)])


if __name__ == "__main__":
    main()
