"""Fitted numbers are the same under every BLAS kernel and number of threads, and they are the right ones.

Run as a script, this file fits every model of `MODELS` and prints their digests: the test does so in a process for each
kernel.  ``--without solve`` or ``--without eigenpairs`` takes float64 numbers as they are: the tests must notice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.linalg
from flint import arb, arb_mat
from scipy.linalg import LinAlgWarning
from threadpoolctl import threadpool_info, threadpool_limits

import sklearn_symfed
from sklearn_symfed import (
    FederatedBayesianRidge,
    FederatedBernoulliNB,
    FederatedCategoricalNB,
    FederatedCCA,
    FederatedComplementNB,
    FederatedElasticNet,
    FederatedEmpiricalCovariance,
    FederatedFactorAnalysis,
    FederatedGaussianEnvelope,
    FederatedGaussianNB,
    FederatedGraphicalLasso,
    FederatedLars,
    FederatedLasso,
    FederatedLassoLars,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedMultinomialNB,
    FederatedNearestCentroid,
    FederatedOAS,
    FederatedOneHotEncoder,
    FederatedOrdinalEncoder,
    FederatedOrthogonalMatchingPursuit,
    FederatedPCA,
    FederatedPLSRegression,
    FederatedQuadraticDiscriminantAnalysis,
    FederatedRidge,
    FederatedSelectFdr,
    FederatedSelectFpr,
    FederatedSelectFwe,
    FederatedSelectKBest,
    FederatedShrunkCovariance,
    FederatedSimpleImputer,
    FederatedTargetEncoder,
    FederatedTruncatedSVD,
    FederatedVarianceThreshold,
    _definite,
    _eigen,
    fitted_digests,
)
from sklearn_symfed.feature_selection import chi2, f_regression

# -- models ----------------------------------------------------------------------------------------------------------


def rows(n, d, seed=0):
    """Return a design and three targets, made without BLAS."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * 2.0 ** rng.integers(-6, 6, d) + rng.normal(size=d)
    x[:, 1:] += 0.5 * x[:, :-1]
    y = np.add.reduce(x[:, None, :] * rng.normal(size=(3, d)), axis=2) + rng.normal(size=(n, 3))
    return x, y


X, Y = rows(60, 6)
WIDE, TALL = rows(5, 9, 1)[0], rows(3000, 12, 2)
CLASSES = np.argsort(np.argsort(Y[:, 0])) * 3 // len(Y)
WEIGHTS = np.random.default_rng(3).uniform(0.5, 2.0, len(X))
POLYNOMIAL = np.array([[t**k for k in range(1, 11)] for t in np.linspace(1.0, 3.0, 30)])
CUBIC = np.array([[t**k for k in range(1, 5)] for t in range(12)])
MONEY = np.round(np.random.default_rng(4).uniform(1, 100, size=(60, 3)), 2)
MONEY = np.column_stack([MONEY, MONEY[:, 0] + MONEY[:, 1] + MONEY[:, 2]])
ONE_HOT = np.column_stack([np.eye(3)[np.arange(60) % 3], X[:, :2], np.full(60, 0.1)])
COLLINEAR = np.column_stack([X[:, :4], X[:, 0] - X[:, 1]])
FACTORIAL = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
LEVELS = np.array([[f"level {value:.0f}", f"{other:.0f}", value] for value, other in X[:, :2].tolist()], dtype=object)
GRADED = X[:, :4] * np.array([1.0, 1e-7, 1e-14, 1e6])
LDA, OLS = FederatedLinearDiscriminantAnalysis, FederatedLinearRegression

MODELS = {
    "ridge": (FederatedRidge(), X, Y[:, 0], None),
    "ridge, several targets and penalties": (FederatedRidge(np.array([0.1, 2.0, 0.0])), X, Y, WEIGHTS),
    "ridge, no intercept": (FederatedRidge(0.3, fit_intercept=False), *TALL, None),
    "ridge, ill-conditioned": (FederatedRidge(1e-9), POLYNOMIAL, Y[:30, 0], None),
    "least squares": (OLS(), X, Y[:, :2], None),
    "least squares, weighted": (OLS(fit_intercept=False), X, Y[:, 1], WEIGHTS),
    "least squares, ill-conditioned": (OLS(tol=0), POLYNOMIAL, Y[:30, 0], None),
    "least squares, exact": (OLS(tol=0), CUBIC, 2 * CUBIC[:, 2] + 1, None),
    "least squares, money": (OLS(), MONEY, Y[:, 0], None),
    "least squares, one-hot": (OLS(), ONE_HOT, Y, None),
    "least squares, few rows": (OLS(), WIDE, WIDE[:, 0] ** 2, None),
    "least squares, not negative": (OLS(positive=True), *TALL, None),
    "ridge, not negative": (FederatedRidge(0.5, positive=True), X, Y, WEIGHTS),
    "lasso": (FederatedLasso(0.1), X, Y, WEIGHTS),
    "lasso, ill-conditioned": (FederatedLasso(1e-2), POLYNOMIAL, Y[:30, 0], None),
    "lasso, collinear": (FederatedLasso(0.01), np.hstack([COLLINEAR, COLLINEAR]), Y[:, 0], None),
    "lasso, few rows": (FederatedLasso(0.01, fit_intercept=False), WIDE, WIDE[:, 0] ** 2, None),
    "elastic net": (FederatedElasticNet(0.1, l1_ratio=0.7), X, Y[:, 0], None),
    "lars": (FederatedLars(), X, Y[:, :2], WEIGHTS),
    "lars, ties": (FederatedLars(), FACTORIAL, FACTORIAL.sum(axis=1), None),
    "lasso, by its path": (FederatedLassoLars(0.01), COLLINEAR, Y, WEIGHTS),
    "lasso, by its path, few rows": (FederatedLassoLars(0.0), WIDE, WIDE[:, 0] ** 2, None),
    "matching pursuit": (FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=4), COLLINEAR, Y, WEIGHTS),
    "bayesian ridge": (FederatedBayesianRidge(compute_score=True), X, Y[:, 0], WEIGHTS),
    "bayesian ridge, few rows": (FederatedBayesianRidge(tol=1e-12), WIDE, WIDE[:, 0] ** 2, None),
    "lda": (LDA(), X, CLASSES, None),
    "lda, two classes": (LDA(priors=[0.25, 0.75]), X, CLASSES > 0, WEIGHTS),
    "lda, shrinkage": (LDA(shrinkage=0.25, store_covariance=True), X, CLASSES, None),
    "lda, oas": (LDA(shrinkage="oas"), X, CLASSES, WEIGHTS),
    "lda, all shrunk": (LDA(shrinkage=1.0), X, CLASSES, None),
    "lda, collinear": (LDA(), COLLINEAR, CLASSES, WEIGHTS),
    "qda": (FederatedQuadraticDiscriminantAnalysis(store_covariance=True, tol=0.0), X, CLASSES, WEIGHTS),
    "qda, oas": (FederatedQuadraticDiscriminantAnalysis(shrinkage="oas"), COLLINEAR, CLASSES, None),
    "covariance": (FederatedEmpiricalCovariance(), X, None, WEIGHTS),
    "covariance, singular": (FederatedEmpiricalCovariance(assume_centered=True), COLLINEAR, None, None),
    "covariance, shrunk": (FederatedShrunkCovariance(), WIDE, None, None),
    "covariance, oas": (FederatedOAS(), X, None, WEIGHTS),
    "covariance, sparse": (FederatedGraphicalLasso(0.5), X, None, None),
    "covariance, hardly sparse": (FederatedGraphicalLasso(0.01), WIDE, None, None),
    "outliers": (FederatedGaussianEnvelope(), COLLINEAR, None, WEIGHTS),
    "nearest centroid": (FederatedNearestCentroid(shrink_threshold=0.7), X, CLASSES, WEIGHTS),
    "pca": (FederatedPCA(), X, None, None),
    "pca, many rows": (FederatedPCA(0.9, whiten=True), TALL[0], None, None),
    "pca, weighted": (FederatedPCA(2), X, None, WEIGHTS),
    "pca, few rows": (FederatedPCA(), WIDE, None, None),
    "pca, ties": (FederatedPCA(), FACTORIAL, None, None),
    "pca, scales": (FederatedPCA(), GRADED, None, None),
    "partial least squares": (FederatedPLSRegression(3), X, Y, WEIGHTS),
    "partial least squares, one target": (FederatedPLSRegression(4, scale=False), WIDE, WIDE[:, 0] ** 2, None),
    "canonical correlation": (FederatedCCA(3), COLLINEAR, Y, None),
    "canonical correlation, ties": (FederatedCCA(2), FACTORIAL, FACTORIAL[:, 1:], None),
    "factor analysis": (FederatedFactorAnalysis(2, rotation="varimax"), X, None, WEIGHTS),
    "factor analysis, factors to spare": (FederatedFactorAnalysis(), MONEY, None, None),
    "truncated svd": (FederatedTruncatedSVD(4), X, None, WEIGHTS),
    "truncated svd, ties": (FederatedTruncatedSVD(3), FACTORIAL, None, None),
    "k best": (FederatedSelectKBest(k=2), X, CLASSES, WEIGHTS),
    "k best, chi-square": (FederatedSelectKBest(chi2, k=2), abs(X), CLASSES, None),
    "false discoveries": (FederatedSelectFdr(f_regression), X, Y[:, 0], None),
    "false positives": (FederatedSelectFpr(), X, CLASSES, None),
    "any false": (FederatedSelectFwe(), X, CLASSES, None),
    "variance threshold": (FederatedVarianceThreshold(), X, None, WEIGHTS),
    "one-hot": (FederatedOneHotEncoder(min_frequency=0.1), LEVELS, None, WEIGHTS),
    "ordinal": (FederatedOrdinalEncoder(), LEVELS, None, None),
    "target means": (FederatedTargetEncoder(smooth=0.3), LEVELS, Y[:, 0], WEIGHTS),
    "target means of classes": (
        FederatedTargetEncoder(target_type="multiclass", smooth="auto"),
        LEVELS,
        CLASSES,
        WEIGHTS,
    ),
    "imputation": (FederatedSimpleImputer(), np.where(X > 1, np.nan, X), None, WEIGHTS),
    "naive bayes": (FederatedGaussianNB(), X, CLASSES, WEIGHTS),
    "naive bayes, bernoulli": (FederatedBernoulliNB(alpha=0.3), X, CLASSES, WEIGHTS),
    "naive bayes, categorical": (FederatedCategoricalNB(alpha=0.3), np.abs(X // 4), CLASSES, WEIGHTS),
    "naive bayes, complement": (FederatedComplementNB(norm=True), abs(X), CLASSES, WEIGHTS),
    "naive bayes, multinomial": (FederatedMultinomialNB(), abs(X), CLASSES, WEIGHTS),
}
LATER = ("coef_stderr_", "intercept_stderr_", "residual_std_", "singular_")


def fitted(name):
    estimator, x, y, weights = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        return estimator.fit(x, y, sample_weight=weights)


def digests(name):
    model = fitted(name)
    later = {key: np.asarray(getattr(model, key)).tobytes() for key in LATER if hasattr(model, key)}
    return fitted_digests(model) | {key: hashlib.sha256(value).hexdigest() for key, value in later.items()}


def float_solve(factor, a, b, bits):
    """Stand in for refinement: what LAPACK makes of the rounded system, taken at its word."""
    solution = scipy.linalg.solve(a.astype(float), b.astype(float), assume_a="pos")
    return [arb(value) for value in solution.tolist()]


def float_pairs(problem, level, count):
    """Stand in for refined eigenpairs: LAPACK's, taken at their word."""
    floats = [
        None if m is None else np.array([[float(int(v)) for v in row] for row in m.tolist()])
        for m in (problem._a, problem._b)
    ]
    values, vectors = scipy.linalg.eigh(*floats)
    values, vectors = np.maximum(values[::-1], 0.0), vectors.T[::-1]
    entries = [arb(float(v)) for v in vectors[:count].ravel()]
    balls = [arb(float(v)) for v in values]
    return _eigen.Eigenpairs(balls[:count], arb_mat(count, len(values), entries), sum(balls, arb(0)))


STAND_INS = {
    "solve": (_definite.Factor, "refine", float_solve),
    "eigenpairs": (_eigen.Eigenproblem, "pairs", float_pairs),
}


NOTICED = ("ridge, no intercept", "pca, many rows")
"""Models whose bits differ between kernels where a stand-in is at work; others may refuse its numbers."""


def main(without):
    for name in without:
        setattr(*STAND_INS[name])
    kernels = sorted({info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"})
    found = {}
    for threads in (1,) if without else (1, 2):
        with threadpool_limits(threads):
            found[threads] = {name: digests(name) for name in (NOTICED if without else MODELS)}
    sys.stdout.write(json.dumps({"kernels": kernels, "digests": found}))


# -- the same everywhere ---------------------------------------------------------------------------------------------

KERNELS = {
    "Prescott": "SSE3",
    "Nehalem": "SSE42",
    "Sandybridge": "AVX",
    "Haswell": "FMA3",
    "Zen": "FMA3",
    "SkylakeX": "AVX512_SKX",
}


def offered():
    """Return the kernels that this processor can run."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return []
    features = np._core._multiarray_umath.__cpu_features__
    return [kernel for kernel, feature in KERNELS.items() if features.get(feature)]


def start(kernel, *arguments):
    """Fit all models in a new process, which takes the package from where this one has it."""
    home = str(Path(sklearn_symfed.__file__).parents[1])
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": home}
    if kernel:
        environment["OPENBLAS_CORETYPE"] = kernel
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def mine():
    """Return the digests of all models as this process fits them, and its kernel."""
    kernels = sorted({info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"})
    return {name: digests(name) for name in MODELS}, kernels


FIRST, *OTHERS = offered() or [None]


@pytest.mark.parametrize("kernel", [FIRST, *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)])
def test_the_same_bits_under_every_kernel(kernel, mine):
    """All fitted attributes of all models have one digest, whatever the kernel and the number of threads."""
    models, native = mine
    each = start(kernel)
    for threads, theirs in each["digests"].items():
        for name, expected in models.items():
            differ = sorted(key for key, value in expected.items() if theirs[name].get(key) != value)
            assert not differ, f"{name} differs under {kernel} with {threads} threads: {differ}"
    if kernel == FIRST and OTHERS and each["kernels"]:
        assert each["kernels"] != native, "no kernel was honoured"


@pytest.mark.skipif(len(offered()) < 2, reason="needs two kernels")
def test_without_refinement_bits_differ():
    """The test above can fail: float64 solves and eigenpairs as they are differ between two kernels."""
    one, other = (start(kernel, "--without", *STAND_INS) for kernel in offered()[:: len(offered()) - 1])
    if one["kernels"] == other["kernels"]:
        pytest.skip("this BLAS has one kernel only")
    for name in NOTICED:
        assert one["digests"]["1"][name] != other["digests"]["1"][name]


# -- and right -------------------------------------------------------------------------------------------------------


class Oracle:
    """Statistics of rows as fractions, with nothing of the package."""

    def __init__(self, x, y=None, weights=None):
        self.x = [[Fraction(float(v)) for v in row] for row in x]
        self.y = None if y is None else [[Fraction(float(v)) for v in np.atleast_1d(row)] for row in y]
        self.w = [Fraction(1)] * len(self.x) if weights is None else [Fraction(float(v)) for v in weights]

    def centred(self, columns, *, centre=True):
        total = sum(self.w)
        means = [sum(w * v for w, v in zip(self.w, c, strict=True)) / total * centre for c in columns]
        return means, [[v - m for v in c] for c, m in zip(columns, means, strict=True)]

    def dot(self, one, other):
        return sum(w * a * b for w, a, b in zip(self.w, one, other, strict=True))

    def least_squares(self, alpha, *, intercept=True):
        """Return coefficients, intercept, and the squares of their errors and of the residuals' deviation."""
        means, columns = self.centred(list(zip(*self.x, strict=True)), centre=intercept)
        target_means, targets = self.centred(list(zip(*self.y, strict=True)), centre=intercept)
        d = len(columns)
        gram = [
            [self.dot(a, b) + (alpha if i == j else 0) for j, b in enumerate(columns)] for i, a in enumerate(columns)
        ]
        right = [
            [*(Fraction(i == j) for j in range(d)), *(self.dot(a, t) for t in targets)] for i, a in enumerate(columns)
        ]
        solved = eliminate(gram, right)
        inverse, out = [row[:d] for row in solved], []
        for t, target in enumerate(targets):
            coef = [row[d + t] for row in solved]
            fitted = [sum(b * v for b, v in zip(coef, row, strict=True)) for row in zip(*columns, strict=True)]
            left = [v - f for v, f in zip(target, fitted, strict=True)]
            variance = self.dot(left, left) / (len(self.x) - d - intercept)
            beside = 1 / sum(self.w) + sum(means[i] * inverse[i][j] * means[j] for i in range(d) for j in range(d))
            constant = target_means[t] - sum(b * m for b, m in zip(coef, means, strict=True))
            out.append((coef, constant, [variance * inverse[j][j] for j in range(d)], variance * beside, variance))
        return out


def eliminate(a, b):
    """Gaussian elimination over fractions."""
    work = [[*left, *right] for left, right in zip(a, b, strict=True)]
    for i in range(len(work)):
        pivot = next(k for k in range(i, len(work)) if work[k][i])
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for k in range(len(work)):
            if k != i and work[k][i]:
                work[k] = [v - work[k][i] * u for v, u in zip(work[k], work[i], strict=True)]
    return [row[len(work) :] for row in work]


def real(value):
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpf(value)


def assert_within(got, want, ulps):
    """Assert that floats are that near to exact numbers."""
    got = np.ravel(got).tolist()
    assert len(got) == len(want)
    for value, exact in zip(got, want, strict=True):
        error = abs(mpmath.mpf(value) - real(exact)) / mpmath.mpf(math.ulp(value))
        assert error <= ulps + mpmath.mpf(10) ** -30, f"{value!r} is {float(error):.3f} ulp off"


def check_linear(name, alpha=0):
    estimator, x, y, weights = MODELS[name]
    y = np.reshape(y, (len(x), -1))
    model = fitted(name)
    shape = (y.shape[1], -1)
    alphas = np.broadcast_to(alpha, y.shape[1])
    for t, alpha_t in enumerate(alphas):
        oracle = Oracle(x, y[:, [t]], weights)
        ((coef, constant, variances, beside, residual),) = oracle.least_squares(
            Fraction(float(alpha_t)), intercept=estimator.fit_intercept
        )
        assert_within(model.coef_.reshape(shape)[t], coef, 0.5)
        if estimator.fit_intercept:
            assert_within(np.ravel(model.intercept_)[t], [constant], 0.5)
        if isinstance(model, OLS):
            assert_within(model.coef_stderr_.reshape(shape)[t], [mpmath.sqrt(real(v)) for v in variances], 0.5)
            assert_within(np.ravel(model.residual_std_)[t], [mpmath.sqrt(real(residual))], 0.5)
            if estimator.fit_intercept:
                assert_within(np.ravel(model.intercept_stderr_)[t], [mpmath.sqrt(real(beside))], 0.5)


def check_discriminant(name, ulps=1):
    estimator, x, y, weights = MODELS[name]
    model = fitted(name)
    labels = sorted(set(y.tolist()))
    parts = [Oracle(x[y == k], None, None if weights is None else weights[y == k]) for k in labels]
    means, within, total = [], 0, sum(sum(p.w) for p in parts)
    shares = [sum(p.w) / total for p in parts]
    d = x.shape[1]
    within = [[Fraction(0)] * d for _ in range(d)]
    for part in parts:
        mean, columns = part.centred(list(zip(*part.x, strict=True)))
        means.append(mean)
        for i in range(d):
            for j in range(d):
                within[i][j] += part.dot(columns[i], columns[j]) / total
    priors = shares if estimator.priors is None else [Fraction(p) for p in estimator.priors]
    assert_within(model.means_, [v for mean in means for v in mean], 0.5)
    middle = [sum(p * m[j] for p, m in zip(priors, means, strict=True)) for j in range(d)]
    moved = [[m[j] - middle[j] for j in range(d)] for m in means]
    if len(labels) == 2:
        pairs = [(means[1], means[0], mpmath.log(real(priors[1] / priors[0])))]
    else:
        pairs = [(m, middle, mpmath.log(real(p))) for m, p in zip(means, priors, strict=True)]
    for k, (upper, lower, odds) in enumerate(pairs):
        coef = [row[0] for row in eliminate(within, [[u - v] for u, v in zip(upper, lower, strict=True)])]
        assert_within(model.coef_[k], coef, 0.5)
        half = sum((u + v) * b for u, v, b in zip(upper, lower, coef, strict=True)) / 2
        assert_within(model.intercept_[k], [odds - real(half)], ulps)
    solved = eliminate(within, [[m[j] for m in moved] for j in range(d)])
    n = len(labels)
    gram = mpmath.matrix(n, n)
    for i in range(n):
        for j in range(n):
            gram[i, j] = real(sum(moved[i][k] * solved[k][j] for k in range(d))) * mpmath.sqrt(
                real(priors[i] * priors[j])
            )
    values, vectors = mpmath.eigsy(gram)
    for c in range(n - 1):
        e = n - 1 - c
        scaling = [
            sum(real(solved[j][k]) * mpmath.sqrt(real(priors[k])) * vectors[k, e] for k in range(n))
            / mpmath.sqrt(values[e])
            for j in range(d)
        ]
        assert_within(np.abs(model.scalings_[:, c]), [abs(v) for v in scaling], ulps)
        assert_within(model.explained_variance_ratio_[c], [values[e] / sum(values)], ulps)


def check_components(name, ulps=1):
    _, x, _, weights = MODELS[name]
    model = fitted(name)
    oracle = Oracle(x, None, weights)
    mean, columns = oracle.centred(list(zip(*oracle.x, strict=True)))
    assert_within(model.mean_, mean, 0.5)
    scatter = mpmath.matrix([[real(oracle.dot(a, b)) for b in columns] for a in columns])
    values, vectors = mpmath.eigsy(scatter)
    total = sum(oracle.w)
    freedom = real(total - sum(w * w for w in oracle.w) / total)
    for k in range(model.n_components_):
        e = len(columns) - 1 - k
        if values[e] < mpmath.mpf(10) ** -60:
            continue
        assert_within(np.abs(model.components_[k]), [abs(vectors[j, e]) for j in range(len(columns))], ulps)
        assert_within(model.explained_variance_[k], [values[e] / freedom], ulps)
        assert_within(model.singular_values_[k], [mpmath.sqrt(values[e])], ulps)
        assert_within(model.explained_variance_ratio_[k], [values[e] / sum(values)], ulps)


CHECKS = {
    "ridge": (check_linear, 1.0),
    "ridge, several targets and penalties": (check_linear, np.array([0.1, 2.0, 0.0])),
    "ridge, ill-conditioned": (check_linear, 1e-9),
    "least squares": (check_linear,),
    "least squares, weighted": (check_linear,),
    "least squares, ill-conditioned": (check_linear,),
    "least squares, exact": (check_linear,),
    "lda": (check_discriminant,),
    "lda, two classes": (check_discriminant,),
    "pca": (check_components,),
    "pca, weighted": (check_components,),
    "pca, few rows": (check_components,),
    "pca, scales": (check_components,),
}


@pytest.mark.parametrize("name", CHECKS)
def test_numbers_are_right(name):
    """Rational numbers and their roots are rounded once, logarithms and eigenpairs are within an ulp."""
    check, *arguments = CHECKS[name]
    with mpmath.workdps(120):
        check(name, *arguments)


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("solve", "ridge"),
        ("solve", "least squares"),
        ("solve", "lda"),
        ("eigenpairs", "pca"),
        ("eigenpairs", "lda"),
        ("eigenpairs", "pca, scales"),
    ],
)
def test_without_refinement_numbers_are_wrong(what, name, monkeypatch):
    """The test above can fail: float64 results as they are lie further off."""
    monkeypatch.setattr(*STAND_INS[what])
    check, *arguments = CHECKS[name]
    with mpmath.workdps(120), pytest.raises(AssertionError, match="ulp off"):
        check(name, *arguments)


def test_every_rung_answers():
    """The models together need every rung of the ladder, so that all are compared above."""
    rungs = {name: getattr(fitted(name), "solver_", None) for name in MODELS}
    assert set(rungs.values()) == {"cholesky", "balls", "rationals", None}
    assert rungs["ridge"] == rungs["lda"] == rungs["least squares"] == "cholesky"
    assert rungs["least squares, ill-conditioned"] == "balls"
    assert rungs["least squares, exact"] == "rationals"


if __name__ == "__main__":
    main(sys.argv[2:])
