"""Migrations between two real daemons, each beside the same by hand: `zfs send | zfs receive`, and bare streams.

For each size of data and repetition, in this order and so within minutes of each other:

    move a jail that writes, all of its data ── restart it there ── stop ── all of it by hand (`by_hand.py`): from pool
    to pool, through a TLS pipe, through a stream of grpc.aio ── these two with nothing else ── start

The copy that was left behind is deleted before the start, so that the next move sends everything again, and finds two
zfs-fuse at rest as what is done by hand does. Then, to see what datasets cost:

    move a jail with volumes ── move one without ── both back
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.model import quantity
from jaild.v1 import events_pb2, jails_pb2
from tests.bench.barestream import PIECE
from tests.bench.by_hand import LONGEST, Bare, Copy, Cpu, bare, copied, cpu_of, settle, zfs_of
from tests.bench.daemon import NotMeasuredError
from tests.bench.figures import ratios, summary
from tests.e2e import trees
from tests.e2e.client import Client, metadata
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL as ADDRESS
from tests.e2e.pair import OTHER, Pair, paired

SIZES = "64M,512M,4G"
_JAIL = "edge-1"
_PARTED = "edge-2"  # the jail with volumes
_VOLUMES = 8
# Something to stop, and to send in a last increment: a line on disk every 20 ms.
_WRITES = "trap 'exit 0' TERM; while :; do echo x | dd of=/var/x oflag=append conv=notrunc,fsync; sleep 0.02; done"


_MEANING = {
    "seed_bytes_per_second": "from phase seed to the next, by the daemon's own count of bytes",
    "by_hand_bytes_per_second": "the same datasets by zfs snapshot, zfs send | zfs receive, from pool to pool",
    "by_tls_bytes_per_second": "the same, with a TLS socket in Python between sender and receiver",
    "by_grpc_bytes_per_second": "the same, with a client stream of grpc.aio over TLS there, in messages of 1 MiB",
    "tls_bytes_per_second": "256 MiB from host to host through that socket, nothing else",
    "grpc_bytes_per_second": "256 MiB through that stream, nothing else",
    "tls_cpu_seconds_per_gb": "user and system time of both ends of that socket with nothing else, per 10^9 bytes",
    "grpc_cpu_seconds_per_gb": "the same of that stream",
    "by_tls_cpu_seconds_per_gb": "the same of that socket between zfs send and zfs receive",
    "by_grpc_cpu_seconds_per_gb": "the same of that stream there",
    "downtime_seconds": "in the metadata of MigrateJail: from the request to stop until the target started",
    "restart_seconds": "in the metadata of RestartJail on the target, right after",
    "naive_seconds": "StopJail, zfs snapshot, zfs send | zfs receive of everything, StartJail",
    "cpu_seconds_per_gb": "user and system time of both daemons while seeding, per 10^9 bytes",
    "cpu_seconds_per_gb_with_commands": "the same with their zfs send and zfs receive, without zfs-fuse",
    "zfs_cpu_seconds_per_gb": "user and system time of both zfs-fuse while seeding, per 10^9 bytes",
    "by_hand_zfs_cpu_seconds_per_gb": "the same while the commands send from pool to pool",
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What was so when an operation came into a phase."""

    at: float
    bytes: int
    cpu: Cpu  # of both daemons
    zfs: float  # of both zfs-fuse


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One repetition. Seconds, and bytes of the seed's stream."""

    bytes: int
    seed: float
    cpu: Cpu  # of both daemons while seeding
    zfs: float  # of both zfs-fuse, the same
    downtime: float
    restart: float  # downtime of a restart: stop and start
    stop: float
    by_hand: Copy  # zfs send | zfs receive of the same
    by_tls: Copy  # the same through a TLS pipe
    by_grpc: Copy  # the same through a stream of grpc.aio
    tls: Bare
    grpc: Bare
    start: float

    @property
    def naive(self) -> float:
        """The downtime of stopping, sending everything, and starting."""
        return self.stop + self.by_hand.seconds + self.start


def measure(sizes: Sequence[int], repetitions: int, say: Callable[[str], None]) -> Any:
    """Measure all; returns what the JSON has."""
    pool = quantity.render(4 * max(sizes) + (2 << 30))
    with tempfile.TemporaryDirectory(prefix="jbench-") as workshop, paired(pool_size=pool) as pair:
        furnish(pair.alpha.api, Path(workshop))
        _warm_up(pair)
        found = {quantity.render(size): _of_size(pair, size, repetitions, say) for size in sizes}
        say(f"migrations of a jail with {_VOLUMES} volumes")
        volumes = _of_volumes(pair, repetitions)
    return {"repetitions": repetitions, "sizes": found, "volumes": volumes, "meaning": _MEANING}


def _of_size(pair: Pair, size: int, repetitions: int, say: Callable[[str], None]) -> Any:
    pair.alpha.api.create(_JAIL, _specification())
    _fill(pair.alpha, size)
    source, samples = pair.alpha, []
    for number in range(repetitions):
        say(f"migration of {quantity.render(size)}: {number + 1} of {repetitions}")
        samples.append(_one(source, pair.others(source)))
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
            told = _watched(source.api, source.api.migrate_begin(jail, pair.others(source).name))[1]
            downtimes.append(told.downtime.ToTimedelta().total_seconds())
    return {
        "count": _VOLUMES,
        "downtime_seconds": summary(found[_PARTED]),
        "downtime_seconds_without": summary(found[_JAIL]),
        "ratio_to_without": ratios(found[_PARTED], found[_JAIL]),
    }


def compared(samples: Sequence[Sample]) -> dict[str, Any]:
    """What follows from samples."""
    gigabytes = [one.bytes / 1e9 for one in samples]
    rate = [one.bytes / one.seed for one in samples]
    by_hand, by_tls, by_grpc = (
        [one.bytes / copy.seconds for one, copy in zip(samples, copies, strict=True)]
        for copies in ([s.by_hand for s in samples], [s.by_tls for s in samples], [s.by_grpc for s in samples])
    )
    downtime, naive = [one.downtime for one in samples], [one.naive for one in samples]

    def per_gb(seconds: Sequence[float]) -> list[float]:
        return [one / size for one, size in zip(seconds, gigabytes, strict=True)]

    cpu, between = per_gb([one.cpu.own for one in samples]), per_gb([one.by_grpc.cpu for one in samples])
    return {
        "seed_bytes": summary([one.bytes for one in samples]),
        "seed_bytes_per_second": summary(rate),
        "by_hand_bytes_per_second": summary(by_hand),
        "by_tls_bytes_per_second": summary(by_tls),
        "by_grpc_bytes_per_second": summary(by_grpc),
        "tls_bytes_per_second": summary([one.tls.rate for one in samples]),
        "grpc_bytes_per_second": summary([one.grpc.rate for one in samples]),
        "ratio_to_by_hand": ratios(rate, by_hand),
        "ratio_to_by_tls": ratios(rate, by_tls),
        "ratio_to_by_grpc": ratios(rate, by_grpc),
        "ratio_to_tls_pipe": ratios(rate, [one.tls.rate for one in samples]),
        "downtime_seconds": summary(downtime),
        "restart_seconds": summary([one.restart for one in samples]),
        "downtime_beyond_restart_seconds": summary([one.downtime - one.restart for one in samples]),
        "naive_seconds": summary(naive),
        "ratio_to_naive": ratios(downtime, naive),
        "cpu_seconds_per_gb": summary(cpu),
        "tls_cpu_seconds_per_gb": summary([one.tls.cpu for one in samples]),
        "grpc_cpu_seconds_per_gb": summary([one.grpc.cpu for one in samples]),
        "by_tls_cpu_seconds_per_gb": summary(per_gb([one.by_tls.cpu for one in samples])),
        "by_grpc_cpu_seconds_per_gb": summary(between),
        "cpu_ratio_to_tls_pipe": ratios(cpu, [one.tls.cpu for one in samples]),
        "cpu_ratio_to_grpc": ratios(cpu, [one.grpc.cpu for one in samples]),
        "cpu_ratio_to_by_grpc": ratios(cpu, between),
        "cpu_seconds_per_gb_with_commands": summary(per_gb([one.cpu.own + one.cpu.children for one in samples])),
        "zfs_cpu_seconds_per_gb": summary(per_gb([one.zfs for one in samples])),
        "by_hand_zfs_cpu_seconds_per_gb": summary(per_gb([one.by_hand.zfs for one in samples])),
    }


def _one(source: Node, target: Node) -> Sample:
    operation = source.api.migrate_begin(_JAIL, target.name)
    marks, told = _watched(source.api, operation, source, target)
    if "seed" not in marks or not told.HasField("downtime"):
        raise NotMeasuredError(f"the migration told no seed or no downtime: {sorted(marks)}")
    phases = list(marks)
    begun, ended = marks["seed"], marks[phases[phases.index("seed") + 1]]
    restarted = _done(target.api, target.api.jails.RestartJail, jails_pb2.RestartJailRequest)
    stopped = _seconds(lambda: _done(target.api, target.api.jails.StopJail, jails_pb2.StopJailRequest))
    by_hand, by_tls, by_grpc = (copied(target, source, _JAIL, kind) for kind in ("", "tls", "grpc"))
    tls, grpc = (bare(kind, source, target) for kind in ("tls", "grpc"))
    _delete(source.api)
    settle(source, target)
    started = _seconds(lambda: _done(target.api, target.api.jails.StartJail, jails_pb2.StartJailRequest))
    return Sample(
        bytes=ended.bytes - begun.bytes,
        seed=ended.at - begun.at,
        cpu=ended.cpu - begun.cpu,
        zfs=ended.zfs - begun.zfs,
        downtime=told.downtime.ToTimedelta().total_seconds(),
        restart=restarted.downtime.ToTimedelta().total_seconds(),
        stop=stopped,
        by_hand=by_hand,
        by_tls=by_tls,
        by_grpc=by_grpc,
        tls=tls,
        grpc=grpc,
        start=started,
    )


def _done(api: Client, method: Any, request: Any, **more: Any) -> Any:
    """Carry a change of the jail out; return its last metadata."""
    return _watched(api, method(request(name=f"jails/{_JAIL}", **more), timeout=LONGEST))[1]


def _delete(api: Client) -> None:
    _done(api, api.jails.DeleteJail, jails_pb2.DeleteJailRequest, force=True)


def _specification(*, volumes: int = 0, address: str = ADDRESS) -> str:
    command = json.dumps(["/bin/sh", "-c", _WRITES])
    places = {f"v{number}": {"path": f"/var/v{number}"} for number in range(volumes)}
    network = f"{{mode: vnet, addresses: [{address}]}}"
    return trees.spec("tiny-1", "web/1", command=command, network=network, volumes=json.dumps(places))


def _watched(api: Client, operation: Any, *nodes: Node) -> tuple[dict[str, Mark], Any]:
    """Follow an operation to its end; return what was so at the beginning of each phase, and the last metadata."""
    marks: dict[str, Mark] = {}
    request, daemons, zfs = (
        events_pb2.WatchOperationRequest(name=operation.name),
        [n.pid for n in nodes],
        zfs_of(*nodes),
    )
    for message in api.events.WatchOperation(request, timeout=LONGEST):
        operation, told = message, metadata(message)
        if told.phase not in marks:
            now = time.perf_counter()
            marks[told.phase] = Mark(at=now, bytes=told.bytes_done, cpu=cpu_of(daemons), zfs=cpu_of(zfs).own)
    if operation.HasField("error"):
        raise NotMeasuredError(operation.error.message)
    return marks, metadata(operation)


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
