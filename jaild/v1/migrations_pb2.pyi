from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jaild.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Migration(_message.Message):
    __slots__ = ("name", "jail", "source", "target", "outgoing", "phase", "create_time", "update_time", "epoch", "bytes", "rounds", "downtime", "message", "predicted_downtime", "downtime_parts", "predicted_at_least", "bandwidth")
    NAME_FIELD_NUMBER: _ClassVar[int]
    JAIL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTGOING_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_PARTS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    jail: str
    source: str
    target: str
    outgoing: bool
    phase: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    epoch: int
    bytes: int
    rounds: int
    downtime: _duration_pb2.Duration
    message: str
    predicted_downtime: _duration_pb2.Duration
    downtime_parts: DowntimeParts
    predicted_at_least: bool
    bandwidth: int
    def __init__(self, name: _Optional[str] = ..., jail: _Optional[str] = ..., source: _Optional[str] = ..., target: _Optional[str] = ..., outgoing: bool = ..., phase: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ..., bytes: _Optional[int] = ..., rounds: _Optional[int] = ..., downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., message: _Optional[str] = ..., predicted_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., downtime_parts: _Optional[_Union[DowntimeParts, _Mapping]] = ..., predicted_at_least: bool = ..., bandwidth: _Optional[int] = ...) -> None: ...

class DowntimeParts(_message.Message):
    __slots__ = ("stop", "flush", "snapshot", "send", "verify", "mounts", "start", "readiness", "before_stop", "after_start")
    STOP_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    READINESS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_STOP_FIELD_NUMBER: _ClassVar[int]
    AFTER_START_FIELD_NUMBER: _ClassVar[int]
    stop: _duration_pb2.Duration
    flush: _duration_pb2.Duration
    snapshot: _duration_pb2.Duration
    send: _duration_pb2.Duration
    verify: _duration_pb2.Duration
    mounts: _duration_pb2.Duration
    start: _duration_pb2.Duration
    readiness: _duration_pb2.Duration
    before_stop: _duration_pb2.Duration
    after_start: _duration_pb2.Duration
    def __init__(self, stop: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., flush: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., snapshot: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., send: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., verify: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., mounts: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., start: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., readiness: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., before_stop: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., after_start: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class MigrationStats(_message.Message):
    __slots__ = ("moved", "aborted", "thaws", "downtimes", "errors", "median_downtime", "longest_downtime")
    class Bucket(_message.Message):
        __slots__ = ("below", "count")
        BELOW_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        below: _duration_pb2.Duration
        count: int
        def __init__(self, below: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...
    MOVED_FIELD_NUMBER: _ClassVar[int]
    ABORTED_FIELD_NUMBER: _ClassVar[int]
    THAWS_FIELD_NUMBER: _ClassVar[int]
    DOWNTIMES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    LONGEST_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    moved: int
    aborted: int
    thaws: int
    downtimes: _containers.RepeatedCompositeFieldContainer[MigrationStats.Bucket]
    errors: _containers.RepeatedCompositeFieldContainer[MigrationStats.Bucket]
    median_downtime: _duration_pb2.Duration
    longest_downtime: _duration_pb2.Duration
    def __init__(self, moved: _Optional[int] = ..., aborted: _Optional[int] = ..., thaws: _Optional[int] = ..., downtimes: _Optional[_Iterable[_Union[MigrationStats.Bucket, _Mapping]]] = ..., errors: _Optional[_Iterable[_Union[MigrationStats.Bucket, _Mapping]]] = ..., median_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., longest_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetMigrationStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MigrateJailRequest(_message.Message):
    __slots__ = ("name", "target", "max_downtime", "proceed_over_budget", "etag", "request_id", "validate_only", "deadline", "bandwidth")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MAX_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    PROCEED_OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: str
    max_downtime: _duration_pb2.Duration
    proceed_over_budget: bool
    etag: str
    request_id: str
    validate_only: bool
    deadline: _duration_pb2.Duration
    bandwidth: int
    def __init__(self, name: _Optional[str] = ..., target: _Optional[str] = ..., max_downtime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., proceed_over_budget: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., bandwidth: _Optional[int] = ...) -> None: ...

class SetMigrationBandwidthRequest(_message.Message):
    __slots__ = ("name", "bandwidth", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    bandwidth: int
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., bandwidth: _Optional[int] = ..., validate_only: bool = ...) -> None: ...

class GetMigrationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListMigrationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMigrationsResponse(_message.Message):
    __slots__ = ("migrations", "next_page_token")
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    migrations: _containers.RepeatedCompositeFieldContainer[Migration]
    next_page_token: str
    def __init__(self, migrations: _Optional[_Iterable[_Union[Migration, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FinalizeMigrationRequest(_message.Message):
    __slots__ = ("name", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...
