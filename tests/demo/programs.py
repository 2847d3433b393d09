"""Runs the programs that the demo's own set-up needs: to the end, with their last words in the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.patience import VARIABLE

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramError(Exception):
    """A program of the set-up ended with a status other than 0."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        super().__init__(f"{' '.join(argv)}: status {status}: {output.strip()[-2000:]}")
        self.argv = tuple(argv)
        self.status = status
        self.output = output


def environment(**more: str) -> dict[str, str]:
    """The caller's proxies, home, gRPC poller and patience; C messages; all folders of an administrator's programs."""
    own = {"HOME", "GRPC_POLL_STRATEGY", VARIABLE}
    inherited = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name in own}
    return {**inherited, "PATH": PATH, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **more}


def run(argv: Sequence[str], *, cwd: Path | None = None, timeout: float = 900.0) -> str:
    """Run and return stdout; a status other than 0 raises `ProgramError` with what it printed."""
    done = subprocess.run(
        argv, cwd=cwd, env=environment(), timeout=timeout, capture_output=True, text=True, check=False, errors="replace"
    )
    if done.returncode != 0:
        raise ProgramError(argv, done.returncode, done.stdout[-1000:] + done.stderr)
    return done.stdout
