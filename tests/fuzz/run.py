"""Fuzz all targets, or some, with atheris: python tests/fuzz/run.py [--seconds 60] [TARGET ...].

Each target runs in a process of its own, with an equal part of the seconds.  An input that breaks one is printed in
hexadecimal; `--input HEX` runs it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MEMORY = 2048
"""MiB that one target may take."""
SLOW = 120
"""Seconds that one input may take: many, as machines that fuzz have other things to do as well."""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--input", metavar="HEX", help="run one target once, with this")
    parser.add_argument("--corpus", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser.parse_args()


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["sklearn_symfed"]):
        from targets import TARGETS
    target = TARGETS[name]
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


def main() -> int:
    """Run what was asked for; return how many targets broke."""
    options = parsed()
    sys.path.insert(0, str(HERE))
    if options.corpus is not None:
        fuzz(options.targets[0], int(options.seconds), Path(options.corpus))
    from targets import TARGETS

    if options.input is not None:
        TARGETS[options.targets[0]].run(bytes.fromhex(options.input))
        return 0
    names = options.targets or list(TARGETS)
    broken = []
    for name in names:
        seconds = str(max(1, round(options.seconds / len(names))))
        with tempfile.TemporaryDirectory() as corpus:
            command = [sys.executable, __file__, name, "--seconds", seconds, "--corpus", corpus]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = [line.split()[-1] for line in ran.stderr.splitlines() if "number_of_executed_units" in line]
        print(
            f"{name:12} {runs[0] if runs else '?':>9} inputs in {seconds} s{' BROKEN' * (ran.returncode != 0)}",
            flush=True,
        )
        if ran.returncode:
            broken.append(name)
            told = [line for line in (ran.stdout + ran.stderr).splitlines() if not line.startswith(("INFO", "WARNING"))]
            print("\n".join(told))
    return len(broken)


if __name__ == "__main__":
    sys.exit(main())
