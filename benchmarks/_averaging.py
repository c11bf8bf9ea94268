"""Federated averaging of a ridge regression, with Flower: what the end-to-end benchmark compares with.

Each node takes some full gradient steps on its own rows, from the coefficients that the server sent, and the server
averages what the nodes send back, weighted by rows.  With one step a round this is gradient descent on all rows; with
more, rounds are saved until the average of what fits each node is no longer what fits all.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Node = tuple[Array, Array]

TOLERANCE = 1e-3
MOST_ROUNDS = 500
STEPS = (1, 2, 5, 10, 50)
RATES = (0.25, 0.5, 1.0, 1.5, 1.9)  # of the inverse of the largest curvature of all rows


@dataclass(frozen=True)
class Setting:
    """How each node steps.

    Attributes
    ----------
    alpha : float
        Penalty of each node's mean squared error: the central penalty divided by the number of all rows.
    rate : float
        Length of a step.
    steps : int
        Steps of a node in each round.
    """

    alpha: float
    rate: float
    steps: int


@dataclass
class Outcome:
    """What averaging came to."""

    theta: Array
    rounds: int
    n_bytes: int | None
    seconds: float


def local_steps(theta: Array, rows: Node, setting: Setting) -> Array:
    """Return coefficients, intercept last, after some gradient steps of ridge on the rows of a node."""
    x, y = rows
    for _ in range(setting.steps):
        residual = x @ theta[:-1] + theta[-1] - y
        slope = np.append(x.T @ residual / len(y) + setting.alpha * theta[:-1], residual.mean())
        theta = theta - setting.rate * slope
    return theta


def distance(theta: Array, wanted: Array) -> float:
    return float(np.abs(theta - wanted).max() / np.abs(wanted).max())


def rounds_needed(grams: Array, products: Array, shares: Array, wanted: Array, setting: Setting) -> int:
    """Rehearse averaging on each node's Gram matrix; return how many rounds it takes, at most `MOST_ROUNDS`."""
    theta = np.zeros(len(wanted))
    for done in range(1, MOST_ROUNDS + 1):
        local = np.repeat(theta[None], len(shares), axis=0)
        for _ in range(setting.steps):
            local -= setting.rate * (np.einsum("nij,nj->ni", grams, local) - products)
        theta = shares @ local
        if distance(theta, wanted) <= TOLERANCE:
            return done
        if not np.abs(theta).max() < 1e6 * np.abs(wanted).max():
            break
    return MOST_ROUNDS


def best_setting(nodes: Sequence[Node], wanted: Array, alpha: float) -> tuple[Setting, int]:
    """Return the steps and the rate that need the fewest rounds: what nobody knows beforehand, a gift to averaging."""
    n_rows = sum(len(y) for _, y in nodes)
    shares = np.array([len(y) / n_rows for _, y in nodes])
    ones = [np.column_stack([x, np.ones(len(x))]) for x, _ in nodes]
    penalty = alpha / n_rows * np.diag([*np.ones(len(wanted) - 1), 0.0])
    grams = np.stack([x.T @ x / len(x) + penalty for x in ones])
    products = np.stack([x.T @ y / len(x) for x, (_, y) in zip(ones, nodes, strict=True)])
    steepest = float(np.linalg.eigvalsh(np.tensordot(shares, grams, 1))[-1])
    settings = [Setting(alpha / n_rows, rate / steepest, steps) for steps in STEPS for rate in RATES]
    needed = [rounds_needed(grams, products, shares, wanted, setting) for setting in settings]
    best = int(np.argmin(needed))
    return settings[best], needed[best]


def without_engine(nodes: Sequence[Node], setting: Setting, rounds: int) -> Outcome:
    """Average in this process, without messages: the arithmetic alone, which no engine can undercut."""
    shares = [len(y) for _, y in nodes]
    theta = np.zeros(nodes[0][0].shape[1] + 1)
    begin = time.perf_counter()
    for _ in range(rounds):
        theta = np.average([local_steps(theta, rows, setting) for rows in nodes], axis=0, weights=shares)
    return Outcome(theta, rounds, None, time.perf_counter() - begin)


def in_simulation(folder: Path, nodes: Sequence[Node], setting: Setting, rounds: int) -> Outcome:
    """Run so many rounds of Flower's FedAvg in its simulation, where each node is served by a process of Ray.

    Bytes are those of the messages' content, serialised as Flower does, both ways.
    """
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    os.environ.update(quiet)  # nothing leaves this machine
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.common.serde import recorddict_to_proto
    from flwr.serverapp import ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    logging.getLogger("flwr").setLevel(logging.ERROR)
    size = nodes[0][0].shape[1] + 1
    for number, (x, y) in enumerate(nodes):
        np.savez(folder / f"{number}.npz", x=x, y=y)
    client, server, outcome = ClientApp(), ServerApp(), Outcome(np.zeros(size), rounds, 0, 0.0)

    @client.train()
    def train(message: Message, context: Any) -> Message:
        with np.load(folder / f"{context.node_config['partition-id']}.npz") as file:
            rows = file["x"], file["y"]
        theta = local_steps(message.content["arrays"].to_numpy_ndarrays()[0], rows, setting)
        metrics = MetricRecord({"num-examples": len(rows[1])})
        content = RecordDict({"arrays": ArrayRecord([theta]), "metrics": metrics})
        return Message(content=content, reply_to=message)

    def counted(messages: Iterable[Message]) -> list[Message]:
        messages = list(messages)
        outcome.n_bytes += sum(recorddict_to_proto(message.content).ByteSize() for message in messages)
        return messages

    class Counting(FedAvg):
        def configure_train(self, *arguments: Any) -> list[Message]:
            return counted(super().configure_train(*arguments))

        def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[Any, Any]:
            return super().aggregate_train(server_round, counted(replies))

    @server.main()
    def main(grid: Any, _: Any) -> None:
        while len(list(grid.get_node_ids())) < len(nodes):
            time.sleep(0.05)
        strategy = Counting(fraction_evaluate=0.0, min_train_nodes=len(nodes), min_available_nodes=len(nodes))
        begin = time.perf_counter()
        result = strategy.start(grid=grid, initial_arrays=ArrayRecord([np.zeros(size)]), num_rounds=rounds)
        outcome.seconds = time.perf_counter() - begin
        outcome.theta = result.arrays.to_numpy_ndarrays()[0]

    run_simulation(server, client, num_supernodes=len(nodes), backend_config={"init_args": {"log_to_driver": False}})
    return outcome
