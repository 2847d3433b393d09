"""What is known now, as metric families: gathered in the event loop, a few jails at a time, told in a thread.

Names and labels are an interface: docs/monitoring.md has each of them. Labels have few values, but for a jail's name
and, of its replicas, the other host's; which base and release a jail is on stands in one series, `jaild_jail_info`.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted

from jaild.engine.build import Engine
from jaild.jails.forwarding import Cursor, Forwarding
from jaild.jails.service import Jails
from jaild.metrics.counts import Counts, phase_of
from jaild.metrics.endpoint import Answer
from jaild.metrics.samples import Samples
from jaild.model import quantity
from jaild.model.jails.liveness import Health
from jaild.model.layers.records import Desired, Ownership
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.record import Rollout
from jaild.model.sinks.records import SinkState, SinkView
from jaild.model.views import BackgroundTask, JailState, JailStats, JailView
from jaild.rollouts.service import Rollouts
from jaild.sinks.service import EventSinks

_VERSION = version("jaild")
_AT_ONCE = 100  # jails that are looked at before others have their turn
_FRESH = 1.0  # seconds that one answer is given to all who ask
_HEALTH = {Health.HEALTHY: 1.0, Health.UNHEALTHY: 0.0}
_UNFINISHED = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.CANCELLING, RolloutState.UNDOING)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that one answer is made of; nothing of it changes any more."""

    host: str
    host_id: str
    version: str
    jails: tuple[JailView, ...]
    exits: Mapping[str, int]
    active: Mapping[tuple[str, str], int]  # operations under way, by kind and phase
    longest_queue: int
    rollouts: tuple[Rollout, ...]
    sinks: tuple[SinkView, ...]
    logs: Mapping[str, Cursor]  # of jails whose logs are sent to a receiver of syslog
    tasks: tuple[BackgroundTask, ...]
    layers: Mapping[str, int]
    draining: bool
    shut_down: bool


class Exposition:
    """Answers scrapes."""

    def __init__(
        self,
        engine: Engine,
        counts: Counts,
        jails: Jails,
        rollouts: Rollouts,
        sinks: EventSinks,
        samples: Samples,
        forwarding: Forwarding,
    ) -> None:
        self._inventory = engine.inventory
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._draining = engine.draining
        self._clock = engine.ports.clock
        self._jails = jails
        self._rollouts = rollouts
        self._samples = samples
        self._sinks = sinks
        self._forwarding = forwarding
        self.counts = counts
        self._process = ProcessCollector(registry=None)
        self._one_at_a_time = asyncio.Lock()
        self._last: dict[str, tuple[float, bytes]] = {}  # by content type: when it was made (monotonic), and the text

    async def answer(self, headers: Mapping[str, str]) -> Answer:
        """Return what is exposed, in the format and encoding that a request's headers ask for."""
        encode, content_type = choose_encoder(headers.get("accept", ""))
        packed = gzip_accepted(headers.get("accept-encoding", ""))
        told = {"Content-Type": content_type} | ({"Content-Encoding": "gzip"} if packed else {})
        async with self._one_at_a_time:
            key, now = f"{content_type} {packed}", self._clock.monotonic()
            made, body = self._last.get(key, (-_FRESH, b""))
            if now - made >= _FRESH:
                snapshot = await self.snapshot()
                body = await asyncio.to_thread(_encoded, encode, _Families(self.families(snapshot)), packed=packed)
                self._last = {key: (now, body)}  # one at most: a client may ask for any version
        return body, told

    async def snapshot(self) -> Snapshot:
        """Gather what is known now."""
        names, views = self._jails.names(), list[JailView]()
        for begin in range(0, len(names), _AT_ONCE):
            views += self._jails.list(names[begin : begin + _AT_ONCE])
            await asyncio.sleep(0)
        under_way = [operation for operation in self._operations.list() if not operation.done]
        return Snapshot(
            host=self._inventory.host_name,
            host_id=self._inventory.host_id,
            version=_VERSION,
            jails=tuple(views),
            exits=self.counts.exits(names),
            active=Counter((operation.kind, phase_of(operation.phase)) for operation in under_way),
            longest_queue=max(Counter(operation.target for operation in under_way).values(), default=0),
            rollouts=tuple(self._rollouts.list()),
            sinks=tuple(self._sinks.views()),
            logs=self._forwarding.views(),
            tasks=self._supervisor.statistics(),
            layers={"base": len(self._inventory.bases), "release": len(self._inventory.releases)},
            draining=self._draining.now is not None,
            shut_down=self._inventory.shut_down,
        )

    def families(self, now: Snapshot) -> Iterator[Metric]:
        """Yield all families; of a snapshot, so that this may be done in a thread."""
        yield from _of_host(now)
        yield from self._of_samples()
        yield from _of_jails(now)
        yield from _of_replicas(now)
        yield from _of_snapshots(now)
        yield from _of_backups(now)
        yield from _of_rollouts(now)
        yield from _of_sinks(now.sinks)
        yield from _of_logs(now.logs)
        if self._samples.usage.value is not None:
            yield from _of_usage(self._samples.usage.value)
        yield from self.counts.registry.collect()
        yield from self._process.collect()

    def _of_samples(self) -> Iterator[Metric]:
        samples = self._samples.all.items()
        taken = ((sample.taken, name) for name, sample in samples)
        yield _gauge("jaild_sample_timestamp_seconds", "When this was looked at last; 0: not yet.", taken, "sample")
        took = ((sample.seconds, name) for name, sample in samples)
        yield _gauge("jaild_sample_duration_seconds", "Time that the last look took.", took, "sample")
        if (host := self._samples.host.value) is not None:
            yield _gauge("jaild_start_time_seconds", "When the daemon started.", [(host.started,)])
            yield _gauge("jaild_ready_seconds", "Time from its start until it answered.", [(host.ready_seconds,)])
            yield _gauge("jaild_warnings", "Warnings of `jailctl host show`.", [(float(len(host.warnings)),)])
            yield _gauge("jaild_dataset_used_bytes", "Used below the root dataset.", [(host.used,)])
            yield _gauge("jaild_dataset_available_bytes", "What it may still take.", [(host.available,)])
            kernel = {"zfs": host.zfs, "runtime": host.runtime, "kernel": host.kernel, "machine": host.machine}
            yield _info("jaild_system", "What the daemon runs on.", kernel)
        if (pool := self._samples.pool.value) is not None:
            healthy = float(pool.health == "ONLINE")
            yield _gauge("jaild_pool_healthy", "1: its state is ONLINE.", [(healthy, pool.pool)], "pool")
            errors = ((number, pool.pool, kind) for kind, number in pool.errors.items())
            told = "Errors of the pool's devices since they were cleared."
            yield _gauge("jaild_pool_device_errors", told, errors, "pool", "type")
            told = "Files and objects in the pool that cannot be read."
            yield _gauge("jaild_pool_data_errors", told, [(pool.data_errors, pool.pool)], "pool")
            ended = [] if pool.scrubbed is None else [(pool.scrubbed, pool.pool)]
            yield _gauge("jaild_pool_scrub_timestamp_seconds", "When the last scrub ended.", ended, "pool")
        ends = ((until, setting) for setting, until in (self._samples.certificates.value or {}).items())
        told = "Until when the certificate of a setting counts."
        yield _gauge("jaild_certificate_expiry_timestamp_seconds", told, ends, "setting")


class _Families:
    """What prometheus_client's encoders take: a registry, of which they ask this alone."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return self._families


def _encoded(encode: Any, families: _Families, *, packed: bool) -> bytes:
    text = bytes(encode(families))
    return gzip.compress(text, 1) if packed else text


_Rows = Iterable[tuple[Any, ...]]  # a value, then those of the labels


def _gauge(name: str, told: str, rows: _Rows, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, told, labels=labels)
    for value, *its in rows:
        family.add_metric(its, value)
    return family


def _counter(name: str, told: str, rows: _Rows, *labels: str) -> Metric:
    family = CounterMetricFamily(name, told, labels=labels)
    for value, *its in rows:
        family.add_metric(its, value)
    return family


def _info(name: str, told: str, *each: Mapping[str, str]) -> Metric:
    family = InfoMetricFamily(name, told)
    for labels in each:
        family.add_metric([], dict(labels))
    return family


def _of_host(now: Snapshot) -> Iterator[Metric]:
    yield _info("jaild_build", "The daemon.", {"version": now.version, "host": now.host})
    yield _gauge("jaild_draining", "1: the host takes no jails.", [(float(now.draining),)])
    told = "1: the jails were stopped for the host's shutdown."
    yield _gauge("jaild_shut_down", told, [(float(now.shut_down),)])
    yield _gauge("jaild_layers", "Bases and releases here.", ((n, kind) for kind, n in now.layers.items()), "kind")
    active = ((number, kind, phase) for (kind, phase), number in sorted(now.active.items()))
    told = "Operations under way; phase queued: they wait for their turn."
    yield _gauge("jaild_operations_active", told, active, "kind", "phase")
    told = "Operations under way on the one target that has the most, those that wait included."
    yield _gauge("jaild_queue_longest", told, [(now.longest_queue,)])
    failing = [task.failing_since for task in now.tasks if task.failures]
    yield _gauge("jaild_background_tasks", "What the daemon does by itself.", [(len(now.tasks),)])
    yield _gauge("jaild_background_tasks_failing", "Of them, those that fail and are tried again.", [(len(failing),)])
    told = "Since when the one that has failed for longest fails."
    yield _gauge("jaild_background_task_failing_since_timestamp_seconds", told, [(min(failing),)] if failing else [])


def _of_jails(now: Snapshot) -> Iterator[Metric]:
    own = [jail for jail in now.jails if _is_own(jail, now.host_id)]
    counts = Counter(jail.state for jail in now.jails)
    told = "Jails by state, copies and replicas of other hosts' jails included."
    yield _gauge("jaild_jails", told, ((counts[state], state.value) for state in JailState), "state")
    on = (
        {
            "jail": jail.name,
            "base": at.base,
            "app": at.release.partition("/")[0],
            "release": at.release.partition("/")[2],
        }
        for jail in now.jails
        if (at := jail.generation) is not None
    )
    yield _info("jaild_jail", "What a jail is on.", *on)
    states = ((1.0, jail.name, jail.state.value) for jail in now.jails)
    yield _gauge(
        "jaild_jail_state", "1 for the state that a jail is in; the others are left out.", states, "jail", "state"
    )
    wanted = ((float(jail.record is not None and jail.record.desired is Desired.RUNNING), jail.name) for jail in own)
    yield _gauge("jaild_jail_desired_running", "1: this host's jail is to run.", wanted, "jail")
    numbers = ((jail.generation.number, jail.name) for jail in own if jail.generation is not None)
    yield _gauge("jaild_jail_generation", "Number of its active generation.", numbers, "jail")
    since = ((jail.started, jail.name) for jail in own if jail.started)
    yield _gauge("jaild_jail_start_time_seconds", "When it was started, while it runs.", since, "jail")
    health = ((_HEALTH[jail.health.state], jail.name) for jail in own if jail.health and jail.health.state in _HEALTH)
    yield _gauge("jaild_jail_healthy", "By its liveness checks: 1 healthy, 0 unhealthy.", health, "jail")
    exits = ((now.exits.get(jail.name, 0), jail.name) for jail in own)
    told = "How often it ended by itself since the daemon's start."
    yield _counter("jaild_jail_exits", told, exits, "jail")
    behind = ((float(bool(jail.behind)), jail.name) for jail in own if jail.generation and jail.generation.spec.channel)
    told = "1: its channel names another base than the one that it is on."
    yield _gauge("jaild_jail_behind_channel", told, behind, "jail")


def _is_own(jail: JailView, host_id: str) -> bool:
    return jail.record is not None and jail.record.owner == host_id and jail.record.state is Ownership.ACTIVE


def _of_replicas(now: Snapshot) -> Iterator[Metric]:
    # `side`: out, of a jail of this host on `peer`; in, of a jail of `peer` here.
    rows = [
        ("out" if _is_own(jail, now.host_id) else "in", jail.name, replica)
        for jail in now.jails
        for replica in jail.standbys
    ]
    labels = ("jail", "peer", "side")
    taken = ((replica.taken, jail, replica.host, side) for side, jail, replica in rows)
    told = "When the newest whole round of a replica was taken; 0: there is none, or it is not known."
    yield _gauge("jaild_replica_timestamp_seconds", told, taken, *labels)
    interval = ((replica.interval, jail, replica.host, side) for side, jail, replica in rows)
    yield _gauge("jaild_replica_interval_seconds", "How old it may become.", interval, *labels)


def _of_snapshots(now: Snapshot) -> Iterator[Metric]:
    kept = [(jail.name, jail.snapshots) for jail in now.jails if jail.snapshots is not None]
    taken = ((status.taken, jail) for jail, status in kept)
    told = "When the newest snapshot of a jail's schedule was taken; 0: there is none, or it is not known."
    yield _gauge("jaild_jail_snapshot_timestamp_seconds", told, taken, "jail")
    interval = ((status.interval, jail) for jail, status in kept)
    yield _gauge("jaild_jail_snapshot_interval_seconds", "Time between two.", interval, "jail")
    failing = ((float(bool(status.failing_since)), jail) for jail, status in kept)
    yield _gauge("jaild_jail_snapshot_failing", "1: none can be taken, or removed.", failing, "jail")


def _of_backups(now: Snapshot) -> Iterator[Metric]:
    sent = [(jail.name, status) for jail in now.jails for status in jail.backups]
    taken = ((status.taken, jail, status.target) for jail, status in sent)
    told = "When the newest backup of a jail that is whole at a target was taken; 0: there is none, or it is not known."
    yield _gauge("jaild_backup_timestamp_seconds", told, taken, "jail", "target")
    interval = ((status.interval, jail, status.target) for jail, status in sent)
    yield _gauge("jaild_backup_interval_seconds", "Time between two.", interval, "jail", "target")
    failing = ((float(bool(status.failing_since)), jail, status.target) for jail, status in sent)
    yield _gauge("jaild_backup_failing", "1: none can be sent.", failing, "jail", "target")


def _of_rollouts(now: Snapshot) -> Iterator[Metric]:
    under_way = [rollout for rollout in now.rollouts if not rollout.over]
    states = Counter(rollout.state for rollout in under_way)
    yield _gauge("jaild_rollouts", "Rollouts that are not over.", ((states[s], s.value) for s in _UNFINISHED), "state")
    members = Counter(step.state for rollout in under_way for step in rollout.steps)
    told = "Their jails by how far each is."
    yield _gauge("jaild_rollout_jails", told, ((members[s], s.value) for s in MemberState), "state")


def _of_sinks(sinks: Iterable[SinkView]) -> Iterator[Metric]:
    there = [sink for sink in sinks if sink.state is not SinkState.REMOVED]
    taken = ((sink.row.delivered, sink.row.name) for sink in there)
    yield _counter("jaild_event_sink_delivered", "Events that a sink took.", taken, "sink")
    failed = ((sink.failures, sink.row.name) for sink in there)
    yield _counter("jaild_event_sink_failures", "Attempts that failed, since the daemon's start.", failed, "sink")
    gone = ((sink.row.given_up, sink.row.name) for sink in there)
    yield _counter("jaild_event_sink_given_up", "Events that were given up.", gone, "sink")
    lost = ((sink.row.lost, sink.row.name) for sink in there)
    yield _gauge("jaild_event_sink_lost", "Events that are lost, until somebody says that it is known.", lost, "sink")
    kept = ((sink.letters, sink.row.name) for sink in sinks)
    yield _gauge("jaild_event_sink_dead_letters", "Of those that were given up, those that are kept.", kept, "sink")
    last = ((sink.row.delivered_time, sink.row.name) for sink in there)
    told = "When a sink took the last one; 0: it took none."
    yield _gauge("jaild_event_sink_delivered_timestamp_seconds", told, last, "sink")
    waits = ((sink.waiting_since, sink.row.name) for sink in there if sink.waiting_since)
    told = "When the oldest event happened that waits for it; missing if none does."
    yield _gauge("jaild_event_sink_waiting_since_timestamp_seconds", told, waits, "sink")


def _of_logs(logs: Mapping[str, Cursor]) -> Iterator[Metric]:
    sent = ((cursor.sent, jail) for jail, cursor in logs.items())
    yield _counter("jaild_jail_log_sent_lines", "Lines of a jail's log that a receiver of syslog took.", sent, "jail")
    waits = ((cursor.behind, jail) for jail, cursor in logs.items())
    yield _gauge("jaild_jail_log_unsent_bytes", "What of it waits to be sent there.", waits, "jail")
    lost = ((cursor.lost, jail) for jail, cursor in logs.items())
    yield _counter("jaild_jail_log_lost_bytes", "What of it went by rotation before it was sent.", lost, "jail")


def _of_usage(usage: list[JailStats]) -> Iterator[Metric]:
    def family(kind: Any, name: str, told: str, values: Iterable[tuple[float | None, str]]) -> Metric:
        made: Metric = kind(name, told, ((v, jail) for v, jail in values if v is not None), "jail")
        return made

    yield family(
        _counter, "jaild_jail_cpu_seconds", "CPU time of its run.", ((jail.cpu_seconds, jail.name) for jail in usage)
    )
    yield family(_gauge, "jaild_jail_memory_bytes", "Memory.", ((jail.memory, jail.name) for jail in usage))
    yield family(_gauge, "jaild_jail_processes", "Processes.", ((jail.processes, jail.name) for jail in usage))
    told = "Bytes a second that it reads from file systems now."
    rates = ((jail.read_rate, jail.name) for jail in usage)
    yield family(_gauge, "jaild_jail_read_bytes_per_second", told, rates)
    told = "Bytes a second that it writes to file systems now."
    rates = ((jail.write_rate, jail.name) for jail in usage)
    yield family(_gauge, "jaild_jail_write_bytes_per_second", told, rates)
    told = "Bytes that it received over its own network, since its run was made."
    carried = ((jail.received, jail.name) for jail in usage)
    yield family(_counter, "jaild_jail_network_receive_bytes", told, carried)
    told = "Bytes that it sent over its own network, since its run was made."
    carried = ((jail.sent, jail.name) for jail in usage)
    yield family(_counter, "jaild_jail_network_transmit_bytes", told, carried)
    told = "What its datasets take, snapshots included."
    yield family(_gauge, "jaild_jail_disk_bytes", told, ((jail.disk, jail.name) for jail in usage))
    yield family(
        _gauge, "jaild_jail_data_bytes", "What its data refers to.", ((jail.data, jail.name) for jail in usage)
    )
    told = "The most that its data may refer to."
    yield family(_gauge, "jaild_jail_data_quota_bytes", told, ((jail.data_quota or None, jail.name) for jail in usage))
    told = "The most memory that it may have."
    limits = ((quantity.parse(jail.limits.memory) if jail.limits.memory else None, jail.name) for jail in usage)
    yield family(_gauge, "jaild_jail_memory_limit_bytes", told, limits)
    told = "The most CPUs that it may keep busy."
    yield family(_gauge, "jaild_jail_cpu_limit", told, ((jail.limits.cpus, jail.name) for jail in usage))
    told = "The most processes that it may have."
    yield family(_gauge, "jaild_jail_processes_limit", told, ((jail.limits.processes, jail.name) for jail in usage))
