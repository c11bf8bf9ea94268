"""A node that lives in a home goes on where it was, by the calls that its script makes from the top."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sklearn.exceptions import NotFittedError

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.exceptions import FederationError, ForgetError, StoreError

ROWS, OTHERS = [[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]


def test_a_script_can_be_run_again_from_the_top(tmp_path):
    """Named batches are learned once and forgotten once, however often a script is started, and whatever is left."""
    for _ in range(3):
        with FederatedPSR(home=tmp_path / "n") as node:
            node.partial_fit(OTHERS, batch_id="two")
            assert node.psr_ == PSR.from_rows(OTHERS)
        with FederatedPSR(home=tmp_path / "n") as node:
            node.partial_fit(ROWS, batch_id="one")
        for _ in range(2):
            with FederatedPSR(home=tmp_path / "n") as node:
                node.forget(ROWS, batch_id="one")
                assert node.local_psr_ == PSR.from_rows(OTHERS)


@pytest.mark.parametrize("takes_up", [FederatedPSR.open, lambda home: FederatedPSR(home=home)])
def test_the_last_batch_can_be_forgotten_again(tmp_path, takes_up):
    """Forgetting all that there was, and repeating that after a crash, does no more than once."""
    with FederatedPSR(home=tmp_path / "n") as node:
        node.partial_fit(ROWS, batch_id="one").forget(ROWS, batch_id="one").forget(ROWS, batch_id="one")
    with takes_up(tmp_path / "n") as node:
        assert node.forget(ROWS, batch_id="one").local_psr_.n_rows == 0
        with pytest.raises(FederationError, match="batch_id='two', under which nothing was learned"):
            node.forget(ROWS, batch_id="two")
        with pytest.raises(ForgetError):
            node.forget(ROWS)


def test_nothing_can_be_forgotten_where_nothing_was_ever_learned(tmp_path):
    """A node that never learned is not fitted, and makes no home to say so."""
    for node in (FederatedPSR(), FederatedPSR(home=tmp_path / "n")):
        with pytest.raises(NotFittedError):
            node.forget(ROWS)
    assert not (tmp_path / "n").exists()


def test_the_second_process_on_a_home_is_told(tmp_path):
    """While one process has a home, another one is told so whatever it calls first, and can have it afterwards."""
    code = (
        "import sys\nfrom sklearn_symfed import FederatedPSR\n"
        "node = FederatedPSR(home=sys.argv[1]).partial_fit([[1.0]], batch_id='one')\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    home = tmp_path / "n"
    command = [sys.executable, "-c", code, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        for call in (
            lambda: FederatedPSR.open(home),
            lambda: FederatedPSR(home=home).partial_fit([[1.0]], batch_id="one"),
            lambda: FederatedPSR(home=home).forget([[1.0]], batch_id="one"),
            lambda: FederatedPSR(home=home).psr_,
            lambda: FederatedPSR(home=home).create_federation("f", f"dir://{tmp_path}/share"),
        ):
            with pytest.raises(StoreError, match="in use by another process"):
                call()
        process.kill()
    assert not (tmp_path / "share").exists()
    with FederatedPSR(home=home) as node:
        assert node.partial_fit([[1.0]], batch_id="one").psr_.n_rows == 1
