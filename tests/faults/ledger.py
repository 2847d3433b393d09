"""Writes that were acknowledged, and what came of them: said outside of the jail, compared with what is in it.

The jail appends rising numbers to a file, each on disk (fsync) before it is said on stdout, and goes on from the last
one in the file. Its stdout stays on the host on which it was said, so the two say nothing of each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.patience import patient

FILE = "var/numbers"  # in the jail
WRITER = f"""
trap 'exit 0' TERM
n=$(tail -n 1 /{FILE} 2>/dev/null || echo 0)
while :; do
  n=$((n+1))
  echo $n | dd conv=fsync 2>/dev/null >>/{FILE} && echo $n
  sleep {patient(0.1):g}
done
"""


def acknowledged(log: Path) -> list[int]:
    """Return what a jail said on a host, in this order. A shell whose host loses its power may say other things too."""
    return [int(line) for line in log.read_text().splitlines() if line.isdigit()] if log.exists() else []


def problems(said: Sequence[int], written: Sequence[int]) -> list[str]:
    """Return what is wrong between all that was acknowledged, on whatever host, and what the jail has now.

    A number that was said twice was written by two jails at once, or written, lost and written again.
    """
    found = []
    missing = sorted(set(said) - set(written))
    if missing:
        found.append(f"lost: {len(missing)} acknowledged writes from {missing[0]} on")
    if list(written) != list(range(1, len(written) + 1)):
        found.append("lost: what is written does not rise by one")
    twice = sorted(number for number, times in Counter(said).items() if times > 1)
    if twice:
        found.append(f"lost: acknowledged twice, {twice[0]} first of {len(twice)}: by two jails, or lost between")
    return found
