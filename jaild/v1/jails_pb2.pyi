from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Port(_message.Message):
    __slots__ = ("host", "jail", "protocol", "address")
    HOST_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    host: int
    jail: int
    protocol: str
    address: str
    def __init__(self, host: _Optional[int] = ..., jail: _Optional[int] = ..., protocol: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("mode", "addresses", "gateway", "bridge", "interface", "ports")
    MODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    BRIDGE_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    mode: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    gateway: str
    bridge: str
    interface: str
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    def __init__(self, mode: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., gateway: _Optional[str] = ..., bridge: _Optional[str] = ..., interface: _Optional[str] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ...) -> None: ...

class Volume(_message.Message):
    __slots__ = ("path", "quota", "recordsize")
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    RECORDSIZE_FIELD_NUMBER: _ClassVar[int]
    path: str
    quota: str
    recordsize: str
    def __init__(self, path: _Optional[str] = ..., quota: _Optional[str] = ..., recordsize: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("memory", "cpus", "processes", "open_files", "cpuset")
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    CPUSET_FIELD_NUMBER: _ClassVar[int]
    memory: str
    cpus: float
    processes: int
    open_files: int
    cpuset: str
    def __init__(self, memory: _Optional[str] = ..., cpus: _Optional[float] = ..., processes: _Optional[int] = ..., open_files: _Optional[int] = ..., cpuset: _Optional[str] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("kind", "port", "path", "address", "command", "timeout")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    port: int
    path: str
    address: str
    command: _containers.RepeatedScalarFieldContainer[str]
    timeout: float
    def __init__(self, kind: _Optional[str] = ..., port: _Optional[int] = ..., path: _Optional[str] = ..., address: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., timeout: _Optional[float] = ...) -> None: ...

class Hook(_message.Message):
    __slots__ = ("kind", "command", "url", "method", "status", "timeout", "on_error")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    kind: str
    command: _containers.RepeatedScalarFieldContainer[str]
    url: str
    method: str
    status: int
    timeout: float
    on_error: str
    def __init__(self, kind: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., url: _Optional[str] = ..., method: _Optional[str] = ..., status: _Optional[int] = ..., timeout: _Optional[float] = ..., on_error: _Optional[str] = ...) -> None: ...

class Hooks(_message.Message):
    __slots__ = ("before_stop", "after_start")
    BEFORE_STOP_FIELD_NUMBER: _ClassVar[int]
    AFTER_START_FIELD_NUMBER: _ClassVar[int]
    before_stop: _containers.RepeatedCompositeFieldContainer[Hook]
    after_start: _containers.RepeatedCompositeFieldContainer[Hook]
    def __init__(self, before_stop: _Optional[_Iterable[_Union[Hook, _Mapping]]] = ..., after_start: _Optional[_Iterable[_Union[Hook, _Mapping]]] = ...) -> None: ...

class Readiness(_message.Message):
    __slots__ = ("successes", "interval", "deadline", "failures")
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    successes: int
    interval: float
    deadline: float
    failures: int
    def __init__(self, successes: _Optional[int] = ..., interval: _Optional[float] = ..., deadline: _Optional[float] = ..., failures: _Optional[int] = ...) -> None: ...

class Liveness(_message.Message):
    __slots__ = ("checks", "interval", "failures", "restart")
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[HealthCheck]
    interval: float
    failures: int
    restart: bool
    def __init__(self, checks: _Optional[_Iterable[_Union[HealthCheck, _Mapping]]] = ..., interval: _Optional[float] = ..., failures: _Optional[int] = ..., restart: bool = ...) -> None: ...

class Backoff(_message.Message):
    __slots__ = ("first", "longest")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LONGEST_FIELD_NUMBER: _ClassVar[int]
    first: float
    longest: float
    def __init__(self, first: _Optional[float] = ..., longest: _Optional[float] = ...) -> None: ...

class Restart(_message.Message):
    __slots__ = ("policy", "max", "within", "backoff")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    policy: str
    max: int
    within: float
    backoff: Backoff
    def __init__(self, policy: _Optional[str] = ..., max: _Optional[int] = ..., within: _Optional[float] = ..., backoff: _Optional[_Union[Backoff, _Mapping]] = ...) -> None: ...

class Boot(_message.Message):
    __slots__ = ("autostart", "order", "after")
    AUTOSTART_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    autostart: bool
    order: int
    after: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, autostart: bool = ..., order: _Optional[int] = ..., after: _Optional[_Iterable[str]] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("signal", "timeout")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    signal: str
    timeout: float
    def __init__(self, signal: _Optional[str] = ..., timeout: _Optional[float] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("priority", "apart")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    APART_FIELD_NUMBER: _ClassVar[int]
    priority: int
    apart: str
    def __init__(self, priority: _Optional[int] = ..., apart: _Optional[str] = ...) -> None: ...

class Standby(_message.Message):
    __slots__ = ("peers", "interval")
    PEERS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedScalarFieldContainer[str]
    interval: float
    def __init__(self, peers: _Optional[_Iterable[str]] = ..., interval: _Optional[float] = ...) -> None: ...

class JailSpec(_message.Message):
    __slots__ = ("base", "app", "command", "environment", "hostname", "user", "network", "quota", "volumes", "limits", "health", "readiness", "boot", "stop", "labels", "placement", "allow", "devfs_ruleset", "standby", "channel", "liveness", "restart", "hooks", "maintenance", "logs", "snapshots", "backups", "encryption")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class VolumesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Volume
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Volume, _Mapping]] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class BackupsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: BackupSchedule
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[BackupSchedule, _Mapping]] = ...) -> None: ...
    BASE_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    READINESS_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DEVFS_RULESET_FIELD_NUMBER: _ClassVar[int]
    STANDBY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_FIELD_NUMBER: _ClassVar[int]
    base: str
    app: str
    command: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    hostname: str
    user: str
    network: Network
    quota: str
    volumes: _containers.MessageMap[str, Volume]
    limits: Limits
    health: _containers.RepeatedCompositeFieldContainer[HealthCheck]
    readiness: Readiness
    boot: Boot
    stop: Stop
    labels: _containers.ScalarMap[str, str]
    placement: Placement
    allow: _containers.RepeatedScalarFieldContainer[str]
    devfs_ruleset: str
    standby: Standby
    channel: str
    liveness: Liveness
    restart: Restart
    hooks: Hooks
    maintenance: _containers.RepeatedScalarFieldContainer[str]
    logs: Logs
    snapshots: Snapshots
    backups: _containers.MessageMap[str, BackupSchedule]
    encryption: Encryption
    def __init__(self, base: _Optional[str] = ..., app: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., hostname: _Optional[str] = ..., user: _Optional[str] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., quota: _Optional[str] = ..., volumes: _Optional[_Mapping[str, Volume]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., health: _Optional[_Iterable[_Union[HealthCheck, _Mapping]]] = ..., readiness: _Optional[_Union[Readiness, _Mapping]] = ..., boot: _Optional[_Union[Boot, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ..., allow: _Optional[_Iterable[str]] = ..., devfs_ruleset: _Optional[str] = ..., standby: _Optional[_Union[Standby, _Mapping]] = ..., channel: _Optional[str] = ..., liveness: _Optional[_Union[Liveness, _Mapping]] = ..., restart: _Optional[_Union[Restart, _Mapping]] = ..., hooks: _Optional[_Union[Hooks, _Mapping]] = ..., maintenance: _Optional[_Iterable[str]] = ..., logs: _Optional[_Union[Logs, _Mapping]] = ..., snapshots: _Optional[_Union[Snapshots, _Mapping]] = ..., backups: _Optional[_Mapping[str, BackupSchedule]] = ..., encryption: _Optional[_Union[Encryption, _Mapping]] = ...) -> None: ...

class BackupSchedule(_message.Message):
    __slots__ = ("every", "keep")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    every: str
    keep: Keep
    def __init__(self, every: _Optional[str] = ..., keep: _Optional[_Union[Keep, _Mapping]] = ...) -> None: ...

class Encryption(_message.Message):
    __slots__ = ("key", "keyformat")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEYFORMAT_FIELD_NUMBER: _ClassVar[int]
    key: str
    keyformat: str
    def __init__(self, key: _Optional[str] = ..., keyformat: _Optional[str] = ...) -> None: ...

class Snapshots(_message.Message):
    __slots__ = ("every", "keep")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    every: str
    keep: Keep
    def __init__(self, every: _Optional[str] = ..., keep: _Optional[_Union[Keep, _Mapping]] = ...) -> None: ...

class Keep(_message.Message):
    __slots__ = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    LAST_FIELD_NUMBER: _ClassVar[int]
    HOURLY_FIELD_NUMBER: _ClassVar[int]
    DAILY_FIELD_NUMBER: _ClassVar[int]
    WEEKLY_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_FIELD_NUMBER: _ClassVar[int]
    YEARLY_FIELD_NUMBER: _ClassVar[int]
    last: int
    hourly: int
    daily: int
    weekly: int
    monthly: int
    yearly: int
    def __init__(self, last: _Optional[int] = ..., hourly: _Optional[int] = ..., daily: _Optional[int] = ..., weekly: _Optional[int] = ..., monthly: _Optional[int] = ..., yearly: _Optional[int] = ...) -> None: ...

class Logs(_message.Message):
    __slots__ = ("syslog",)
    SYSLOG_FIELD_NUMBER: _ClassVar[int]
    syslog: Syslog
    def __init__(self, syslog: _Optional[_Union[Syslog, _Mapping]] = ...) -> None: ...

class Syslog(_message.Message):
    __slots__ = ("address", "facility", "severity", "tag")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FACILITY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    address: str
    facility: str
    severity: str
    tag: str
    def __init__(self, address: _Optional[str] = ..., facility: _Optional[str] = ..., severity: _Optional[str] = ..., tag: _Optional[str] = ...) -> None: ...

class RestartStatus(_message.Message):
    __slots__ = ("ends", "last_end_time", "next_start_time")
    ENDS_FIELD_NUMBER: _ClassVar[int]
    LAST_END_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_START_TIME_FIELD_NUMBER: _ClassVar[int]
    ends: int
    last_end_time: _timestamp_pb2.Timestamp
    next_start_time: _timestamp_pb2.Timestamp
    def __init__(self, ends: _Optional[int] = ..., last_end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HealthStatus(_message.Message):
    __slots__ = ("state", "since", "failures", "flaps", "output")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[HealthStatus.State]
        STATE_UNKNOWN: _ClassVar[HealthStatus.State]
        STATE_HEALTHY: _ClassVar[HealthStatus.State]
        STATE_UNHEALTHY: _ClassVar[HealthStatus.State]
    STATE_UNSPECIFIED: HealthStatus.State
    STATE_UNKNOWN: HealthStatus.State
    STATE_HEALTHY: HealthStatus.State
    STATE_UNHEALTHY: HealthStatus.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    FLAPS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    state: HealthStatus.State
    since: _timestamp_pb2.Timestamp
    failures: int
    flaps: int
    output: str
    def __init__(self, state: _Optional[_Union[HealthStatus.State, str]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failures: _Optional[int] = ..., flaps: _Optional[int] = ..., output: _Optional[str] = ...) -> None: ...

class StandbyStatus(_message.Message):
    __slots__ = ("host", "recovery_point_time", "interval", "behind", "message")
    HOST_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_POINT_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    host: str
    recovery_point_time: _timestamp_pb2.Timestamp
    interval: float
    behind: bool
    message: str
    def __init__(self, host: _Optional[str] = ..., recovery_point_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[float] = ..., behind: bool = ..., message: _Optional[str] = ...) -> None: ...

class SnapshotStatus(_message.Message):
    __slots__ = ("newest_time", "interval", "count", "failing_since", "message")
    NEWEST_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    newest_time: _timestamp_pb2.Timestamp
    interval: float
    count: int
    failing_since: _timestamp_pb2.Timestamp
    message: str
    def __init__(self, newest_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[float] = ..., count: _Optional[int] = ..., failing_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class BackupStatus(_message.Message):
    __slots__ = ("target", "newest_time", "interval", "failing_since", "message")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NEWEST_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    target: str
    newest_time: _timestamp_pb2.Timestamp
    interval: float
    failing_since: _timestamp_pb2.Timestamp
    message: str
    def __init__(self, target: _Optional[str] = ..., newest_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[float] = ..., failing_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class StagedGeneration(_message.Message):
    __slots__ = ("generation", "base", "release", "reason", "actor", "create_time", "failure")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    base: str
    release: str
    reason: str
    actor: str
    create_time: _timestamp_pb2.Timestamp
    failure: str
    def __init__(self, generation: _Optional[int] = ..., base: _Optional[str] = ..., release: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[str] = ...) -> None: ...

class Jail(_message.Message):
    __slots__ = ("name", "uid", "state", "spec", "generation", "base", "release", "owner", "epoch", "etag", "create_time", "start_time", "exit_status", "used_bytes", "operation", "message", "peer", "standbys", "behind", "health", "restarts", "revert_time", "revert_generation", "staged", "snapshots", "backups")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Jail.State]
        STATE_STOPPED: _ClassVar[Jail.State]
        STATE_RUNNING: _ClassVar[Jail.State]
        STATE_FAILED: _ClassVar[Jail.State]
        STATE_FROZEN: _ClassVar[Jail.State]
        STATE_INCOMING: _ClassVar[Jail.State]
        STATE_PREPARED: _ClassVar[Jail.State]
        STATE_MOVED: _ClassVar[Jail.State]
        STATE_DELETING: _ClassVar[Jail.State]
        STATE_DAMAGED: _ClassVar[Jail.State]
        STATE_SUPERSEDED: _ClassVar[Jail.State]
        STATE_STANDBY: _ClassVar[Jail.State]
        STATE_CLAIMED: _ClassVar[Jail.State]
        STATE_FENCED: _ClassVar[Jail.State]
        STATE_WAITING: _ClassVar[Jail.State]
        STATE_STARTING: _ClassVar[Jail.State]
        STATE_CRASH_LOOP: _ClassVar[Jail.State]
    STATE_UNSPECIFIED: Jail.State
    STATE_STOPPED: Jail.State
    STATE_RUNNING: Jail.State
    STATE_FAILED: Jail.State
    STATE_FROZEN: Jail.State
    STATE_INCOMING: Jail.State
    STATE_PREPARED: Jail.State
    STATE_MOVED: Jail.State
    STATE_DELETING: Jail.State
    STATE_DAMAGED: Jail.State
    STATE_SUPERSEDED: Jail.State
    STATE_STANDBY: Jail.State
    STATE_CLAIMED: Jail.State
    STATE_FENCED: Jail.State
    STATE_WAITING: Jail.State
    STATE_STARTING: Jail.State
    STATE_CRASH_LOOP: Jail.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    STANDBYS_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    REVERT_TIME_FIELD_NUMBER: _ClassVar[int]
    REVERT_GENERATION_FIELD_NUMBER: _ClassVar[int]
    STAGED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    state: Jail.State
    spec: JailSpec
    generation: int
    base: str
    release: str
    owner: str
    epoch: int
    etag: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    exit_status: int
    used_bytes: int
    operation: str
    message: str
    peer: str
    standbys: _containers.RepeatedCompositeFieldContainer[StandbyStatus]
    behind: str
    health: HealthStatus
    restarts: RestartStatus
    revert_time: _timestamp_pb2.Timestamp
    revert_generation: int
    staged: StagedGeneration
    snapshots: SnapshotStatus
    backups: _containers.RepeatedCompositeFieldContainer[BackupStatus]
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., state: _Optional[_Union[Jail.State, str]] = ..., spec: _Optional[_Union[JailSpec, _Mapping]] = ..., generation: _Optional[int] = ..., base: _Optional[str] = ..., release: _Optional[str] = ..., owner: _Optional[str] = ..., epoch: _Optional[int] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., exit_status: _Optional[int] = ..., used_bytes: _Optional[int] = ..., operation: _Optional[str] = ..., message: _Optional[str] = ..., peer: _Optional[str] = ..., standbys: _Optional[_Iterable[_Union[StandbyStatus, _Mapping]]] = ..., behind: _Optional[str] = ..., health: _Optional[_Union[HealthStatus, _Mapping]] = ..., restarts: _Optional[_Union[RestartStatus, _Mapping]] = ..., revert_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revert_generation: _Optional[int] = ..., staged: _Optional[_Union[StagedGeneration, _Mapping]] = ..., snapshots: _Optional[_Union[SnapshotStatus, _Mapping]] = ..., backups: _Optional[_Iterable[_Union[BackupStatus, _Mapping]]] = ...) -> None: ...

class Generation(_message.Message):
    __slots__ = ("name", "number", "base", "release", "spec", "create_time", "reason", "parent", "actor", "active", "accepted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: int
    base: str
    release: str
    spec: JailSpec
    create_time: _timestamp_pb2.Timestamp
    reason: str
    parent: int
    actor: str
    active: bool
    accepted: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, name: _Optional[str] = ..., number: _Optional[int] = ..., base: _Optional[str] = ..., release: _Optional[str] = ..., spec: _Optional[_Union[JailSpec, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., parent: _Optional[int] = ..., actor: _Optional[str] = ..., active: bool = ..., accepted: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...

class SpecSource(_message.Message):
    __slots__ = ("spec", "yaml", "template")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    YAML_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    spec: JailSpec
    yaml: str
    template: Template
    def __init__(self, spec: _Optional[_Union[JailSpec, _Mapping]] = ..., yaml: _Optional[str] = ..., template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class Template(_message.Message):
    __slots__ = ("name", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateJailRequest(_message.Message):
    __slots__ = ("jail_id", "spec", "stopped", "request_id", "validate_only", "accept")
    JAIL_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    jail_id: str
    spec: SpecSource
    stopped: bool
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    def __init__(self, jail_id: _Optional[str] = ..., spec: _Optional[_Union[SpecSource, _Mapping]] = ..., stopped: bool = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ...) -> None: ...

class GetJailRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListJailsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class ListJailsResponse(_message.Message):
    __slots__ = ("jails", "next_page_token")
    JAILS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jails: _containers.RepeatedCompositeFieldContainer[Jail]
    next_page_token: str
    def __init__(self, jails: _Optional[_Iterable[_Union[Jail, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteJailRequest(_message.Message):
    __slots__ = ("name", "force", "etag", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    etag: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., force: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class StartJailRequest(_message.Message):
    __slots__ = ("name", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class StopJailRequest(_message.Message):
    __slots__ = ("name", "request_id", "force", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    force: bool
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., force: bool = ..., validate_only: bool = ...) -> None: ...

class RestartJailRequest(_message.Message):
    __slots__ = ("name", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class DeployReleaseRequest(_message.Message):
    __slots__ = ("name", "release", "etag", "request_id", "validate_only", "accept", "confirm_within", "stage", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WITHIN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    release: str
    etag: str
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    confirm_within: _duration_pb2.Duration
    stage: bool
    force: bool
    def __init__(self, name: _Optional[str] = ..., release: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ..., confirm_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stage: bool = ..., force: bool = ...) -> None: ...

class UpgradeBaseRequest(_message.Message):
    __slots__ = ("name", "base", "etag", "request_id", "validate_only", "accept", "channel", "confirm_within", "stage", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WITHIN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    base: str
    etag: str
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    channel: str
    confirm_within: _duration_pb2.Duration
    stage: bool
    force: bool
    def __init__(self, name: _Optional[str] = ..., base: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ..., channel: _Optional[str] = ..., confirm_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stage: bool = ..., force: bool = ...) -> None: ...

class ConfigureJailRequest(_message.Message):
    __slots__ = ("name", "spec", "etag", "request_id", "validate_only", "accept", "confirm_within", "stage", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WITHIN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: SpecSource
    etag: str
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    confirm_within: _duration_pb2.Duration
    stage: bool
    force: bool
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[SpecSource, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ..., confirm_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stage: bool = ..., force: bool = ...) -> None: ...

class RollbackJailRequest(_message.Message):
    __slots__ = ("name", "generation", "axis", "etag", "request_id", "validate_only", "accept", "stage")
    class Axis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        AXIS_UNSPECIFIED: _ClassVar[RollbackJailRequest.Axis]
        AXIS_BASE: _ClassVar[RollbackJailRequest.Axis]
        AXIS_APP: _ClassVar[RollbackJailRequest.Axis]
        AXIS_SPEC: _ClassVar[RollbackJailRequest.Axis]
    AXIS_UNSPECIFIED: RollbackJailRequest.Axis
    AXIS_BASE: RollbackJailRequest.Axis
    AXIS_APP: RollbackJailRequest.Axis
    AXIS_SPEC: RollbackJailRequest.Axis
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    generation: int
    axis: RollbackJailRequest.Axis
    etag: str
    request_id: str
    validate_only: bool
    accept: _containers.RepeatedCompositeFieldContainer[_common_pb2.AcceptedProblem]
    stage: bool
    def __init__(self, name: _Optional[str] = ..., generation: _Optional[int] = ..., axis: _Optional[_Union[RollbackJailRequest.Axis, str]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., accept: _Optional[_Iterable[_Union[_common_pb2.AcceptedProblem, _Mapping]]] = ..., stage: bool = ...) -> None: ...

class GetGenerationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListGenerationsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGenerationsResponse(_message.Message):
    __slots__ = ("generations", "next_page_token")
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    generations: _containers.RepeatedCompositeFieldContainer[Generation]
    next_page_token: str
    def __init__(self, generations: _Optional[_Iterable[_Union[Generation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExecInJailRequest(_message.Message):
    __slots__ = ("start", "stdin", "resize", "signal", "end_of_stdin")
    START_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    END_OF_STDIN_FIELD_NUMBER: _ClassVar[int]
    start: ExecStart
    stdin: bytes
    resize: TerminalSize
    signal: str
    end_of_stdin: bool
    def __init__(self, start: _Optional[_Union[ExecStart, _Mapping]] = ..., stdin: _Optional[bytes] = ..., resize: _Optional[_Union[TerminalSize, _Mapping]] = ..., signal: _Optional[str] = ..., end_of_stdin: bool = ...) -> None: ...

class TerminalSize(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class ExecStart(_message.Message):
    __slots__ = ("name", "command", "environment", "user", "terminal")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    command: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    user: str
    terminal: TerminalSize
    def __init__(self, name: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., user: _Optional[str] = ..., terminal: _Optional[_Union[TerminalSize, _Mapping]] = ...) -> None: ...

class ExecInJailResponse(_message.Message):
    __slots__ = ("stdout", "stderr", "exit_status")
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    stdout: bytes
    stderr: bytes
    exit_status: int
    def __init__(self, stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., exit_status: _Optional[int] = ...) -> None: ...

class TailLogsRequest(_message.Message):
    __slots__ = ("name", "lines", "follow", "since", "until", "timestamps", "here")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    HERE_FIELD_NUMBER: _ClassVar[int]
    name: str
    lines: int
    follow: bool
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    timestamps: bool
    here: bool
    def __init__(self, name: _Optional[str] = ..., lines: _Optional[int] = ..., follow: bool = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., timestamps: bool = ..., here: bool = ...) -> None: ...

class TailLogsResponse(_message.Message):
    __slots__ = ("data", "after", "by")
    DATA_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    after: _timestamp_pb2.Timestamp
    by: _timestamp_pb2.Timestamp
    def __init__(self, data: _Optional[bytes] = ..., after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
