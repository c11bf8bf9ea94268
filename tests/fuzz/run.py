"""Fuzz all targets, or some, with atheris: python tests/fuzz/run.py [--seconds 60] [TARGET ...].

Each target runs in a process of its own, with an equal part of the seconds.  An input that breaks one is printed in
hexadecimal; `--input HEX` runs it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).parent))

MEMORY = 2048
"""MiB that one target may take."""
SLOW = 120
"""Seconds that one input may take: many, as machines that fuzz have other things to do as well."""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--input", metavar="HEX", help="run one target once, with this")
    return parser.parse_args()


def fuzz(name: str, target, seconds: int, corpus: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def run(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException:
            print(f"\n{name} breaks with --input {data.hex()}", flush=True)
            raise

    flags = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY}", f"-timeout={SLOW}", "-max_len=8192"]
    quiet = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], *flags, *quiet, str(corpus)], run)
    atheris.Fuzz()


def fuzzed(name: str, target, seconds: int, log: IO[bytes]) -> bool:
    """Fuzz one target in a child, which writes to `log`; return whether it held."""
    with tempfile.TemporaryDirectory() as corpus:
        child = os.fork()
        if child == 0:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            fuzz(name, target, seconds, Path(corpus))
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0


def main() -> int:
    """Run what was asked for; return how many targets broke."""
    options = parsed()
    if options.input is not None:
        from targets import TARGETS

        TARGETS[options.targets[0]].run(bytes.fromhex(options.input))
        return 0
    import atheris

    with atheris.instrument_imports(include=["sklearn_symfed.federation", "sklearn_symfed.psr"]):
        from targets import TARGETS
    names = options.targets or list(TARGETS)
    seconds = max(1, round(options.seconds / len(names)))
    broken = 0
    for name in names:
        with tempfile.TemporaryFile() as log:
            holds = fuzzed(name, TARGETS[name], seconds, log)
            log.seek(0)
            told = log.read().decode(errors="replace").splitlines()
        runs = [line.split()[-1] for line in told if "number_of_executed_units" in line]
        print(f"{name:12} {runs[0] if runs else '?':>9} inputs in {seconds} s{'' if holds else ' BROKEN'}", flush=True)
        if not holds:
            broken += 1
            print("\n".join(line for line in told if not line.startswith(("INFO", "WARNING"))), flush=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
