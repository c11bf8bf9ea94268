"""Every fuzz target holds for its seeds and for some hundred mutations of them, with no fuzzer installed."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("targets", Path(__file__).parent / "targets.py")
targets = sys.modules["targets"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(targets)

MUTATIONS = 300
SLOWER = {"course": 100}


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Return bytes of which a few were changed, cut out, repeated or put in."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice([1, 1, 2, 4, 16]))
        change = chance.choice(["flip", "number", "cut", "repeat", "insert"])
        if change == "flip" and start < len(data):
            data[start] ^= 1 << chance.randrange(8)
        elif change == "number":
            data[start:end] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0x90, 0xC0, 0xDD, 0xFF])]) * (end - start)
        elif change == "cut":
            del data[start:end]
        elif change == "repeat":
            data[start:start] = data[start:end] * chance.choice([1, 3])
        else:
            data[start:start] = chance.randbytes(chance.choice([1, 2, 8]))
    return bytes(data)


@pytest.fixture(autouse=True)
def _slow_codes_again(monkeypatch):
    """Undo what the target of invites does to be fast."""
    monkeypatch.setattr(targets._invites, "open_under_code", targets._invites.open_under_code)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_targets_hold_for_seeds_and_mutations(name):
    """Nothing but documented errors comes out; an input that breaks a target stands in the failure as hexadecimal."""
    target, chance = targets.TARGETS[name], random.Random(name)
    seeds = target.seeds()
    assert seeds
    inputs = [b"", *seeds, *(mutated(chance.choice(seeds), chance) for _ in range(SLOWER.get(name, MUTATIONS)))]
    for data in inputs:
        try:
            target.run(data)
        except BaseException as error:
            error.add_note(f"{name} breaks with --input {data.hex()}")
            raise


def test_an_input_that_breaks_a_target_is_told_in_hexadecimal(monkeypatch):
    """A door that raises something else is noticed."""
    broken = targets.Target(lambda data: data[0], lambda: [b"seed"])
    monkeypatch.setitem(targets.TARGETS, "claims", broken)
    with pytest.raises(IndexError) as caught:
        test_targets_hold_for_seeds_and_mutations("claims")
    assert caught.value.__notes__ == ["claims breaks with --input "]


@pytest.mark.parametrize(
    "name", ["envelope", "fields", "reception", "statistics", "slot", "schema", "claims", "packed", "contract"]
)
def test_seeds_reach_what_lies_behind_the_door(name, monkeypatch):
    """Every seed is one that its door lets in: none is turned away with an error of format."""
    monkeypatch.setattr(targets, "FormatError", ())
    for seed in targets.TARGETS[name].seeds():
        targets.TARGETS[name].run(seed)
