"""What Zabbix is to watch of a host, as tables: items of the host and of each jail, replica and certificate, triggers.

Series, labels and what they mean: docs/monitoring.md. Each trigger stands for the Prometheus alert of its name, for
which that page says what to do; a test holds the two together.
"""

from __future__ import annotations

from jaild.cli.zabbix.kinds import Discovery, Graph, Item, Trigger, Watched

TEMPLATE = "jaild by HTTP"
METRICS = "jaild.metrics"  # the key of the item that has the whole answer; all others depend on it
FLOAT, TEXT = "FLOAT", "CHAR"


WORDS = {
    "jaild: health": {"0": "unhealthy", "1": "healthy", "2": "not told"},
    "jaild: yes or no": {"0": "no", "1": "yes"},
    "jaild: pool": {"0": "not ONLINE", "1": "ONLINE"},
}

_FAILED_MOVES = 'jaild_operations_total{kind=~"migrate|evacuate|salvage|promote",outcome="failed"}'

HOST_ITEMS = (
    Item(key="started", name="Daemon's start", series="jaild_start_time_seconds", units="unixtime"),
    Item(key="version", name="Version", series="jaild_build_info", label="version", keep=True),
    Item(key="warnings", name="Warnings", series="jaild_warnings"),
    Item(key="draining", name="Takes no jails", series="jaild_draining", words="jaild: yes or no"),
    Item(key="shut_down", name="Jails stopped for shutdown", series="jaild_shut_down", words="jaild: yes or no"),
    Item(key="jails", name="Jails", series="jaild_jails", total=True),
    Item(key="jails.running", name="Jails that run", series='jaild_jails{state="running"}'),
    Item(key="active", name="Operations under way", series="jaild_operations_active", total=True, absent="0"),
    Item(
        key="queued",
        name="Operations that wait",
        series='jaild_operations_active{phase="queued"}',
        total=True,
        absent="0",
    ),
    Item(
        key="failed",
        name="Operations that failed",
        series='jaild_operations_total{outcome="failed"}',
        total=True,
        absent="0",
    ),
    Item(key="failed.moves", name="Moves that failed", series=_FAILED_MOVES, total=True, absent="0"),
    Item(
        key="downtime",
        name="Downtime by migrations",
        series='jaild_downtime_seconds_sum{kind="migrate"}',
        absent="0",
        units="s",
    ),
    Item(
        key="downtime.predicted",
        name="Downtime by migrations, predicted",
        series='jaild_downtime_predicted_seconds_sum{kind="migrate"}',
        absent="0",
        units="s",
    ),
    Item(key="two_owners", name="Two owners met", series='jaild_events_total{kind="migration.two_owners"}'),
    Item(key="cleanup", name="Left behind", series='jaild_events_total{kind="jail.cleanup-pending"}'),
    Item(key="rollouts.paused", name="Rollouts that are paused", series='jaild_rollouts{state="paused"}'),
    Item(
        key="rollouts.failed",
        name="Jails of rollouts that failed",
        series='jaild_rollout_jails{state=~"failed|stuck"}',
        total=True,
        absent="0",
    ),
    Item(key="pool.healthy", name="Pool", series="jaild_pool_healthy", words="jaild: pool"),
    Item(key="pool.errors", name="Errors of the pool's devices", series="jaild_pool_device_errors", total=True),
    Item(key="pool.lost", name="Files that cannot be read", series="jaild_pool_data_errors"),
    Item(key="pool.scrubbed", name="Last scrub", series="jaild_pool_scrub_timestamp_seconds", units="unixtime"),
    Item(key="space.available", name="Space left", series="jaild_dataset_available_bytes", units="B"),
    Item(key="space.used", name="Space used", series="jaild_dataset_used_bytes", units="B"),
    Item(
        key="stream.out",
        name="ZFS streams to other hosts",
        series="jaild_stream_bytes_total",
        total=True,
        rate=True,
        units="Bps",
    ),
    Item(
        key="stream.in",
        name="ZFS streams from other hosts",
        series="jaild_stream_received_bytes_total",
        total=True,
        rate=True,
        units="Bps",
    ),
    Item(key="tasks.failing", name="Background tasks that fail", series="jaild_background_tasks_failing"),
    Item(
        key="tasks.failing_since",
        name="The longest since",
        series="jaild_background_task_failing_since_timestamp_seconds",
        absent="0",
        units="unixtime",
    ),
    Item(key="loop.in_time", name="Loop in time", series='jaild_event_loop_lag_seconds_bucket{le="0.25"}'),
    Item(key="loop.looks", name="Loop looked at", series="jaild_event_loop_lag_seconds_count"),
    Item(key="cpu", name="CPU of the daemon", series="process_cpu_seconds_total", rate=True),
    Item(key="memory", name="Memory of the daemon", series="process_resident_memory_bytes", units="B"),
)

_LEFT = "last({space.available})/(last({space.available})+last({space.used}))"

HOST_TRIGGERS = (
    Trigger(name="JaildDown", says="jaild does not answer", when="nodata({started,{$JAILD.DOWN.AFTER}})=1", page=True),
    Trigger(
        name="JaildRestarts",
        says="jaild was started more than twice in half an hour",
        when="changecount({started,30m})>2",
    ),
    Trigger(
        name="JaildTwoOwners",
        says="two hosts hold that a jail is theirs",
        when="rate({two_owners,1h})>0",
        page=True,
    ),
    Trigger(name="JaildCleanupPending", says="something was left behind", when="rate({cleanup,1h})>0"),
    Trigger(name="JaildMigrationsFail", says="a move or promotion failed", when="rate({failed.moves,1h})>0"),
    Trigger(
        name="JaildOperationsFail",
        says="five or more operations failed in an hour",
        when="rate({failed,1h})*3600>=5",
    ),
    Trigger(
        name="JaildDowntimeMispredicted",
        says="migrations took jails down for more than twice as long as predicted",
        when="86400*rate({downtime,1d})>2*86400*rate({downtime.predicted,1d})+5",
    ),
    Trigger(name="JaildRolloutPaused", says="a rollout is paused", when="min({rollouts.paused,30m})>0"),
    Trigger(
        name="JaildRolloutJailsFailed",
        says="jails of a rollout failed or are stuck",
        when="last({rollouts.failed})>0",
    ),
    Trigger(name="JaildQueueLong", says="more than 50 operations wait", when="min({queued,15m})>50"),
    Trigger(name="JaildPoolUnhealthy", says="the pool is not ONLINE", when="last({pool.healthy})=0", page=True),
    Trigger(
        name="JaildPoolDataErrors",
        says="files in the pool cannot be read",
        when="last({pool.lost})>0",
        page=True,
    ),
    Trigger(name="JaildPoolDeviceErrors", says="devices of the pool have errors", when="last({pool.errors})>0"),
    Trigger(
        name="JaildPoolNotScrubbed",
        says="the pool was not scrubbed for five weeks",
        when="now()-last({pool.scrubbed})>35*86400",
    ),
    Trigger(name="JaildSpaceLow", says="less than 15 % of the space is left", when=f"{_LEFT}<0.15"),
    Trigger(name="JaildSpaceCritical", says="less than 5 % of the space is left", when=f"{_LEFT}<0.05", page=True),
    Trigger(
        name="JaildBackgroundTaskFails",
        says="something that jaild does by itself fails",
        when="last({tasks.failing_since})>0 and now()-last({tasks.failing_since})>900",
    ),
    Trigger(name="JaildWarnings", says="jailctl host show has warnings", when="min({warnings,5m})>0"),
    Trigger(
        name="JaildSlow",
        says="jaild comes late to what is due",
        when="1-rate({loop.in_time,10m})/rate({loop.looks,10m})>0.05",
    ),
    Trigger(name="JaildDrainForgotten", says="the host has taken no jails for a day", when="min({draining,1d})=1"),
)

HOST_GRAPHS = (
    Graph(name="Jails", keys=("jails", "jails.running")),
    Graph(name="Operations", keys=("active", "queued")),
    Graph(name="Space", keys=("space.used", "space.available"), stacked=True),
    Graph(name="Streams to and from other hosts", keys=("stream.out", "stream.in")),
    Graph(name="Daemon's memory", keys=("memory",)),
)

_JAIL = '{jail="{#JAIL}"}'
_NOT_DOWN = '"regexp","^(running|crash-loop|waiting|superseded|damaged)$"'

JAILS = Discovery(
    key="jail",
    name="Jails of this host",
    series="jaild_jail_desired_running",
    labels=("jail",),
    items=(
        Item(key="state", name="state", series=f"jaild_jail_state{_JAIL}", label="state", absent="gone"),
        Item(
            key="desired",
            name="is to run",
            series=f"jaild_jail_desired_running{_JAIL}",
            absent="0",
            words="jaild: yes or no",
        ),
        Item(key="healthy", name="health", series=f"jaild_jail_healthy{_JAIL}", absent="2", words="jaild: health"),
        Item(key="base", name="base", series=f"jaild_jail_info{_JAIL}", label="base", absent="", keep=True),
        Item(key="release", name="release", series=f"jaild_jail_info{_JAIL}", label="release", absent="", keep=True),
        Item(key="generation", name="generation", series=f"jaild_jail_generation{_JAIL}", absent="0", keep=True),
        Item(key="exits", name="ended by itself", series=f"jaild_jail_exits_total{_JAIL}"),
        Item(key="cpu", name="CPUs kept busy", series=f"jaild_jail_cpu_seconds_total{_JAIL}", rate=True),
        Item(key="memory", name="memory", series=f"jaild_jail_memory_bytes{_JAIL}", absent="0", units="B"),
        Item(
            key="memory.limit",
            name="memory limit",
            series=f"jaild_jail_memory_limit_bytes{_JAIL}",
            absent="0",
            units="B",
        ),
        Item(key="processes", name="processes", series=f"jaild_jail_processes{_JAIL}", absent="0"),
        Item(key="read", name="reads", series=f"jaild_jail_read_bytes_per_second{_JAIL}", units="Bps"),
        Item(key="written", name="writes", series=f"jaild_jail_write_bytes_per_second{_JAIL}", units="Bps"),
        Item(
            key="received",
            name="receives",
            series=f"jaild_jail_network_receive_bytes_total{_JAIL}",
            rate=True,
            units="Bps",
        ),
        Item(
            key="sent", name="sends", series=f"jaild_jail_network_transmit_bytes_total{_JAIL}", rate=True, units="Bps"
        ),
        Item(key="data", name="data", series=f"jaild_jail_data_bytes{_JAIL}", absent="0", units="B"),
        Item(key="data.quota", name="data quota", series=f"jaild_jail_data_quota_bytes{_JAIL}", absent="0", units="B"),
        Item(key="disk", name="disk, with snapshots", series=f"jaild_jail_disk_bytes{_JAIL}", absent="0", units="B"),
    ),
    triggers=(
        Trigger(
            name="JaildJailDown",
            says="jail {#JAIL} is to run and does not",
            when=f"min({{desired,{{$JAILD.JAIL.DOWN}}}})=1 and count({{state,{{$JAILD.JAIL.DOWN}}}},{_NOT_DOWN})=0"
            " and last({@shut_down})=0",
            page=True,
        ),
        Trigger(
            name="JaildJailCrashLoop",
            says="jail {#JAIL} ended too often and is not started any more",
            when='last({state})="crash-loop"',
            page=True,
        ),
        Trigger(
            name="JaildJailExits",
            says="jail {#JAIL} ended by itself more than three times in an hour",
            when="rate({exits,1h})*3600>3",
        ),
        Trigger(
            name="JaildJailUnhealthy",
            says="jail {#JAIL} runs and fails its liveness checks",
            when="max({healthy,2m})=0",
            page=True,
        ),
        Trigger(
            name="JaildJailHeldBack",
            says="jail {#JAIL} is not started by the daemon",
            when='count({state,10m},"regexp","^(waiting|superseded|damaged)$")>0'
            ' and count({state,10m},"regexp","^(waiting|superseded|damaged)$")=count({state,10m})',
            page=True,
        ),
        Trigger(
            name="JaildJailMemoryFull",
            says="jail {#JAIL} has more than 95 % of the memory that it may have",
            when="last({memory.limit})>0 and min({memory,15m})>0.95*last({memory.limit})",
        ),
        Trigger(
            name="JaildJailDataFull",
            says="the data of jail {#JAIL} is more than 90 % of its quota",
            when="last({data.quota})>0 and min({data,15m})>0.9*last({data.quota})",
        ),
    ),
    graphs=(
        Graph(name="CPU", keys=("cpu",)),
        Graph(name="Memory", keys=("memory", "memory.limit")),
        Graph(name="Network", keys=("received", "sent")),
        Graph(name="Data", keys=("data", "data.quota", "disk")),
    ),
)

_REPLICA = '{jail="{#JAIL}",peer="{#PEER}",side="out"}'

REPLICAS = Discovery(
    key="replica",
    name="Replicas of this host's jails",
    series='jaild_replica_timestamp_seconds{side="out"}',
    labels=("jail", "peer"),
    items=(
        Item(
            key="taken",
            name="newest whole round",
            series=f"jaild_replica_timestamp_seconds{_REPLICA}",
            absent="0",
            units="unixtime",
        ),
        Item(
            key="interval",
            name="interval",
            series=f"jaild_replica_interval_seconds{_REPLICA}",
            absent="0",
            units="s",
        ),
    ),
    triggers=(
        Trigger(
            name="JaildReplicaLate",
            says="the replica of jail {#JAIL} on {#PEER} is behind",
            when="last({interval})>0 and now()-last({taken})>2*last({interval})+180",
        ),
    ),
)

_BACKUP = '{jail="{#JAIL}",target="{#TARGET}"}'

SNAPSHOTS = Discovery(
    key="snapshots",
    name="Snapshots of jails",
    series="jaild_jail_snapshot_timestamp_seconds",
    labels=("jail",),
    items=(
        Item(
            key="taken",
            name="newest snapshot",
            series=f"jaild_jail_snapshot_timestamp_seconds{_JAIL}",
            absent="0",
            units="unixtime",
        ),
        Item(key="failing", name="snapshots fail", series=f"jaild_jail_snapshot_failing{_JAIL}", absent="0"),
    ),
    triggers=(
        Trigger(
            name="JaildSnapshotsFail",
            says="no snapshots of jail {#JAIL} can be taken",
            when="min({failing},15m)=1",
        ),
    ),
)

BACKUPS = Discovery(
    key="backup",
    name="Backups of jails",
    series="jaild_backup_timestamp_seconds",
    labels=("jail", "target"),
    items=(
        Item(
            key="taken",
            name="newest whole backup",
            series=f"jaild_backup_timestamp_seconds{_BACKUP}",
            absent="0",
            units="unixtime",
        ),
        Item(
            key="interval",
            name="interval",
            series=f"jaild_backup_interval_seconds{_BACKUP}",
            absent="0",
            units="s",
        ),
    ),
    triggers=(
        Trigger(
            name="JaildBackupLate",
            says="the newest backup of jail {#JAIL} at {#TARGET} is old, or there is none",
            when="min({interval},30m)>0 and now()-max({taken},30m)>2*last({interval})+1800",
        ),
    ),
)

CERTIFICATES = Discovery(
    key="certificate",
    name="Certificates",
    series="jaild_certificate_expiry_timestamp_seconds",
    labels=("setting",),
    items=(
        Item(
            key="ends",
            name="ends",
            series='jaild_certificate_expiry_timestamp_seconds{setting="{#SETTING}"}',
            units="unixtime",
        ),
    ),
    triggers=(
        Trigger(
            name="JaildCertificateEnds",
            says="the certificate of {#SETTING} ends within two weeks",
            when="last({ends})-now()<14*86400",
        ),
        Trigger(
            name="JaildCertificateEndsNow",
            says="the certificate of {#SETTING} ends within a day, or has ended",
            when="last({ends})-now()<86400",
            page=True,
        ),
    ),
)

_SAMPLE = '{sample="{#SAMPLE}"}'

SAMPLES = Discovery(
    key="sample",
    name="What is looked at now and then",
    series="jaild_sample_timestamp_seconds",
    labels=("sample",),
    without=(("sample", "certificates"),),
    items=(
        Item(key="taken", name="looked at", series=f"jaild_sample_timestamp_seconds{_SAMPLE}", units="unixtime"),
        Item(key="took", name="took", series=f"jaild_sample_duration_seconds{_SAMPLE}", units="s"),
    ),
    triggers=(
        Trigger(
            name="JaildSamplesOld",
            says="jaild has not looked at {#SAMPLE} for long",
            when="now()-last({taken})>900+60*last({took})",
        ),
    ),
)

_SINK = '{sink="{#SINK}"}'

SINKS = Discovery(
    key="sink",
    name="Event sinks",
    series="jaild_event_sink_delivered_total",
    labels=("sink",),
    items=(
        Item(key="delivered", name="events delivered", series=f"jaild_event_sink_delivered_total{_SINK}"),
        Item(key="kept", name="dead letters", series=f"jaild_event_sink_dead_letters{_SINK}"),
        Item(
            key="waiting_since",
            name="an event waits since",
            series=f"jaild_event_sink_waiting_since_timestamp_seconds{_SINK}",
            absent="0",
            units="unixtime",
        ),
    ),
    triggers=(
        Trigger(
            name="JaildEventSinkBehind",
            says="the event sink {#SINK} does not take events",
            when="last({waiting_since})>0 and now()-last({waiting_since})>900",
        ),
    ),
)

WATCHED = Watched(
    items=HOST_ITEMS,
    triggers=HOST_TRIGGERS,
    graphs=HOST_GRAPHS,
    discoveries=(JAILS, REPLICAS, SNAPSHOTS, BACKUPS, CERTIFICATES, SAMPLES, SINKS),
    words=WORDS,
)
