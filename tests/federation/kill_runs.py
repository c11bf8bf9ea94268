"""Plays a federation in processes that are killed with SIGKILL, and tells where each was killed and what came of it.

`test_kills.py` starts it, as ``python kill_runs.py FOLDER RUNS SEED TRANSACTION ...``, and reads a line of JSON a run.

A story is a list of steps, each the business of one node, or of all in turns.  Nodes live in processes
(`kill_points.py`): all in one, or one of them apart, which is killed while the others go on.  It is killed once in each
run: by itself, before a line that was drawn of one of the transactions, in turns; or, if none is named, from outside,
after a time that was drawn.  A new process opens the homes that the old one left and is given the step that was not
answered once more, as by somebody who starts the same script again.
"""

from __future__ import annotations

import gc
import json
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
if __name__ == "__main__":
    sys.modules["pandas"] = sys.modules["pyarrow"] = None  # not needed, and they make a process dear to fork

from kill_points import BrokenError, Process

from sklearn_symfed import FederatedPSR
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.psr import PSR

ALL = "all"  # whose step it is that all nodes take, by pulsing
FOUNDING = (("a", "create"), ("a", "learn", "a1"), ("a", "invite", "b"))
JOINING = (
    ("b", "join"),
    (ALL, "admit", "b"),
    ("b", "learn", "b1"),
    ("b", "pulse"),
    ("a", "rotate"),
    (ALL, "settle"),
)
THIRD = (("a", "invite", "c"), ("c", "join"), (ALL, "admit", "c"), ("c", "learn", "c1"), (ALL, "settle"))
LIFE = (
    ("b", "learn", "b2"),
    ("b", "pulse"),
    ("a", "rotate"),
    ("a", "learn", "a2"),
    ("c", "forget", "c1"),
    ("a", "pulse"),
    ("c", "pulse"),
    ("c", "learn", "c2"),
    (ALL, "settle"),
)
STORIES = {"founding": FOUNDING + JOINING, "joining": JOINING, "life": LIFE}
MEMBERS = {"founding": ("a", "b"), "joining": ("a", "b"), "life": ("a", "b", "c")}
STAY = {"founding": ("a1", "b1"), "joining": ("a1", "b1"), "life": ("a1", "a2", "b1", "b2", "c2")}


def rows(*batches: str) -> list[list[float]]:
    """Return the rows of batches."""
    found = []
    for batch in batches:
        chance = random.Random(batch)
        found += [[chance.gauss(0, 1), chance.gauss(5, 100)] for _ in range(4)]
    return found


class Player:
    """Has nodes do what a script would have them do, in whatever process this is; each verb may be repeated."""

    def __init__(self, world: Path) -> None:
        self.world = world
        self.nodes: dict[str, FederatedPSR] = {}

    def __call__(self, name: str, verb: str, *values: str) -> Any:
        if name not in self.nodes:
            home = self.world / name
            self.nodes[name] = FederatedPSR(home=home) if verb in {"create", "join"} else FederatedPSR.open(home)
        return getattr(self, verb)(self.nodes[name], *values)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def create(self, node: FederatedPSR) -> None:
        if not node.is_member:
            url = (self.world / "share").as_uri().replace("file", "dir", 1)
            node.create_federation("f", url, guard="off", on_recovery_key=self.write_down)

    def write_down(self, key: str) -> None:
        with (self.world / "keys").open("a") as file:
            file.write(f"{key}\n")

    def invite(self, node: FederatedPSR, member: str) -> tuple[str, str]:
        return node.invite(member)

    def join(self, node: FederatedPSR, invite: str, code: str) -> None:
        if not node.is_member:
            node.join(invite, code)

    def rotate(self, node: FederatedPSR) -> None:
        node.rotate_key()

    def learn(self, node: FederatedPSR, batch: str) -> None:
        node.partial_fit(rows(batch), batch_id=batch)

    def forget(self, node: FederatedPSR, batch: str) -> None:
        node.forget(rows(batch), batch_id=batch)

    def pulse(self, node: FederatedPSR) -> list[bool]:
        report = node.pulse()
        return [node.is_member, report.converged and not report.sent]

    def state(self, node: FederatedPSR) -> dict[str, Any]:
        """Return what another process has to find in the home, too."""
        status = node.status()
        keys = {RecoveryKey.read(key).public for key in (self.world / "keys").read_text().split()}
        return {
            "digest": node.psr_.digest,
            "local": node.local_psr_.digest,
            "epoch": status.epoch,
            "members": [[member.name, member.version, member.digest] for member in status.members],
            "notes": [note for note in (status.pending, *(member.note for member in status.members)) if note],
            "recoverable": node._federation()._node.roster.recovery in keys,
        }


class Run:
    """One run of a story.

    Parameters
    ----------
    world : Path
        Holds homes, and the folder that they share.
    members : sequence of str
        The nodes.
    invites : dict of str to (str, str)
        That were made before.
    plan : dict
        `place` in the story and `node`, and either `target`, a line of a transaction and which time it is run, or
        `seconds`; `apart`: whether that node has a process of its own.  Empty: nobody is killed, and lines are counted.
    """

    def __init__(self, world: Path, members: tuple[str, ...], invites: dict[str, Any], plan: dict[str, Any]) -> None:
        self.world, self.members, self.invites, self.plan = world, members, dict(invites), plan
        self.processes: dict[bool, Process] = {}
        self.place = -1
        self.killed: str | None = None
        self.counts: dict[tuple[int, str], list[list[Any]]] = {}
        self.spent: Counter[tuple[int, str]] = Counter()

    def play(self, story: tuple[tuple[str, ...], ...]) -> None:
        for self.place, (node, verb, *values) in enumerate(story):
            if node == ALL:
                getattr(self, verb)(*values)
            elif verb == "invite":
                self.invites[values[0]] = self.do(node, verb, *values)
            else:
                self.do(node, verb, *(self.invites[node] if verb == "join" else values))
            if self.place == self.plan.get("place") and "seconds" in self.plan and self.killed is None:
                self.kill(self.plan["node"])  # it was faster than the last time

    def admit(self, member: str) -> None:
        for _ in range(60):
            if [self.do(name, "pulse") for name in ("a", member)][-1][0]:
                return
        raise BrokenError(f"{member} was not admitted")

    def settle(self) -> None:
        for _ in range(80):
            if all([self.do(name, "pulse")[1] for name in self.members]):  # noqa: C419 - every one of them pulses
                return
        raise BrokenError(f"they do not settle: {self.states()}")

    def states(self) -> dict[str, dict[str, Any]]:
        return {name: self.do(name, "state") for name in self.members}

    def do(self, node: str, verb: str, *values: str) -> Any:
        """Have a node do something, if need be once more, in another process."""
        here, counted = (self.place, node), not self.plan
        armed = self.killed is None and here == (self.plan.get("place"), self.plan.get("node"))
        target = self.plan.get("target") if armed else None
        order = {"do": [node, verb, *values], "place": self.place, "target": target}
        order |= {"traced": armed or counted, "counted": counted}
        seconds = self.plan["seconds"] - self.spent[here] if armed and target is None else None
        process = self.processes.get(self.is_apart(node)) or Process(Player(self.world))
        self.processes[self.is_apart(node)] = process
        begun = time.perf_counter()
        reply = process.ask(order, seconds)
        self.spent[here] += time.perf_counter() - begun
        if reply is None and armed:
            self.kill(node)
            return self.do(node, verb, *values)
        if reply is None or "error" in reply:
            raise BrokenError(reply["error"] if reply else f"a process died by itself in {order['do'][:2]}")
        self.counts[here] = reply["counts"]
        return reply["value"]

    def is_apart(self, node: str) -> bool:
        return bool(self.plan.get("apart")) and node == self.plan["node"]

    def kill(self, node: str) -> None:
        self.killed = self.processes.pop(self.is_apart(node)).kill()

    def end(self) -> None:
        while self.processes:
            self.processes.popitem()[1].kill()


def outcome(run: Run, story: str) -> dict[str, Any]:
    """Play a story to its end, and look at what the homes hold then; `failed` says what was wrong."""
    result: dict[str, Any] = {"story": story, "plan": run.plan}
    try:
        run.play(STORIES[story])
        states = run.states()
        run.end()
        player = Player(run.world)
        found = {name: player(name, "state") for name in run.members}
        player.close()
        if found != states:
            raise BrokenError(f"the homes hold {found}, and the nodes held {states}")  # noqa: TRY301
        result["states"] = states
    except BrokenError as error:
        result["failed"] = str(error)
    finally:
        run.end()
    return {**result, "killed": run.killed}


class Stage:
    """A folder in which runs take place, one after the other, each from where its story begins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.world = folder, folder / "world"
        self.invites: dict[str, Any] = {}
        self.references: dict[str, Run] = {}
        run = self.run("founding", {})
        self.keep("founding", run)
        run.play(FOUNDING)
        self.keep("joining", run)
        run.play(JOINING)
        run.members = MEMBERS["life"]
        run.play(THIRD)
        self.keep("life", run)
        self.invites = run.invites

    def keep(self, story: str, run: Run) -> None:
        """Have a story begin from here."""
        run.end()
        shutil.copytree(self.world, self.folder / story)

    def run(self, story: str, plan: dict[str, Any]) -> Run:
        """Return a run that has yet to be played."""
        shutil.rmtree(self.world, ignore_errors=True)
        if (self.folder / story).exists():
            shutil.copytree(self.folder / story, self.world)
        else:
            self.world.mkdir()
        return Run(self.world, MEMBERS[story], self.invites, plan)

    def uninterrupted(self, story: str) -> dict[str, Any]:
        """Play a story without a kill, and keep what it went through."""
        self.references[story] = self.run(story, {})
        return outcome(self.references[story], story)

    def killed(self, chance: random.Random, name: str | None) -> dict[str, Any]:
        """Play a story with a kill in a transaction of that name, or at any time."""
        while True:  # until a kill comes off: a run may go another way than the one by which its kill was drawn
            story, plan = self.at_a_line(chance, name) if name else self.at_a_time(chance)
            run = self.run(story, {**plan, "apart": chance.random() < 0.5})
            result = outcome(run, story)
            if run.killed is not None or "failed" in result:
                return result

    def at_a_line(self, chance: random.Random, name: str) -> tuple[str, dict[str, Any]]:
        """Draw a line that a transaction runs, and which time it does; any line is as likely as any other."""
        points = [
            (story, place, node, *point)
            for story in (["founding"] if name in {"create", "invite"} else ["joining", "life"])
            for (place, node), counts in self.references[story].counts.items()
            for point in counts
            if point[0] == name
        ]
        story, place, node, *point, count = chance.choice(points)
        return story, {"place": place, "node": node, "target": (*point, chance.randint(1, count))}

    def at_a_time(self, chance: random.Random) -> tuple[str, dict[str, Any]]:
        """Draw a step, and how many of the seconds pass that it took."""
        story = chance.choice(["founding", "joining", "life", "life", "life", "life"])
        (place, node), seconds = chance.choice(list(self.references[story].spent.items()))
        return story, {"place": place, "node": node, "seconds": chance.uniform(0, seconds)}


def main(folder: Path, runs: int, seed: str, names: list[str]) -> None:
    PSR.from_rows(rows("warm-up"))  # what a process tries out once is tried out before there are more of them
    gc.collect()
    gc.freeze()
    stage = Stage(folder)
    for story in STORIES:
        tell({**stage.uninterrupted(story), "central": PSR.from_rows(rows(*STAY[story])).digest})
    for number in range(runs):
        name = names[number % len(names)] if names else None
        tell(stage.killed(random.Random(f"{seed} {number}"), name))


def tell(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()  # before the next fork doubles what waits here


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
