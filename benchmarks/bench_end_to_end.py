"""One pulse of ten nodes beside federated averaging of the same ridge regression with Flower, end to end.

    python benchmarks/bench_end_to_end.py

Both start when all nodes are known to one another and hold their rows, and end when every node (here) or the server
(there) holds the coefficients.  Averaging gets as many rounds as bring its coefficients within 1e-3 of the central
ones, at most 500, with the steps and the rate that need the fewest.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from _averaging import MOST_ROUNDS, TOLERANCE, Outcome, best_setting, distance, in_simulation, without_engine
from _harness import Options, Table, has, limited, significant

from sklearn_symfed import FederatedPSR, FederatedRidge, Schema

N_NODES, N_ROWS, N_COLUMNS, ALPHA = 10, 10_000, 10, 1.0
Node = tuple[np.ndarray, np.ndarray]


def rows_of_nodes(n_nodes: int, n_rows: int) -> list[Node]:
    """Return rows of nodes that differ: correlated columns around means of each node's own, one linear model."""
    rng = np.random.default_rng(0)
    lag = np.abs(np.subtract.outer(np.arange(N_COLUMNS), np.arange(N_COLUMNS)))
    factor = np.linalg.cholesky(0.5**lag)
    weights = rng.normal(size=N_COLUMNS)
    nodes = []
    for _ in range(n_nodes):
        x = rng.normal(size=(n_rows, N_COLUMNS)) @ factor.T + rng.normal(size=N_COLUMNS)
        nodes.append((x, x @ weights + 3.0 + rng.normal(size=n_rows)))
    return nodes


def federation(folder: Path, n_nodes: int) -> list[FederatedPSR]:
    """Found a federation in a folder; every node joins, and knows all others."""
    url = f"dir://{folder}/carrier"
    nodes = [FederatedPSR(home=folder / f"node-{number}") for number in range(n_nodes)]
    schema = Schema([*(f"x{number}" for number in range(N_COLUMNS)), "y"])
    nodes[0].create_federation("bench", url, schema=schema, guard="off", on_recovery_key=lambda _: None)
    for number, node in enumerate(nodes[1:], 1):
        node.join(*nodes[0].invite(f"node-{number}"))
    while not all(node.is_member and len(node.peers_) == n_nodes - 1 and node.converged_ for node in nodes):
        for node in nodes:
            node.pulse()
    return nodes


def theta_of(model: FederatedRidge) -> np.ndarray:
    return np.append(model.coef_, model.intercept_)


def pulsed(folder: Path, rows: list[Node], wanted: np.ndarray) -> tuple[Outcome, bool]:
    """Learn, pulse until every node holds everything, and solve on every node; also tell whether all are equal."""
    nodes = federation(folder, len(rows))
    n_bytes = rounds = 0
    begin = time.perf_counter()
    for node, (x, y) in zip(nodes, rows, strict=True):
        node.partial_fit(x, y)
    total = sum(len(y) for _, y in rows)
    while any(node.psr_.n_rows < total for node in nodes):
        rounds += 1
        reports = [node.pulse() for node in nodes]
        n_bytes += sum(report.bytes_sent + report.bytes_received for report in reports)
    models = [FederatedRidge(alpha=ALPHA).fit(node.psr_, "y") for node in nodes]
    seconds = time.perf_counter() - begin
    for node in nodes:
        node.close()
    thetas = [theta_of(model) for model in models]
    equal = all(np.array_equal(theta, wanted) for theta in thetas)
    return Outcome(thetas[0], rounds, n_bytes, seconds), equal


def digits(theta: np.ndarray, wanted: np.ndarray) -> float:
    """Return the correct digits of the worst coefficient, at most 16."""
    worst = float((np.abs(theta - wanted) / np.abs(wanted)).max())
    return 16.0 if worst == 0 else round(min(16.0, -math.log10(worst)), 1)


def compared(options: Options, *, simulate: bool) -> Table:
    n_nodes, n_rows = (3, 40) if options.tiny else (N_NODES, N_ROWS)
    rows = rows_of_nodes(n_nodes, n_rows)
    central = FederatedRidge(alpha=ALPHA).fit(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))
    wanted = theta_of(central)
    table = Table(
        f"End to end: ridge over {n_nodes} nodes of {n_rows:,} rows, d = {N_COLUMNS}",
        ["with", "rounds", "bytes", "seconds", "correct digits", "worst error"],
    )

    def add(name: str, outcome: Outcome) -> None:
        took, error = significant(outcome.seconds), significant(distance(outcome.theta, wanted))
        table.rows.append([name, outcome.rounds, outcome.n_bytes, took, digits(outcome.theta, wanted), error])

    runs = []
    for _ in range(min(options.rounds, 5)):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(pulsed(Path(folder), rows, wanted))
    assert all(equal for _, equal in runs)
    ours = runs[0][0]
    ours.seconds = statistics.median(outcome.seconds for outcome, _ in runs)
    add("pulses over a folder", ours)
    setting, rounds = best_setting(rows, wanted, ALPHA)
    if simulate:
        with tempfile.TemporaryDirectory() as folder:
            add("Flower, FedAvg in simulation", in_simulation(Path(folder), rows, setting, rounds))
    add("averaging without any engine", without_engine(rows, setting, rounds))
    reached = f"within {TOLERANCE:g}" if rounds < MOST_ROUNDS else f"not within {TOLERANCE:g} in {MOST_ROUNDS} rounds"
    table.note = (
        "A round is a pass over all nodes; bytes are those that all nodes send and receive.  Averaging came "
        f"{reached}, with local steps: {setting.steps} a round, the best of several settings, found beforehand.  "
        "Its last row has neither messages nor processes."
        + (" The simulation's start is not counted." if simulate else " Flower or Ray is not installed: left out.")
    )
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = Options.parser(__doc__)
    parser.add_argument("--simulate", action="store_true", help="start Flower's simulation, even with --tiny")
    found = parser.parse_args(arguments)
    options = Options.of(found)
    simulate = found.simulate or (has("flwr") and has("ray") and not options.tiny)
    with limited(1):
        options.finish("end_to_end", [compared(options, simulate=simulate)])


if __name__ == "__main__":
    main()
