"""`python -m tests.model --steps 5000 --seed 1`: the model, as far as one likes. Exit status 1: it found something."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.model.run import run


def main() -> int:
    """Carry it out."""
    parser = argparse.ArgumentParser(prog="tests.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=5000, help="about how many steps in all")
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same steps")
    parser.add_argument("--length", type=int, default=30, help="steps of one example at most")
    parser.add_argument("--report", type=Path, default=None, help="write what it found there, too")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what the same seed repeats
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.model", *sys.argv[1:]])  # noqa: S606
    found = run(steps=asked.steps, seed=asked.seed, length=asked.length)
    sys.stdout.write(found.text)
    if asked.report is not None:
        asked.report.write_text(found.text)
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
