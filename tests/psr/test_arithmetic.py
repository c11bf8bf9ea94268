"""Exactness rests on the BLAS and on the mode of the thread: both are checked, and other kernels give the same bits."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from threadpoolctl import threadpool_info

from sklearn_symfed.exceptions import ArithmeticModeError
from sklearn_symfed.psr import PSR, _arithmetic
from sklearn_symfed.psr._arithmetic import require_exact_blas, require_gradual_underflow
from sklearn_symfed.psr._exact import CHUNK_ROWS

_ROOT = Path(__file__).resolve().parents[2]

# One data set for each path through the kernel, in one place for this process and for others.
_DATASETS = """
import numpy as np
from sklearn_symfed.psr import PSR

def digests():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(3000, 40))
    sets = {
        "integers": rng.integers(-999, 999, (3000, 7)),
        "money": rng.integers(0, 10**6, (40_000, 3)) / 100,
        "normal": normal,
        "wide": rng.normal(size=(600, 150)),
        "single": normal.astype(np.float32),
        "extreme": np.ldexp(normal[:600, :3], rng.integers(-1070, 1000, (600, 3))),
        "int64": rng.integers(-(2**63), 2**63 - 1, (600, 3)),
    }
    return {name: PSR.from_rows(x).digest for name, x in sets.items()}
"""
_SCRIPT = f"""{_DATASETS}
import json, sys
from threadpoolctl import threadpool_info
blas = [[each.get("architecture"), each["num_threads"]] for each in threadpool_info() if each["user_api"] == "blas"]
print(json.dumps([digests() if any(name in sys.argv for name, _ in blas) else None, blas]))
"""


@pytest.fixture(scope="module")
def digests():
    space = {}
    exec(_DATASETS, space)
    return space["digests"]()


def _run(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=os.environ | environment,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("kernel", "threads"),
    [("Prescott", 1), ("Nehalem", 2), ("Sandybridge", 1), ("Haswell", 2), ("SkylakeX", 1), ("Zen", 2)],
)
def test_every_blas_kernel_gives_the_same_bits(kernel, threads, digests):
    """Another OpenBLAS kernel and another number of threads, in another process, give the same digests."""
    if not any(each.get("internal_api") == "openblas" for each in threadpool_info()):
        pytest.skip("numpy does not use OpenBLAS here")
    names = {kernel, "Katmai"} if kernel == "Prescott" else {kernel}  # what OpenBLAS calls its Prescott kernels
    done = _run(_SCRIPT, *names, OPENBLAS_CORETYPE=kernel, OPENBLAS_NUM_THREADS=str(threads))
    if done.returncode < 0:
        pytest.skip(f"this processor does not run the kernel {kernel}: signal {-done.returncode}")
    assert done.returncode == 0, done.stderr
    got, blas = json.loads(done.stdout)
    if got is None:
        pytest.skip(f"OpenBLAS offers no {kernel} here, it took {blas}")
    assert [count for _, count in blas] == [threads] * len(blas)
    assert got == digests


def test_this_blas_is_exact():
    """The self-test passes on the BLAS that the suite runs with."""
    require_exact_blas.__wrapped__()


def _strassen(first, second):
    """One level of Strassen's scheme on the last two axes, where they are even."""
    *_, n, m = first.shape
    k = second.shape[-1]
    if first.dtype != np.float64 or n % 2 or m % 2 or k % 2:
        return _MATMUL(first, second)
    a, b, c, d = (
        first[..., : n // 2, : m // 2],
        first[..., : n // 2, m // 2 :],
        first[..., n // 2 :, : m // 2],
        first[..., n // 2 :, m // 2 :],
    )
    e, f, g, h = (
        second[..., : m // 2, : k // 2],
        second[..., : m // 2, k // 2 :],
        second[..., m // 2 :, : k // 2],
        second[..., m // 2 :, k // 2 :],
    )
    one, two, three = _MATMUL(a + d, e + h), _MATMUL(c + d, e), _MATMUL(a, f - h)
    four, five, six, seven = _MATMUL(d, g - e), _MATMUL(a + b, h), _MATMUL(c - a, e + f), _MATMUL(b - d, g + h)
    return np.concatenate(
        [
            np.concatenate([one + four - five + seven, three + five], axis=-1),
            np.concatenate([two + four, one - two + three + six], axis=-1),
        ],
        axis=-2,
    )


def _single(first, second):
    """Products of three float32 pieces a number: float64, as some accelerators emulate it."""
    if first.dtype != np.float64:
        return _MATMUL(first, second)
    high = [each.astype(np.float32) for each in (first, second)]
    low = [(each - top).astype(np.float32) for each, top in zip((first, second), high, strict=True)]
    return sum(_MATMUL(a, b).astype(np.float64) for a, b in ((high[0], high[1]), (high[0], low[1]), (low[0], high[1])))


def _last_bit(first, second):
    """Be wrong in the last place of one entry of a large product."""
    out = _MATMUL(first, second)
    if out.dtype == np.float64 and out.shape[-1] > 100:
        out[..., -1, -1] = np.nextafter(out[..., -1, -1], np.inf)
    return out


_MATMUL = np.matmul


@pytest.mark.parametrize("matmul", [_strassen, _single, _last_bit])
def test_a_blas_that_rounds_is_refused(matmul, monkeypatch):
    """Strassen's scheme, emulated float64 and one wrong bit fail the self-test, and nothing is learned."""
    before = PSR.from_rows([[1.0, 2.0]])
    digest = before.digest
    require_exact_blas.cache_clear()
    monkeypatch.setattr(np, "matmul", matmul)
    try:
        with pytest.raises(ArithmeticModeError, match="does not add products of integers below 2"):
            before + PSR.from_rows([[3.0, 4.0]])
    finally:
        require_exact_blas.cache_clear()
    monkeypatch.undo()
    assert PSR.from_rows([[1.0, 2.0]]) == before
    assert before.digest == digest


def test_a_kernel_without_strassen_passes_the_stand_in(monkeypatch):
    """The stand-in for Strassen's scheme is right on small numbers: what the self-test notices is the rounding."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(-9, 9, (8, 6)).astype(float), rng.integers(-9, 9, (6, 4)).astype(float)
    assert _strassen(first, second).tolist() == (first @ second).tolist()


_FLUSH = (
    _DATASETS
    + """
import ctypes, mmap, sys, threading
from sklearn_symfed.exceptions import ArithmeticModeError

code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("0fae17c3" "0fae1fc3"))  # ldmxcsr [rdi]; ret; stmxcsr [rdi]; ret
at = ctypes.addressof(ctypes.c_char.from_buffer(code))
load, store = (ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))(at + offset) for offset in (0, 4))
mode = ctypes.c_uint32()
store(ctypes.byref(mode))
normal = mode.value
x = np.array([[1.0, 2.0], [3.0, 4.0]])
before = PSR.from_rows(x)
for flags in (1 << 15, 1 << 6, (1 << 15) | (1 << 6)):  # FTZ, DAZ
    load(ctypes.byref(ctypes.c_uint32(normal | flags)))
    try:
        PSR.from_rows(x)
        print("learned")
    except ArithmeticModeError as error:
        print("refused" if "flushes subnormal numbers" in str(error) else error)
    finally:
        load(ctypes.byref(ctypes.c_uint32(normal)))
    assert before.digest == PSR.from_rows(x).digest
    other = threading.Thread(target=lambda: load(ctypes.byref(ctypes.c_uint32(normal | flags))))
    other.start()
    other.join()
    assert PSR.from_rows(x) == before
"""
)


@pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"} or sys.platform != "linux", reason="writes MXCSR of x86-64"
)
def test_flush_to_zero_is_noticed():
    """FTZ and DAZ, really set in the calling thread, are refused; set in another thread they do not matter."""
    done = _run(_FLUSH)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * 3


def test_the_probe_asks_each_time(monkeypatch):
    """A mode that changes after the first call is still noticed."""
    require_gradual_underflow()
    monkeypatch.setattr(_arithmetic, "_EXPECTED", np.array([0.0, 0.0]))
    with pytest.raises(ArithmeticModeError):
        PSR.from_rows([[1.0]])


def test_threads_learn_at_the_same_time():
    """Concurrent calls share nothing: each gets the digest that it gets alone."""
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(5000, 6)), np.ldexp(rng.normal(size=(900, 3)), 900), rng.integers(0, 9, (40_000, 2))] * 2
    want = [PSR.from_rows(x).digest for x in sets]
    got = [None] * len(sets)

    def learn(i):
        got[i] = PSR.from_rows(sets[i]).digest

    threads = [threading.Thread(target=learn, args=(i,)) for i in range(len(sets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == want


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing", "sequential"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_every_joblib_backend_gives_the_same_bits(backend):
    """Two jobs, as threads or as processes, give the digest of one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * CHUNK_ROWS + 5, 2))
    labels, weights = rng.integers(0, 2, len(x)), rng.integers(0, 3, len(x))
    want = PSR.from_rows(x), PSR.from_rows(x, labels, classes=True, sample_weight=weights)
    with parallel_config(backend=backend, n_jobs=2):
        assert PSR.from_rows(x, n_jobs=2) == want[0]
        assert PSR.from_rows(x, labels, classes=True, sample_weight=weights, n_jobs=2) == want[1]
    assert PSR.from_rows(x, n_jobs=-1) == want[0]
