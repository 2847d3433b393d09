"""The folder of a run, held by a lock that dies with the run: whose lock is free is dead, and is swept."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.demo import hosts, leftovers
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import run

ROOT = Path("/var/tmp")  # on a disk, with short names: a socket's path has at most 107 bytes
PREFIX = "jdemo"
_DYING = 20.0  # seconds for the processes of a killed run to end


@contextmanager
def opened(root: Path = ROOT, prefix: str = PREFIX) -> Iterator[Path]:
    """Make a run's folder; its name is the run's. At the end all that carries this name is removed."""
    with _one_at_a_time(root, prefix):
        folder = root / f"{prefix}-{secrets.token_hex(3)}"
        folder.mkdir(mode=0o700)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        with _one_at_a_time(root, prefix), lock:
            remove(folder)


def sweep(root: Path = ROOT, prefix: str = PREFIX) -> list[str]:
    """Remove what killed runs left; returns their names."""
    hosts.sweep(prefix)
    swept = []
    with _one_at_a_time(root, prefix):
        for folder in sorted(root.glob(f"{prefix}-*")):
            if _lives(folder):
                continue
            remove(folder)
            swept.append(folder.name)
    return swept


def remove(folder: Path) -> None:
    """Remove a run whose hosts are dead: its pools, its folder, its control groups."""
    leftovers.await_end(leftovers.processes(folder.name), _DYING)
    for pool in folder.glob("*/vdevs"):  # the kernel's own ZFS outlives the hosts; a zfs-fuse died with them
        run([sys.executable, "-m", "jaild", "--embedded", str(pool.parent), "--destroy"], cwd=CHECKOUT)
    if left := leftovers.mounts(folder.name):
        raise leftovers.LeftoverError(f"still mounted, so not removed: {sorted(left)}")
    shutil.rmtree(folder)
    leftovers.remove_groups(folder.name)


def _lives(folder: Path) -> bool:
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False  # it was killed before it had one
    return False


@contextmanager
def _one_at_a_time(root: Path, prefix: str) -> Iterator[None]:
    with (root / f".{prefix}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
