"""The main job: the three airports of New York learn their flights, pulse, and fit models equal to the last bit.

    python docs/examples/demo_flights.py        or: make demo

Three processes share a folder and nothing else.  One founds the federation, one is killed half-way and started again,
one joins late.  Afterwards all rows are put in one place, and every digest is compared with what they give there.
Whatever does not hold is said in red, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _flights_node
from _flights_common import AIRPORTS, read_flights
from _flights_report import Central, Facts, compare_all, print_models, print_pulses, print_rows, problems
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sklearn_symfed import PSR
from sklearn_symfed.federation import Store

FOUNDER, KILLED, LATE = AIRPORTS
SHORT_OF_ROWS = LATE


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class Airport:
    """One airport as its parent sees it: a process at a time, and what it told."""

    def __init__(self, name: str, folder: Path, command: list[str], events: queue.Queue[Any]) -> None:
        self.facts = Facts(name)
        self.home = folder / name
        self._log = folder / f"{name}.log"
        self._command = command
        self._events = events
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self, *extra: str) -> None:
        """Start the process, and a thread that reads what it tells."""
        self.facts.lives += 1
        self.facts.phase = "starting" if self.facts.lives == 1 else "starting again"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *extra],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the parent only, which ends its children
            )
        self._reader = threading.Thread(target=self._read, args=(self._process, self.facts.lives), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes], life: int) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(b"\n"):  # else SIGKILL has torn it
                self._events.put((self, life, json.loads(line)))
        self._events.put((self, life, {"event": "gone"}))

    def send(self, command: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is noticed by the reader
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()

    @property
    def is_running(self) -> bool:
        """Whether the process is there, or has ended without being asked to."""
        return self._process is not None

    def kill(self) -> None:
        """End the process at once, by SIGKILL where there is such a signal; no harm if there is no process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            assert self._reader is not None
            self._reader.join(10)
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()
            self._process = None

    def last_words(self) -> str:
        """Return the end of what the process wrote on standard error."""
        text = self._log.read_text("utf-8", "replace").strip() if self._log.exists() else ""
        return "\n".join(text.splitlines()[-8:]) or "It wrote nothing on standard error."


class Demo:
    """The course of events, from three empty homes to three converged nodes."""

    def __init__(self, console: Console, folder: Path, options: argparse.Namespace) -> None:
        self._console = console
        self._options = options
        self._events: queue.Queue[Any] = queue.Queue()
        self._invites: dict[str, str] = {}
        self._began = time.monotonic()
        self.airports = {name: Airport(name, folder, self._command(name, folder), self._events) for name in AIRPORTS}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(30),
            TextColumn("{task.completed:.0f} of {task.total:.0f} months  {task.fields[phase]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._bars = {name: self._progress.add_task(name, total=options.months, phase="") for name in AIRPORTS}

    def _command(self, name: str, folder: Path) -> list[str]:
        own = [sys.executable, str(Path(__file__).resolve()), "--node", name, "--keep", str(folder)]
        return [*own, "--months", str(self._options.months), "--pause", str(self._options.pause)]

    @property
    def nodes(self) -> list[Facts]:
        return [airport.facts for airport in self.airports.values()]

    def run(self) -> None:
        """Let it all happen; the processes have ended afterwards, however it ends."""
        with self._progress:
            try:
                self._learn()
                self._converge()
                self._fit()
            finally:
                for airport in self.airports.values():
                    airport.kill()

    # -- the course of events ----------------------------------------------------------------------------------------

    def _learn(self) -> None:
        founder, killed, late = (self.airports[name] for name in (FOUNDER, KILLED, LATE))
        self._start(founder).send("begin")
        self._start(killed)
        self._until(lambda: founder.facts.phase == "learning", f"{FOUNDER} founds the federation")
        killed.send(f"begin {self._invites[KILLED]}")
        self._until(lambda: founder.facts.months >= max(1, self._options.months // 4), f"{FOUNDER} learns")
        self._start(late).send(f"begin {self._invites[LATE]}")
        self._until(lambda: killed.facts.months >= max(1, self._options.months // 2), f"{KILLED} learns")
        time.sleep(random.uniform(0, 2 * self._options.pause))
        self._kill_and_restart(killed)
        self._until(lambda: all(node.phase == "learned" for node in self.nodes), "all airports learn")

    def _start(self, airport: Airport) -> Airport:
        withheld = self._options.sabotage == "row" and airport.facts.name == SHORT_OF_ROWS
        unguarded = self._options.sabotage == "limb"  # the guard would not let statistics out that no rows have
        airport.start(*["--withhold"][:withheld], *["--unguarded"][:unguarded])
        if withheld:
            self._say(f"Sabotage: {airport.facts.name} withholds one of its rows.")
        return airport

    def _kill_and_restart(self, airport: Airport) -> None:
        airport.kill()
        self._drain()
        facts = airport.facts
        facts.phase = "killed"
        self._say(f"{facts.name} was killed (SIGKILL); it had told of batches up to 2013-{facts.months:02d}.")
        if self._options.sabotage == "limb":
            self._say(f"Sabotage: {change_a_digit(airport.home)} in {facts.name}'s home.")
        facts.months = 0
        self._start(airport).send("begin")  # its home knows that it is a member
        self._until(lambda: facts.phase == "learned", f"{facts.name} comes back")
        self._say(
            f"{facts.name} came back to its home: offered all {facts.known + facts.again} batches again, it learned "
            f"{facts.again} and knew {facts.known}, which it did not learn twice."
        )
        if not facts.known:
            raise DemoError(f"{facts.name} came back and knew nothing of what it had learned before.")

    def _converge(self) -> None:
        for airport in self.airports.values():
            airport.send("settle")
        self._until(
            lambda: all(node.phase == "settling" and node.converged for node in self.nodes), "all nodes converge"
        )
        self._say("All three are known to hold the same: converged.")

    def _fit(self) -> None:
        for airport in self.airports.values():
            airport.send("fit")
        self._until(lambda: all(node.phase == "done" for node in self.nodes), "all nodes fit")

    # -- events ------------------------------------------------------------------------------------------------------

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Take in what the nodes tell until something is the case; never longer than the whole demo may last."""
        while not condition():
            left = self._began + self._options.timeout - time.monotonic()
            try:
                self._take(*self._events.get(timeout=max(0.0, left)))
            except queue.Empty:
                phases = ", ".join(f"{node.name} {node.phase} (converged: {node.converged})" for node in self.nodes)
                raise DemoError(f"Waited until {what}, {self._options.timeout:g} s in all. {phases}.") from None

    def _drain(self) -> None:
        """Take in what a process told before it was killed."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(*self._events.get_nowait())

    def _take(self, airport: Airport, life: int, told: dict[str, Any]) -> None:
        facts, event = airport.facts, told.pop("event")
        if event == "gone" and airport.is_running and life == facts.lives and facts.phase != "done":
            raise DemoError(f"{facts.name} ended while {facts.phase}.\n{airport.last_words()}")
        getattr(self, f"_on_{event}", lambda _facts: None)(facts, **told)
        self._progress.update(self._bars[facts.name], completed=facts.months, phase=facts.phase)

    def _on_rows(self, facts: Facts, total: int, dropped: int) -> None:
        facts.total, facts.dropped = total, dropped

    def _on_invite(self, facts: Facts, member: str, invite: str, code: str) -> None:
        self._invites[member] = f"{invite} {code}"
        self._say(f"{facts.name} invites {member}: {len(invite)} letters, and a code that goes another way.")

    def _on_member(self, facts: Facts, resumed: bool, rows: int, fingerprint: str) -> None:
        facts.phase = "learning"
        others = ", ".join(f"{node.name} {node.months}" for node in self.nodes if node is not facts and node.months)
        what = f"resumed with {rows:,} rows" if resumed else "founded" if facts.name == FOUNDER else "joined"
        self._say(f"{facts.name} {what}, fingerprint {fingerprint}; months learned by others: {others or 'none'}.")

    def _on_batch(self, facts: Facts, month: int, rows: int, known: bool, seconds: float) -> None:
        facts.months, facts.rows = month, rows
        facts.known += known
        facts.again += facts.lives > 1 and not known
        facts.seconds += seconds

    def _on_pulse(self, facts: Facts, **report: Any) -> None:
        facts.pulses += 1
        facts.sent += report["sent"]
        facts.received += report["received"]
        facts.bytes_received += report["bytes_received"]
        facts.version, facts.converged = report["version"], report["converged"]
        facts.refused += report["refused"]
        if report["sent"]:
            facts.sizes.append(report["bytes_sent"])

    def _on_learned(self, facts: Facts, rows: int) -> None:
        facts.phase, facts.rows = "learned", rows

    def _on_settling(self, facts: Facts) -> None:
        facts.phase, facts.converged = "settling", False

    def _on_psr(self, facts: Facts, local: str, merged: str, rows: int, size: int) -> None:
        facts.phase = "fitting"
        facts.local, facts.merged, facts.merged_rows, facts.merged_size = local, merged, rows, size

    def _on_model(self, facts: Facts, name: str, digests: dict[str, str]) -> None:
        facts.digests[name] = digests

    def _on_done(self, facts: Facts) -> None:
        facts.phase = "done"

    def _say(self, text: str) -> None:
        self._progress.console.print(f"{time.monotonic() - self._began:5.1f} s  {text}", soft_wrap=True)


def change_a_digit(home: Path) -> str:
    """Change one digit of the lowest plane of what a node has learned by one, and say what that does."""
    with Store.open(home) as store:
        psr = PSR.from_bytes(store.get("local"))
        cells = dict(psr._cells)  # noqa: SLF001
        label, limbs = next(iter(cells.items()))
        octets, exponent = limbs.to_octets()
        octets[0, -2] ^= 1  # the product of the last two columns: not impossible
        cells[label] = type(limbs).from_octets(octets, exponent)
        changed = PSR(psr.schema, cells)
        store.set("local", changed.to_bytes())
        store.set("local_digest", changed.digest)  # without it, the home would be found damaged
        return f"the sum of {' x '.join(psr.names[-2:])} was moved by 2**{8 * exponent}"


# -- the command -----------------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Federate the three airports of New York; prove all models equal.")
    parser.add_argument("--months", type=int, default=12, choices=range(1, 13), metavar="N", help="first N months only")
    parser.add_argument("--pause", type=float, default=0.25, metavar="SECONDS", help="rest of a node after a batch")
    parser.add_argument("--timeout", type=float, default=180, metavar="SECONDS", help="until all nodes have fitted")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep homes, shared folder and logs here (a new folder)"
    )
    parser.add_argument(
        "--sabotage",
        choices=["row", "limb"],
        help="row: withhold one row at one node; limb: change one digit of what one node has stored",
    )
    parser.add_argument("--node", choices=AIRPORTS, help=argparse.SUPPRESS)
    parser.add_argument("--withhold", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--unguarded", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """Make a folder for homes, shared messages and logs; remove it unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise DemoError(f"Got --keep {keep}, which holds files, but expected a new or empty folder.")
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="symfed-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def demonstrate(console: Console, options: argparse.Namespace) -> list[str]:
    """Run the demo and print what came of it; return what does not hold."""
    began = time.monotonic()
    console.print("[bold]Three airports, three processes, one shared folder; no row leaves its airport.[/]")
    console.print("Members join by invite; what they say is sealed and signed, and statistics of few rows")
    console.print("wait until there are more.\n")
    with working_folder(options.keep) as folder:
        demo = Demo(console, folder, options)
        demo.run()
    console.print("\nNow all rows in one place, in another order: the fit that the federation has to equal.\n")
    central = Central.of(read_flights(AIRPORTS, options.months))
    models = compare_all(central, demo.nodes)
    print_rows(console, central, demo.nodes)
    print_pulses(console, demo.nodes)
    print_models(console, models)
    found = problems(central, demo.nodes, models)
    if not found:
        count = sum(model.attributes for model in models)
        console.print(
            f"\nThe merged PSR stands for {central.psr.n_rows:,} rows in {demo.nodes[0].merged_size:,} bytes."
        )
        console.print(
            f"[bold green]Identical: {count} fitted attributes of {len(models)} models are equal to the last bit on "
            f"three nodes and in one place.[/]"
        )
    console.print(f"{time.monotonic() - began:.1f} s in all.")
    return found


def main() -> int:
    """Run the demo, or one node of it."""
    options = arguments()
    if options.node:
        names = ("months", "pause", "withhold", "unguarded")
        settings = {name: getattr(options, name) for name in names}
        return _flights_node.run_node(options.node, options.keep, **settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        found = demonstrate(console, options)
    except DemoError as error:
        found = [str(error)]
    except KeyboardInterrupt:
        console.print("\n[red]Interrupted; all processes have ended.[/]")
        return 128 + signal.SIGINT
    for problem in found:
        console.print(f"[bold red]Does not hold:[/] [red]{escape(problem)}[/]", soft_wrap=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
