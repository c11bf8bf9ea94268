"""The shape of the package: its door, who imports whom, and what importing it loads.

Directions are read from the source, so an import that hides in a function counts as well.
"""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sklearn_symfed

PACKAGE = Path(sklearn_symfed.__file__).parent
TESTS = Path(__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# A room may import from itself and from the rooms named here.  What is in no room below is an estimator module.
ROOMS = {
    "exceptions": set(),
    "psr": {"exceptions"},
    "estimators": {"exceptions", "psr"},
    "federation": {"exceptions", "psr"},
    "_member": {"exceptions", "psr", "federation"},
    "_federated_psr": {"exceptions", "psr", "estimators", "federation", "_member"},
    "testing": {"exceptions", "psr", "estimators", "federation", "_federated_psr"},
    "door": {"exceptions", "psr", "estimators", "federation", "_federated_psr"},
    "cli": {"exceptions", "psr", "estimators", "federation", "_federated_psr", "door"},
}
HEAVY = {
    "azure",
    "boto3",
    "botocore",
    "dask",
    "hypothesis",
    "matplotlib",
    "nats",
    "pandas",
    "pyarrow",
    "pytest",
    "rich",
    "skops",
    "typer",
}
UNPICKLERS = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
ONLY_HOME_OF_PRIVATE_SKLEARN = "sklearn_symfed._base"


def room_of(module: str) -> str:
    """Name the room that a module of the package lies in."""
    parts = module.split(".")
    if len(parts) == 1:
        return "door"
    return parts[1] if parts[1] in ROOMS else "estimators"


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """Yield the dotted name of all that `source` imports; for ``from a import b`` it is ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -(node.level - is_package) or None] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def wrong_imports(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """List the imports in `source` that this package does not allow in `module`."""
    room, wrong = room_of(module), []
    for name in imports(module, source, is_package=is_package):
        top, *rest = name.split(".")
        if top == "sklearn_symfed":
            # A name at the door that is no module (`from sklearn_symfed import PSR`) comes from the door.
            at_door = len(rest) <= 1 and ".".join([top, *rest]) not in FILES
            target = "door" if at_door else room_of(name)
            allowed = target == room or target in ROOMS[room]
        elif top == "sklearn":
            allowed = module == ONLY_HOME_OF_PRIVATE_SKLEARN or not any(part.startswith("_") for part in rest)
        else:
            allowed = top not in UNPICKLERS
        if not allowed:
            wrong.append(name)
    return wrong


def test_the_door_offers_exactly_these_names():
    """The public names are pinned, present and documented."""
    assert sklearn_symfed.__all__ == [
        "PSR",
        "FederatedBayesianRidge",
        "FederatedBernoulliNB",
        "FederatedCCA",
        "FederatedCategoricalNB",
        "FederatedComplementNB",
        "FederatedElasticNet",
        "FederatedEmpiricalCovariance",
        "FederatedFactorAnalysis",
        "FederatedGaussianEnvelope",
        "FederatedGaussianNB",
        "FederatedGraphicalLasso",
        "FederatedLars",
        "FederatedLasso",
        "FederatedLassoLars",
        "FederatedLinearDiscriminantAnalysis",
        "FederatedLinearRegression",
        "FederatedMultinomialNB",
        "FederatedNearestCentroid",
        "FederatedOAS",
        "FederatedOneHotEncoder",
        "FederatedOrdinalEncoder",
        "FederatedOrthogonalMatchingPursuit",
        "FederatedPCA",
        "FederatedPLSRegression",
        "FederatedPSR",
        "FederatedQuadraticDiscriminantAnalysis",
        "FederatedRidge",
        "FederatedSelectFdr",
        "FederatedSelectFpr",
        "FederatedSelectFwe",
        "FederatedSelectKBest",
        "FederatedShrunkCovariance",
        "FederatedSimpleImputer",
        "FederatedTargetEncoder",
        "FederatedTruncatedSVD",
        "FederatedVarianceThreshold",
        "Guard",
        "Moments",
        "PulseReport",
        "Release",
        "Schema",
        "Status",
        "exceptions",
        "fitted_digests",
    ]
    assert all(getattr(sklearn_symfed, name).__doc__ for name in sklearn_symfed.__all__)


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_directions_of_the_design(module):
    """No module imports upwards, sideways, an unpickler, or private names of scikit-learn outside of one file."""
    path = FILES[module]
    assert wrong_imports(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "name"),
    [
        ("psr._psr", "from sklearn_symfed._base import x", "sklearn_symfed._base.x"),
        ("psr._psr", "def f():\n    from ..federation import x", "sklearn_symfed.federation.x"),
        ("psr._psr", "from sklearn_symfed import PSR", "sklearn_symfed.PSR"),
        ("psr._psr", "import sklearn_symfed", "sklearn_symfed"),
        ("federation._peers", "import sklearn_symfed.linear_model", "sklearn_symfed.linear_model"),
        ("federation.transports.nats", "from ... import _base", "sklearn_symfed._base"),
        ("federation._federation", "from sklearn_symfed import _federated_psr", "sklearn_symfed._federated_psr"),
        ("linear_model", "from .federation import x", "sklearn_symfed.federation.x"),
        ("linear_model", "from . import _federated_psr", "sklearn_symfed._federated_psr"),
        ("linear_model", "from sklearn.linear_model._base import x", "sklearn.linear_model._base.x"),
        ("linear_model", "from sklearn.base import _fit_context", "sklearn.base._fit_context"),
        ("exceptions", "from sklearn_symfed.psr import PSR", "sklearn_symfed.psr.PSR"),
        ("_federated_psr", "from sklearn_symfed.testing import x", "sklearn_symfed.testing.x"),
        ("federation._store", "import pickle", "pickle"),
        ("psr._codec", "from pickle import loads", "pickle.loads"),
    ],
)
def test_a_wrong_import_is_found(module, source, name):
    """The test of directions fails on an import against them, wherever it stands."""
    assert wrong_imports(f"sklearn_symfed.{module}", source) == [name]


def test_a_relative_import_in_a_package_is_resolved():
    """In an ``__init__.py`` one dot means the package itself."""
    assert list(imports("sklearn_symfed.psr", "from ._psr import PSR", is_package=True)) == [
        "sklearn_symfed.psr._psr.PSR"
    ]
    assert list(imports("sklearn_symfed.psr", "from .. import _base", is_package=True)) == ["sklearn_symfed._base"]


# scikit-learn loads pandas by itself where it can: what counts is which module asks.  What is refused is never cached,
# so that each module's wish for it is seen.
WATCH = f"""
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        print(name, frame.f_globals.get("__name__"))
        if name in {HEAVY}:
            raise ImportError(name)
sys.meta_path.insert(0, Watch())
"""


def imported_by_the_package(program: str) -> set[str]:
    """Run `program` in a new interpreter; return the libraries that modules of this package ask for."""
    command = [sys.executable, "-c", WATCH + program]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    asked = [line.split() for line in run.stdout.splitlines()]
    return {name.split(".")[0] for name, by in asked if by.split(".")[0] == "sklearn_symfed"}


def test_importing_loads_no_optional_library():
    """`import sklearn_symfed` asks for what it requires, and for no cloud SDK, frame library, plotting or test tool."""
    asked = imported_by_the_package("import sklearn_symfed")
    assert {"sklearn", "sklearn_symfed"} <= asked
    assert HEAVY & asked == set()


def test_an_optional_library_would_be_noticed():
    """The watch sees a library that a module of this package asks for, though scikit-learn asked for it before."""
    late = "try: exec('import pandas', {'__name__': 'sklearn_symfed.late'})\nexcept ImportError: pass"
    assert HEAVY & imported_by_the_package(f"import sklearn_symfed\n{late}") == {"pandas"}


@pytest.mark.parametrize("module", FILES)
def test_a_module_says_what_it_owns(module):
    """Every module opens with a docstring and lists its names in ``__all__`` (the linter keeps that list sorted)."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert ast.get_docstring(tree)
    assert "__all__" in assigned


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_says_what_it_expects(path):
    """Each test function has a docstring that states a behaviour."""
    functions = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef))
    silent = [node.name for node in functions if node.name.startswith("test_") and not ast.get_docstring(node)]
    assert silent == []


def test_no_test_reaches_beyond_this_machine():
    """A connection to another machine fails the test that tries it, before a packet is sent."""
    with socket.socket() as outward, pytest.raises(pytest.fail.Exception, match="loopback"):
        outward.connect(("192.0.2.1", 9))
