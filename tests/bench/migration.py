"""Migrations between two real daemons, each beside the same by hand: `zfs send | zfs receive`, and bare streams.

For each size of data and repetition, in this order and so within minutes of each other:

    move a jail that writes, all of its data ── restart it there ── stop, zfs send | zfs receive of all, start

The copy that was left behind is deleted, so that the next one sends everything again. Then, to see what datasets cost:

    move a jail with volumes ── move one without ── both back
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.model import quantity
from jaild.v1 import events_pb2, jails_pb2
from tests.bench.barestream import PIECE
from tests.bench.daemon import NotMeasuredError
from tests.bench.figures import ratios, summary
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import environment
from tests.e2e import trees
from tests.e2e.client import Client, metadata
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL as ADDRESS
from tests.e2e.pair import OTHER, PORT, Pair, paired

SIZES = "64M,512M,4G"
_JAIL = "edge-1"
_PARTED = "edge-2"  # the jail with volumes
_VOLUMES = 8
_LONGEST = 3600.0  # seconds for one operation
_PIPED = 256 << 20  # bytes through a bare stream
_TICKS = os.sysconf("SC_CLK_TCK")
_BY_HAND = "by-hand"  # dataset of what is received by hand
# Something to stop, and to send in a last increment: a line on disk every 20 ms.
_WRITES = "trap 'exit 0' TERM; while :; do echo x | dd of=/var/x oflag=append conv=notrunc,fsync; sleep 0.02; done"


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Seconds of processor time."""

    own: float
    children: float  # of those that ended

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(own=self.own - other.own, children=self.children - other.children)

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(own=self.own + other.own, children=self.children + other.children)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What was so when an operation came into a phase."""

    at: float
    bytes: int
    cpu: Cpu


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What a bare stream from host to host does."""

    rate: float  # bytes a second
    cpu: float  # seconds of processor time of both ends for each GB


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One repetition. Seconds, and bytes of the seed's stream."""

    bytes: int
    seed: float
    cpu: Cpu  # of both daemons while seeding
    downtime: float
    restart: float  # downtime of a restart: stop and start
    stop: float
    by_hand: float  # zfs send | zfs receive of the same
    start: float
    tls: Bare
    grpc: Bare

    @property
    def naive(self) -> float:
        """The downtime of stopping, sending everything, and starting."""
        return self.stop + self.by_hand + self.start


def measure(sizes: Sequence[int], repetitions: int, say: Callable[[str], None]) -> Any:
    """Measure all; returns what the JSON has."""
    pool = quantity.render(4 * max(sizes) + (2 << 30))
    with tempfile.TemporaryDirectory(prefix="jbench-") as workshop, paired(pool_size=pool) as pair:
        furnish(pair.alpha.api, Path(workshop))
        _warm_up(pair)
        found = {quantity.render(size): _of_size(pair, size, repetitions, say) for size in sizes}
        say(f"migrations of a jail with {_VOLUMES} volumes")
        volumes = _of_volumes(pair, repetitions)
    return {
        "repetitions": repetitions,
        "sizes": found,
        "volumes": volumes,
        "meaning": {
            "seed_bytes_per_second": "from phase seed to the next, by the daemon's own count of bytes",
            "by_hand_bytes_per_second": "the same datasets by zfs send | zfs receive, from pool to pool",
            "tls_bytes_per_second": f"{_PIPED} bytes from host to host through a TLS socket in Python, nothing else",
            "grpc_bytes_per_second": "the same by a client stream of grpc.aio over TLS, in messages of 1 MiB",
            "tls_cpu_seconds_per_gb": "user and system time of both ends of that TLS socket, per 10^9 bytes",
            "grpc_cpu_seconds_per_gb": "the same of that stream",
            "downtime_seconds": "in the metadata of MigrateJail: from the request to stop until the target started",
            "restart_seconds": "in the metadata of RestartJail on the target, right after",
            "naive_seconds": "StopJail, zfs send | zfs receive of everything, StartJail",
            "cpu_seconds_per_gb": "user and system time of both daemons while seeding, per 10^9 bytes",
            "cpu_seconds_per_gb_with_commands": "the same with their zfs send and zfs receive, without zfs-fuse",
        },
    }


def _of_size(pair: Pair, size: int, repetitions: int, say: Callable[[str], None]) -> Any:
    pair.alpha.api.create(_JAIL, _specification())
    _fill(pair.alpha, size)
    source, samples = pair.alpha, []
    for number in range(repetitions):
        say(f"migration of {quantity.render(size)}: {number + 1} of {repetitions}")
        samples.append(_one(source, pair.others(source)))
        _delete(source.api)
        source = pair.others(source)
    _delete(source.api)
    return compared(samples)


def _of_volumes(pair: Pair, repetitions: int) -> Any:
    """Move a jail with volumes and one without there and back, one after the other."""
    pair.alpha.api.create(_JAIL, _specification())
    pair.alpha.api.create(_PARTED, _specification(volumes=_VOLUMES, address=OTHER))
    found: dict[str, list[float]] = {_JAIL: [], _PARTED: []}
    for source in (pair.alpha, pair.beta) * repetitions:
        for jail, downtimes in found.items():
            told = _watched(source.api, source.api.migrate_begin(jail, pair.others(source).name), [])[1]
            downtimes.append(told.downtime.ToTimedelta().total_seconds())
    return {
        "count": _VOLUMES,
        "downtime_seconds": summary(found[_PARTED]),
        "downtime_seconds_without": summary(found[_JAIL]),
        "ratio_to_without": ratios(found[_PARTED], found[_JAIL]),
    }


def compared(samples: Sequence[Sample]) -> dict[str, Any]:
    """What follows from samples."""
    rate = [one.bytes / one.seed for one in samples]
    by_hand = [one.bytes / one.by_hand for one in samples]
    downtime, naive = [one.downtime for one in samples], [one.naive for one in samples]
    gigabytes = [one.bytes / 1e9 for one in samples]
    cpu = [one.cpu.own / size for one, size in zip(samples, gigabytes, strict=True)]
    return {
        "seed_bytes": summary([one.bytes for one in samples]),
        "seed_bytes_per_second": summary(rate),
        "by_hand_bytes_per_second": summary(by_hand),
        "tls_bytes_per_second": summary([one.tls.rate for one in samples]),
        "grpc_bytes_per_second": summary([one.grpc.rate for one in samples]),
        "ratio_to_by_hand": ratios(rate, by_hand),
        "ratio_to_tls_pipe": ratios(rate, [one.tls.rate for one in samples]),
        "downtime_seconds": summary(downtime),
        "restart_seconds": summary([one.restart for one in samples]),
        "downtime_beyond_restart_seconds": summary([one.downtime - one.restart for one in samples]),
        "naive_seconds": summary(naive),
        "ratio_to_naive": ratios(downtime, naive),
        "cpu_seconds_per_gb": summary(cpu),
        "tls_cpu_seconds_per_gb": summary([one.tls.cpu for one in samples]),
        "grpc_cpu_seconds_per_gb": summary([one.grpc.cpu for one in samples]),
        "cpu_ratio_to_tls_pipe": ratios(cpu, [one.tls.cpu for one in samples]),
        "cpu_ratio_to_grpc": ratios(cpu, [one.grpc.cpu for one in samples]),
        "cpu_seconds_per_gb_with_commands": ratios([one.cpu.own + one.cpu.children for one in samples], gigabytes),
    }


def _one(source: Node, target: Node) -> Sample:
    operation = source.api.migrate_begin(_JAIL, target.name)
    marks, told = _watched(source.api, operation, [source.pid, target.pid])
    if "seed" not in marks or not told.HasField("downtime"):
        raise NotMeasuredError(f"the migration told no seed or no downtime: {sorted(marks)}")
    phases = list(marks)
    begun, ended = marks["seed"], marks[phases[phases.index("seed") + 1]]
    restarted = _done(target.api, target.api.jails.RestartJail, jails_pb2.RestartJailRequest)
    stopped = _seconds(lambda: _done(target.api, target.api.jails.StopJail, jails_pb2.StopJailRequest))
    by_hand = _by_hand(target, source)
    started = _seconds(lambda: _done(target.api, target.api.jails.StartJail, jails_pb2.StartJailRequest))
    return Sample(
        bytes=ended.bytes - begun.bytes,
        seed=ended.at - begun.at,
        cpu=ended.cpu - begun.cpu,
        downtime=told.downtime.ToTimedelta().total_seconds(),
        restart=restarted.downtime.ToTimedelta().total_seconds(),
        stop=stopped,
        by_hand=by_hand,
        start=started,
        tls=_bare("tls", source, target),
        grpc=_bare("grpc", source, target),
    )


def _done(api: Client, method: Any, request: Any, **more: Any) -> Any:
    """Carry a change of the jail out; return its last metadata."""
    return _watched(api, method(request(name=f"jails/{_JAIL}", **more), timeout=_LONGEST), [])[1]


def _delete(api: Client) -> None:
    _done(api, api.jails.DeleteJail, jails_pb2.DeleteJailRequest, force=True)


def _specification(*, volumes: int = 0, address: str = ADDRESS) -> str:
    command = json.dumps(["/bin/sh", "-c", _WRITES])
    places = {f"v{number}": {"path": f"/var/v{number}"} for number in range(volumes)}
    network = f"{{mode: own, addresses: [{address}]}}"
    return trees.spec("tiny-1", "web/1", command=command, network=network, volumes=json.dumps(places))


def _watched(api: Client, operation: Any, pids: Sequence[int]) -> tuple[dict[str, Mark], Any]:
    """Follow an operation to its end; return what was so at the beginning of each phase, and the last metadata."""
    marks: dict[str, Mark] = {}
    request = events_pb2.WatchOperationRequest(name=operation.name)
    for message in api.events.WatchOperation(request, timeout=_LONGEST):
        operation, told = message, metadata(message)
        if told.phase not in marks:
            cpu = sum((_cpu(pid) for pid in pids), Cpu(own=0, children=0))
            marks[told.phase] = Mark(at=time.perf_counter(), bytes=told.bytes_done, cpu=cpu)
    if operation.HasField("error"):
        raise NotMeasuredError(operation.error.message)
    return marks, metadata(operation)


def _by_hand(source: Node, target: Node) -> float:
    """Send all of the jail's datasets from pool to pool with nothing but the commands; return the seconds."""
    jail, copy = f"{source.pool}/jaild/jails/{_JAIL}", f"{target.pool}/{_BY_HAND}"
    source.zfs("snapshot", "-r", f"{jail}@{_BY_HAND}")
    try:
        began = time.perf_counter()
        for below in ("", "/data"):
            _pipe(
                source.mounts_argv("zfs", "send", f"{jail}{below}@{_BY_HAND}"),
                target.mounts_argv("zfs", "receive", "-u", f"{copy}{below}"),
            )
        return time.perf_counter() - began
    finally:
        source.zfs("destroy", "-r", f"{jail}@{_BY_HAND}", timeout=_LONGEST)
        with suppress(subprocess.CalledProcessError):  # it is not there if the first send failed
            target.zfs("destroy", "-r", copy, timeout=_LONGEST)


def _pipe(sender: Sequence[str], receiver: Sequence[str]) -> None:
    with subprocess.Popen(sender, env=environment(), stdout=subprocess.PIPE) as sending:
        received = subprocess.run(receiver, env=environment(), stdin=sending.stdout, check=False, timeout=_LONGEST)
    if sending.returncode or received.returncode:
        raise NotMeasuredError(
            f"{' '.join(sender)} | {' '.join(receiver)}: {sending.returncode}, {received.returncode}"
        )


def _bare(kind: str, source: Node, target: Node) -> Bare:
    """Send bytes from one host to the other and do nothing else."""
    listen: Any = target.config["listen"]
    address, tls = listen["address"].rpartition(":")[0], listen["tls"]
    words = [sys.executable, "-m", "tests.bench.barestream", kind, address, str(PORT + 1)]
    words += [tls["certificate"], tls["key"], tls["authority"]]
    how: Any = {"cwd": CHECKOUT, "env": environment(), "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(target.inside(*words), **how) as serving:
        if serving.stdout is None or serving.stdout.readline() != "ready\n":
            raise NotMeasuredError(f"the bare stream ({kind}) does not listen")
        sent = subprocess.run(source.inside(*words, str(_PIPED)), **how, check=True, timeout=_LONGEST)
        seconds, sender = map(float, sent.stdout.split())
        _, receiver = map(float, serving.stdout.readline().split())
    return Bare(rate=_PIPED / seconds, cpu=(sender + receiver) * 1e9 / _PIPED)


def _warm_up(pair: Pair) -> None:
    """Move a jail there and back: base and release are on both hosts then, and stay."""
    pair.alpha.api.create(_JAIL, _specification())
    pair.alpha.api.migrate(_JAIL, "beta")
    for node in (pair.alpha, pair.beta):
        _delete(node.api)


def _fill(node: Node, size: int) -> None:
    """Put so many bytes into the jail's data, incompressible ones, and onto the disk."""
    with node.seen(f"jails/{_JAIL}/data/var/ballast").open("wb") as file:
        for _ in range(size // PIECE):
            file.write(os.urandom(PIECE))
        file.flush()
        os.fsync(file.fileno())


def _seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _cpu(pid: int) -> Cpu:
    """Fields 14 to 17 of /proc/PID/stat, proc(5)."""
    user, system, children_user, children_system = (
        int(word) / _TICKS for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    )
    return Cpu(own=user + system, children=children_user + children_system)
