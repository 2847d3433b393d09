"""A jail's datasets sent by hand from pool to pool: by nothing but the commands, or through a bare stream between them.

    zfs send ──────────────────────────────────────► zfs receive
    zfs send ──► bare stream in ══ TLS ══► bare stream out ──► zfs receive

The second is what any move over a network has: each byte is read from a pipe, encrypted, decrypted, and written to one.
All of it is done while the jail is stopped, and after both zfs-fuse have come to rest: what they still free of the copy
before would be measured too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.adapters.zfs.private_namespace import running
from tests.bench.daemon import NotMeasuredError
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import environment
from tests.e2e.node import Node
from tests.e2e.pair import PORT

LONGEST = 3600.0  # seconds for one command
_PIPED = 256 << 20  # bytes through a bare stream
_NAME = "by-hand"  # of snapshots and of what is received
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK = 0.25  # seconds
_RESTING = 0.1  # of them, or less, of processor time of both zfs-fuse
_PATIENCE = 120.0  # seconds for them to come to rest


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What a bare stream from host to host does."""

    rate: float  # bytes a second
    cpu: float  # seconds of processor time of both ends for each GB


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A jail's datasets, sent by hand."""

    seconds: float  # with the snapshot
    cpu: float  # seconds of processor time of both ends of the bare stream; 0 for none
    zfs: float  # of both zfs-fuse


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Seconds of processor time."""

    own: float
    children: float  # of those that ended

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(own=self.own - other.own, children=self.children - other.children)

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(own=self.own + other.own, children=self.children + other.children)


def cpu_of(pids: Sequence[int]) -> Cpu:
    """Return what processes took so far: fields 14 to 17 of /proc/PID/stat, proc(5)."""
    total = Cpu(own=0, children=0)
    for pid in pids:
        user, system, children_user, children_system = (
            int(word) / _TICKS for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        )
        total += Cpu(own=user + system, children=children_user + children_system)
    return total


def zfs_of(*nodes: Node) -> list[int]:
    """Return the pids of nodes' zfs-fuse."""
    return [pid for node in nodes if (pid := running(node.folder)) is not None]


def settle(*nodes: Node) -> None:
    """Return when their zfs-fuse have come to rest: what is destroyed they free by and by, and tell nobody when."""
    pids, until = zfs_of(*nodes), time.monotonic() + _PATIENCE
    before = cpu_of(pids).own
    while time.monotonic() < until:
        time.sleep(_LOOK)
        now = cpu_of(pids).own
        if now - before <= _RESTING * _LOOK:
            return
        before = now
    raise NotMeasuredError(f"zfs-fuse does not come to rest within {_PATIENCE:.0f} s")


def copied(source: Node, target: Node, jail: str, kind: str = "") -> Copy:
    """Send all datasets of a jail that is stopped, through a bare stream of that kind if one is named."""
    dataset, copy = f"{source.pool}/jaild/jails/{jail}", f"{target.pool}/{_NAME}"
    pids = zfs_of(source, target)
    settle(source, target)
    before, began = cpu_of(pids).own, time.perf_counter()
    source.zfs("snapshot", "-r", f"{dataset}@{_NAME}")
    seconds, cpu = time.perf_counter() - began, 0.0
    try:
        for below in ("", "/data"):
            send = source.mounts_argv("zfs", "send", f"{dataset}{below}@{_NAME}")
            receive = target.mounts_argv("zfs", "receive", "-u", f"{copy}{below}")
            with _between(kind, source, target) as (first, last, costs):
                began = time.perf_counter()
                _pipe((send, first), (receive, last))
                seconds += time.perf_counter() - began
            cpu += sum(costs)
        return Copy(seconds=seconds, cpu=cpu, zfs=cpu_of(pids).own - before)
    finally:
        source.zfs("destroy", "-r", f"{dataset}@{_NAME}", timeout=LONGEST)
        with suppress(subprocess.CalledProcessError):  # it is not there if the first send failed
            target.zfs("destroy", "-r", copy, timeout=LONGEST)


def _pipe(sender: tuple[Sequence[str], int], receiver: tuple[Sequence[str], int]) -> None:
    """Run two programs; each has the end of a pipe that is closed here then."""
    (send, into), (receive, out) = sender, receiver
    with subprocess.Popen(send, env=environment(), stdout=into) as sending:
        os.close(into)
        received = subprocess.run(receive, env=environment(), stdin=out, check=False, timeout=LONGEST)
        os.close(out)
    if sending.returncode or received.returncode:
        raise NotMeasuredError(f"{' '.join(send)} | {' '.join(receive)}: {sending.returncode}, {received.returncode}")


@contextmanager
def _between(kind: str, source: Node, target: Node) -> Iterator[tuple[int, int, list[float]]]:
    """Have what is between a sender and a receiver: a pipe, or two with a bare stream; yield what to write to and read.

    When the block is left, the list has the processor seconds of both ends.
    """
    costs: list[float] = []
    if not kind:
        out, into = os.pipe()
        yield into, out, costs
        return
    (out, theirs), (mine, into) = os.pipe(), os.pipe()
    with _end(kind, "out", target, stdout=theirs) as taking:
        os.close(theirs)
        with _end(kind, "in", source, stdin=mine) as giving:
            os.close(mine)
            yield into, out, costs
            costs += [_told(giving)[1], _told(taking)[1]]


def bare(kind: str, source: Node, target: Node) -> Bare:
    """Send bytes from one host to the other and do nothing else."""
    settle(source, target)
    with _end(kind, "drain", target) as taking, _end(kind, str(_PIPED), source) as giving:
        (seconds, sender), (_, receiver) = _told(giving), _told(taking)
    return Bare(rate=_PIPED / seconds, cpu=(sender + receiver) * 1e9 / _PIPED)


@contextmanager
def _end(kind: str, role: str, node: Node, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """Run one end of a bare stream on a host; yield it when it listens, or is connected."""
    own: Any = node.config["listen"]
    [peer] = node.config["peers"].values()
    address = (own if role in {"out", "drain"} else peer)["address"].rpartition(":")[0]
    words = [sys.executable, "-m", "tests.bench.barestream", kind, role, address, str(PORT + 1)]
    words += [own["tls"][what] for what in ("certificate", "key", "authority")]
    how: Any = {"cwd": CHECKOUT, "env": environment(), "stderr": subprocess.PIPE, "text": True, **streams}
    with subprocess.Popen(node.inside(*words), **how) as process:
        if process.stderr is None or process.stderr.readline() != "ready\n":
            raise NotMeasuredError(f"the bare stream ({kind}, {role}) does not begin")
        yield process


def _told(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Return the seconds, and those of processor time, that an end of a bare stream tells at its end."""
    line = process.stderr.readline() if process.stderr is not None else ""
    if len(line.split()) != 2:
        raise NotMeasuredError(f"a bare stream told no times: {line!r}")
    seconds, cpu = map(float, line.split())
    return seconds, cpu
